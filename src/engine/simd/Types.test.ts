/** Types of tensors on the embedded engine: casts of every pair, views, uploads, reads, tensors of another engine. */
import * as tf from "@tensorflow/tfjs-core"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import "../Gradients.ts"
import { registerSimdBackend, type SimdBackend } from "./Backend.ts"
import { guardAllocator } from "./testing/GuardedAllocator.ts"
import "./StandardKernels.ts"

const name = "osnas-simd-types-test"
let backend: SimdBackend
beforeAll(() => {
  backend = registerSimdBackend({ mode: "strict", threads: 2 }, name)
  guardAllocator(backend.runtime)
})
beforeEach(() => {
  tf.setBackend(name)
})
afterAll(async () => {
  tf.removeBackend(name)
  await backend.runtime.close()
})

/** Nothing may leak. */
const clean = <A>(body: () => A): A => {
  const before = { ...backend.runtime.allocator.usage(), peakBytes: 0, tensors: tf.memory().numTensors }
  tf.engine().startScope()
  try {
    return body()
  } finally {
    tf.engine().endScope()
    expect({ ...backend.runtime.allocator.usage(), peakBytes: 0, tensors: tf.memory().numTensors }).toEqual(before)
  }
}

const inputs = {
  float32: Float32Array.of(0, -0, 1.7, -1.7, 0.4, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e9),
  int32: Int32Array.of(0, 1, -1, 7, -300, 2 ** 24, 2 ** 31 - 1, -(2 ** 31), 5),
  bool: Uint8Array.of(0, 1, 1, 0, 1, 0, 0, 1, 1)
}
type Type = keyof typeof inputs
const types = Object.keys(inputs) as ReadonlyArray<Type>
const expected: Readonly<Record<Type, Readonly<Record<Type, Float32Array | Int32Array | Uint8Array>>>> = {
  float32: {
    float32: inputs.float32,
    int32: Int32Array.of(0, 0, 1, -1, 0, 0, 0, 0, 3e9 - 2 ** 32),
    bool: Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1, 1)
  },
  int32: {
    float32: Float32Array.from(inputs.int32),
    int32: inputs.int32,
    bool: Uint8Array.of(0, 1, 1, 1, 1, 1, 1, 1, 1)
  },
  bool: { float32: Float32Array.from(inputs.bool), int32: Int32Array.from(inputs.bool), bool: inputs.bool }
}
const pairs = types.flatMap((from) => types.map((to) => [from, to] as const))

describe("cast", () => {
  it.each(pairs)("%s to %s", (from, to) => {
    clean(() => {
      const x = tf.tensor(inputs[from], [3, 3], from)
      const y = tf.cast(x, to)
      expect(y.dtype).toBe(to)
      expect(y.dataSync()).toEqual(expected[from][to])
      // Computed with, which reads the bytes as they are.
      if (to === "float32") expect(tf.add(y, 0).dataSync()).toEqual(Float32Array.from(expected[from][to], (v) => v + 0))
      // A view and a cast share memory with their tensor, and outlive it.
      const view = tf.reshape(tf.clone(x), [9])
      const cast = tf.cast(view, to)
      x.dispose()
      view.dispose()
      expect(cast.dataSync()).toEqual(expected[from][to])
      // As on the cpu backend.
      tf.setBackend("cpu")
      const reference = [...(tf.cast(tf.tensor(inputs[from], [9], from), to).dataSync() as Float32Array)]
      tf.setBackend(name)
      expect(from === "int32" && to === "float32" ? reference.map(Math.fround) : reference).toEqual([
        ...expected[from][to]
      ])
    })
  })
  it("of bool (a regression)", () => {
    clean(() => {
      const flags = tf.tensor1d([1, 0, 1], "bool")
      expect([...tf.add(tf.cast(flags, "float32"), 0).dataSync()]).toEqual([1, 0, 1])
      const x = tf.tensor2d([1, 3, 2, 5, 5, 4], [2, 3])
      for (const op of [tf.max, tf.min]) {
        const slopes = [
          ...tf
            .grad((t: tf.Tensor) => op(t, 1))(x)
            .dataSync()
        ]
        expect(slopes).toEqual(op === tf.max ? [0, 1, 0, 0.5, 0.5, 0] : [1, 0, 0, 0, 0, 1])
      }
    })
  })
  it("to complex64 and from it", () => {
    for (const from of types) {
      clean(() => {
        const z = tf.cast(tf.tensor(inputs[from], [9], from), "complex64")
        expect(tf.real(z).dataSync()).toEqual(expected[from].float32)
        expect(tf.imag(z).dataSync()).toEqual(new Float32Array(9))
        expect(tf.cast(z, "complex64").dataSync()).toEqual(z.dataSync())
        for (const to of types) {
          const back = from === "int32" && to === "int32" ? Int32Array.from(expected.int32.float32) : expected[from][to]
          expect(tf.cast(z, to).dataSync()).toEqual(back)
        }
      })
    }
  })
  it("between text and numbers is refused", () => {
    clean(() => {
      const refused = (x: tf.Tensor, dtype: tf.DataType) =>
        expect(() => tf.engine().runKernel("Cast", { x }, { dtype })).toThrow(
          `cast: a ${x.dtype} tensor cannot become ${dtype}`
        )
      refused(tf.tensor1d(["a"]), "float32")
      refused(tf.tensor1d(["a"]), "complex64")
      refused(tf.tensor1d([1]), "string")
      const same = tf.engine().runKernel("Cast", { x: tf.tensor1d(["a"]) }, { dtype: "string" }) as tf.Tensor
      expect(same.dataSync()).toEqual(["a"])
      expect(() => tf.cast(tf.tensor1d(["a"]), "int32")).toThrow("must be numeric tensor, but got string tensor")
    })
  })
  it("of nothing and of a scalar", () => {
    clean(() => {
      expect(tf.cast(tf.tensor([], [0, 2], "bool"), "float32").dataSync()).toEqual(new Float32Array(0))
      expect(tf.mul(tf.cast(tf.scalar(true, "bool"), "float32"), 3).dataSync()).toEqual(Float32Array.of(3))
    })
  })
})

describe("tensors of another engine", () => {
  // The cpu backend's cast only relabels data, so such a tensor arrives with data of another type.
  it.each(pairs)("cast from %s to %s there, used here", (from, to) => {
    const before = tf.memory().numTensors
    const blocks = backend.runtime.allocator.usage().blocks
    tf.setBackend("cpu")
    const x = tf.tensor(inputs[from], [9], from)
    const y = tf.cast(x, to)
    tf.setBackend(name)
    const twice = tf.tidy(() => tf.concat([y, tf.reshape(y, [9])]))
    expect([...twice.dataSync()]).toEqual([...expected[from][to], ...expected[from][to]])
    if (to === "float32") {
      const sum = tf.tidy(() => tf.add(y, 0))
      expect([...sum.dataSync()]).toEqual([...expected[from][to]].map((v) => v + 0))
      sum.dispose()
    }
    expect([...(x.dataSync() as Float32Array)]).toEqual([...inputs[from]])
    tf.dispose([x, y, twice])
    expect([tf.memory().numTensors, backend.runtime.allocator.usage().blocks]).toEqual([before, blocks])
  })
  it("complex numbers", () => {
    const blocks = backend.runtime.allocator.usage().blocks
    tf.setBackend("cpu")
    const z = tf.complex([1, 2, 3], [4, 5, 6])
    tf.setBackend(name)
    const [real, imag] = [tf.real(z), tf.imag(z)]
    expect([...real.dataSync(), ...imag.dataSync()]).toEqual([1, 2, 3, 4, 5, 6])
    tf.dispose([z, real, imag])
    expect(backend.runtime.allocator.usage().blocks).toBe(blocks)
  })
})

describe("uploads and reads", () => {
  const uploads: ReadonlyArray<readonly [tf.TensorLike, Type, ReadonlyArray<number>]> = [
    [Uint8Array.of(0, 255, 7), "int32", [0, 255, 7]],
    [Uint8ClampedArray.of(0, 255, 7), "int32", [0, 255, 7]],
    [Uint8Array.of(0, 255, 7), "float32", [0, 255, 7]],
    [Int32Array.of(-1, 2, 3), "float32", [-1, 2, 3]],
    [Float32Array.of(-1.5, 2.5, 0), "int32", [-1, 2, 0]],
    [Float32Array.of(0.2, 2.5, 0), "bool", [0, 1, 0]],
    [Int32Array.of(5, 0, -1), "bool", [1, 0, 1]],
    [[true, false, true], "bool", [1, 0, 1]],
    [[1, 0, 3], "bool", [1, 0, 1]]
  ]
  it.each(uploads)("%o as %s", async (values, dtype, wanted) => {
    const t = tf.tensor(values, undefined, dtype)
    const sum = tf.tidy(() => tf.add(tf.cast(t, "float32"), 0.5))
    expect([...(t.dataSync() as Float32Array)]).toEqual(wanted)
    expect([...(await t.data())]).toEqual(wanted)
    expect(tf.backend().readSync(t.dataId)).toEqual(
      inputs[dtype].constructor === Float32Array
        ? Float32Array.from(wanted)
        : dtype === "int32"
          ? Int32Array.from(wanted)
          : Uint8Array.from(wanted)
    )
    expect([...sum.dataSync()]).toEqual(wanted.map((value) => value + 0.5))
    expect(t.bufferSync().get(1)).toBe(wanted[1])
    tf.dispose([t, sum])
  })
  it("a kernel that fails leaks nothing", () => {
    clean(() => {
      const x = tf.tensor4d(new Float32Array(16), [1, 4, 4, 1])
      // Fails after the product and the sum of the fused convolution.
      const refused = () =>
        tf.engine().runKernel("FusedConv2D", { x, filter: tf.tensor4d([1], [1, 1, 1, 1]), bias: tf.tensor1d([1]) }, {
          strides: 1,
          pad: "same",
          dataFormat: "NHWC",
          dilations: 1,
          activation: "unknown"
        } as unknown as tf.NamedAttrMap)
      expect(refused).toThrow("unknown")
    })
  })
})
