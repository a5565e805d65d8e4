/** Running statistics of batch normalisations, fused if the engine can: a training step updates hundreds of them. */
import * as tf from "@tensorflow/tfjs-core"
import type { BlendedVector } from "./FusedKernels.ts"
import { fusedKernels } from "./FusedKernels.ts"

const f32 = Math.fround

const composed = (vectors: ReadonlyArray<BlendedVector>, keep: number, momentum: number): ReadonlyArray<tf.Tensor1D> =>
  vectors.map(({ fresh, old, scale }) =>
    tf.tidy(() => {
      const scaled = scale === 1 ? fresh : tf.mul(fresh, scale)
      return tf.add(tf.mul(old, keep), tf.mul(scaled, momentum)) as tf.Tensor1D
    })
  )

/**
 * One step of exponential moving averages: `(1 - momentum) * old + momentum * (scale * fresh)` for each of the vectors.
 * Every operation is rounded to float32 in this order, so the fused and the composed form give the same bits. Inputs
 * are neither changed nor disposed; the results are new tensors of the caller's tidy scope, in the order of the vectors.
 * Throws a `RangeError` if the two vectors of a pair differ in length.
 *
 * **Example** (A tenth of the way)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { blend } from "./StatisticsOps.ts"
 * const [next] = blend([{ old: tf.tensor1d([8, 0]), fresh: tf.tensor1d([4, 2]), scale: 2 }], 0.5)
 * Array.from(next!.dataSync()) // => [8, 2]
 * ```
 */
export const blend = (vectors: ReadonlyArray<BlendedVector>, momentum: number): ReadonlyArray<tf.Tensor1D> => {
  for (const { fresh, old } of vectors) {
    if (old.size !== fresh.size) {
      throw new RangeError(`blend: a vector of ${fresh.size} numbers cannot be blended with one of ${old.size}`)
    }
  }
  return (fusedKernels().blend ?? composed)(
    vectors.map(({ scale, ...rest }) => ({ ...rest, scale: f32(scale) })),
    f32(1 - momentum),
    f32(momentum)
  )
}
