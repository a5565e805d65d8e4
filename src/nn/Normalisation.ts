/**
 * Running statistics of batch normalisations.
 *
 * **Example** (Halfway to a batch)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Normalisation from "./Normalisation.ts"
 *
 * const before = { "n.mean": tf.tensor1d([1]), "n.variance": tf.tensor1d([1]) }
 * const batch = { n: { mean: tf.tensor1d([3]), variance: tf.tensor1d([3]), count: 4 } }
 * const after = Normalisation.updateStatistics(before, batch, 0.5)
 * Array.from(after["n.mean"]!.dataSync()) // => [2]
 * Array.from(after["n.variance"]!.dataSync()) // => [2.5]
 * Array.from(Normalisation.recalibrated([batch])["n.mean"]!.dataSync()) // => [3]
 * Normalisation.normEpsilon // => 1e-5
 * Normalisation.disposeStatisticsUnsafe(batch)
 * batch.n.mean.isDisposed // => true
 * ```
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { blend } from "../engine/StatisticsOps.ts"
import { need, type ParameterTree } from "./ParameterTree.ts"
import { scoped } from "./Scope.ts"

/** Epsilon of every batch normalisation: PyTorch's default. */
export const normEpsilon = 1e-5

/** PyTorch's running variance is unbiased. Of a single value it is undefined; then it is 0. */
const unbiasedBy = ({ count }: BatchStatistics): number => (count > 1 ? count / (count - 1) : 1)
const unbiased = (batch: BatchStatistics): Tensor =>
  batch.count > 1 ? tf.mul(batch.variance, unbiasedBy(batch)) : batch.variance

/**
 * The running statistics after a batch: `(1 - momentum) * old + momentum * batch` for the normalisations in the path of the
 * batch. All others keep their tensor.
 */
export const updateStatistics = (
  stats: ParameterTree,
  batch: Readonly<Record<string, BatchStatistics>>,
  momentum: number
): ParameterTree => {
  const passed = Object.entries(batch).flatMap(([name, statistics]) => [
    { name: `${name}.mean`, fresh: statistics.mean, scale: 1 },
    { name: `${name}.variance`, fresh: statistics.variance, scale: unbiasedBy(statistics) }
  ])
  const vectors = passed.map(({ fresh, name, scale }) => ({ old: need(stats, name) as tf.Tensor1D, fresh, scale }))
  const moved = blend(vectors, momentum)
  return { ...stats, ...Object.fromEntries(passed.map(({ name }, i) => [name, moved[i]!])) }
}

/** Recalibrated statistics: for every normalisation, the mean over the batches that passed it; the variance is unbiased. */
export const recalibrated = (batches: ReadonlyArray<Readonly<Record<string, BatchStatistics>>>): ParameterTree =>
  scoped(() => {
    const sums = new Map<string, { mean: Tensor; variance: Tensor; batches: number }>()
    for (const batch of batches) {
      for (const [name, statistics] of Object.entries(batch)) {
        const before = sums.get(name)
        const variance = unbiased(statistics)
        sums.set(
          name,
          before === undefined
            ? { mean: statistics.mean, variance, batches: 1 }
            : {
                mean: tf.add(before.mean, statistics.mean),
                variance: tf.add(before.variance, variance),
                batches: before.batches + 1
              }
        )
      }
    }
    const out: Record<string, Tensor> = {}
    for (const [name, sum] of sums) {
      out[`${name}.mean`] = tf.div(sum.mean, sum.batches)
      out[`${name}.variance`] = tf.div(sum.variance, sum.batches)
    }
    return out
  })

/** Disposes the statistics of a batch. */
export const disposeStatisticsUnsafe = (batch: Readonly<Record<string, BatchStatistics>>): void => {
  for (const { mean, variance } of Object.values(batch)) tf.dispose([mean, variance])
}
