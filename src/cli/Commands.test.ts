import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import * as Yaml from "yaml"
import * as ExitCode from "./Exit.ts"
import * as Flags from "./Flags.ts"
import * as InProcess from "./testing/InProcess.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-cli-"))
afterAll(() => rmSync(folder, { recursive: true }))

const { failure, printedLines: printed } = InProcess

const zeros = Array.from({ length: 21 }, () => 0).join(",")
const ones = Array.from({ length: 21 }, () => 1).join(",")

describe("inspect", () => {
  it.effect("counts MACs and parameters as the literature does", () =>
    Effect.gen(function* () {
      const count = (arch: string) =>
        Effect.map(
          printed("inspect", "proxylessnas", "--arch", arch, "--size", "32", "--classes", "100", "--json"),
          ([line]) => JSON.parse(line!) as unknown
        )
      const fixed = { space: "proxylessnas", size: 32, classes: 100 }
      assert.deepStrictEqual(yield* count(zeros), { ...fixed, architecture: zeros, macs: 19169792, params: 2039028 })
      assert.deepStrictEqual(yield* count(ones), { ...fixed, architecture: ones, macs: 36147200, params: 3531876 })
    })
  )

  it.effect("shows layers, choices and the exact number of architectures", () =>
    Effect.gen(function* () {
      const [line] = yield* printed("inspect", "proxylessnas", "--json")
      assert.include(line, '"architectures":"558545864083284007"')
      const { choices, layers } = JSON.parse(line!)
      assert.strictEqual(layers.length, 21)
      assert.deepStrictEqual(choices[0], ["k3 e3", "k3 e6", "k5 e3", "k5 e6", "k7 e3", "k7 e6", "skip"])
    })
  )

  it.effect("reads architectures from a file, one per line", () =>
    Effect.gen(function* () {
      const file = join(folder, "archs.txt")
      writeFileSync(file, `# two\n${zeros}\n\n${ones.replaceAll(",", " ")}\n`)
      const lines = yield* printed("inspect", "proxylessnas", "--archs", file)
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).macs),
        [19169792, 36147200]
      )
      writeFileSync(file, `${zeros}\n0,0\n`)
      assert.include((yield* failure("inspect", "proxylessnas", "--archs", file)).message, "it has 2 positions")
      // UTF-16 as PowerShell writes it; and without a byte order mark.
      writeFileSync(file, Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(`${zeros}\r\n`, "utf16le")]))
      assert.strictEqual(JSON.parse((yield* printed("inspect", "proxylessnas", "--archs", file))[0]!).macs, 19169792)
      writeFileSync(file, Buffer.from(`${zeros}\n`, "utf16le"))
      const wide = yield* failure("inspect", "proxylessnas", "--archs", file)
      assert.deepStrictEqual(
        [wide.code, wide.message],
        [ExitCode.usage, `--archs ${file}: the file is UTF-16 without a byte order mark; save it as UTF-8`]
      )
      // Published names and digits in one file.
      const imageNet = ["--set", "stemStride=2", "--size", "224", "--classes", "1000"]
      writeFileSync(file, `fbnet-b\n${"8,".repeat(21)}8\n  fbnet-c\nfbnet-b\n`)
      const named = yield* printed("inspect", "fbnet-l", ...imageNet, "--archs", file)
      const alone = (name: string) => Effect.map(printed("inspect", name, "--json"), ([line]) => line)
      assert.deepStrictEqual(
        [named[0], named[2], named[3]],
        [yield* alone("fbnet-b"), yield* alone("fbnet-c"), named[0]]
      )
      writeFileSync(file, "# one\nfbnet-b\nfbnet-bb\n")
      assert.include(
        (yield* failure("inspect", "fbnet-l", ...imageNet, "--archs", file)).message,
        `--archs ${file}, line 3: architecture fbnet-bb is not in search space fbnet-l: no published network has this name; did you mean fbnet-b?`
      )
      writeFileSync(file, "fbnet-a\n")
      assert.include(
        (yield* failure("inspect", "tiny", "--archs", file)).message,
        "line 1: architecture fbnet-a is not"
      )
    })
  )

  it.effect("counts published networks as published, and for other image sizes", () =>
    Effect.gen(function* () {
      const [published] = yield* printed("inspect", "fbnet-a", "--json")
      assert.include(published, '"macs":244452664,"params":4304584')
      const [small] = yield* printed("inspect", "fbnet-a", "--size", "32", "--classes", "10", "--json")
      assert.include(small, '"size":32,"classes":10')
      const inSpace = ["--size", "112", "--embedding", "128", "--json"]
      const baseline = '"macs":220965376,"params":1003136'
      const [alone] = yield* printed("inspect", "mobilefacenet-baseline", "--json")
      const [named] = yield* printed("inspect", "mobilefacenet", "--arch", "mobilefacenet-baseline", ...inSpace)
      const [space] = yield* printed("inspect", "mobilefacenet", "--size", "112", "--json")
      for (const line of [alone, named, space]) assert.include(line, baseline)
      const text = (yield* printed("inspect", "proxylessnas")).join("\n")
      assert.match(text, /proxylessnas-mobile\s+at 224 pixels 320,427,584 MACs, 4,080,512 parameters/)
    })
  )

  it.effect("draws text, and takes options, an embedding and channels", () =>
    Effect.gen(function* () {
      const lines = (yield* printed(
        "inspect",
        "tiny",
        "--arch",
        "0,1,2,3,4,6",
        "--size",
        "28",
        "--channels",
        "1"
      )).join("\n")
      assert.include(lines, "search.5")
      assert.include(lines, "skip")
      assert.include((yield* printed("inspect", "tiny")).join("\n"), "117,649 architectures")
      const [embedded] = yield* printed("inspect", "tiny", "--arch", "0,0,0,0,0,0", "--embedding", "64", "--json")
      assert.include(embedded, '"embedding":64')
      const [stride] = yield* printed("inspect", "proxylessnas", "--arch", zeros, "--stem-stride", "1", "--json")
      const [set] = yield* printed("inspect", "proxylessnas", "--arch", zeros, "--set", "stemStride=1", "--json")
      assert.strictEqual(stride, set)
    })
  )

  it.effect("says what is wrong, with exit code 2", () =>
    Effect.gen(function* () {
      const expected: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [["proxylesnas"], "did you mean proxylessnas?"],
        [["proxylessnas", "--arch", "0,0"], "it has 2 positions, and the space has 21"],
        [["proxylessnas", "--arch", `${zeros.slice(0, -1)}9`], "position 20 is 9"],
        [["proxylessnas", "--arch", "a"], "digits separated by commas, like 2,0,6, or one of proxylessnas-"],
        [["tiny", "--arch", "a"], "an architecture is digits separated by commas"],
        [["mobilefacenet", "--arch", "mobilefacenet-base"], "did you mean mobilefacenet-baseline?"],
        [["proxylessnas", "--stem-stride", "3"], "stemStride: got 3; expected 1 or 2"],
        [["mobilefacenet", "--set", "colour=1"], "unknown key"],
        [["tiny", "--arch", "0", "--archs", "x"], "exclude each other"],
        [["tiny", "--archs", join(folder, "none")], "none: the file does not exist"],
        [["fbnet-l", "--arch", "fbnet-a"], 'its own is searchSpace: {"name":"fbnet-s"']
      ]
      for (const [args, reason] of expected) {
        const { code, message } = yield* failure("inspect", ...args)
        assert.strictEqual(code, ExitCode.usage, args.join(" "))
        assert.include(message, reason)
      }
    })
  )
})

describe("list", () => {
  it.effect("has every kind, as text and as JSON", () =>
    Effect.gen(function* () {
      const text = (yield* printed("list")).join("\n")
      for (const name of [
        "fashion-mnist",
        "proxylessnas",
        "cross-entropy",
        "uniform",
        "evolution",
        "supernet",
        "fbnet-c"
      ]) {
        assert.include(text, name)
      }
      const [line] = yield* printed("list", "--json")
      const all = JSON.parse(line!)
      assert.isTrue(all.searchStrategy.some((one: { name: string }) => one.name === "evolution"))
      assert.strictEqual(all.published.length, 10)
    })
  )
})

describe("config", () => {
  it.effect("prints a valid configuration that prints itself again", () =>
    Effect.gen(function* () {
      const [first] = yield* printed("config")
      const file = join(folder, "defaults.yaml")
      writeFileSync(file, first!)
      const [second] = yield* printed("config", file)
      assert.strictEqual(second, first)
      assert.include(first, "# Peak learning rate")
      const [json] = yield* printed("config", file, "--json")
      assert.deepStrictEqual(JSON.parse(json!), Yaml.parse(first!))
    })
  )

  it.effect("overrides values, and refuses wrong ones", () =>
    Effect.gen(function* () {
      const [text] = yield* printed("config", "--set", "budget.max=5", "--set", "searchStrategy.evaluations=7")
      assert.include(text, "max: 5")
      assert.include(text, "evaluations: 7")
      const wrong = yield* failure("config", "--set", "budget.max=five", "--set", "seed=-1")
      assert.strictEqual(wrong.code, ExitCode.usage)
      assert.include(wrong.message, '--set budget.max: budget.max: got "five"')
      assert.include(wrong.message, "--set seed: seed: got -1")
    })
  )

  it.effect("emits the JSON Schema", () =>
    Effect.gen(function* () {
      const [text] = yield* printed("config", "--schema")
      assert.strictEqual(JSON.parse(text!).$schema, "https://json-schema.org/draft/2020-12/schema")
    })
  )
})

describe("the command line", () => {
  it.effect("has help with examples on every command", () =>
    Effect.gen(function* () {
      const top = (yield* printed("--help")).join("\n")
      for (const name of ["run", "resume", "inspect", "list", "config", "report", "engines", "bench"]) {
        assert.include(top, `  ${name} `)
        const help = (yield* printed(name, "--help")).join("\n")
        assert.include(help, "EXAMPLES")
        assert.include(help, `osnas ${name}`)
      }
      assert.include(top, "Exit codes: 0 done, 1 failed, 2 wrong usage")
    })
  )

  it.effect("bench says how to name the peer, and where it was not found", () =>
    Effect.gen(function* () {
      const before = process.env["OSNAS_PEER"]
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["OSNAS_PEER"]
          else process.env["OSNAS_PEER"] = before
        })
      )
      delete process.env["OSNAS_PEER"]
      const unnamed = yield* failure("bench", "--compare", "python3")
      assert.deepInclude(unnamed, {
        code: 2,
        message: "--compare needs the peer's throughput.py: name it with --peer, or its folder in OSNAS_PEER"
      })
      process.env["OSNAS_PEER"] = join(folder, "peer")
      const absent = yield* failure("bench", "--compare", "python3")
      assert.include(absent.message, `is not at ${join(folder, "peer", "throughput.py")}; name it with --peer`)
    }).pipe(Effect.scoped)
  )

  it.effect("completes shells", () =>
    Effect.gen(function* () {
      for (const shell of ["bash", "zsh", "fish"]) {
        assert.include((yield* printed("--completions", shell)).join("\n"), "inspect")
      }
    })
  )

  it.effect("wrong usage ends with exit code 2; without arguments it prints the help", () =>
    Effect.gen(function* () {
      for (const args of [
        ["inspct"],
        ["inspect"],
        ["run", "--sed", "7"],
        ["run", "--seed", "x"],
        ["bench", "--batch", "0"]
      ]) {
        assert.strictEqual((yield* failure(...args)).code, ExitCode.usage, args.join(" "))
      }
      assert.strictEqual((yield* failure()).code, ExitCode.ok)
    })
  )

  it.effect("config --check names a start file that cannot be read, and has JSON for what cannot be decoded", () =>
    Effect.gen(function* () {
      const check = ["config", "examples/quickstart.yaml", "--check", "--json", "--set"]
      const start = yield* failure(...check, `start.supernet=${join(folder, "none.safetensors")}`)
      assert.strictEqual(start.code, ExitCode.usage)
      assert.include(start.message, "--set start.supernet: start.supernet: ")
      const before = (yield* TestConsole.logLines).length
      assert.strictEqual((yield* failure(...check, "budget.max=-1")).code, ExitCode.usage)
      const { errors } = JSON.parse((yield* TestConsole.logLines).slice(before).map(String).join("\n"))
      assert.deepStrictEqual(
        errors.map(({ path }: { readonly path: string }) => path),
        ["budget.max"]
      )
    })
  )

  it("says what a flag takes without the preamble of the library", () => {
    assert.strictEqual(
      Flags.plainErrors('"0". Expected: Schema validation failed: Expected a value greater than 0'),
      '"0". Expected a value greater than 0'
    )
  })

  it("distinguishes errors of the library from those of a command", () => {
    assert.isTrue(CliError.isCliError(new CliError.ShowHelp({ commandPath: [], errors: [] })))
  })
})

describe("run, resume, report", () => {
  it.effect("refuse a folder that cannot take a run, with exit code 2, and leave nothing behind", () =>
    Effect.gen(function* () {
      const file = join(folder, "taken.txt")
      const full = join(folder, "full")
      writeFileSync(file, "mine")
      mkdirSync(full)
      writeFileSync(join(full, "notes.txt"), "mine")
      const other = join(folder, "other")
      mkdirSync(other)
      for (const name of ["config.yaml", "manifest.json"]) writeFileSync(join(other, name), "")
      const before = readdirSync(folder)
      const cases = [
        [file, "it is a file; expected a folder"],
        [join(file, "a", "b"), `${file} is a file`],
        [full, "it contains files but is not a run"],
        [
          join(other, "inner"),
          `it is inside the folder of another run, ${other}; choose a folder outside it with --dir`
        ],
        [join(folder, "new", "a".repeat(300)), "has 300 bytes; at most"]
      ] as const
      for (const [dir, expected] of cases) {
        for (const more of [[], ["--overwrite"]]) {
          const refused = yield* failure("run", "examples/quickstart.yaml", "--dir", dir, ...more)
          assert.strictEqual(refused.code, ExitCode.usage, dir)
          assert.include(refused.message, expected)
        }
      }
      assert.deepStrictEqual(readdirSync(folder), before)
      assert.isFalse(existsSync(join(folder, "new")))
      assert.deepStrictEqual(readdirSync(other), ["config.yaml", "manifest.json"])
      for (const args of [
        ["init", join(file, "a"), "--no-install"],
        ["init", file]
      ]) {
        const refused = yield* failure(...args)
        assert.strictEqual(refused.code, ExitCode.usage)
        assert.include(refused.message, `${file} is a file; expected a folder`)
      }
      const generated = yield* failure("generate", "criterion", "--name", "mine", "--dir", file)
      assert.strictEqual(generated.code, ExitCode.usage)
      assert.include(generated.message, `${file} is a file; expected a folder`)
      const compared = yield* failure("compare-runs", file)
      assert.strictEqual(compared.code, ExitCode.usage)
      assert.include(compared.message, "is not a run folder")
    })
  )

  it.effect("refuse impossible requests before they write anything", () =>
    Effect.gen(function* () {
      const missing = yield* failure("run", join(folder, "none.yaml"))
      assert.strictEqual(missing.code, ExitCode.usage)
      assert.include(missing.message, "the file does not exist")
      assert.include((yield* failure("resume", folder)).message, "is not a run folder")
      const report = yield* failure("report", folder)
      assert.include(report.message, "start one with `osnas run CONFIG`")
    })
  )
})
