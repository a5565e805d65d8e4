import * as tf from "@tensorflow/tfjs-core"
import { outputSide } from "../../engine/ConvChainOps.ts"
import { define, strided } from "../Operation.ts"

/** Settings of {@link Pool}. */
export interface PoolSettings {
  readonly kind: "average" | "max"
  readonly kernel: number
  readonly stride: number
  /**
   * Rows and columns around the image that are ignored. `ceil`: windows start at multiples of the stride and cover every
   * position; positions outside the image are ignored.
   */
  readonly padding: number | "ceil"
}

const apply = ({ kernel, kind, padding, stride }: PoolSettings, x: tf.Tensor4D): tf.Tensor4D => {
  const pool = kind === "max" ? tf.maxPool : tf.avgPool
  if (padding !== "ceil") return pool(x, kernel, stride, padding, "floor")
  const beyond = (side: number) => Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side)
  const [, height, width] = x.shape
  const bottom = beyond(height)
  const right = beyond(width)
  if (bottom === 0 && right === 0) return pool(x, kernel, stride, "valid")
  return pool(x, kernel, stride, [
    [0, 0],
    [0, bottom],
    [0, right],
    [0, 0]
  ])
}

/**
 * Average or max pooling.
 *
 * **Example** (Windows beyond the border)
 *
 * ```ts
 * import { Pool } from "./Pool.ts"
 *
 * const pool = Pool.make({ kind: "average", kernel: 2, stride: 2, padding: "ceil" })
 * pool.shapeAndCost([7, 7, 3]) // => { shape: [4, 4, 3], macs: 0 }
 * ```
 */
export const Pool = define<PoolSettings>({
  name: "Pool",
  shapeAndCost: ({ kernel, padding, stride }, shape) => {
    if (padding === "ceil") return { shape: strided(shape, stride), macs: 0 }
    const [height, width, channels] = shape
    const side = (length: number) => outputSide({ kernel, stride, padding, dilation: 1 }, length)
    return { shape: [side(height), side(width), channels], macs: 0 }
  },
  apply: (settings, _, x) => apply(settings, x as tf.Tensor4D)
})
