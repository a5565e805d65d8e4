/** The type of a kernel's cases, and what generators of several kinds of kernels share. */
import * as tf from "@tensorflow/tfjs-core"
import type { Draw } from "./Draw.ts"

/** The types a generator draws from. */
export type Dtype = "float32" | "int32" | "bool" | "string"

/** A tensor that each engine makes. */
export interface Input {
  readonly shape: ReadonlyArray<number>
  readonly dtype: Dtype
  readonly values: Float32Array | Int32Array | Uint8Array | ReadonlyArray<string>
}

/** What a case computes. */
export type Operation = (...tensors: Array<tf.Tensor>) => tf.Tensor | ReadonlyArray<tf.Tensor>

/** One call of a kernel. */
export interface KernelCase {
  readonly inputs: ReadonlyArray<Input>
  readonly operation: Operation
  /** Largest deviation relative to max(1, |reference|); default 0: the same numbers. */
  readonly tolerance?: number
  /** The same for gradients; default 1e-5. */
  readonly gradientTolerance?: number
  /** Why no gradient is compared, where the operation could have one. */
  readonly noGradient?: string | undefined
}

/** Calls of one kernel. */
export type KernelCases = (draw: Draw) => KernelCase

/** Types to pick from; float32 is the most frequent. */
export const numbers = ["float32", "float32", "int32", "bool"] as const
export const numeric = ["float32", "float32", "int32"] as const
export const everyType = ["float32", "float32", "int32", "bool", "string"] as const

/** Calls a kernel by its name. */
export const run = (kernel: string, inputs: Record<string, tf.Tensor | Array<tf.Tensor>>, attrs: object = {}) =>
  tf.engine().runKernel(kernel, inputs as unknown as tf.NamedTensorMap, attrs as unknown as tf.NamedAttrMap) as
    | tf.Tensor
    | Array<tf.Tensor>

/** An input with given values. */
export const given = (
  shape: ReadonlyArray<number>,
  dtype: "int32" | "float32",
  values: ReadonlyArray<number>
): Input => ({
  shape,
  dtype,
  values: dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values)
})

/** An operation of one operand. */
export type One = (x: tf.Tensor) => tf.Tensor

/** The shape of a small batch of images in NHWC; sides in [low, high]. */
export const image = (draw: Draw, low = 4, high = 7): [number, number, number, number] => [
  draw.int(1, 2),
  draw.int(low, high),
  draw.int(low, high),
  draw.pick(1, 2, 3, 4, 5)
]

/** Activations of the fused kernels. */
export const activations = ["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu", "prelu"] as const

/** `count` whole numbers in [0, limit), in ascending order. */
export const sorted = (draw: Draw, count: number, limit: number): ReadonlyArray<number> =>
  Array.from({ length: count }, () => draw.int(0, limit - 1)).sort((a, b) => a - b)
