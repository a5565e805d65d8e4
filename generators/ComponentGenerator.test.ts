import * as Result from "effect/Result"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Kind } from "../src/run/BoundComponent.ts"
import { names as shippedNames } from "../src/run/Registry.ts"
import * as ComponentGenerator from "./ComponentGenerator.ts"
import * as Derived from "./Derived.ts"
import * as Names from "./Names.ts"
import * as Sandbox from "./testing/Sandbox.ts"

/** Names as people choose them: words of letters and digits. */
const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,7}$/)
const name = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), fc.constantFrom("-", "_"))
  .map(([words, separator]) => words.join(separator))

describe("names", () => {
  it.each([
    ["x/../../y", "it is a path"],
    ["..", "it is a path"],
    ["a\\b", "it is a path"],
    ["class", "reserved word"],
    ["Function", "reserved word"],
    ["con", "Windows"],
    ["", "letters and digits"],
    ["9lives", "letters and digits"],
    ["a b", "letters and digits"],
    ["a;b", "letters and digits"],
    ["naïve", "letters and digits"],
    ["-x", "letters and digits"],
    ["x.ts", "letters and digits"],
    ["a".repeat(65), "expected at most"]
  ])("refuses %j: %s", (given, reason) => {
    const made = Names.make(given, undefined)
    expect(Result.isFailure(made) && made.failure.message).toContain(reason)
  })

  it.each(["my-searcher", "mynas", "MyNas", "my_nas2"])("takes %s", (given) => {
    expect(Result.isSuccess(Names.make(given, undefined))).toBe(true)
  })

  it.each(["myNas", "My-Nas", "Object", "../X", ""])("refuses the class %j", (given) => {
    expect(Result.isFailure(Names.make("mynas", given))).toBe(true)
  })

  it("accepts only plain names", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "grapheme" }), name), (given) => {
        const made = Names.make(given, undefined)
        if (Result.isFailure(made)) {
          expect(made.failure._tag).toBe("NameError")
          return
        }
        expect(made.success.name).toMatch(/^[A-Za-z][\w-]*$/)
        expect(made.success.identifier).toMatch(/^[A-Z][A-Za-z0-9]*$/)
      }),
      { seed: 1, numRuns: 500 }
    )
  })
})

describe("requests", () => {
  it("refuses a class that the files use themselves", () => {
    const made = ComponentGenerator.generate({ kind: "search-strategy", name: "mine", identifier: "Effect" })
    expect(Result.isFailure(made) && made.failure.message).toContain("use that name already")
    expect(Result.isFailure(ComponentGenerator.generate({ kind: "criterion", name: "schema" }))).toBe(true)
  })

  it("refuses to start from what does not exist, and says what does", () => {
    const made = ComponentGenerator.generate({ kind: "search-space", name: "mine", from: "proxylesnas" })
    expect(Result.isFailure(made) && made.failure.message).toContain("did you mean proxylessnas?")
    expect(Result.isFailure(ComponentGenerator.generate({ kind: "criterion", name: "mine", from: "__proto__" }))).toBe(
      true
    )
  })

  it.each(Object.entries(ComponentGenerator.kinds).filter(([, kind]) => kind !== "engine"))(
    "starts from every %s that ships (add new ones to Derived.ts)",
    (kindName, kind) => {
      const starts = ComponentGenerator.starts(kindName as ComponentGenerator.KindName)
      const others = Object.keys(Derived.notStarted[kind] ?? {})
      expect([...starts, ...others].sort()).toEqual([...shippedNames(kind as Kind)].sort())
    }
  )

  it("says why it does not start from a space in YAML", () => {
    const made = ComponentGenerator.generate({ kind: "search-space", name: "mine", from: "macro" })
    expect(Result.isFailure(made) && made.failure.message).toContain("leave --from out")
  })
})

describe("generated files", () => {
  let sandbox: Sandbox.Sandbox
  beforeAll(() => {
    sandbox = Sandbox.make()
    const place = (folder: string, request: ComponentGenerator.Request): void => {
      for (const { content, path } of Result.getOrThrow(ComponentGenerator.generate(request)).files) {
        sandbox.write(`src/${folder}/${path}`, content)
      }
    }
    const usable = name.filter((given) =>
      ComponentGenerator.kindNames.every((kind) => Result.isSuccess(ComponentGenerator.generate({ kind, name: given })))
    )
    const drawn = fc.sample(usable, { seed: 7, numRuns: ComponentGenerator.kindNames.length })
    ComponentGenerator.kindNames.forEach((kind, index) => {
      place(`random-${kind}`, { kind, name: drawn[index] ?? "spare" })
      // All are type-checked; of those that start from a shipped one, the tests of one a kind are run, and of those
      // that write data of their own or need another run around them.
      ComponentGenerator.starts(kind).forEach((from, at) => {
        const { sample, sections } = Derived.shipped[ComponentGenerator.kinds[kind]][from] ?? {}
        place(at < 1 || sample !== undefined || sections !== undefined ? `${kind}-from` : `more/${kind}`, {
          kind,
          name: `my-${from}`,
          from
        })
      })
    })
  })
  afterAll(() => sandbox.remove())

  it("passes the strict type check", { timeout: 120_000 }, async () => {
    const { output } = await sandbox.run(Sandbox.scripts.tsc, ["-p", "."])
    // The package's own sources are checked along, since the sandbox links to them: theirs is another test.
    expect(output.split("\n").filter((line) => line.startsWith("src/"))).toEqual([])
    expect(output).not.toMatch(/error TS(5|6|18)\d{3}/)
  })

  it("is clean to the linter, and formatted", { timeout: 120_000 }, async () => {
    const lint = await sandbox.run(Sandbox.scripts.biome, ["lint", "--error-on-warnings", "src"])
    expect(lint.output).not.toMatch(/━/)
    expect(lint.code).toBe(0)
  })

  it("passes its own tests", { timeout: 300_000 }, async () => {
    const { code, output } = await sandbox.run(Sandbox.scripts.vitest, [
      "run",
      "--maxWorkers=2",
      "--isolate=false",
      "--testTimeout=60000",
      "--exclude=src/more/**"
    ])
    if (code !== 0) throw new Error(output)
    expect(output).toMatch(/Tests {2}\d+ passed/)
    expect(output).not.toMatch(/skipped|failed/)
  })
})
