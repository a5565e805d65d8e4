/** Gradients by finite differences, to check every hand-written derivative of the engine. */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "./Shape.ts"

/** The largest deviation of a gradient from its finite difference. */
export interface GradientMismatch {
  /** Largest |analytic - numeric| over the inputs, divided by the largest |numeric| entry of that input (at least 1). */
  readonly error: number
  readonly input: number
  readonly index: number
  readonly analytic: number
  readonly numeric: number
}

/**
 * Compares the gradients of `f` from tfjs's tape with central differences of step `step`, element by element (at most
 * `entries` of every input, spread evenly). `f` maps tensors to one tensor; its entries are summed with fixed, uneven
 * weights in double precision, so that no error hides in a symmetric sum.
 */
export const gradientMismatch = (
  f: (...inputs: Array<tf.Tensor>) => tf.Tensor,
  inputs: ReadonlyArray<tf.Tensor>,
  options: { readonly step?: number; readonly entries?: number } = {}
): GradientMismatch => {
  const step = options.step ?? 1e-2
  const entries = options.entries ?? 24
  const weight = (i: number): number => 0.5 + ((i * 7919 + 13) % 31) / 31
  const value = (args: ReadonlyArray<tf.Tensor>): number => {
    const out: ArrayLike<number> = tf.tidy(() => f(...args).dataSync())
    let sum = 0
    for (let i = 0; i < out.length; i++) sum += (out[i] ?? 0) * weight(i)
    return sum
  }
  const outShape = tf.tidy(() => f(...inputs).shape)
  const size = sizeOf(outShape)
  const seed = tf.tensor(
    Float32Array.from({ length: size }, (_, i) => weight(i)),
    outShape
  )
  const analytic = tf.grads((...args: Array<tf.Tensor>) => f(...args))([...inputs], seed)
  let worst: GradientMismatch = { error: 0, input: 0, index: 0, analytic: 0, numeric: 0 }
  inputs.forEach((input, which) => {
    const data = Float32Array.from(input.dataSync())
    const own = analytic[which]?.dataSync() ?? new Float32Array(data.length)
    const stride = Math.max(1, Math.floor(data.length / entries))
    const found: Array<{ index: number; analytic: number; numeric: number }> = []
    for (let index = 0; index < data.length; index += stride) {
      const at = (delta: number): number => {
        const moved = data.slice()
        moved[index] = (data[index] ?? 0) + delta
        const tensor = tf.tensor(moved, input.shape)
        const result = value(inputs.map((other, i) => (i === which ? tensor : other)))
        tensor.dispose()
        return result
      }
      found.push({ index, analytic: own[index] ?? 0, numeric: (at(step) - at(-step)) / (2 * step) })
    }
    const scale = Math.max(1, ...found.map((entry) => Math.abs(entry.numeric)))
    for (const entry of found) {
      const error = Math.abs(entry.analytic - entry.numeric) / scale
      if (!(error <= worst.error)) worst = { error, input: which, ...entry }
    }
  })
  seed.dispose()
  for (const gradient of analytic) gradient.dispose()
  return worst
}
