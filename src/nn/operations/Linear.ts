import * as tf from "@tensorflow/tfjs-core"
import { define } from "../Operation.ts"
import { matrixSpec, vectorSpec } from "../Parameter.ts"
import { need } from "../ParameterTree.ts"

/** Settings of {@link Linear}. */
export interface LinearSettings {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
  readonly bias: boolean
}

/**
 * `x * weight + bias` on vectors.
 *
 * **Example** (Ten classes)
 *
 * ```ts
 * import { Linear } from "./Linear.ts"
 *
 * const linear = Linear.make({ name: "last.2.linear", inFeatures: 96, outFeatures: 10, bias: true })
 * linear.parameters().map((spec) => spec.name) // => ["last.2.linear.weight", "last.2.linear.bias"]
 * linear.shapeAndCost([1, 1, 96]) // => { shape: [1, 1, 10], macs: 960 }
 * ```
 */
export const Linear = define<LinearSettings>({
  name: "Linear",
  parameters: ({ bias, inFeatures, name, outFeatures }) => {
    const weight = matrixSpec(`${name}.weight`, inFeatures, outFeatures, "linear")
    return bias ? [weight, vectorSpec(`${name}.bias`, outFeatures, "bias")] : [weight]
  },
  shapeAndCost: ({ inFeatures, outFeatures }) => ({ shape: [1, 1, outFeatures], macs: inFeatures * outFeatures }),
  apply: ({ bias, name }, { variables: { params } }, x) => {
    const product = tf.matMul(x as tf.Tensor2D, need(params, `${name}.weight`) as tf.Tensor2D)
    return bias ? tf.add(product, need(params, `${name}.bias`)) : product
  }
})
