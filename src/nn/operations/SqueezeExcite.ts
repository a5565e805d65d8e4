import type * as tf from "@tensorflow/tfjs-core"
import { squeezeExcite } from "../../engine/FeatureOps.ts"
import { define } from "../Operation.ts"
import { matrixSpec, vectorSpec } from "../Parameter.ts"
import { need } from "../ParameterTree.ts"

/** Settings of {@link SqueezeExcite}. */
export interface SqueezeExciteSettings {
  readonly name: string
  readonly channels: number
  readonly reduced: number
}

/**
 * Squeeze-and-excitation (Hu et al. 2018, section 3) with ReLU inside and the hard sigmoid outside (MobileNetV3: Howard
 * et al. 2019, section 5.2).
 *
 * **Example** (Its parameters)
 *
 * ```ts
 * import { SqueezeExcite } from "./SqueezeExcite.ts"
 *
 * const operation = SqueezeExcite.make({ name: "se", channels: 16, reduced: 4 })
 * operation.parameters().map((spec) => spec.shape) // => [[16, 4], [4], [4, 16], [16]]
 * operation.shapeAndCost([8, 8, 16]) // => { shape: [8, 8, 16], macs: 128 }
 * ```
 */
export const SqueezeExcite = define<SqueezeExciteSettings>({
  name: "SqueezeExcite",
  parameters: ({ channels, name, reduced }) => [
    matrixSpec(`${name}.reduce.weight`, channels, reduced, "convolution"),
    vectorSpec(`${name}.reduce.bias`, reduced, "bias"),
    matrixSpec(`${name}.expand.weight`, reduced, channels, "convolution"),
    vectorSpec(`${name}.expand.bias`, channels, "bias")
  ],
  shapeAndCost: ({ channels, reduced }, shape) => ({ shape, macs: 2 * channels * reduced }),
  apply: ({ name }, { variables }, x) => {
    const part = (suffix: string) => need(variables.params, `${name}.${suffix}`)
    return squeezeExcite(x as tf.Tensor4D, {
      squeezeWeight: part("reduce.weight") as tf.Tensor2D,
      squeezeBias: part("reduce.bias") as tf.Tensor1D,
      exciteWeight: part("expand.weight") as tf.Tensor2D,
      exciteBias: part("expand.bias") as tf.Tensor1D
    })
  }
})
