/** Kernels that make tensors: constants, ranges, one-hot rows, random draws of a given seed. */
import * as tf from "@tensorflow/tfjs-core"
import { type Dtype, type KernelCases, numbers, type One } from "./KernelCase.ts"

const likes =
  (op: One): KernelCases =>
  (draw) => ({ inputs: [draw.tensor(draw.shape(), draw.pick(...numbers))], operation: (x) => op(x!) })

/** The generators by kernel name. */
export const creationCases: Readonly<Record<string, KernelCases>> = {
  OnesLike: likes(tf.onesLike),
  ZerosLike: likes(tf.zerosLike),
  Fill: (draw) => {
    const shape = draw.shape()
    const number = draw.int(-3, 3)
    const [value, dtype] = draw.pick<readonly [number | string, "float32" | "int32" | "bool" | "string" | undefined]>(
      [number, "float32"],
      [number, "int32"],
      [1, "bool"],
      [number, undefined],
      ["text", "string"]
    )
    return { inputs: [], operation: () => tf.fill(shape, value, dtype as "float32") }
  },
  LinSpace: (draw) => {
    const [from, to, count] = [draw.int(-5, 5), draw.int(-5, 5), draw.int(1, 9)]
    return { inputs: [], operation: () => tf.linspace(from, to, count) }
  },
  Range: (draw) => {
    const [from, to, step] = [draw.int(-5, 5), draw.int(-5, 5), draw.int(1, 3)]
    const dtype = draw.pick("float32", "int32")
    return {
      inputs: [],
      operation: () => tf.range(from, to, from <= to ? step : -step, dtype as "float32" | "int32")
    }
  },
  Diag: (draw) => ({
    inputs: [draw.tensor(draw.shape(1, 2, false), draw.pick(...numbers))],
    operation: (x) => tf.diag(x!),
    noGradient: "none registered"
  }),
  OneHot: (draw) => {
    const shape = draw.shape(0, 3)
    const [depth, dtype] = [draw.int(1, 5), draw.pick("float32", "int32", "bool")]
    const dtypes = draw.pick<Dtype>("int32", "float32")
    return {
      inputs: [draw.tensor(shape, dtypes, -1, 6)],
      operation: (x) => tf.oneHot(tf.cast(x!, "int32"), depth, 2, -1, dtype as "float32")
    }
  },
  Multinomial: (draw) => {
    const [samples, seed, normalized] = [draw.int(1, 9), draw.int(1, 99), draw.bool()]
    return {
      inputs: [draw.tensor([draw.int(1, 3), draw.int(2, 5)], "float32", 0.01, 0.2)],
      operation: (x) => tf.multinomial(x as tf.Tensor2D, samples, seed, normalized),
      noGradient: "none registered"
    }
  }
}
