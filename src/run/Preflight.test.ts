import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Finding from "../component/Finding.ts"
import type { DataflowShape, Split } from "../dataflow/Dataflow.ts"
import { Disk } from "../support/Disk.ts"
import * as Assembly from "./Assembly.ts"
import * as EngineLayer from "./EngineLayer.ts"
import * as Load from "./Load.ts"
import * as Preflight from "./Preflight.ts"
import { RunConfig } from "./RunConfig.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const plenty: Preflight.Machine = { freeBytes: 1e15, memoryBytes: 1e15 }

/** The findings about a configuration that ships, with overrides. */
const examined = (file: string, set: ReadonlyArray<string>, machine: Preflight.Machine = plenty) =>
  Effect.gen(function* () {
    const loaded = yield* Load.file(file, { set })
    const assembled = yield* Assembly.assemble({
      config: loaded.config,
      chosen: loaded.components,
      engine: EngineLayer.layer(loaded.config, loaded.folder),
      table: {},
      machine
    })
    assert.strictEqual(
      Option.isSome(assembled.components),
      assembled.findings.every(({ severity }) => severity === "warning")
    )
    return assembled.findings
  }).pipe(Effect.scoped, Effect.provide(Disk.layer))

const quickstart = "examples/quickstart.yaml"
const small = ["dataflow.trainLimit=100", "dataflow.testLimit=20", "engine.name=cpu", "estimator.batches=null"]
const fitting = ["supernetTraining.batchSize=16", "retraining.batchSize=16", "estimator.recalibrationBatchSize=16"]
const keys = (findings: ReadonlyArray<Finding.Finding>) => findings.map(({ key, severity }) => `${severity} ${key}`)

const config = Schema.decodeUnknownSync(RunConfig)({
  name: "a",
  dataflow: { name: "made-up" },
  searchSpace: { name: "tiny" },
  budget: { max: 1e9 },
  supernetTraining: { epochs: 1, batchSize: 8 },
  retraining: { epochs: 1, batchSize: 8 }
})
const flow = (overrides: Partial<DataflowShape> = {}): DataflowShape => ({
  ...SmallRun.makeDataflow({ k0: 0, k1: 0 }),
  ...overrides
})

describe("Preflight", () => {
  it.effect("a correct configuration has no findings", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* examined(quickstart, [...small, ...fitting]), [])
    })
  )

  it.effect("reports every mistake at once, with the numbers", () =>
    Effect.gen(function* () {
      const findings = yield* examined(quickstart, [...small, "budget.max=5", "retraining.batchSize=500"])
      assert.deepStrictEqual(keys(findings), [
        "error retraining.batchSize",
        "error estimator.recalibrationBatchSize",
        "error budget.max"
      ])
      const [batch, recalibration, budget] = findings.map(({ message }) => message)
      assert.match(
        budget ?? "",
        /no architecture of tiny has flops between 0 and 5: the smallest has 390016, .*; expected at least 390016$/
      )
      assert.strictEqual(
        batch,
        "got 500: the training images (100 images) do not fill a batch of 500; expected at most 100"
      )
      assert.match(recalibration ?? "", /^got 128: the supernet's 80 training images do not fill a batch of 128/)
    })
  )

  it.effect("balanced batches that the people do not fill are refused, with what would be right", () =>
    Effect.gen(function* () {
      const balanced = ["dataflow.perIdentity=4", ...small, ...fitting]
      assert.deepStrictEqual(yield* examined(quickstart, balanced), [])
      const [uneven] = yield* examined(quickstart, [...balanced, "supernetTraining.batchSize=18"])
      assert.strictEqual(uneven?.key, "supernetTraining.batchSize")
      assert.include(uneven?.message, "must be 4 times a number of identities up to 10")
      const [many] = yield* examined(quickstart, [...balanced, "supernetTraining.batchSize=64"])
      assert.include(many?.message, "must be 4 times a number of identities up to 10")
    })
  )

  it.effect("skipped phases are not examined", () =>
    Effect.gen(function* () {
      const tooLarge = [...small, ...fitting, "supernetTraining.batchSize=500"]
      const given = "start={ architecture: '0,0,0,0,0,0' }"
      assert.deepStrictEqual(keys(yield* examined(quickstart, tooLarge)), ["error supernetTraining.batchSize"])
      assert.deepStrictEqual(yield* examined(quickstart, [...tooLarge, given]), [])
      assert.deepStrictEqual(
        yield* examined(quickstart, [...small, ...fitting, "retraining.batchSize=500", "stopAfter=searching"]),
        []
      )
      const wrong = yield* examined(quickstart, [...small, ...fitting, "start={ architecture: '9,9' }"])
      assert.deepStrictEqual(keys(wrong), ["error start.architecture"])
    })
  )

  it.effect("fewer batches than requested are a warning", () =>
    Effect.gen(function* () {
      const few = ["estimator.recalibration=50", "estimator.batches=9"]
      const findings = yield* examined(quickstart, [...small, ...fitting, ...few])
      assert.deepStrictEqual(keys(findings), ["warning estimator.recalibration", "warning estimator.batches"])
      assert.include(findings[0]?.message, "fill 5 batches of 16; all are used")
    })
  )

  it.effect("memory and disk space are estimated", () =>
    Effect.gen(function* () {
      const set = [...small, ...fitting]
      const tight = yield* examined(quickstart, set, { freeBytes: 2 ** 20, memoryBytes: 2 ** 20 })
      assert.deepStrictEqual(keys(tight), [
        "error supernetTraining.batchSize",
        "error retraining.batchSize",
        "error checkpoint.keep"
      ])
      assert.match(tight[0]?.message ?? "", /takes about 0\.0\d GiB of memory, and this machine has 0\.00 GiB/)
      const large = ["dataflow.trainLimit=8000", "supernetTraining.batchSize=6000"]
      const [beyond] = yield* examined(quickstart, [...set, ...large, "engine.name=simd"])
      assert.match(beyond?.message ?? "", /a step of 6000 images takes about \d\.\d\d GiB.*the embedded engine can use/)
      assert.deepStrictEqual(
        yield* examined(quickstart, [...set, ...large, "supernetTraining.accumulate=100", "engine.name=simd"]),
        []
      )
    })
  )

  it("classes without an image are named, empty splits are refused", () => {
    const labels: Readonly<Record<Split, ReadonlyArray<number>>> = {
      supernet: [0, 1, 2],
      validation: [0, 0, 2],
      train: [0, 1, 2],
      test: [0, 1]
    }
    const findings = Preflight.examine({
      config,
      dataflow: flow({
        notices: ["train/cat: skipped 2 files"],
        inventory: {
          place: "nowhere",
          mean: [0.5],
          std: [0.5],
          labels: (split) => Int32Array.from(labels[split]),
          image: () => Effect.die("not read"),
          skipped: []
        }
      })
    })
    assert.deepStrictEqual(
      findings.map(({ message }) => message),
      [
        "train/cat: skipped 2 files",
        "1 of 3 classes have no image in the validation split: left",
        "1 of 3 classes have no image in the test images: middle"
      ]
    )
    const empty = Preflight.examine({ config, dataflow: flow({ count: (split) => (split === "test" ? 0 : 24) }) })
    assert.deepStrictEqual(keys(empty), ["error dataflow"])
  })

  it.live("a run refuses a phase that would train nothing, and writes no file", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const wrong = { ...Trials.shortConfig, retraining: { ...Trials.shortConfig.retraining, batchSize: 64 } }
      const error = yield* Effect.flip(Trials.begin(memory.disk, wrong))
      assert.include(
        error.message,
        "retraining.batchSize: got 64: the training images (36 images) do not fill a batch of 64"
      )
      assert.strictEqual(memory.files().size, 0)
      // Nor may a run be resumed with such a value.
      yield* Trials.begin(memory.disk, { ...Trials.shortConfig, stopAfter: "searching" })
      const before = [...memory.files()].filter(([file]) => /(config|manifest|snapshot)/.test(file))
      const resumed = yield* Effect.flip(Trials.resume(memory.disk, wrong, { configText: "not written" }))
      assert.include(resumed.message, "do not fill a batch of 64")
      for (const [file, bytes] of before) assert.deepStrictEqual(memory.files().get(file), bytes, file)
    })
  )
})
