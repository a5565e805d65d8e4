import * as tf from "@tensorflow/tfjs-core"
import { define, strided } from "../Operation.ts"

/** Settings of {@link Zeros}. */
export interface ZerosSettings {
  readonly outChannels: number
  readonly stride: number
}

/**
 * Zeros in the shape of a convolution with this stride. They depend on the input with zero gradients, so that parameters before
 * them are still updated, by weight decay and momentum.
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
    return tf.customGrad(() => ({
      value: tf.zeros([batch, ...strided([height, width, outChannels], stride)]),
      gradFunc: () => tf.zeros(x.shape)
    }))(x)
  }
})
