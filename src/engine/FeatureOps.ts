/** Operations on feature maps [batch, height, width, channels] other than convolutions, fused if the engine can. */
import * as tf from "@tensorflow/tfjs-core"
import { fusedKernels } from "./FusedKernels.ts"
import "./Gradients.ts"

const composedShuffle = (x: tf.Tensor4D, groups: number): tf.Tensor4D => {
  const [n, h, w, c] = x.shape
  return tf.tidy(() =>
    tf.reshape(tf.transpose(tf.reshape(x, [n * h * w, groups, c / groups]), [0, 2, 1]), [n, h, w, c])
  )
}

/**
 * Channel shuffle (Zhang et al. 2018, ShuffleNet, section 3.1): channels seen as a [groups, channels / groups] table
 * are read column by column, so output channel `j * groups + g` is input channel `g * (channels / groups) + j`.
 * Its inverse is the shuffle by `channels / groups`: by `channels / 2` it sorts even channels before odd ones.
 *
 * Throws a RangeError if `groups` does not divide the channels.
 *
 * **Example** (Two groups of three)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { channelShuffle } from "./FeatureOps.ts"
 *
 * const x = tf.tensor4d([0, 1, 2, 3, 4, 5], [1, 1, 1, 6])
 * Array.from(channelShuffle(x, 2).dataSync()) // => [0, 3, 1, 4, 2, 5]
 * ```
 */
export const channelShuffle = (x: tf.Tensor4D, groups: number): tf.Tensor4D => {
  const channels = x.shape[3]
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(`channelShuffle: groups ${groups} must divide the ${channels} channels`)
  }
  const shuffle = (input: tf.Tensor4D, by: number): tf.Tensor4D =>
    (fusedKernels().channelShuffle ?? composedShuffle)(input, by)
  return tf.customGrad((input) => ({
    value: shuffle(input as tf.Tensor4D, groups),
    gradFunc: (dy) => shuffle(dy as tf.Tensor4D, channels / groups)
  }))(x) as tf.Tensor4D
}

/**
 * The channels `from` to `to` of x, for each range. Ranges that cover all channels in order are one split, whose gradient
 * is one concatenation; others are slices, whose gradients are padded and summed.
 *
 * **Example** (Two halves)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { splitChannels } from "./FeatureOps.ts"
 *
 * const x = tf.tensor4d([0, 1, 2, 3], [1, 1, 1, 4])
 * const parts = splitChannels(x, [{ from: 0, to: 2 }, { from: 2, to: 4 }])
 * parts.map((part) => Array.from(part.dataSync())) // => [[0, 1], [2, 3]]
 * ```
 */
export const splitChannels = (
  x: tf.Tensor4D,
  ranges: ReadonlyArray<{ readonly from: number; readonly to: number }>
): ReadonlyArray<tf.Tensor4D> => {
  const channels = x.shape[3]
  for (const { from, to } of ranges) {
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= channels)) {
      throw new RangeError(`splitChannels: channels ${from} to ${to} are out of range, x has ${channels}`)
    }
  }
  const covers = ranges.every(({ from }, i) => from === (ranges[i - 1]?.to ?? 0)) && ranges.at(-1)?.to === channels
  if (covers && ranges.length > 1) {
    return tf.split(
      x,
      ranges.map(({ from, to }) => to - from),
      3
    )
  }
  return ranges.map(({ from, to }) =>
    from === 0 && to === channels ? x : tf.slice4d(x, [0, 0, 0, from], [-1, -1, -1, to - from])
  )
}

const composedPool = (x: tf.Tensor4D): tf.Tensor2D => tf.mean(x, [1, 2])

const composedPoolGradient = (dy: tf.Tensor2D, [n, h, w, c]: readonly [number, number, number, number]): tf.Tensor4D =>
  tf.tidy(() => tf.broadcastTo(tf.reshape(tf.div(dy, h * w), [n, 1, 1, c]), [n, h, w, c]) as tf.Tensor4D)

/** Mean over height and width: [batch, height, width, channels] to [batch, channels]. */
export const globalAveragePool = (x: tf.Tensor4D): tf.Tensor2D => {
  const shape = x.shape
  return tf.customGrad((input) => ({
    value: (fusedKernels().globalAveragePool ?? composedPool)(input as tf.Tensor4D),
    gradFunc: (dy) => (fusedKernels().globalAveragePoolGradient ?? composedPoolGradient)(dy as tf.Tensor2D, shape)
  }))(x) as tf.Tensor2D
}

const composedScale = (x: tf.Tensor4D, scale: tf.Tensor2D): tf.Tensor4D =>
  tf.tidy(() => tf.mul(x, tf.reshape(scale, [scale.shape[0], 1, 1, scale.shape[1]])))

const composedScaleGradient = (dy: tf.Tensor4D, x: tf.Tensor4D, scale: tf.Tensor2D) =>
  tf.tidy(() => ({ x: composedScale(dy, scale), scale: tf.sum(tf.mul(dy, x), [1, 2]) as tf.Tensor2D }))

/** Multiplies every channel of every image of x [batch, h, w, channels] by its factor in scale [batch, channels]. */
export const scaleChannels = (x: tf.Tensor4D, scale: tf.Tensor2D): tf.Tensor4D => {
  if (x.shape[0] !== scale.shape[0] || x.shape[3] !== scale.shape[1]) {
    throw new RangeError(`scaleChannels: scale should be [batch, channels] of x [${x.shape}], got [${scale.shape}]`)
  }
  return tf.customGrad((input, factor, save) => {
    const [a, b] = [input as tf.Tensor4D, factor as tf.Tensor2D]
    ;(save as tf.GradSaveFunc)([a, b])
    return {
      value: (fusedKernels().scaleChannels ?? composedScale)(a, b),
      gradFunc: (dy, saved) => {
        const [x, scale] = saved as [tf.Tensor4D, tf.Tensor2D]
        const found = (fusedKernels().scaleChannelsGradient ?? composedScaleGradient)(dy as tf.Tensor4D, x, scale)
        return [found.x, found.scale]
      }
    }
  })(x, scale) as tf.Tensor4D
}

/** The two small linear layers of a squeeze-excite: weights [in, out], biases [out]. */
export interface SqueezeExciteParams {
  readonly squeezeWeight: tf.Tensor2D
  readonly squeezeBias?: tf.Tensor1D | undefined
  readonly exciteWeight: tf.Tensor2D
  readonly exciteBias?: tf.Tensor1D | undefined
}

/** relu6(x + 3) / 6 (Howard et al. 2019, MobileNetV3, section 5.2). */
export const hardSigmoid = <T extends tf.Tensor>(x: T): T => tf.div(tf.relu6(tf.add(x, 3)), 6)

/**
 * Squeeze-excite (Hu et al. 2018, section 3) with ReLU after the squeeze and a gate on the excitation, by default the
 * hard sigmoid of MobileNetV3: x times gate(excite(relu(squeeze(mean of x)))).
 */
export const squeezeExcite = (
  x: tf.Tensor4D,
  params: SqueezeExciteParams,
  gate: "hsigmoid" | "sigmoid" = "hsigmoid"
): tf.Tensor4D => {
  const linear = (input: tf.Tensor2D, weight: tf.Tensor2D, bias: tf.Tensor1D | undefined): tf.Tensor2D => {
    const product: tf.Tensor2D = tf.matMul(input, weight)
    return bias === undefined ? product : tf.add(product, bias)
  }
  return tf.tidy(() => {
    const squeezed = tf.relu(linear(globalAveragePool(x), params.squeezeWeight, params.squeezeBias))
    const excited = linear(squeezed, params.exciteWeight, params.exciteBias)
    return scaleChannels(x, gate === "hsigmoid" ? hardSigmoid(excited) : tf.sigmoid(excited))
  })
}
