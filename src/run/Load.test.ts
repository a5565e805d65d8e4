import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { afterAll } from "vitest"
import { Engine } from "../engine/Engine.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import { ofConfig } from "../run/Identity.ts"
import { RunConfig } from "../run/RunConfig.ts"
import { kinds } from "./BoundComponent.ts"
import * as ConfigSchema from "./ConfigSchema.ts"
import * as EngineLayer from "./EngineLayer.ts"
import * as Load from "./Load.ts"
import * as Registry from "./Registry.ts"

const root = resolve(import.meta.dirname, "../..")
const folder = mkdtempSync(join(tmpdir(), "osnas-load-"))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const failureOf = (text: string) => Effect.map(Effect.flip(Load.file(write("a.yaml", text))), (error) => error.message)

describe("Registry", () => {
  for (const kind of kinds) {
    it.effect(`${kind}: every name has its component, with a description, and options with defaults`, () =>
      Effect.gen(function* () {
        assert.isAbove(Registry.names(kind).length, 0)
        for (const name of Registry.names(kind)) {
          const component = yield* Registry.find(kind, name)
          assert.strictEqual(component?.name, name)
          assert.strictEqual(component?.kind, kind)
          assert.match(component?.description ?? "", /^[A-Z].*[^.]$/, "one line, no full stop")
          const { schema } = ConfigSchema.optionsSchema(component!.options)
          const properties = (schema["properties"] ?? {}) as Record<string, { description?: string }>
          for (const [key, property] of Object.entries(properties)) {
            if (name !== "macro") assert.isDefined(property.description, `${kind} ${name}.${key} has a description`)
          }
        }
      })
    )
  }

  it.effect("does not know names of the prototype", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* Registry.find("criterion", "constructor"))
      assert.isUndefined(yield* Registry.find("criterion", "__proto__"))
    })
  )
})

const base = `name: a
dataflow: { name: fashion-mnist }
searchSpace: { name: tiny }
budget: { max: 3e6 }
supernetTraining: { epochs: 1 }
retraining: { epochs: 1 }
`

describe("a value that is too large for this machine", () => {
  const text = `${base}engine: { threads: 100000 }\n`

  it.effect("is refused if the configuration is to run, not if it is only read", () =>
    Effect.gen(function* () {
      assert.match(
        yield* failureOf(text),
        /line \d+: engine\.threads: got 100000; expected at most \d+ threads: this machine has \d+ core/
      )
      const source = yield* Effect.fromResult(ConfigFile.parse("a.yaml", text))
      assert.strictEqual((yield* Load.decode(source, folder, { isToRun: false })).config.engine.threads, 100_000)
    })
  )
})

describe("file", () => {
  it.effect("fills in all defaults, also those of components", () =>
    Effect.gen(function* () {
      const { components, config } = yield* Load.file(write("a.yaml", base))
      assert.strictEqual(config.searchStrategy.name, "evolution")
      assert.isNumber(config.searchStrategy["crossover"])
      assert.strictEqual(config.searchSpace["stemStride"], 2)
      assert.strictEqual(components.trainingAgent.name, "classification")
    })
  )

  it.effect("five mistakes, five messages, each with its line", () =>
    Effect.gen(function* () {
      const message = yield* failureOf(`name: a
dataflow: { name: fashion-mnits }
searchSpace: { name: tiny, stemStride: 3 }
searchStrategy: { name: evolution, evaluation: 5 }
budget: { max: -1 }
supernetTraining: { epochs: one }
retraining: { epochs: 1 }
`)
      const lines = message.split("\n").slice(1)
      assert.strictEqual(lines.length, 5, message)
      assert.match(lines[0]!, /line 2: dataflow\.name: .*did you mean fashion-mnist\?/)
      assert.match(lines[1]!, /line 3: searchSpace\.stemStride: got 3; expected 1 or 2/)
      assert.match(lines[2]!, /line 4: searchStrategy\.evaluation: unknown key; did you mean evaluations\?/)
      assert.match(lines[3]!, /line 5: budget\.max: got -1; expected a value greater than 0/)
      assert.match(lines[4]!, /line 6: supernetTraining\.epochs: got "one"; expected a number/)
    })
  )

  it.effect("reports sections that do not go together", () =>
    Effect.gen(function* () {
      const message = yield* failureOf(
        base.replace("max: 3e6", "min: 4e6, max: 3e6").replace("epochs: 1", "epochs: 1, batchSize: 64, accumulate: 3") +
          "start: { network: a.safetensors }\n"
      )
      assert.include(message, "budget.min: got 4000000; expected at most budget.max")
      assert.include(message, "supernetTraining.accumulate: got 3; expected a divisor")
      assert.include(message, "start.network: weights alone do not make a network")
    })
  )

  it.effect("a name that would leave the folder of runs is refused", () =>
    Effect.gen(function* () {
      for (const name of ["../x", "/etc", "a/b", ""]) {
        assert.include(yield* failureOf(base.replace("name: a", `name: ${JSON.stringify(name)}`)), "name")
      }
    })
  )

  it.effect("reads UTF-16 and UTF-8 with byte order marks, and names any other encoding", () =>
    Effect.gen(function* () {
      const plain = yield* Load.file(write("a.yaml", base))
      const mark = { utf8: [0xef, 0xbb, 0xbf], utf16le: [0xff, 0xfe] } as const
      for (const encoding of ["utf8", "utf16le"] as const) {
        const file = join(folder, `${encoding}.yaml`)
        writeFileSync(file, Buffer.concat([Buffer.from(mark[encoding]), Buffer.from(base, encoding)]))
        assert.deepStrictEqual((yield* Load.file(file)).config, plain.config)
        writeFileSync(file, Buffer.from(base.replace("name: a", "name: ä"), encoding === "utf8" ? "latin1" : encoding))
        const { message } = yield* Effect.flip(Load.file(file))
        assert.include(message, encoding === "utf8" ? "line 1 has the byte 0xE4" : "UTF-16 without a byte order mark")
      }
    })
  )

  it.effect("a missing file and a folder are refused", () =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(Load.file(join(folder, "none.yaml")))).message, "does not exist")
      assert.include((yield* Effect.flip(Load.file(folder))).message, "folder")
    })
  )

  for (const name of readdirSync(join(root, "examples")).filter((file) => file.endsWith(".yaml"))) {
    it.effect(`examples/${name} is correct`, () => Load.file(join(root, "examples", name)))
  }
})

describe("a training phase's section", () => {
  const [head] = base.split("supernetTraining")
  const missing = (rest: string) =>
    Effect.map(Effect.result(Load.file(write("p.yaml", head + rest))), (loaded) =>
      Result.isSuccess(loaded)
        ? []
        : loaded.failure._tag === "ConfigError"
          ? loaded.failure.issues.map(
              ({ message, path }) => `${path}: ${message.replace(/; (give|start|stopAfter).*/, "")}`
            )
          : [loaded.failure._tag]
    )
  const both = { supernetTraining: "supernetTraining: { epochs: 1 }\n", retraining: "retraining: { epochs: 1 }\n" }

  it.effect("is required if the run has the phase, and only then", () =>
    Effect.gen(function* () {
      const required = (phase: string, first: string, why: string, last: string) =>
        `${phase}: missing, but required: the run goes from ${first} (${why}) to ${last}`
      const nothing = "nothing is given to start from"
      assert.deepStrictEqual(yield* missing(both.supernetTraining), [
        required("retraining", "supernetTraining", nothing, "evaluating")
      ])
      assert.deepStrictEqual(yield* missing("stopAfter: searching\n"), [
        required("supernetTraining", "supernetTraining", nothing, "searching")
      ])
      assert.deepStrictEqual(yield* missing("start: { supernet: a.safetensors }\n"), [
        required("retraining", "searching", "start.supernet is given", "evaluating")
      ])
      assert.deepStrictEqual(yield* missing('start: { architecture: "1,2" }\n'), [
        required("retraining", "retraining", "start.architecture is given", "evaluating")
      ])
      for (const rest of [
        `${both.supernetTraining}stopAfter: searching\n`,
        `${both.supernetTraining}stopAfter: supernetTraining\n`,
        `${both.retraining}start: { supernet: a.safetensors }\n`,
        "start: { supernet: a.safetensors }\nstopAfter: searching\n",
        `${both.retraining}start: { architecture: "1,2" }\n`,
        'start: { architecture: "1,2", network: a.safetensors }\n',
        `${both.retraining}estimator: { name: tabular }\n`,
        "estimator: { name: tabular }\nstopAfter: searching\n"
      ]) {
        assert.deepStrictEqual(yield* missing(rest), [], rest)
      }
    })
  )

  it.effect("is reported with all other mistakes, and is not added if it is not needed", () =>
    Effect.gen(function* () {
      const issues = yield* missing("seed: x\n")
      assert.strictEqual(issues.length, 3)
      assert.match(issues.join("\n"), /seed: got "x"/)
      const { config, kinds } = yield* Load.file(
        write("p.yaml", `${head}${both.supernetTraining}stopAfter: searching\n`)
      )
      assert.notProperty(config, "retraining")
      assert.notInclude(JSON.stringify(ofConfig(config, kinds)), "retraining")
    })
  )

  it.effect("a run that would end before it begins is refused", () =>
    Effect.gen(function* () {
      const all = both.supernetTraining + both.retraining
      const wrong = (first: string, last: string, why: string) => [
        `stopAfter: got ${last}; expected ${first} or later, because ${why} and the run begins there`
      ]
      assert.deepStrictEqual(
        yield* missing(`${all}start: { supernet: a.safetensors }\nstopAfter: supernetTraining\n`),
        wrong("searching", "supernetTraining", "start.supernet is given")
      )
      assert.deepStrictEqual(
        yield* missing(`${all}start: { architecture: "1,2" }\nstopAfter: searching\n`),
        wrong("retraining", "searching", "start.architecture is given")
      )
      assert.deepStrictEqual(
        yield* missing(`${all}start: { architecture: "1,2", network: b.st }\nstopAfter: retraining\n`),
        wrong("evaluating", "retraining", "start.network is given")
      )
    })
  )
})

describe("a user's component", () => {
  const own = (kind: string, extra = "") => `
import * as Schema from ${JSON.stringify(import.meta.resolve("effect/Schema"))}
import * as Layer from ${JSON.stringify(import.meta.resolve("effect/Layer"))}
export const component = {
  kind: "${kind}", name: "mine", description: "Mine",
  options: Schema.Struct({ strength: Schema.Int }), layer: () => Layer.empty ${extra}
}`
  const using = (path: string, option = "strength: 3") => `${base}criterion: { name: ${path}, ${option} }\n`

  it.effect("is loaded relative to the configuration, its options decoded", () =>
    Effect.gen(function* () {
      write("mine.mjs", own("criterion"))
      const loaded = yield* Load.file(write("own.yaml", using("./mine.mjs")))
      assert.strictEqual(loaded.components.criterion.name, "./mine.mjs")
      assert.deepStrictEqual(loaded.components.criterion.options, { strength: 3 })
      const message = yield* failureOf(using("./mine.mjs", "strength: x"))
      assert.include(message, 'criterion.strength: got "x"')
    })
  )

  it.effect("is the same module in the configuration of a run's folder", () =>
    Effect.gen(function* () {
      write("mine.mjs", own("criterion"))
      const loaded = yield* Load.file(write("own.yaml", using("./mine.mjs")))
      mkdirSync(join(folder, "runs/a"), { recursive: true })
      const moved = Load.relocate(loaded, join(folder, "runs/a/config.yaml"))
      assert.strictEqual(moved.config.criterion.name, "../../mine.mjs")
      const again = yield* Load.file(write("runs/a/config.yaml", Load.toYaml(moved)))
      assert.deepStrictEqual(again.config, moved.config)
    })
  )

  it.effect("paths become absolute for a run's folder, names and addresses do not change", () =>
    Effect.gen(function* () {
      const sections: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
        "image-folder": { folder: "photos", trainFolder: "train", testFolder: "val" },
        "face-folder": { folder: "faces", testFolder: "others", pairs: "lists/pairs.txt", testPeople: ["s1"] },
        cifar100: { folder: "cifar", url: "https://example.org/cifar.tar.gz" },
        "fashion-mnist": { folder: null }
      }
      const moved: Record<string, unknown> = {}
      for (const [name, options] of Object.entries(sections)) {
        const text = base.replace(/dataflow:.*\n/, `dataflow: ${JSON.stringify({ name, ...options })}\n`)
        const loaded = yield* Load.file(write("places.yaml", text))
        const { dataflow } = Load.relocate(loaded, join(folder, "runs/b/config.yaml")).config
        moved[name] = Object.fromEntries(Object.keys(options).map((key) => [key, dataflow[key]]))
      }
      assert.deepStrictEqual(moved, {
        ...sections,
        "image-folder": { folder: resolve("photos"), trainFolder: "train", testFolder: "val" },
        "face-folder": {
          folder: resolve("faces"),
          testFolder: resolve("others"),
          pairs: resolve("lists/pairs.txt"),
          testPeople: ["s1"]
        },
        cifar100: { folder: resolve("cifar"), url: "https://example.org/cifar.tar.gz" }
      })
    })
  )

  it.effect("says what is wrong with a module", () =>
    Effect.gen(function* () {
      write("wrong-kind.mjs", own("dataflow"))
      write("empty.mjs", "export const other = 1")
      write("broken.mjs", "export const component = (")
      write("throws.mjs", "throw new Error('on purpose')")
      write("no-layer.mjs", own("criterion").replace("layer:", "layers:"))
      write("no-schema.mjs", "export const component = { kind: 'criterion', name: 'x', options: {}, layer: () => 1 }")
      write("number.mjs", "export const component = 5")
      const expected: Readonly<Record<string, string>> = {
        "./absent.ts": "does not exist",
        "./wrong-kind.mjs": "is a dataflow; expected a criterion",
        "./empty.mjs": "exports no `component` (it exports other)",
        "./broken.mjs": "cannot be loaded",
        "./throws.mjs": "on purpose",
        "./no-layer.mjs": "no function `layer`",
        "./no-schema.mjs": "no Schema as `options`",
        "./number.mjs": "not a component definition",
        "./": "folder"
      }
      for (const [path, reason] of Object.entries(expected)) {
        assert.include(yield* failureOf(using(path)), reason, path)
      }
    })
  )
})

describe("the JSON Schema", () => {
  it.effect("has every section with its default, every component with its options, and no dangling reference", () =>
    Effect.gen(function* () {
      const document = yield* ConfigSchema.document
      const text = JSON.stringify(document)
      const defs = document["$defs"] as Record<string, unknown>
      for (const [, name] of text.matchAll(/"#\/\$defs\/([^"]+)"/g)) assert.property(defs, name!)
      assert.notInclude(text, "#/definitions/")
      for (const kind of kinds) for (const name of Registry.names(kind)) assert.property(defs, `${kind}.${name}`)
      const properties = document["properties"] as Record<string, { properties: Record<string, { default?: unknown }> }>
      assert.strictEqual(properties["checkpoint"]?.properties["everyMinutes"]?.default, 5)
      assert.deepStrictEqual(document["required"], ["name", "dataflow", "searchSpace", "budget"])
      // A training phase has no default: its section is given, or the run does not have the phase.
      for (const phase of ["supernetTraining", "retraining"]) assert.notProperty(properties[phase], "default")
      const [supernet, network] = document["allOf"] as ReadonlyArray<{ anyOf: ReadonlyArray<unknown> }>
      assert.deepStrictEqual(supernet?.anyOf[0], { required: ["supernetTraining"] })
      assert.deepStrictEqual(network?.anyOf[0], { required: ["retraining"] })
      assert.deepStrictEqual(network?.anyOf[2], {
        properties: { stopAfter: { enum: ["supernetTraining", "searching"] } },
        required: ["stopAfter"]
      })
    })
  )

  it("knows what a key is for", () => {
    assert.include(ConfigSchema.describe(["supernetTraining", "optimizer", "learningRate"]), "learning rate")
    assert.isUndefined(ConfigSchema.describe(["nothing", "there"]))
  })

  it("its defaults are those of decoding", () => {
    const decoded = Schema.decodeUnknownSync(RunConfig)(ConfigSchema.smallest)
    assert.deepStrictEqual(decoded.engine, { name: "auto", mode: "strict", threads: 0 })
  })
})

describe("the engine", () => {
  const section = (text: string): string => `${base}engine: ${text}\n`
  const own = `
import * as Effect from "${new URL("../../node_modules/effect/dist/Effect.js", import.meta.url).href}"
import * as Layer from "${new URL("../../node_modules/effect/dist/Layer.js", import.meta.url).href}"
import * as Schema from "${new URL("../../node_modules/effect/dist/Schema.js", import.meta.url).href}"
import { Engine } from "${new URL("../engine/Engine.ts", import.meta.url).href}"
export const component = {
  kind: "engine", name: "own", description: "Own",
  options: Schema.Struct({
    precision: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(7))),
    threads: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))
  }),
  layer: (options) => Layer.succeed(Engine, { name: "own", version: JSON.stringify(options) })
}
`

  it.effect("of a module has its own options, and those of every engine if it declares them", () =>
    Effect.gen(function* () {
      write("engine.ts", own)
      const loaded = yield* Load.file(write("e.yaml", section("{ name: ./engine.ts, precision: 3, threads: 2 }")))
      assert.deepStrictEqual(loaded.config.engine, { name: "./engine.ts", mode: "strict", threads: 2, precision: 3 })
      const version = Effect.map(Engine, (engine) => engine.version)
      const made = yield* Effect.provide(version, EngineLayer.layer(loaded.config, loaded.folder))
      assert.deepStrictEqual(JSON.parse(made), { precision: 3, threads: 2 })
      // As it is written to a run's folder and read again.
      const again = yield* Load.file(write("f.yaml", Load.toYaml(loaded)))
      assert.deepStrictEqual(again.config.engine, loaded.config.engine)
    })
  )

  it.effect("refuses options that its module does not know, and wrong ones", () =>
    Effect.gen(function* () {
      write("engine.ts", own)
      const message = yield* failureOf(section("{ name: ./engine.ts, precisoin: 3, threads: 1.5 }"))
      assert.include(message, "engine.precisoin")
      assert.include(message, "did you mean precision?")
      assert.include(message, "engine.threads")
    })
  )

  it.effect("refuses unknown keys of a shipped engine, and a missing module", () =>
    Effect.gen(function* () {
      const message = yield* failureOf(section("{ name: simd, thread: 2 }"))
      assert.include(message, "line 7")
      assert.include(message, "engine.thread: unknown key; did you mean threads?")
      assert.include(yield* failureOf(section("{ name: ./nowhere.ts }")), "does not exist")
    })
  )
})

it("overrides take precedence over the file", () => {
  const source = ConfigFile.assign(ConfigFile.fromValue("x", { seed: 1 }), ["seed"], 2, "--seed")
  assert.deepStrictEqual(source.value, { seed: 2 })
  assert.deepStrictEqual(source.origin(["seed"]), { line: null, origin: "--seed" })
  assert.isTrue(Result.isSuccess(ConfigFile.override(source, [])))
})

it.effect("a dataflow's paths are searched for in the folders of OSNAS_DATA and recorded as found", () =>
  Effect.gen(function* () {
    const before = process.env["OSNAS_DATA"]
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (before === undefined) delete process.env["OSNAS_DATA"]
        else process.env["OSNAS_DATA"] = before
      })
    )
    process.env["OSNAS_DATA"] = join(folder, "datasets")
    for (const name of ["people", "others"]) mkdirSync(join(folder, "datasets", name), { recursive: true })
    const file = write(
      "searched.yaml",
      base.replace(
        /^dataflow: .*$/m,
        "dataflow: { name: face-folder, folder: people, testFolder: others, pairs: no.txt }"
      )
    )
    const loaded = yield* Load.file(file)
    const found = { folder: join(folder, "datasets/people"), testFolder: join(folder, "datasets/others") }
    assert.deepInclude(loaded.components.dataflow.options, { ...found, pairs: "no.txt" })
    const moved = Load.relocate(loaded, join(folder, "runs/x/config.yaml"))
    assert.deepInclude(moved.config.dataflow as unknown as Record<string, unknown>, {
      ...found,
      pairs: resolve("no.txt")
    })
  }).pipe(Effect.scoped)
)
