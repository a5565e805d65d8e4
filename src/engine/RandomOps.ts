/**
 * Tensors of random numbers, drawn from a key: on every engine the same bits as the arrays of random/Draws.ts, which engines
 * without a kernel use.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Draws from "../random/Draws.ts"
import { fusedKernels } from "./FusedKernels.ts"
import { sizeOf } from "./Shape.ts"

/**
 * The first normal numbers of a key, each rounded to float32 and multiplied by `deviation`.
 *
 * **Example** (The same numbers as the array's)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Key from "../random/Draws.ts"
 * import { normals } from "./RandomOps.ts"
 *
 * const same = normals(Key.make(1), [2, 3]).dataSync().every((v, i) => v === Key.normals(Key.make(1), 6)[i])
 * same // => true
 * ```
 */
export const normals = (key: Draws.Key, shape: ReadonlyArray<number>, deviation = 1): tf.Tensor => {
  const fused = fusedKernels().randomNumbers
  if (fused !== undefined) return fused(key, shape, "normal", deviation)
  const values = Draws.normals(key, sizeOf(shape))
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * deviation
  return tf.tensor(values, [...shape], "float32")
}

/** The first uniform numbers of a key, scaled to [-bound, bound). */
export const uniforms = (key: Draws.Key, shape: ReadonlyArray<number>, bound = 1): tf.Tensor => {
  const fused = fusedKernels().randomNumbers
  if (fused !== undefined) return fused(key, shape, "uniform", bound)
  const values = Float32Array.from(Draws.uniforms(key, sizeOf(shape)), (u) => (2 * u - 1) * bound)
  return tf.tensor(values, [...shape], "float32")
}
