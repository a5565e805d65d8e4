import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Splits from "./Splits.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const config = SmallRun.config({
  supernetTraining: { epochs: 1, batchSize: 64 },
  retraining: { epochs: 1, batchSize: 128 },
  estimator: { name: "supernet", recalibration: 4, recalibrationBatchSize: 96 }
})

const flow = (supernet: number, validation: number, classes = Number.POSITIVE_INFINITY) => {
  const count = (split: string) =>
    split === "supernet" ? supernet : split === "validation" ? validation : supernet + validation
  return { count, steps: (split: string, size: number) => (size > classes ? 0 : Math.floor(count(split) / size)) }
}
const texts = (...args: Parameters<typeof Splits.check>) =>
  Splits.check(...args).map(({ message, path }) => `${path}: ${message}`)

const ofSupernet = (path: string, size: number, images: string) =>
  `${path}: got ${size}; expected at most ${images.split(" ")[0]}, because the split that trains the supernet has ${images}`

describe("too few images", () => {
  it("for a batch, for recalibration, for validation: each named with both numbers", () => {
    assert.deepStrictEqual(texts(config, flow(96, 32), "supernetTraining", true), [])
    assert.deepStrictEqual(texts(config, flow(40, 0), "supernetTraining", true), [
      ofSupernet("supernetTraining.batchSize", 64, "40 images"),
      ofSupernet("estimator.recalibrationBatchSize", 96, "40 images"),
      "dataflow: no image is left to score architectures on: all 40 images train the supernet; give more images, or lower supernetFraction",
      "retraining.batchSize: got 128; expected at most 40, because the training data has 40 images"
    ])
    assert.deepStrictEqual(texts(config, flow(1, 200), "supernetTraining", true).slice(0, 1), [
      ofSupernet("supernetTraining.batchSize", 64, "1 image")
    ])
  })

  it("only where the run has the phase", () => {
    const some = (stopAfter: string) => ({ ...config, stopAfter }) as typeof config
    assert.strictEqual(texts(some("supernetTraining"), flow(40, 0), "supernetTraining", true).length, 1)
    assert.strictEqual(texts(some("searching"), flow(40, 0), "searching", true).length, 2)
    assert.strictEqual(texts(config, flow(40, 0), "searching", false).length, 1)
    assert.deepStrictEqual(texts(config, flow(40, 0), "evaluating", true), [])
  })

  it("too few people for a balanced batch", () => {
    assert.deepStrictEqual(
      texts({ ...config, stopAfter: "supernetTraining" }, flow(500, 50, 10), "supernetTraining", true),
      [
        "supernetTraining.batchSize: got 64; and no batch can be made of the 500 images of the split that trains the supernet: too few classes or people for dataflow.perIdentity"
      ]
    )
  })

  it.effect("is refused by a run before anything is written", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const large = SmallRun.config({ supernetTraining: { epochs: 1, batchSize: 4096 } })
      const error = yield* Effect.flip(Trials.begin(memory.disk, large))
      assert.strictEqual(error._tag, "ConfigError")
      assert.match(error.message, /supernetTraining\.batchSize: got 4096; expected at most \d+/)
      assert.deepStrictEqual(yield* memory.disk.list(Trials.folder), [])
      const { retraining: _, ...without } = SmallRun.config()
      const missing = yield* Effect.flip(Trials.begin(memory.disk, without))
      assert.include(
        missing.message,
        "retraining: missing, but required: the run goes from supernetTraining to evaluating"
      )
      const search = yield* Trials.begin(memory.disk, { ...without, stopAfter: "searching" })
      assert.strictEqual(search._tag, "Done")
    })
  )
})
