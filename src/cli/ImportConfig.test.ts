import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import * as Yaml from "yaml"
import * as RealData from "../../tools/RealData.ts"
import * as Converter from "../osnaslib/Converter.ts"
import * as Keys from "../osnaslib/Keys.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import * as ExitCode from "./Exit.ts"
import * as InProcess from "./testing/InProcess.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-import-"))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string, text?: string): string => {
  if (text !== undefined) writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const printed = (...args: ReadonlyArray<string>) => InProcess.printed("import-config", ...args)
const failure = (...args: ReadonlyArray<string>) => InProcess.failure("import-config", ...args)

/** A search with every kind of key: known, without an equivalent, empty, unknown. */
const search = `
agent: { main_agent: CFSearchAgent, training_strategy_agent: FairnessSampler, search_strategy_agent: EvolutionSearcher, search_space_agent: FBNetL, criterion_agent: LabelSmoothingCrossEntropy }
search_utility: { directly_search: true, generation_num: 3, population_num: 20, parent_num: 5, info_metric: flops, target_hc: 27, random_iteration: 9 }
train: { resume: true, random_seed: 42, device: cuda, ngpu: 2, epochs: 0, bn_momentum: 0.05, colour: blue }
criterion:
dataset: { dataset: cifar10, dataset_path: ./data/, classes: 10, input_size: 32, batch_size: 96, num_workers: 0, train_portion: 0.7 }
optim: { optimizer: rmsprop, lr: 0.02, weight_decay: 0.00004, momentum: 0.8, alpha: 0.95, beta: 0.99, scheduler: step, decay_step: 12, decay_ratio: 0.5 }
arch_optim: { a_lr: "", hc_weight: 1 }
experiment_path: { resume_path: ./checkpoints/search_99.pth }
`

const evaluation = `
agent: { main_agent: CFEvaluateAgent, search_space_agent: FBNetL, criterion_agent: CrossEntropyLoss }
train: { epochs: 150, random_seed: 42 }
dataset: { dataset: cifar10, dataset_path: ./data/, input_size: 32, batch_size: 128, train_portion: 1 }
optim: { optimizer: sgd, lr: 0.045, weight_decay: 0.0004, momentum: 0.9, scheduler: cosine }
experiment_path: { searched_model_path: ./searched.npy }
`

/** A .npy file as numpy writes it for one row of integers. */
const npy = (digits: ReadonlyArray<number>, type: "i4" | "i8"): Uint8Array => {
  const header = `{'descr': '<${type}', 'fortran_order': False, 'shape': (${digits.length},), }`.padEnd(117, " ")
  const head = Buffer.concat([Buffer.from([0x93]), Buffer.from(`NUMPY\u0001\u0000v\u0000${header}\n`, "latin1")])
  const data = type === "i4" ? Int32Array.from(digits) : BigInt64Array.from(digits, BigInt)
  return Buffer.concat([head, Buffer.from(data.buffer)])
}

describe("import-config", () => {
  it.effect("converts a search, and lists what it could not convert", () =>
    Effect.gen(function* () {
      const text = yield* printed(at("my search.yml", search))
      const config = Yaml.parse(text)
      assert.strictEqual(config.name, "my search")
      assert.deepInclude(config, {
        seed: 42,
        searchSpace: { name: "fbnet-l" },
        budget: { metric: "flops", max: 27e6, min: 7e6 },
        criterion: { name: "cross-entropy", labelSmoothing: 0.1 },
        trainingAgent: { name: "classification" },
        trainingStrategy: { name: "fair", update: "step" },
        searchStrategy: {
          name: "evolution",
          mutation: 0.1,
          evaluations: 65,
          initial: 20,
          offspring: 15,
          parents: 5
        },
        start: { supernet: "./checkpoints/search_99.safetensors" },
        stopAfter: "searching"
      })
      assert.deepInclude(config.dataflow, {
        name: "cifar10",
        folder: "data/cifar10",
        supernetFraction: 0.7,
        prefetch: 0
      })
      assert.deepStrictEqual(config.supernetTraining, {
        epochs: 1,
        bnMomentum: 0.05,
        batchSize: 96,
        optimizer: { name: "rmsprop", learningRate: 0.02, weightDecay: 0.00004, momentum: 0.8, alpha: 0.95 },
        schedule: { name: "step", stepEpochs: 12, decay: 0.5 }
      })
      for (const line of [
        "# Without an equivalent here:",
        "#   train.ngpu: a run uses one engine",
        "#   search_utility.random_iteration: only RandomSearcher reads it, and EvolutionSearcher is chosen",
        "# Unknown keys, left out:\n#   train.colour: OSNASLib does not know this key either",
        "#   train.epochs: 0 epochs mean no training",
        "osnas import-weights FILE --space NAME --supernet --out ./checkpoints/search_99.safetensors",
        "#   estimator.recalibration: 4 here; in OSNASLib 0"
      ]) {
        assert.include(text, line)
      }
      assert.notInclude(text, "a_lr")
    })
  )

  it.effect("joins a search with the file for its evaluation", () =>
    Effect.gen(function* () {
      const text = yield* printed(at("search.yml", search), "--evaluate", at("evaluate.yml", evaluation))
      const config = Yaml.parse(text)
      assert.deepInclude(config.retraining, { epochs: 150, batchSize: 128 })
      assert.strictEqual(config.supernetTraining.batchSize, 96)
      assert.isUndefined(config.stopAfter)
      assert.include(text, "criterion.labelSmoothing")
      assert.deepInclude(config.criterion, { labelSmoothing: 0.1 })
    })
  )

  it.effect("takes the architecture of an evaluation as digits or from a .npy file", () =>
    Effect.gen(function* () {
      const file = at("evaluate.yml", evaluation)
      const digits = Array.from({ length: 22 }, (_, i) => i % 9)
      for (const type of ["i4", "i8"] as const) {
        writeFileSync(at(`${type}.npy`), npy(digits, type))
        const config = Yaml.parse(yield* printed(file, "--arch", at(`${type}.npy`)))
        assert.strictEqual(config.start.architecture, digits.join(","))
      }
      assert.strictEqual(Yaml.parse(yield* printed(file, "--arch", "1 2 3")).start.architecture, "1,2,3")
      // Without an architecture the file is valid, but a run refuses it.
      const open = yield* printed(file)
      assert.strictEqual(Yaml.parse(open).start.architecture, Converter.architectureMissing)
      assert.include(open, "pass the digits of ./searched.npy, or the file itself, with --arch")
      writeFileSync(at("bad.npy"), "no array")
      assert.include((yield* failure(file, "--arch", at("bad.npy"))).message, "expected a .npy file")
      assert.include((yield* failure(file, "--arch", "a,b")).message, "expected digits like 2,0,6")
      // start.architecture also takes the name of a published network.
      assert.strictEqual(Yaml.parse(yield* printed(file, "--arch", "fbnet-a")).start.architecture, "fbnet-a")
      assert.include((yield* failure(file, "--arch", "fbnet_a")).message, "did you mean fbnet-a?")
    })
  )

  it.effect("overwrites only with --force, and refuses other files", () =>
    Effect.gen(function* () {
      const file = at("search.yml", search)
      const out = at("out.yaml")
      const output = yield* printed(file, "--out", out, "--name", "mine")
      assert.include(output, "Without an equivalent here:")
      const loaded = yield* Load.file(out)
      assert.strictEqual(loaded.config.name, "mine")
      const again = yield* failure(file, "--out", out)
      assert.strictEqual(again.code, ExitCode.usage)
      assert.include(again.message, "exists already; --force overwrites it")
      yield* printed(file, "--out", out, "--force")
      assert.strictEqual((yield* Load.file(out)).config.name, "search")
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [[out], "not a configuration of OSNASLib: it has no agent.main_agent"],
        [[at("none.yml")], "none.yml: the file does not exist"],
        [[file, "--out", folder], "this is not a file"],
        [[file, "--evaluate", file], "--evaluate joins a search with an evaluation"],
        [[at("own.yml", "agent: { main_agent: CFSearchAgent, search_space_agent: MyNAS }")], "searchSpace: missing"]
      ]
      for (const [args, reason] of cases) {
        const { code, message } = yield* failure(...args)
        assert.strictEqual(code, ExitCode.usage)
        assert.include(message, reason)
      }
      const json = JSON.parse(yield* printed(file, "--json"))
      assert.isTrue(json.notes.some((note: Converter.Note) => note.kind === "unknown" && note.key === "train.colour"))
    })
  )

  it("keeps costs and units: faces at OSNASLib's strides, latency, the learning searchers' weights", () => {
    const of = (over: Record<string, Record<string, unknown>>) => {
      const old = Yaml.parse(search) as Record<string, Record<string, unknown>>
      for (const [section, values] of Object.entries(over)) old[section] = { ...old[section], ...values }
      return Converter.convert(old, { name: "x" }).config as Record<string, unknown>
    }
    const faces = of({
      agent: { main_agent: "FRSearchAgent", criterion_agent: "OnlineTripletLoss", search_space_agent: "SGNAS" },
      criterion: { normalize: true, margin: 0.2 },
      dataset: { dataset: "face_triplet", classes: 256, input_size: 112, batch_size: 128, num_workers: 4 }
    })
    expect(faces["searchSpace"]).toMatchObject({ name: "sgnas", strides: "small" })
    expect(faces["dataflow"]).toMatchObject({ perIdentity: 4, size: 112, workers: 4 })
    assert.deepStrictEqual<unknown>(faces["criterion"], {
      name: "triplet",
      negatives: "random-hard",
      normalise: true,
      margin: 0.2
    })
    assert.deepStrictEqual<unknown>(faces["trainingAgent"], {
      name: "face-recognition",
      normalise: true,
      dimension: 256
    })
    expect(of({ agent: { search_space_agent: "MobileFaceNet" } })["searchSpace"]).toMatchObject({ strides: "large" })
    const slow = of({
      search_utility: { info_metric: "latency", target_hc: 0.05 },
      agent: { search_strategy_agent: "RandomSearcher" }
    })
    assert.deepStrictEqual<unknown>(slow["budget"], { metric: "latency", max: 50 })
    const learning = of({
      agent: { search_strategy_agent: "DifferentiableSearcher", hc_criterion_agent: "MSELoss" },
      arch_optim: { a_hc_weight: 0.0003, a_optimizer: "adam", a_lr: 0.001 }
    })
    expect(learning["searchStrategy"]).toMatchObject({ cost: { form: "squared", weight: 0.2187 } })
    const generator = of({
      agent: { search_strategy_agent: "ArchitectureGeneratorSearcher" },
      search_utility: { lowest_hardware_constraint: 20, highest_hardware_constraint: 35, prior_pool_size: 1 },
      generator: { hc_dim: 10, tau_decay: 0.95, epochs: 20 },
      arch_optim: { a_hc_weight: 0.0006 }
    })
    expect(generator["searchStrategy"]).toMatchObject({
      lowest: 20e6,
      highest: 35e6,
      costWeight: 0.135,
      temperature: 5,
      finalTemperature: 1.887,
      targetPlanes: 10
    })
    const image = of({ dataset: { dataset: "imagenet", input_size: 224 } })
    expect(image["dataflow"]).toMatchObject({ name: "image-folder", evaluationSide: 256, area: [0.2, 1] })
  })
})

describe("the table of keys", () => {
  it.effect("sets only the paths it names, and lists the actual defaults", () =>
    Effect.gen(function* () {
      const named = new Set(Keys.keys.flatMap(({ here }) => here))
      assert.strictEqual(new Set(Keys.keys.map(({ key }) => key)).size, Keys.keys.length)
      for (const text of [search, evaluation]) {
        const { config } = Converter.convert(Yaml.parse(text), { name: "x" })
        const walk = (value: unknown, path: ReadonlyArray<string>): void => {
          if (typeof value === "object" && value !== null && !Array.isArray(value)) {
            for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key])
          } else if (path.length > 1) assert.isTrue(named.has(path.join(".")), path.join("."))
        }
        walk(config, [])
      }
      const { config } = Converter.convert(Yaml.parse(search), { name: "x" })
      const loaded = yield* Load.decode(ConfigFile.fromValue("x", config), folder)
      for (const { here, path } of Keys.differences) {
        const found = path.split(".").reduce<unknown>((value, key) => Reflect.get(Object(value), key), loaded.config)
        assert.deepStrictEqual(found, here, path)
      }
    })
  )

  it("is the one that the page shows", () => {
    const page = readFileSync(resolve(import.meta.dirname, "../../docs/from-osnaslib.md"), "utf8")
    const cells = page.split("\n").map((line) => line.split("|")[1]?.trim())
    for (const { key } of Keys.keys) assert.include(cells, `\`${key}\``)
  })
})

const configurations = RealData.peer("OSNASLib/config")
const hasConfigurations = RealData.has(configurations, "ImportConfig.test.ts, OSNASLib's own files", "OSNAS_PEER")
const files = hasConfigurations ? globSync("*/*.yml", { cwd: configurations }).sort() : []

describe.skipIf(files.length === 0)("OSNASLib's own configurations (skipped where they are absent)", () => {
  it.effect.each(files)("%s converts to one that passes the check, with every key known", (file) =>
    Effect.gen(function* () {
      const old = Yaml.parse(readFileSync(join(configurations, file), "utf8"))
      const { config, notes } = Converter.convert(old, { name: basename(file, ".yml") })
      assert.deepStrictEqual(
        notes.filter(({ kind }) => kind === "unknown"),
        []
      )
      const loaded = yield* Load.decode(ConfigFile.fromValue(file, config), folder)
      assert.strictEqual(loaded.config.name, basename(file, ".yml"))
    })
  )

  it("the table has all keys that its code reads", () => {
    const code = globSync("**/*.py", { cwd: resolve(configurations, "..") })
      .map((file) => readFileSync(resolve(configurations, "..", file), "utf8"))
      .join("\n")
    const read = [...code.matchAll(/config\["([a-z_]+)"\]\["([a-z_]+)"\]/g)].map(
      ([, section, key]) => `${section}.${key}`
    )
    assert.isAbove(read.length, 50)
    const known = new Set(Keys.keys.map(({ key }) => key))
    assert.deepStrictEqual(
      [...new Set(read)].filter((key) => !known.has(key)),
      []
    )
  })
})
