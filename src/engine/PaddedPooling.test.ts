import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import "./Gradients.ts"
import { supportPaddedPooling } from "./PaddedPooling.ts"

const backend = "same-and-valid-only"

/** The reference backend without what TensorFlow's lacks. */
beforeAll(() => {
  tf.registerBackend(backend, () => new MathBackendCPU(), 0)
  for (const kernel of tf.getKernelsForBackend("cpu")) {
    const pools = /^(Avg|Max)Pool(Grad)?$/.test(kernel.kernelName)
    tf.registerKernel({
      ...kernel,
      backendName: backend,
      kernelFunc: (given) => {
        const pad = given.attrs?.["pad"]
        if (pools && pad !== "same" && pad !== "valid") throw new Error(`padding ${String(pad)}`)
        return kernel.kernelFunc(given)
      }
    })
  }
})
afterAll(() => tf.removeBackend(backend))

const image = () =>
  tf.tensor4d(
    Float32Array.from({ length: 2 * 5 * 6 * 3 }, (_, i) => (((i + 1) * 0.6180339887) % 1) * 2 - 1),
    [2, 5, 6, 3]
  )

type Pool = (x: tf.Tensor4D) => tf.Tensor4D
const pools: Record<string, Pool> = {
  "average, 1 all round": (x) => tf.avgPool(x, 3, 2, 1, "floor"),
  "maximum, 1 all round": (x) => tf.maxPool(x, 3, 2, 1, "floor"),
  "average, at the end only": (x) =>
    tf.avgPool(x, 2, 2, [
      [0, 0],
      [0, 1],
      [0, 0],
      [0, 0]
    ] as never),
  "maximum, at the end only": (x) =>
    tf.maxPool(x, 2, 2, [
      [0, 0],
      [0, 1],
      [0, 0],
      [0, 0]
    ] as never),
  "average, valid": (x) => tf.avgPool(x, 2, 1, "valid"),
  "maximum, same": (x) => tf.maxPool(x, 3, 2, "same")
}

const both = (pool: Pool): ReadonlyArray<Float32Array> =>
  tf.tidy(() => {
    const x = image()
    const gradient = tf.grad((t) => tf.square(pool(t as tf.Tensor4D)))(x)
    return [pool(x).dataSync() as Float32Array, gradient.dataSync() as Float32Array] as never
  })

describe("pooling with a given padding", () => {
  it("is refused before the kernels are replaced, and agrees with the reference afterwards", () => {
    tf.setBackend(backend)
    expect(() => both(pools["maximum, 1 all round"]!)).toThrow(/padding 1/)
    supportPaddedPooling(backend)
    for (const [name, pool] of Object.entries(pools)) {
      tf.setBackend("cpu")
      const want = both(pool)
      tf.setBackend(backend)
      const tensors = tf.memory().numTensors
      const got = both(pool)
      expect(tf.memory().numTensors).toBe(tensors)
      got.forEach((values, k) => {
        expect(values.length, name).toBe(want[k]!.length)
        values.forEach((value, i) => {
          expect(Math.abs(value - want[k]![i]!), `${name}, ${k === 0 ? "value" : "gradient"} ${i}`).toBeLessThan(2e-6)
        })
      })
    }
  })
})
