/** `tf.tidy` for the record types of this project, which tfjs's own container type does not admit. */
import * as tf from "@tensorflow/tfjs-core"

/**
 * Runs a function and frees every tensor it made, but those in its result, however deep in records and arrays. They are
 * the caller's.
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
