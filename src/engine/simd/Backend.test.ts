import * as tf from "@tensorflow/tfjs-core"
import { afterAll, beforeEach, describe, expect, it } from "vitest"
import { registerSimdBackend } from "./Backend.ts"

const name = "osnas-simd-backend-test"
const backend = registerSimdBackend({ mode: "strict", threads: 2 }, name)
beforeEach(() => {
  tf.setBackend(name)
})
afterAll(() => backend.runtime.close())

describe("osnas-simd", () => {
  it("stores every kind of tensor and frees all memory", () => {
    const before = tf.memory()
    const blocks = backend.runtime.allocator.usage().blocks
    tf.tidy(() => {
      expect(tf.tensor([1.5, -2, Number.NaN]).dataSync()).toEqual(Float32Array.of(1.5, -2, Number.NaN))
      expect(tf.tensor([1, 2], [2], "int32").dataSync()).toEqual(Int32Array.of(1, 2))
      expect(tf.tensor([true, false], [2], "bool").dataSync()).toEqual(Uint8Array.of(1, 0))
      expect(tf.tensor(["a", "ü"]).dataSync()).toEqual(["a", "ü"])
      const complex = tf.complex([1, 2], [3, 4])
      expect(tf.real(complex).dataSync()).toEqual(Float32Array.of(1, 2))
      expect(tf.imag(complex).dataSync()).toEqual(Float32Array.of(3, 4))
      expect(tf.zeros([0, 3]).dataSync()).toEqual(new Float32Array(0))
      expect(tf.cast(tf.tensor([1.7, -1.7]), "int32").dataSync()).toEqual(Int32Array.of(1, -1))
    })
    expect(tf.memory().numTensors).toBe(before.numTensors)
    expect(backend.runtime.allocator.usage().blocks).toBe(blocks)
  })

  it("falls back to the kernels of tfjs-backend-cpu, with the same results", () => {
    const compute = () =>
      tf.tidy(() => {
        const x = tf.reshape(tf.range(0, 48), [2, 4, 6]) as tf.Tensor3D
        return [
          tf.reverse(x, 1),
          tf.cumsum(x, 2),
          tf.topk(x, 2).values,
          tf.gather(x, [3, 1], 1),
          tf.pad(x, [
            [0, 1],
            [1, 0],
            [0, 0]
          ]),
          tf.where(tf.greater(x, 20), x, tf.neg(x)),
          tf.image.resizeBilinear(tf.reshape(x, [2, 4, 6, 1]) as tf.Tensor4D, [3, 3])
        ].map((t) => Array.from(t.dataSync() as Float32Array))
      })
    const actual = compute()
    tf.setBackend("cpu")
    expect(actual).toEqual(compute())
  })

  it("reads copies, which do not change when a block is reused", () => {
    const t = tf.tensor([1, 2, 3])
    const values = t.dataSync()
    t.dispose()
    const other = tf.tensor([4, 5, 6])
    expect([...values]).toEqual([1, 2, 3])
    other.dispose()
  })

  it("counts references: a clone outlives its tensor", () => {
    const t = tf.tensor([1, 2, 3])
    const reshaped = tf.reshape(t, [3, 1])
    t.dispose()
    expect([...reshaped.dataSync()]).toEqual([1, 2, 3])
    const blocks = backend.runtime.allocator.usage().blocks
    reshaped.dispose()
    expect(backend.runtime.allocator.usage().blocks).toBe(blocks - 1)
  })

  it("takes tensors over from another backend", () => {
    tf.setBackend("cpu")
    const t = tf.tensor([1, 2, 3])
    tf.setBackend(name)
    expect([...tf.add(t, 1).dataSync()]).toEqual([2, 3, 4])
    t.dispose()
  })

  it("keeps variables and their assignments", () => {
    const v = tf.variable(tf.tensor([1, 2]))
    for (let i = 0; i < 5; i++) tf.tidy(() => v.assign(tf.mul(v, 2)))
    expect([...v.dataSync()]).toEqual([32, 64])
    v.dispose()
  })
})
