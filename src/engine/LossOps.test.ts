import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { gradientMismatch } from "./FiniteDifferences.ts"
import { softmaxCrossEntropy } from "./LossOps.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const value = (
  logits: ReadonlyArray<ReadonlyArray<number>>,
  labels: ReadonlyArray<number>,
  smoothing: number
): number => {
  const rows = logits.map((row, i) => {
    const top = Math.max(...row)
    const log = top + Math.log(row.reduce((sum, v) => sum + Math.exp(v - top), 0))
    return row.reduce(
      (sum, v, c) => sum + ((c === labels[i] ? 1 - smoothing : 0) + smoothing / row.length) * (log - v),
      0
    )
  })
  return rows.reduce((a, b) => a + b, 0) / rows.length
}

const loss = (logits: ReadonlyArray<ReadonlyArray<number>>, labels: ReadonlyArray<number>, smoothing = 0): number =>
  tf.tidy(
    () =>
      softmaxCrossEntropy(
        tf.tensor2d(logits.map((r) => [...r])),
        tf.tensor1d([...labels], "int32"),
        smoothing
      ).dataSync()[0]!
  )

const batches = fc
  .record({ batch: fc.integer({ min: 1, max: 5 }), classes: fc.integer({ min: 1, max: 11 }) })
  .chain((size) =>
    fc.record({
      logits: fc.array(
        fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: size.classes, maxLength: size.classes }),
        { minLength: size.batch, maxLength: size.batch }
      ),
      labels: fc.array(fc.integer({ min: 0, max: size.classes - 1 }), { minLength: size.batch, maxLength: size.batch }),
      smoothing: fc.constantFrom(0, 0.1, 1)
    })
  )

describe("softmaxCrossEntropy", () => {
  it("agrees with the definition", () => {
    fc.assert(
      fc.property(batches, ({ logits, labels, smoothing }) => {
        const want = value(logits, labels, smoothing)
        expect(Math.abs(loss(logits, labels, smoothing) - want)).toBeLessThan(1e-5 * Math.max(1, want))
      }),
      { seed: 5, numRuns: 100 }
    )
  })
  it.each([0, 0.1])("its gradient, smoothing %s", (smoothing) => {
    const labels = tf.tensor1d([2, 0, 1], "int32")
    const logits = tf.tensor2d([0.3, -1, 2, 0.1, 0.5, -0.7, 1.2, 0.4, -0.2, 0.9, 0, 1.1], [3, 4])
    const found = gradientMismatch((t) => softmaxCrossEntropy(t as tf.Tensor2D, labels, smoothing), [logits])
    expect(found.error).toBeLessThan(1e-3)
  })
  it("handles large logits and propagates NaN", () => {
    expect(loss([[1000, 0]], [0])).toBe(0)
    expect(loss([[1000, 0]], [1])).toBe(1000)
    expect(loss([[Number.NaN, 0]], [1])).toBeNaN()
  })
  it("a label outside the classes is NaN", () => {
    expect(loss([[1, 0]], [2])).toBeNaN()
    expect(loss([[1, 0]], [-1])).toBeNaN()
  })
  it("refuses shapes that do not match and smoothing out of range", () => {
    expect(() => loss([[1, 0]], [1, 0])).toThrow(/should be/)
    expect(() => loss([[1, 0]], [1], 1.5)).toThrow(/between 0 and 1/)
  })
})
