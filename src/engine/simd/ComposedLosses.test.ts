/** Losses composed of plain operations, as users write them, on the embedded engine: values, gradients, a training. */
import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import fc from "fast-check"
import { afterAll, beforeAll, expect, it } from "vitest"
import { gradientMismatch } from "../FiniteDifferences.ts"
import "../Gradients.ts"
import { registerSimdBackend, type SimdBackend } from "./Backend.ts"
import "./StandardKernels.ts"

const name = "osnas-simd-losses-test"
let backend: SimdBackend
beforeAll(() => {
  backend = registerSimdBackend({ mode: "strict", threads: 2 }, name)
})
afterAll(async () => {
  tf.removeBackend(name)
  await backend.runtime.close()
})

type Loss = (logits: tf.Tensor2D, labels: tf.Tensor1D) => tf.Scalar

const classes = (logits: tf.Tensor2D): number => logits.shape[1]
const hot = (logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Tensor =>
  tf.cast(tf.oneHot(labels, classes(logits), 1, 0, "int32"), "float32")

/** The mean cross entropy in its common forms. */
const losses: Readonly<Record<string, Loss>> = {
  "the largest subtracted": (logits, labels) => {
    const shifted = tf.sub(logits, tf.max(logits, 1, true))
    const logSum = tf.log(tf.sum(tf.exp(shifted), 1, true))
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.sub(shifted, logSum), hot(logits, labels)), 1)))
  },
  logSoftmax: (logits, labels) => tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), hot(logits, labels)), 1))),
  softmax: (logits, labels) => tf.neg(tf.mean(tf.sum(tf.mul(tf.log(tf.softmax(logits)), hot(logits, labels)), 1))),
  "a mask of bool": (logits, labels) => {
    const mask = tf.equal(tf.expandDims(labels, 1), tf.range(0, classes(logits), 1, "int32"))
    const own = tf.sum(tf.where(mask, tf.logSoftmax(logits), tf.zerosLike(logits)), 1)
    return tf.neg(tf.mean(own))
  },
  logSumExp: (logits, labels) =>
    tf.mean(tf.sub(tf.logSumExp(logits, 1), tf.sum(tf.mul(logits, hot(logits, labels)), 1)))
}

/** In double precision: the loss, and its gradient by the logits. */
const reference = (logits: Float32Array, labels: Int32Array, columns: number) => {
  const rows = labels.length
  const gradient = new Float64Array(logits.length)
  let loss = 0
  for (let row = 0; row < rows; row++) {
    const own = Array.from(logits.subarray(row * columns, (row + 1) * columns))
    const most = Math.max(...own)
    const exponentials = own.map((value) => Math.exp(value - most))
    const sum = exponentials.reduce((a, b) => a + b)
    loss += (Math.log(sum) + most - own[labels[row]!]!) / rows
    exponentials.forEach((value, i) => {
      gradient[row * columns + i] = (value / sum - (i === labels[row] ? 1 : 0)) / rows
    })
  }
  return { loss, gradient }
}

const evaluated = (engine: string, loss: Loss, logits: Float32Array, labels: Int32Array, columns: number) => {
  tf.setBackend(engine)
  const before = tf.memory().numTensors
  const out = tf.tidy(() => {
    const x = tf.tensor2d(logits, [labels.length, columns])
    const y = tf.tensor1d(labels, "int32")
    const { grad, value } = tf.valueAndGrad((z: tf.Tensor) => loss(z as tf.Tensor2D, y))(x)
    return [value.dataSync()[0]!, ...grad.dataSync()] as unknown as tf.TensorContainer
  }) as unknown as Array<number>
  expect(tf.memory().numTensors).toBe(before)
  return { loss: out[0]!, gradient: out.slice(1) }
}

it.each(Object.keys(losses))("cross entropy by %s agrees with the cpu backend and with double precision", (kind) => {
  const loss = losses[kind]!
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 2, max: 103 }),
      fc.integer({ min: 1, max: 1e6 }),
      (rows, columns, seed) => {
        const logits = Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919 + seed) % 1009) / 84 - 6)
        const labels = Int32Array.from({ length: rows }, (_, i) => (i * 31 + seed) % columns)
        const wanted = reference(logits, labels, columns)
        for (const engine of [name, "cpu"]) {
          const found = evaluated(engine, loss, logits, labels, columns)
          expect(Math.abs(found.loss - wanted.loss) / wanted.loss).toBeLessThan(2e-6)
          found.gradient.forEach((value, i) => {
            expect(Math.abs(value - wanted.gradient[i]!)).toBeLessThan(1e-6)
          })
        }
      }
    ),
    { seed: 5, numRuns: 20 }
  )
})

it("the gradient of a composed cross entropy agrees with finite differences", () => {
  tf.setBackend(name)
  const labels = tf.tensor1d([2, 0, 1], "int32")
  const logits = tf.tensor2d([1, -0.5, 0.25, 0.75, 2, -1, 0.1, 0.6, -0.3], [3, 3])
  for (const loss of Object.values(losses)) {
    const found = gradientMismatch((x) => loss(x as tf.Tensor2D, labels), [logits], { step: 4e-3 })
    expect(found.error, JSON.stringify(found)).toBeLessThan(2e-3)
  }
  tf.dispose([labels, logits])
})

/** The margin between the right class and the best other one, weighted by class, of wrong and uncertain rows. */
const criterion = (logits: tf.Tensor2D, labels: tf.Tensor1D, weights: tf.Tensor1D): tf.Scalar => {
  const right = tf.oneHot(labels, classes(logits), 1, 0, "bool")
  const own = tf.sum(tf.mul(logits, tf.cast(right, "float32")), 1)
  const other = tf.max(tf.where(right, tf.fill(logits.shape, -1e9), logits), 1)
  const wrong = tf.cast(tf.notEqual(tf.argMax(logits, 1), labels), "float32")
  const hit = tf.cast(tf.equal(tf.argMax(logits, 1), labels), "float32")
  const margin = tf.relu(tf.add(tf.sub(other, own), 1))
  const factor = tf.mul(tf.gather(weights, labels), tf.add(tf.mul(wrong, 2), hit))
  return tf.mean(tf.mul(margin, factor))
}

it("a criterion of max, cast, argMax, where, gather, oneHot and equal trains as on the cpu backend", () => {
  const trained = (engine: string) => {
    tf.setBackend(engine)
    const before = tf.memory().numTensors
    const rows = 48
    // Spread evenly, so that two classes always differ by more than rounding errors.
    const numbers = (count: number, salt: number) =>
      Float32Array.from({ length: count }, (_, i) => (((i + 1) * 0.6180339887 + (i % 10) * 0.31 + salt) % 1) * 2 - 1)
    const features = numbers(rows * 10, 0.37)
    const x = tf.tensor2d(features, [rows, 10])
    // Learnable: the class follows from the features.
    const labels = tf.tensor1d(
      Int32Array.from(
        { length: rows },
        (_, i) => (features[i * 10]! > 0 ? 1 : 0) + (features[i * 10 + 3]! > 0.2 ? 1 : 0)
      ),
      "int32"
    )
    const weights = tf.tensor1d([1, 0.5, 2])
    const start = tf.tensor2d(numbers(30, 0.11), [10, 3])
    const w = tf.variable(start)
    const history: Array<number> = []
    for (let step = 0; step < 25; step++) {
      tf.tidy(() => {
        const loss = () => criterion(tf.matMul(x, w) as tf.Tensor2D, labels, weights)
        const { grads, value } = tf.variableGrads(loss, [w])
        history.push(value.dataSync()[0]!)
        w.assign(tf.sub(w, tf.mul(grads[w.name]!, 0.3)) as tf.Tensor2D)
      })
    }
    history.push(...w.dataSync())
    tf.dispose([x, labels, weights, start, w])
    expect(tf.memory().numTensors).toBe(before)
    return history
  }
  const [found, wanted] = [trained(name), trained("cpu")]
  found.forEach((value, i) => {
    expect(Math.abs(value - wanted[i]!), `number ${i}`).toBeLessThan(2e-4)
  })
  expect(found[24]!).toBeLessThan(0.4 * found[0]!)
})
