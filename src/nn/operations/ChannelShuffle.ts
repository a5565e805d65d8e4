import type * as tf from "@tensorflow/tfjs-core"
import { channelShuffle } from "../../engine/FeatureOps.ts"
import { define } from "../Operation.ts"

/**
 * Channels distributed in turn over the groups (ShuffleNet: Zhang et al. 2018, section 3.1).
 *
 * **Example** (Two groups of two)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { applyAll } from "../Operation.ts"
 * import { ChannelShuffle } from "./ChannelShuffle.ts"
 *
 * const none = { variables: { params: {}, stats: {} }, mode: "eval", statistics: {} } as const
 * const x = tf.tensor4d([0, 1, 2, 3], [1, 1, 1, 4])
 * Array.from(applyAll([ChannelShuffle.make({ groups: 2 })], none, x).dataSync()) // => [0, 2, 1, 3]
 * ```
 */
export const ChannelShuffle = define<{ readonly groups: number }>({
  name: "ChannelShuffle",
  shapeAndCost: (_, shape) => ({ shape, macs: 0 }),
  apply: ({ groups }, _, x) => channelShuffle(x as tf.Tensor4D, groups)
})
