import * as tf from "@tensorflow/tfjs-core"
import { define, strided } from "../Operation.ts"

/** Positions 0, stride, 2 stride, ...: pooling with windows of one (strided slices have no gradient). */
const everyNth = (x: tf.Tensor4D, stride: number): tf.Tensor4D => (stride === 1 ? x : tf.avgPool(x, 1, stride, "valid"))

/**
 * The input times zero, as the published supernet of SGNAS computes omitted sub-blocks.
 *
 * **Example** (Zeros of the input's width)
 *
 * ```ts
 * import { TimesZero } from "./TimesZero.ts"
 *
 * TimesZero.make({ stride: 2 }).shapeAndCost([7, 7, 16]) // => { shape: [4, 4, 16], macs: 0 }
 * ```
 */
export const TimesZero = define<{ readonly stride: number }>({
  name: "TimesZero",
  shapeAndCost: ({ stride }, shape) => ({ shape: strided(shape, stride), macs: 0 }),
  apply: ({ stride }, _, x) => tf.mul(everyNth(x as tf.Tensor4D, stride), 0)
})
