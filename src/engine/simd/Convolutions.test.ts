import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as fc from "fast-check"
import { afterAll, describe, expect, it, vi } from "vitest"
import { gradientMismatch } from "../FiniteDifferences.ts"
import "../Gradients.ts"
import { sizeOf } from "../Shape.ts"
import { registerSimdBackend } from "./Backend.ts"
import { guardAllocator } from "./testing/GuardedAllocator.ts"
import "./StandardKernels.ts"

const engines = [1, 2, 3, 7].map((threads) => {
  const name = `osnas-simd-convolutions-${threads}`
  return { name, backend: registerSimdBackend({ mode: "strict", threads }, name) }
})
const checkGuards = guardAllocator(engines[1]!.backend.runtime)
afterAll(() => Promise.all(engines.map(({ backend }) => backend.runtime.close())))

const spread = (shape: ReadonlyArray<number>, salt: number): tf.Tensor4D => {
  const values = Float32Array.from(
    { length: sizeOf(shape) },
    (_, i) => (((i + 1) * 0.6180339887 + salt * 0.754877) % 1) * 2 - 1
  )
  return tf.tensor<tf.Rank.R4>(values, shape as [number, number, number, number])
}

interface Case {
  readonly depthwise: boolean
  readonly x: readonly [number, number, number, number]
  readonly filter: readonly [number, number, number, number]
  readonly stride: number
  readonly dilation: number
  readonly pad: "same" | "valid" | number
}

/** The operation, and its gradients by x and by the filter. */
const compute = ({ depthwise, dilation, filter, pad, stride, x }: Case): ReadonlyArray<Float32Array> =>
  tf.tidy(() => {
    const apply = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
      depthwise
        ? tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, stride, pad, "NHWC", dilation)
        : tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, stride, pad, "NHWC", dilation)
    const [a, b] = [spread(x, 1), spread(filter, 2)]
    const output = apply(a, b)
    // tfjs itself refuses to differentiate dilated convolutions.
    const gradients = dilation === 1 ? tf.grads(apply)([a, b], spread(output.shape, 3)) : []
    return [output, ...gradients].map((t) => t.dataSync<"float32">()) as unknown as tf.TensorContainer
  }) as unknown as ReadonlyArray<Float32Array>

const side = fc.integer({ min: 1, max: 11 })
const channels = fc.integer({ min: 1, max: 19 })
const cases = fc
  .record({
    depthwise: fc.boolean(),
    batch: fc.constantFrom(1, 2, 5, 8, 9, 17),
    height: side,
    width: side,
    inChannels: channels,
    outChannels: channels,
    kernel: fc.constantFrom(1, 2, 3, 5, 7),
    stride: fc.constantFrom(1, 2, 3),
    dilation: fc.constantFrom(1, 1, 1, 2),
    pad: fc.constantFrom("same" as const, "valid" as const, 1)
  })
  .filter(({ dilation, height, kernel, pad, stride, width }) => {
    const span = dilation * (kernel - 1) + 1
    const fits = pad === "same" || span <= Math.min(height, width) + (pad === 1 ? 2 : 0)
    return fits && (dilation === 1 || stride === 1)
  })
  .map(
    ({ batch, depthwise, dilation, height, inChannels, kernel, outChannels, pad, stride, width }): Case => ({
      depthwise,
      x: [batch, height, width, inChannels],
      filter: [kernel, kernel, inChannels, depthwise ? 1 : outChannels],
      stride,
      dilation,
      pad
    })
  )

const agree = (found: ReadonlyArray<Float32Array>, expected: ReadonlyArray<Float32Array>, tolerance = 1e-5): void => {
  expect(found.length).toBe(expected.length)
  found.forEach((values, which) => {
    const other = expected[which]!
    expect(values.length).toBe(other.length)
    const scale = other.reduce((most, v) => Math.max(most, Math.abs(v)), 1)
    const worst = values.reduce((most, v, i) => Math.max(most, Math.abs(v - other[i]!)), 0)
    expect(values.some((v) => Number.isNaN(v))).toBe(false)
    expect(worst / scale, `of ${which}`).toBeLessThan(tolerance)
  })
}

describe("tfjs's convolutions on the embedded engine", () => {
  it("agree with the reference engine, gradients too, and write inside their blocks only", () => {
    const reference = vi.spyOn(tf.getKernel("Conv2D", "cpu"), "kernelFunc")
    try {
      fc.assert(
        fc.property(cases, (given) => {
          tf.setBackend("cpu")
          const expected = compute(given)
          reference.mockClear()
          tf.setBackend(engines[1]!.name)
          agree(compute(given), expected)
          checkGuards()
          // Strided "same" may pad top and left differently.
          const { filter, x } = given
          const { padInfo } = tf.backend_util.computeConv2DInfo(
            [...x],
            [...filter],
            given.stride,
            given.dilation,
            given.pad
          )
          if (padInfo.top === padInfo.left) expect(reference).not.toHaveBeenCalled()
        }),
        { seed: 5, numRuns: 120 }
      )
    } finally {
      reference.mockRestore()
    }
  })

  it("agree over patches with more terms than usual, so that fewer positions than usual fit in memory at once", () => {
    for (const inChannels of [1200, 4000]) {
      const given = { depthwise: false, stride: 1, dilation: 1, pad: "same" } as const
      const deep: Case = { ...given, x: [2, 5, 3, inChannels], filter: [3, 3, inChannels, 2] }
      tf.setBackend("cpu")
      const expected = compute(deep)
      tf.setBackend(engines[1]!.name)
      // Sums of 36,000 terms.
      agree(compute(deep), expected, 3e-5)
      checkGuards()
    }
  })

  it("give the same bits with any number of threads", () => {
    for (const given of fc.sample(cases, { seed: 8, numRuns: 12 })) {
      const [first, ...others] = engines.map(({ name }) => {
        tf.setBackend(name)
        return compute(given).map((values) => Buffer.from(values.buffer).toString("base64"))
      })
      for (const other of others) expect(other).toEqual(first)
    }
  })

  it("have the gradients of finite differences", () => {
    tf.setBackend(engines[1]!.name)
    const [x, dense, single] = [spread([3, 5, 6, 5], 1), spread([3, 3, 5, 6], 2), spread([5, 5, 5, 1], 3)]
    expect(
      gradientMismatch((a, b) => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 2, "same"), [x, dense]).error
    ).toBeLessThan(2e-2)
    expect(
      gradientMismatch((a, b) => tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, "same"), [x, single]).error
    ).toBeLessThan(2e-2)
    tf.dispose([x, dense, single])
  })

  it("fall back to the reference kernels for what they do not cover", () => {
    const results = ["cpu", engines[1]!.name].map((name) => {
      tf.setBackend(name)
      return tf.tidy(() => {
        const x = spread([2, 6, 7, 4], 1)
        return [
          tf.conv2d(x, spread([3, 2, 4, 3], 2), 1, "same"),
          tf.conv2d(x, spread([3, 3, 4, 3], 2), [1, 2], "valid"),
          tf.depthwiseConv2d(x, spread([3, 3, 4, 2], 2), 1, "same"),
          tf.depthwiseConv2d(x, spread([3, 3, 4, 1], 2), 1, [
            [0, 0],
            [2, 1],
            [1, 1],
            [0, 0]
          ] as unknown as "same"),
          tf.conv2d(x, spread([1, 1, 4, 3], 2), 1, 1)
        ].map((t) => t.dataSync<"float32">()) as unknown as tf.TensorContainer
      }) as unknown as ReadonlyArray<Float32Array>
    })
    agree(results[1]!, results[0]!)
  })

  it("propagate NaN and infinity to the outputs that depend on them, and no others", () => {
    tf.setBackend(engines[1]!.name)
    tf.tidy(() => {
      const values = new Float32Array(8 * 4 * 4 * 6).fill(1)
      values[0] = Number.NaN
      values[4 * 4 * 6] = Number.POSITIVE_INFINITY
      const x = tf.tensor4d(values, [8, 4, 4, 6])
      const dense = tf.conv2d(x, tf.ones([3, 3, 6, 5]) as tf.Tensor4D, 1, "same").dataSync()
      expect(dense[0]).toBeNaN()
      expect(dense[4 * 4 * 5]).toBe(Number.POSITIVE_INFINITY)
      expect(dense.filter((v) => !Number.isFinite(v)).length).toBe(2 * 4 * 5)
      const single = tf.depthwiseConv2d(x, tf.ones([3, 3, 6, 1]) as tf.Tensor4D, 1, "same").dataSync()
      expect(single.filter((v) => !Number.isFinite(v)).length).toBe(2 * 4)
    })
  })
})
