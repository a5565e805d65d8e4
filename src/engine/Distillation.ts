/** The loss of a network that learns from the outputs of another instead of labels. */
import * as tf from "@tensorflow/tfjs-core"

/**
 * Mean over a batch of the cross entropy between the softmax of a teacher's outputs and that of a student's, both
 * [batch, classes] (Hinton et al. 2015, at temperature 1). Differentiable in the student's outputs alone.
 *
 * **Example** (A student that agrees with a certain teacher)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { distillationLoss } from "./Distillation.ts"
 *
 * const certain = tf.tensor2d([[20, 0]])
 * distillationLoss(certain, certain).dataSync()[0] < 1e-6 // => true
 * distillationLoss(certain, tf.zeros([1, 2])).dataSync()[0].toFixed(4) // => "0.6931"
 * ```
 */
export const distillationLoss = (teacher: tf.Tensor2D, student: tf.Tensor2D): tf.Scalar => {
  const loss = tf.customGrad((outputs, save) => {
    const target = tf.softmax(teacher)
    const logProbabilities = tf.logSoftmax(outputs as tf.Tensor2D)
    const value = tf.neg(tf.mean(tf.sum(tf.mul(target, logProbabilities), 1))) as tf.Scalar
    const gradient = tf.div(tf.sub(tf.exp(logProbabilities), target), teacher.shape[0])
    ;(save as tf.GradSaveFunc)([gradient])
    return {
      value,
      gradFunc: (dy, saved) => tf.mul((saved as ReadonlyArray<tf.Tensor>)[0]!, dy as tf.Scalar)
    }
  })
  return loss(student) as tf.Scalar
}
