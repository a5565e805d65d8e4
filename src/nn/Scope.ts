/** `tf.tidy` for record types, which the type of tfjs's containers does not allow. */
import * as tf from "@tensorflow/tfjs-core"

/**
 * Runs a function and frees every tensor that it made, except those in its result, at any depth of records and arrays. The
 * caller owns these.
 *
 * **Example** (Only the result is left)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { scoped } from "./Scope.ts"
 * const before = tf.memory().numTensors
 * const { sum } = scoped(() => ({ sum: tf.add(tf.scalar(1), tf.scalar(2)) }))
 * tf.memory().numTensors - before // => 1
 * sum.dataSync()[0] // => 3
 * ```
 */
export const scoped = <A>(make: () => A): A => tf.tidy(make as () => tf.TensorContainer) as A
