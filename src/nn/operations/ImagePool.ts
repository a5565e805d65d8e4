import * as tf from "@tensorflow/tfjs-core"
import { globalAveragePool } from "../../engine/FeatureOps.ts"
import { activationsOf, applyAll, define, measure, type Operation, parametersOf, strided } from "../Operation.ts"

/** Settings of {@link ImagePool}. */
export interface ImagePoolSettings {
  readonly stride: number
  readonly operations: ReadonlyArray<Operation>
}

/**
 * The mean of the image, passed through the operations, then repeated at every position of a convolution with this stride.
 *
 * **Example** (The mean at every second position)
 *
 * ```ts
 * import { ImagePool } from "./ImagePool.ts"
 *
 * ImagePool.make({ stride: 2, operations: [] }).shapeAndCost([7, 7, 96]) // => { shape: [4, 4, 96], macs: 0 }
 * ```
 */
export const ImagePool = define<ImagePoolSettings>({
  name: "ImagePool",
  parameters: ({ operations }) => parametersOf(operations),
  shapeAndCost: ({ operations, stride }, shape) => {
    const [height, width, channels] = shape
    const measured = measure(operations, [1, 1, channels])
    return { shape: strided([height, width, measured.shape[2]], stride), macs: measured.macs }
  },
  activations: ({ operations }, shape) => activationsOf(operations, shape),
  apply: ({ operations, stride }, context, x) => {
    const [batch, height, width] = x.shape as [number, number, number, number]
    const mean = tf.reshape(globalAveragePool(x as tf.Tensor4D), [batch, 1, 1, -1])
    const mapped = applyAll(operations, context, mean)
    return tf.broadcastTo(mapped, [batch, ...strided([height, width, mapped.shape[3] as number], stride)])
  }
})
