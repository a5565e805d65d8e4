import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Angular from "../criterion/Angular.ts"
import * as Triplet from "../criterion/Triplet.ts"
import type { DataflowShape, Split } from "../dataflow/Dataflow.ts"
import * as VerificationPairs from "../dataflow/VerificationPairs.ts"
import * as Key from "../random/Key.ts"
import * as FaceRecognition from "./FaceRecognition.ts"
import * as Verification from "./Verification.ts"

const judged = fc.array(fc.record({ distance: fc.integer({ min: 0, max: 12 }), same: fc.boolean(), fold: fc.nat(9) }), {
  minLength: 1,
  maxLength: 60
})

describe("Verification", () => {
  it("finds the best threshold of all", () => {
    fc.assert(
      fc.property(judged, (pairs) => {
        const found = Verification.accuracyAt(pairs, Verification.bestThreshold(pairs))
        for (let t = -1; t <= 13; t += 0.5) expect(Verification.accuracyAt(pairs, t)).toBeLessThanOrEqual(found)
      }),
      { seed: 1, numRuns: 300 }
    )
  })

  it("agrees with the definitions of accept rates and area", () => {
    fc.assert(
      fc.property(judged, fc.constantFrom(0.001, 0.1, 0.3, 1), (pairs, far) => {
        const [same, different] = [true, false].map((kind) => pairs.filter((pair) => pair.same === kind))
        fc.pre(same!.length > 0 && different!.length > 0)
        // The best of all thresholds that accept no more false pairs than allowed.
        let best = 0
        for (let t = -1; t <= 13; t += 0.5) {
          const rate = (list: ReadonlyArray<Verification.Judged>) =>
            list.filter(({ distance }) => distance <= t).length / list.length
          if (rate(different!) <= far) best = Math.max(best, rate(same!))
        }
        expect(Verification.tarAtFar(pairs, far)).toBeCloseTo(best, 12)
        let wins = 0
        for (const s of same!)
          for (const d of different!) wins += s.distance < d.distance ? 1 : s.distance === d.distance ? 0.5 : 0
        const result = Verification.judge(pairs)
        if (result !== undefined) expect(result.auc).toBeCloseTo(wins / (same!.length * different!.length), 12)
      }),
      { seed: 2, numRuns: 300 }
    )
  })

  it("chooses a fold's threshold on the other folds", () => {
    // In fold 0 all distances are moved by 10: a threshold chosen on it would be wrong elsewhere, and the other way round.
    const pairs = [0, 1, 2].flatMap((fold) => {
      const moved = fold === 0 ? 10 : 0
      return [
        { distance: 1 + moved, same: true, fold },
        { distance: 2 + moved, same: false, fold }
      ]
    })
    const result = Verification.judge(pairs)
    expect(result?.accuracy).toBeCloseTo((0.5 + 1 + 1) / 3, 12)
    expect(result?.accuracyStd).toBeCloseTo(Math.sqrt(1 / 18), 12)
    expect(result?.bestAccuracy).toBeCloseTo(5 / 6, 12)
  })

  it("has nothing to say about one kind of pair or one fold, and counts NaN as wrong", () => {
    const pair = { distance: 1, same: true, fold: 0 }
    expect(Verification.judge([])).toBeUndefined()
    expect(Verification.judge([pair, { ...pair, fold: 1 }])).toBeUndefined()
    expect(Verification.judge([pair, { ...pair, same: false }])).toBeUndefined()
    const broken = [0, 1].flatMap((fold) => [true, false].map((same) => ({ distance: Number.NaN, same, fold })))
    expect(Verification.judge(broken)?.accuracy).toBeLessThanOrEqual(0.5)
  })
})

/** 6 people trained on, 4 verified, 5 images each: one direction per person, and noise. */
const noise = 0.3
const of = (person: number, image: number) => {
  const key = Key.derive(Key.make(1), person)
  const centre = Key.normals(Key.derive(key, "centre"), 12)
  const own = Key.normals(Key.derive(key, image), 12)
  return centre.map((v, i) => v + noise * own[i]!)
}
const people = (from: number, to: number) =>
  Array.from({ length: (to - from) * 5 }, (_, i) => ({
    image: of(from + Math.floor(i / 5), i % 5),
    label: Math.floor(i / 5)
  }))
const data: Record<Split, ReturnType<typeof people>> = {
  supernet: people(0, 6),
  validation: people(0, 6),
  train: people(0, 6),
  test: people(6, 10)
}
const flow: DataflowShape = {
  name: "made up",
  image: [2, 2, 3],
  classes: ["a", "b", "c", "d", "e", "f"],
  count: (split) => data[split].length,
  steps: (split, batchSize) => Math.ceil(data[split].length / batchSize),
  batch: ({ batchSize, split, step }) =>
    Effect.sync(() => {
      const part = data[split].slice(step * batchSize, (step + 1) * batchSize)
      return {
        images: Float32Array.from(part.flatMap(({ image }) => [...image])),
        labels: Int32Array.from(part, ({ label }) => label),
        size: part.length
      }
    }),
  digest: "",
  verification: {
    identities: ["g", "h", "i", "j"],
    pairs: VerificationPairs.made(
      data.test.map(({ label }) => label),
      1000
    )
  }
}

const triplet = Triplet.make({ margin: 0.3, negatives: "hardest", normalise: true })
const angular = Angular.make({ scale: 16, margin: 0.2, marginOn: "cosine" })
const evaluate = (
  criterion: typeof triplet,
  criterionParams: Record<string, tf.Tensor>,
  split: Split,
  batchSize: number,
  batches?: number
) =>
  Effect.runPromise(
    FaceRecognition.make({ dimension: 12, normalise: true, mirror: false, objective: "loss" }).evaluate({
      infer: (x) => tf.reshape(x, [x.shape[0], 12]) as tf.Tensor2D,
      criterion,
      criterionParams,
      dataflow: flow,
      split,
      batchSize,
      batches,
      key: Key.make(2)
    })
  )

describe("FaceRecognition", () => {
  it("verifies people it never saw, whatever the batch size, and leaks nothing", async () => {
    const before = tf.memory().numTensors
    const found = await evaluate(triplet, {}, "test", 20)
    expect(found["accuracy"]).toBeGreaterThan(0.9)
    expect(found["bestAccuracy"]).toBeGreaterThanOrEqual(found["accuracy"]! - 0.05)
    expect(found["tarAtFar0.1"]).toBeGreaterThan(found["tarAtFar0.001"]! - 1e-9)
    expect(found["pixelAccuracy"]).toBeGreaterThan(0.5)
    const small = await evaluate(triplet, {}, "test", 3)
    expect(small["accuracy"]).toBe(found["accuracy"])
    expect(small["auc"]).toBe(found["auc"])
    expect(tf.memory().numTensors).toBe(before)
  })

  it("has the criterion's loss where it is defined, and the share of wrong judgements where it is not", async () => {
    const params = angular.init(Key.make(3), { outputs: 12, classes: 6 }) as Record<string, tf.Tensor>
    const validation = await evaluate(angular, params, "validation", 30)
    const expected = tf.tidy(() => {
      const rows = tf.tensor2d(Float32Array.from(data.validation.flatMap(({ image }) => [...image])), [30, 12])
      const labels = tf.tensor1d(
        data.validation.map(({ label }) => label),
        "int32"
      )
      return angular.loss(params, rows, labels, Key.make(0)).dataSync()[0]!
    })
    expect(validation["loss"]).toBeCloseTo(expected, 5)
    expect(validation["accuracy"]).toBeGreaterThan(0.5)
    const test = await evaluate(angular, params, "test", 20)
    expect(test["loss"]).toBeCloseTo(1 - test["accuracy"]!, 12)
    tf.dispose(params)
  })

  it("judges people who are new in validation as it does in test, and searches by what is asked", async () => {
    const agent = FaceRecognition.make({ dimension: 12, normalise: true, mirror: false, objective: "auc" })
    expect(agent.objective).toEqual({ metric: "auc", direction: "maximise" })
    const params = angular.init(Key.make(3), { outputs: 12, classes: 6 }) as Record<string, tf.Tensor>
    const dataflow = { ...flow, verification: { ...flow.verification!, newInValidation: true } }
    const found = await Effect.runPromise(
      agent.evaluate({
        infer: (x) => tf.reshape(x, [x.shape[0], 12]) as tf.Tensor2D,
        criterion: angular,
        criterionParams: params,
        dataflow,
        split: "validation",
        batchSize: 30,
        batches: undefined,
        key: Key.make(2)
      })
    )
    expect(found["loss"]).toBeCloseTo(1 - found["accuracy"]!, 12)
    expect(found["pixelAccuracy"]).toBeUndefined()
    tf.dispose(params)
  })

  it("averages an image with its mirror, and shows what the untrained network reaches", async () => {
    const before = tf.memory().numTensors
    // The first row of pixels alone: a network that sees left and right differently.
    const half = (x: tf.Tensor4D) =>
      tf.reshape(tf.slice(x, [0, 0, 0, 0], [x.shape[0], 2, 1, 3]), [x.shape[0], 6]) as tf.Tensor2D
    const both = (x: tf.Tensor4D) => tf.mul(tf.add(half(x), half(tf.reverse(x, 2))), 0.5) as tf.Tensor2D
    const of = (mirror: boolean, infer: (x: tf.Tensor4D) => tf.Tensor2D, untrained?: typeof infer) =>
      Effect.runPromise(
        FaceRecognition.make({ dimension: 6, normalise: true, mirror, objective: "loss" }).evaluate({
          infer,
          untrained,
          criterion: triplet,
          criterionParams: {},
          dataflow: flow,
          split: "test",
          batchSize: 7,
          batches: undefined,
          key: Key.make(2)
        })
      )
    const mirrored = await of(true, half, half)
    const byHand = await of(false, both)
    expect(mirrored["auc"]).toBe(byHand["auc"])
    expect(mirrored["auc"]).not.toBe((await of(false, half))["auc"])
    expect(mirrored["untrainedAccuracy"]).toBe(mirrored["accuracy"])
    expect(byHand["untrainedAccuracy"]).toBeUndefined()
    expect(tf.memory().numTensors).toBe(before)
  })

  it("judges the pairs it can where it is limited to the first batches", async () => {
    const limited = await evaluate(triplet, {}, "test", 10, 1)
    expect(limited["accuracy"]).toBeDefined()
    expect(Object.keys(await evaluate(triplet, {}, "test", 1, 1))).toEqual(["loss"])
    expect((await evaluate(triplet, {}, "test", 1, 0))["loss"]).toBeNaN()
  })
})
