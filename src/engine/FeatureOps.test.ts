import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import { beforeAll, describe, expect, it } from "vitest"
import { channelShuffle, globalAveragePool, scaleChannels, splitChannels, squeezeExcite } from "./FeatureOps.ts"
import { gradientMismatch } from "./FiniteDifferences.ts"
import { sizeOf } from "./Shape.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const fill = (shape: Array<number>, salt: number): tf.Tensor => {
  const size = sizeOf(shape)
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => (((i + 1) * 0.6180339887 + salt * 0.37) % 1) * 2 - 1),
    shape
  )
}

describe("channelShuffle", () => {
  it("is undone by the shuffle by channels / groups, and sorts even before odd", () => {
    const x = fill([2, 3, 2, 12], 1) as tf.Tensor4D
    expect(channelShuffle(channelShuffle(x, 3), 4).dataSync()).toEqual(x.dataSync())
    const counted = tf.tensor4d([0, 1, 2, 3, 4, 5], [1, 1, 1, 6])
    expect([...channelShuffle(counted, 3).dataSync()]).toEqual([0, 2, 4, 1, 3, 5])
  })
  it("refuses groups that do not divide", () => {
    expect(() => channelShuffle(tf.zeros([1, 1, 1, 6]), 4)).toThrow(/must divide the 6 channels/)
  })
})

describe("splitChannels", () => {
  const x = () => fill([1, 2, 2, 6], 3) as tf.Tensor4D
  const whole = [
    { from: 0, to: 1 },
    { from: 1, to: 4 },
    { from: 4, to: 6 }
  ]
  it.each([
    ["a partition", whole],
    ["overlapping ranges", [whole[1]!, { from: 0, to: 3 }]],
    ["everything", [{ from: 0, to: 6 }]]
  ])("%s: the same as slices, value and gradient", (_, ranges) => {
    const parts = splitChannels(x(), ranges)
    ranges.forEach(({ from, to }, i) => {
      const want = tf.slice(x(), [0, 0, 0, from], [-1, -1, -1, to - from])
      expect(parts[i]!.dataSync()).toEqual(want.dataSync())
    })
    const found = gradientMismatch(
      (t) =>
        tf.concat(
          splitChannels(t as tf.Tensor4D, ranges).map((part, i) => tf.mul(part, i + 1)),
          3
        ),
      [x()],
      { step: 2e-3 }
    )
    expect(found.error).toBeLessThan(2e-3)
  })
  it("refuses ranges out of bounds and empty ranges", () => {
    expect(() => splitChannels(x(), [{ from: 0, to: 7 }])).toThrow(/channels 0 to 7 are out of range, x has 6/)
    expect(() => splitChannels(x(), [{ from: 2, to: 2 }])).toThrow(/channels 2 to 2 are out of range/)
  })
})

const cases: Record<string, [(...t: Array<tf.Tensor>) => tf.Tensor, () => Array<tf.Tensor>]> = {
  channelShuffle: [(x) => channelShuffle(x as tf.Tensor4D, 2), () => [fill([1, 2, 2, 6], 0)]],
  globalAveragePool: [(x) => globalAveragePool(x as tf.Tensor4D), () => [fill([2, 3, 2, 3], 0)]],
  scaleChannels: [
    (x, s) => scaleChannels(x as tf.Tensor4D, s as tf.Tensor2D),
    () => [fill([2, 3, 2, 3], 0), fill([2, 3], 1)]
  ],
  squeezeExcite: [
    (x, a, b, c, d) =>
      squeezeExcite(x as tf.Tensor4D, {
        squeezeWeight: a as tf.Tensor2D,
        squeezeBias: b as tf.Tensor1D,
        exciteWeight: c as tf.Tensor2D,
        exciteBias: d as tf.Tensor1D
      }),
    () => [fill([2, 3, 2, 4], 0), fill([4, 2], 1), fill([2], 2), fill([2, 4], 3), fill([4], 4)]
  ]
}

describe("gradients", () => {
  it.each(Object.keys(cases))("%s", (name) => {
    const [f, inputs] = cases[name]!
    const found = gradientMismatch(f, inputs(), { step: 2e-3 })
    expect(found, JSON.stringify(found)).toSatisfy((m: typeof found) => m.error < 3e-3)
  })
})

describe("squeezeExcite", () => {
  it("agrees with the definition, with either gate", () => {
    const x = fill([2, 3, 3, 4], 7) as tf.Tensor4D
    const squeezeWeight = fill([4, 2], 8) as tf.Tensor2D
    const exciteWeight = fill([2, 4], 9) as tf.Tensor2D
    for (const gate of ["hsigmoid", "sigmoid"] as const) {
      const got = squeezeExcite(x, { squeezeWeight, exciteWeight }, gate).dataSync()
      const [data, a, b] = [x.dataSync(), squeezeWeight.dataSync(), exciteWeight.dataSync()]
      for (let n = 0; n < 2; n++) {
        const mean = [0, 1, 2, 3].map((c) => {
          let sum = 0
          for (let p = 0; p < 9; p++) sum += data[(n * 9 + p) * 4 + c]!
          return sum / 9
        })
        const hidden = [0, 1].map((j) =>
          Math.max(
            0,
            mean.reduce((sum, m, c) => sum + m * a[c * 2 + j]!, 0)
          )
        )
        for (let c = 0; c < 4; c++) {
          const z = hidden.reduce((sum, h, j) => sum + h * b[j * 4 + c]!, 0)
          const factor = gate === "sigmoid" ? 1 / (1 + Math.exp(-z)) : Math.min(Math.max(z + 3, 0), 6) / 6
          for (let p = 0; p < 9; p++) {
            const at = (n * 9 + p) * 4 + c
            expect(got[at]).toBeCloseTo(data[at]! * factor, 5)
          }
        }
      }
    }
  })
  it("refuses factors of another shape", () => {
    expect(() => scaleChannels(tf.zeros([1, 1, 1, 6]), tf.zeros([1, 4]))).toThrow(
      /scale should be .* of x \[1,1,1,6\], got \[1,4\]/
    )
  })
})
