import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { closest } from "../support/Suggestion.ts"
import * as ConfigFile from "./ConfigFile.ts"
import { RunConfig } from "./RunConfig.ts"

const failure = (text: string): string => {
  const parsed = ConfigFile.parse("a.yaml", text)
  assert.isTrue(Result.isFailure(parsed), `should be refused: ${text.slice(0, 40)}`)
  return Result.isFailure(parsed) ? parsed.failure.message : ""
}

const decode = (text: string): ReadonlyArray<ConfigFile.ConfigIssue> => {
  const source = Result.getOrThrow(ConfigFile.parse("a.yaml", text))
  const decoded = ConfigFile.decodePart(RunConfig as Schema.Codec<RunConfig, unknown>, source.value, source, [])
  return Result.isFailure(decoded) ? decoded.failure : []
}

const good = `
name: a
dataflow: { name: fashion-mnist }
searchSpace: { name: tiny }
budget: { max: 27e6 }
supernetTraining: { epochs: 1 }
retraining: { epochs: 1 }
`

describe("parse", () => {
  it("refuses text that is not a configuration, and says why", () => {
    assert.include(failure(""), "the file is empty")
    assert.include(failure("[1, 2]"), "expected a mapping of keys")
    assert.include(failure("a: ["), "line 1")
    assert.include(failure("a: 1\nb: 2\na: 3"), "line 3: a: duplicate key (first in line 1)")
    assert.include(failure("a: 1\nb:\n  c: { d: 2, e: 3, d: 4 }"), "line 3: b.c.d: duplicate key (first in line 3)")
    assert.include(failure('{"a": 1, "1": 2, "a": 3}'), "line 1: a: duplicate key")
    assert.include(failure("1: a\n'1': b"), "line 2: 1: duplicate key")
    assert.include(failure("a:\n\tb: 1"), "line 2: not valid YAML: a tab as indentation; indent with spaces")
    assert.include(failure("a: 1\n---\nb: 2"), "several documents")
    assert.include(failure("a: !!js/function 'x'"), "not valid YAML")
  })

  it("is bounded in length, depth and aliases", () => {
    assert.include(failure(`a: ${"x".repeat(ConfigFile.maxLength)}`), "at most")
    assert.include(failure("[".repeat(100_000)), "nested deeper than 32")
    assert.include(failure(`${"{a: ".repeat(40)}1${"}".repeat(40)}`), "nested deeper than 32")
    const level = (name: string, of: string) => `${name}: &${name} [${Array.from({ length: 9 }, () => of).join(",")}]`
    const bomb = [level("a", "x"), level("b", "*a"), level("c", "*b"), level("d", "*c"), level("e", "*d")].join("\n")
    assert.include(failure(bomb), "alias")
  })

  it("reads merge keys with their lines, and refuses values that cannot be merged", () => {
    const text =
      "base: &base { epochs: 3, batchSize: 8 }\nmore: &more\n  epochs: 9\n  x: 1\na:\n  <<: *base\n  batchSize: 16\nb:\n  <<: [*base, *more]\n"
    const source = Result.getOrThrow(ConfigFile.parse("a.yaml", text))
    assert.deepStrictEqual(source.value["a"], { epochs: 3, batchSize: 16 })
    assert.deepStrictEqual(source.value["b"], { epochs: 3, batchSize: 8, x: 1 })
    assert.strictEqual(source.origin(["a", "epochs"]).line, 1)
    assert.strictEqual(source.origin(["a", "batchSize"]).line, 7)
    assert.strictEqual(source.origin(["b", "x"]).line, 4)
    assert.include(failure("a:\n  <<: 5"), "line 2: a.<<: expected a mapping, an alias of one")
    assert.include(failure("a:\n  <<: [{ b: 1 }, 2]"), "line 2: a.<<: expected a mapping")
    const twice = failure("a:\n  <<: { b: 1 }\n  <<: { c: 1 }")
    assert.include(twice, "line 3: a.<<: duplicate key (first in line 2); merge several mappings with one list")
    assert.include(failure("a: &a\n  b: 1\n  <<: *a"), "merged into itself")
    const level = (name: string, of: string) => `${name}: &${name}\n  <<: [${Array(9).fill(`*${of}`).join(", ")}]`
    const bomb = ["a: &a { x: 1 }", ..."bcdefghij".split("").map((name, at) => level(name, "abcdefghij"[at]!))]
    assert.include(failure(bomb.join("\n")), "merge keys that add more than 10000 keys")
    // A quoted << is an ordinary key.
    assert.deepStrictEqual(Result.getOrThrow(ConfigFile.parse("a.yaml", '"<<": 1')).value, { "<<": 1 })
  })

  it("reads JSON with tabs and Windows line ends, and counts its lines", () => {
    const json = Result.getOrThrow(
      ConfigFile.parse("a.json", '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t\t"c": [1, 2]\r\n\t}\r\n}\r\n')
    )
    assert.deepStrictEqual(json.value, { a: 1, b: { c: [1, 2] } })
    assert.strictEqual(json.origin(["b", "c"]).line, 4)
  })

  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80, unit: fc.constantFrom(..."ab:-{}[]&*!|>#'\"\n ,1") }), (text) => {
        const parsed = ConfigFile.parse("a.yaml", text)
        return Result.isSuccess(parsed) || parsed.failure.issues.length > 0
      }),
      { seed: 1, numRuns: 300 }
    )
  })

  it("does not let a key change the prototype", () => {
    const source = Result.getOrThrow(ConfigFile.parse("a.yaml", "__proto__: { polluted: 1 }\na: 1"))
    assert.isUndefined(({} as { polluted?: number }).polluted)
    assert.strictEqual(source.value["a"], 1)
    const set = Result.getOrThrow(ConfigFile.override(source, ["__proto__.polluted=1", "constructor.x=2"]))
    assert.isUndefined(({} as { polluted?: number }).polluted)
    assert.isDefined(set)
  })
})

describe("messages", () => {
  it("accepts a correct file", () => assert.deepStrictEqual(decode(good), []))

  it("reports path, line, value and what would be right, for all mistakes at once", () => {
    const issues = decode(`
name: a
seed: 1.5
serach: 1
dataflow: { name: fashion-mnist }
budget:
  max: 27M
supernetTraining:
  epochs: 0
  optimizer: { name: sgdd, learningrate: 1 }
start: { supernet: 4 }
`)
    const find = (path: string) => issues.find((issue) => issue.path === path)
    assert.strictEqual(issues.length, 8)
    assert.deepInclude(find("seed"), { line: 3, message: "got 1.5; expected an integer" })
    assert.deepInclude(find("serach"), { line: 4, message: "unknown key; did you mean searchSpace?" })
    assert.deepInclude(find("budget.max"), { line: 7, message: 'got "27M"; expected a number (write 27e6)' })
    assert.deepInclude(find("supernetTraining.epochs"), { line: 9, message: "got 0; expected a value greater than 0" })
    assert.include(find("supernetTraining.optimizer.name")?.message, '"sgd" or "adam" or "rmsprop"')
    assert.include(find("supernetTraining.optimizer.learningrate")?.message, "did you mean learningRate?")
    assert.include(find("start.supernet")?.message, "a text or null")
    assert.include(find("searchSpace")?.message, "missing, but required")
  })

  it("says how to write a value that is almost right", () => {
    const [set] = decode(`${good}\nseed: "7"`)
    assert.strictEqual(set?.message.split(" - ")[0], 'got "7"; expected a number (write 7 without quotes)')
    const max = (text: string) => decode(good.replace("27e6", text)).map((issue) => issue.message.split(" - ")[0])
    assert.deepStrictEqual(max("1_000"), ['got "1_000"; expected a number (write 1000)'])
    assert.deepStrictEqual(max('"1,000,000"'), ['got "1,000,000"; expected a number (write 1000000)'])
    assert.deepStrictEqual(max('"1e6"'), ['got "1e6"; expected a number (write 1e6 without quotes)'])
    assert.deepStrictEqual(max("50%"), ['got "50%"; expected a number (write 0.5)'])
    assert.deepStrictEqual(max("2026-01-31"), ['got "2026-01-31"; expected a number'])
    const nesterov = (text: string) =>
      decode(good.replace("retraining: { epochs: 1", `retraining: { epochs: 1, optimizer: { nesterov: ${text} }`)).map(
        (issue) => issue.message
      )
    assert.deepStrictEqual(nesterov("yes"), ['got "yes"; expected true or false (write true)'])
    assert.deepStrictEqual(nesterov("Off"), ['got "Off"; expected true or false (write false)'])
    assert.deepStrictEqual(nesterov("0"), ["got 0; expected true or false (write false)"])
    assert.deepStrictEqual(nesterov("perhaps"), ['got "perhaps"; expected true or false'])
    assert.include(decode(good.replace("name: a", "name: 2026"))[0]?.message, 'a text (write "2026" in quotes)')
  })

  it("lists the known keys if none is similar", () => {
    assert.include(decode(`${good}\nevaluation: { colour: 1 }`)[0]?.message, "known here: batchSize")
  })
})

describe("override", () => {
  const source = Result.getOrThrow(ConfigFile.parse("a.yaml", good))

  it("reads values as YAML and records where they came from", () => {
    const set = Result.getOrThrow(ConfigFile.override(source, ["budget.max=lots", "engine.threads=2", "name=b=c"]))
    assert.deepStrictEqual(set.value["engine"], { threads: 2 })
    assert.strictEqual(set.value["name"], "b=c")
    assert.deepStrictEqual(set.origin(["budget", "max"]), { line: null, origin: "--set budget.max" })
    assert.strictEqual(set.origin(["seed"]).line, null)
    assert.deepStrictEqual(source.value["budget"], { max: 27e6 }, "the source is unchanged")
  })

  it("reports all malformed assignments at once", () => {
    const failed = ConfigFile.override(source, ["budget", "=1", "a b=1", "budget.max=[1", "seed=7"])
    assert.isTrue(Result.isFailure(failed))
    if (Result.isFailure(failed)) assert.strictEqual(failed.failure.issues.length, 4)
  })

  it("reaches into lists", () => {
    const list = ConfigFile.fromValue("x", { a: [{ b: 1 }, { b: 2 }] })
    assert.deepStrictEqual(Result.getOrThrow(ConfigFile.override(list, ["a.1.b=3"])).value, { a: [{ b: 1 }, { b: 3 }] })
  })
})

describe("several checks of one value", () => {
  it("reports a value once, even if it fails several checks", () => {
    const issues = decode(
      good.replace(/^supernetTraining:.*$/m, "supernetTraining: { epochs: 1, optimizer: { learningRate: .nan } }")
    )
    const about = issues.filter(({ path }) => path === "supernetTraining.optimizer.learningRate")
    assert.deepStrictEqual(
      about.map(({ message }) => message),
      ["got NaN; expected a finite number"]
    )
  })
})

describe("closest", () => {
  it("does not mistake a short word for the misspelt beginning of a long one", () => {
    assert.isUndefined(closest("tyni", ["mobilefacenet", "proxylessnas"]))
    assert.strictEqual(closest("mobi", ["mobilefacenet", "proxylessnas"]), "mobilefacenet")
    assert.strictEqual(closest("serach", ["seed", "searchSpace"]), "searchSpace")
  })

  it("finds a word with one typing error, and none for a different word", () => {
    const words = ["searchSpace", "searchStrategy", "seed", "budget", "dataflow", "retraining"]
    fc.assert(
      fc.property(fc.constantFrom(...words.filter((word) => word.length > 4)), fc.nat(), (word, at) => {
        const i = at % word.length
        return closest(word.slice(0, i) + word.slice(i + 1), words) === word
      }),
      { seed: 1 }
    )
    assert.isUndefined(closest("colour", words))
    assert.strictEqual(closest("SEED", words), "seed")
  })
})

it.effect("fails an Effect with a tagged error", () =>
  Effect.gen(function* () {
    const failed = yield* Effect.flip(Effect.fromResult(ConfigFile.parse("a.yaml", "")))
    assert.strictEqual(failed._tag, "ConfigError")
  })
)
