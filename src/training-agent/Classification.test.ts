import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import type { BatchRequest, DataflowShape } from "../dataflow/Dataflow.ts"
import "../engine/Gradients.ts"
import * as Key from "../random/Key.ts"
import * as Classification from "./Classification.ts"
import { disposeStepUnsafe, gradientStep } from "./GradientStep.ts"
import type { Forward } from "./TrainingAgent.ts"

const key = Key.make(1)

/** 23 images of 2 x 2 x 1 with 7 classes. */
const images = Key.normals(Key.make(2), 23 * 4)
const labels = Int32Array.from({ length: 23 }, (_, i) => Key.integer(Key.make(3), 7, i))
const flow: DataflowShape = {
  name: "made up",
  image: [2, 2, 1],
  classes: ["a", "b", "c", "d", "e", "f", "g"],
  count: () => 23,
  steps: (_, batchSize, training) => (training ? Math.floor(23 / batchSize) : Math.ceil(23 / batchSize)),
  batch: ({ batchSize, step }: BatchRequest) =>
    Effect.sync(() => {
      const own = labels.slice(step * batchSize, (step + 1) * batchSize)
      return { images: images.slice(step * batchSize * 4, (step + 1) * batchSize * 4), labels: own, size: own.length }
    }),
  digest: ""
}

const criterion = CrossEntropy.make({ labelSmoothing: 0 })
const weight = () => tf.tensor2d(Key.normals(Key.make(4), 28), [4, 7])

const forward: Forward = ({ params }, x) => {
  const flat: tf.Tensor2D = tf.reshape(x, [x.shape[0], 4])
  const mean = tf.mean(flat, 0) as tf.Tensor1D
  return {
    output: tf.matMul(flat, params["used.weight"] as tf.Tensor2D),
    statistics: { norm: { mean, variance: tf.square(mean), count: x.shape[0] } }
  }
}

describe("step", () => {
  it("gives the gradients of what took part, and leaks nothing", () => {
    const variables = {
      params: { "used.weight": weight(), "idle.weight": tf.ones([3]) },
      stats: {}
    }
    const x = tf.tensor4d(images.slice(0, 32), [8, 2, 2, 1])
    const y = tf.tensor1d(labels.slice(0, 8), "int32")
    const before = tf.memory().numTensors
    const input = { forward, variables, criterion, criterionParams: {}, images: x, labels: y, key }
    const result = gradientStep(input)
    expect(Object.keys(result.gradients)).toEqual(["used.weight"])
    expect(result.criterionGradients).toEqual({})
    expect(tf.memory().numTensors).toBe(before + 5)
    // The gradient of softmax cross entropy through a linear layer, by hand: x^T (p - onehot) / batch.
    const expected = tf.tidy(() => {
      const flat: tf.Tensor2D = tf.reshape(x, [8, 4])
      const p = tf.softmax(tf.matMul(flat, variables.params["used.weight"]))
      return tf.matMul(flat, tf.div(tf.sub(p, tf.oneHot(y, 7, 1, 0, "float32")), 8), true).dataSync()
    })
    const found = result.gradients["used.weight"]!.dataSync()
    expected.forEach((v, i) => {
      expect(Math.abs(v - found[i]!)).toBeLessThan(1e-6)
    })
    expect(result.output.shape).toEqual([8, 7])
    expect(result.statistics["norm"]!.mean.isDisposed).toBe(false)
    disposeStepUnsafe(result)
    expect(tf.memory().numTensors).toBe(before)
    expect(() =>
      gradientStep({
        ...input,
        criterion: {
          ...criterion,
          loss: (_, outputs) => {
            tf.square(outputs)
            throw new Error("no loss today")
          }
        }
      })
    ).toThrow("no loss today")
    expect(tf.memory().numTensors).toBe(before)
    tf.dispose([variables.params, x, y] as unknown as tf.TensorContainer)
  })
})

describe("evaluate", () => {
  const w = weight()
  const evaluate = (batchSize: number, batches?: number) =>
    Effect.runPromise(
      Classification.agent.evaluate({
        infer: (x) => tf.matMul(tf.reshape(x, [x.shape[0], 4]) as tf.Tensor2D, w),
        criterion,
        criterionParams: {},
        dataflow: flow,
        split: "test",
        batchSize,
        batches,
        key
      })
    )

  it("counts every image alike, whatever the batch size, and leaks nothing", async () => {
    const before = tf.memory().numTensors
    const whole = await evaluate(23)
    for (const size of [1, 5, 8, 100]) {
      const found = await evaluate(size)
      expect(found["top1"]).toBe(whole["top1"])
      expect(found["top5"]).toBe(whole["top5"])
      expect(Math.abs(found["loss"]! - whole["loss"]!)).toBeLessThan(1e-6)
    }
    const logits = tf.tidy(() => (tf.matMul(tf.tensor2d(images, [23, 4]), w) as tf.Tensor2D).arraySync())
    const places = logits.map((row, i) => Classification.rank(row, labels[i]!))
    expect(whole["top1"]).toBe(places.filter((p) => p === 0).length / 23)
    expect(whole["top5"]).toBe(places.filter((p) => p < 5).length / 23)
    expect(whole["top5"]).toBeGreaterThan(whole["top1"]!)
    expect(tf.memory().numTensors).toBe(before)
  })

  it("can be limited to the first batches", async () => {
    expect(await evaluate(10, 1)).not.toEqual(await evaluate(10))
    expect(await evaluate(10, 3)).toEqual(await evaluate(10))
    expect((await evaluate(10, 0))["loss"]).toBeNaN()
  })
})

describe("rank", () => {
  it("orders ties by class and never favours a broken network", () => {
    expect(Classification.rank([1, 1, 1], 0)).toBe(0)
    expect(Classification.rank([1, 1, 1], 2)).toBe(2)
    expect(Classification.rank([Number.NaN, Number.NaN], 0)).toBe(1)
    expect(Classification.rank([Number.NaN, 1], 1)).toBe(1)
    expect(Classification.rank([1, 2], 5)).toBe(2)
  })
})
