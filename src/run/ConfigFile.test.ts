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
  it("refuses what is no configuration, and says why", () => {
    assert.include(failure(""), "the file is empty")
    assert.include(failure("[1, 2]"), "expected a mapping of keys")
    assert.include(failure("a: ["), "line 1")
    assert.include(failure("a: 1\nb: 2\na: 3"), "line 3")
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

  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80, unit: fc.constantFrom(..."ab:-{}[]&*!|>#'\"\n ,1") }), (text) => {
        const parsed = ConfigFile.parse("a.yaml", text)
        return Result.isSuccess(parsed) || parsed.failure.issues.length > 0
      }),
      { seed: 1, numRuns: 300 }
    )
  })

  it("does not let a key reach the prototype", () => {
    const source = Result.getOrThrow(ConfigFile.parse("a.yaml", "__proto__: { polluted: 1 }\na: 1"))
    assert.isUndefined(({} as { polluted?: number }).polluted)
    assert.strictEqual(source.value["a"], 1)
    const set = Result.getOrThrow(ConfigFile.override(source, ["__proto__.polluted=1", "constructor.x=2"]))
    assert.isUndefined(({} as { polluted?: number }).polluted)
    assert.isDefined(set)
  })
})

describe("messages", () => {
  it("accepts a right file", () => assert.deepStrictEqual(decode(good), []))

  it("names path, line, value and what would be right, for every mistake at once", () => {
    const issues = decode(`
name: a
seed: 1.5
serach: 1
dataflow: { name: fashion-mnist }
searchSpace: { name: tiny }
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
    assert.deepInclude(find("budget.max"), { line: 8, message: 'got "27M"; expected a number (write 27e6)' })
    assert.deepInclude(find("supernetTraining.epochs"), { line: 10, message: "got 0; expected a value greater than 0" })
    assert.include(find("supernetTraining.optimizer.name")?.message, '"sgd" or "adam" or "rmsprop"')
    assert.include(find("supernetTraining.optimizer.learningrate")?.message, "did you mean learningRate?")
    assert.include(find("start.supernet")?.message, "a text or null")
    assert.include(find("retraining")?.message, "missing, but required")
  })

  it("lists the known keys where none is near", () => {
    assert.include(decode(`${good}\nevaluation: { colour: 1 }`)[0]?.message, "known here: batchSize")
  })
})

describe("override", () => {
  const source = Result.getOrThrow(ConfigFile.parse("a.yaml", good))

  it("reads values as YAML and says where a wrong one came from", () => {
    const set = Result.getOrThrow(ConfigFile.override(source, ["budget.max=lots", "engine.threads=2", "name=b=c"]))
    assert.deepStrictEqual(set.value["engine"], { threads: 2 })
    assert.strictEqual(set.value["name"], "b=c")
    assert.deepStrictEqual(set.origin(["budget", "max"]), { line: null, origin: "--set budget.max" })
    assert.strictEqual(set.origin(["seed"]).line, null)
    assert.deepStrictEqual(source.value["budget"], { max: 27e6 }, "the source is as it was")
  })

  it("refuses what is no assignment, all at once", () => {
    const failed = ConfigFile.override(source, ["budget", "=1", "a b=1", "budget.max=[1", "seed=7"])
    assert.isTrue(Result.isFailure(failed))
    if (Result.isFailure(failed)) assert.strictEqual(failed.failure.issues.length, 4)
  })

  it("reaches into lists", () => {
    const list = ConfigFile.fromValue("x", { a: [{ b: 1 }, { b: 2 }] })
    assert.deepStrictEqual(Result.getOrThrow(ConfigFile.override(list, ["a.1.b=3"])).value, { a: [{ b: 1 }, { b: 3 }] })
  })
})

describe("closest", () => {
  it("finds a word with one slip, and no word for another word", () => {
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

it.effect("is an Effect's failure like any other", () =>
  Effect.gen(function* () {
    const failed = yield* Effect.flip(Effect.fromResult(ConfigFile.parse("a.yaml", "")))
    assert.strictEqual(failed._tag, "ConfigError")
  })
)
