import type * as tf from "@tensorflow/tfjs-core"
import { globalAveragePool } from "../../engine/FeatureOps.ts"
import { define } from "../Operation.ts"

/**
 * The mean over positions: [batch, height, width, channels] to [batch, channels].
 *
 * **Example** (The shape)
 *
 * ```ts
 * import { GlobalAverage } from "./GlobalAverage.ts"
 *
 * GlobalAverage.make({}).shapeAndCost([7, 7, 96]) // => { shape: [1, 1, 96], macs: 0 }
 * ```
 */
export const GlobalAverage = define<object>({
  name: "GlobalAverage",
  shapeAndCost: (_, [, , channels]) => ({ shape: [1, 1, channels], macs: 0 }),
  apply: (_settings, _context, x) => globalAveragePool(x as tf.Tensor4D)
})
