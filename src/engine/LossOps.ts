/** Losses that an engine fuses. */
import * as tf from "@tensorflow/tfjs-core"
import { fusedKernels, type LossWithGradient } from "./FusedKernels.ts"
import "./Gradients.ts"

const composed = (logits: tf.Tensor2D, labels: tf.Tensor1D, smoothing: number): LossWithGradient =>
  tf.tidy(() => {
    const [batch, classes] = logits.shape
    const shifted = tf.sub(logits, tf.max(logits, 1, true))
    const exponentials = tf.exp(shifted)
    const sums = tf.sum(exponentials, 1, true)
    // tfjs refuses a one-hot vector of a single class.
    const each = tf.range(0, classes, 1, "int32")
    const hit = tf.cast(tf.equal(tf.reshape(tf.cast(labels, "int32"), [batch, 1]), each), "float32")
    const target = tf.add(tf.mul(hit, 1 - smoothing), smoothing / classes)
    // A label outside the classes has no one-hot entry: make its row NaN rather than silently wrong.
    const known = tf.div(tf.sum(hit, 1, true), tf.sum(hit, 1, true))
    const logSums = tf.log(sums)
    const rows = tf.mul(tf.sum(tf.mul(target, tf.sub(logSums, shifted)), 1, true), known)
    const gradient = tf.mul(tf.div(tf.sub(tf.div(exponentials, sums), target), batch), known)
    return { loss: tf.mean(rows) as tf.Scalar, gradient: gradient as tf.Tensor2D }
  })

/**
 * Mean over a batch of the cross entropy between the softmax of `logits` [batch, classes] and the labels [batch],
 * smoothed (Szegedy et al. 2016, section 7): the target is `1 - smoothing` on the label plus `smoothing / classes`
 * everywhere. Differentiable in `logits`, once; forward and backward are computed together.
 *
 * A label outside 0 .. classes - 1 makes the loss NaN. Throws a RangeError for shapes that do not match and for a smoothing
 * outside [0, 1].
 *
 * **Example** (Uniform logits cost the logarithm of the number of classes)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { softmaxCrossEntropy } from "./LossOps.ts"
 *
 * const loss = softmaxCrossEntropy(tf.zeros([2, 4]), tf.tensor1d([1, 3], "int32"), 0.1)
 * loss.dataSync()[0].toFixed(4) // => "1.3863"
 * ```
 */
export const softmaxCrossEntropy = (logits: tf.Tensor2D, labels: tf.Tensor1D, smoothing = 0): tf.Scalar => {
  if (logits.rank !== 2 || labels.rank !== 1 || logits.shape[0] !== labels.shape[0]) {
    throw new RangeError(
      `softmaxCrossEntropy: logits [${logits.shape}] and labels [${labels.shape}] should be [batch, classes] and [batch]`
    )
  }
  if (!(smoothing >= 0 && smoothing <= 1)) {
    throw new RangeError(`softmaxCrossEntropy: smoothing is ${smoothing}, it should be between 0 and 1`)
  }
  const loss = tf.customGrad((input, save) => {
    const found = (fusedKernels().softmaxCrossEntropy ?? composed)(input as tf.Tensor2D, labels, smoothing)
    ;(save as tf.GradSaveFunc)([found.gradient])
    return {
      value: found.loss,
      gradFunc: (dy, saved) => tf.mul((saved as ReadonlyArray<tf.Tensor>)[0]!, dy as tf.Scalar)
    }
  })
  return loss(logits) as tf.Scalar
}
