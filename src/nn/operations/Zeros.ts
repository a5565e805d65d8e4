import * as tf from "@tensorflow/tfjs-core"
import { define, strided } from "../Operation.ts"

/** Settings of {@link Zeros}. */
export interface ZerosSettings {
  readonly outChannels: number
  readonly stride: number
}

/**
 * Zeros of the size that a convolution of this stride would give.
 *
 * **Example** (Every second position)
 *
 * ```ts
 * import { Zeros } from "./Zeros.ts"
 *
 * Zeros.make({ outChannels: 24, stride: 2 }).shapeAndCost([7, 7, 16]) // => { shape: [4, 4, 24], macs: 0 }
 * ```
 */
export const Zeros = define<ZerosSettings>({
  name: "Zeros",
  shapeAndCost: ({ outChannels, stride }, [height, width]) => ({
    shape: strided([height, width, outChannels], stride),
    macs: 0
  }),
  apply: ({ outChannels, stride }, _, x) => {
    const [batch, height, width] = x.shape as [number, number, number, number]
    return tf.zeros([batch, ...strided([height, width, outChannels], stride)])
  }
})
