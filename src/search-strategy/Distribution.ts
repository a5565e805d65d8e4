/**
 * Distributions over architectures, independent for each layer, and how they mix the options of a layer: the
 * softmax of DARTS (Liu et al. 2019, section 2.2), the Gumbel-softmax of FBNet (Wu et al. 2019, section 3.2; Jang et al.
 * 2017), and its straight-through form, a single option forward with the relaxation's gradient (Jang et al. 2017, section
 * 2.2; GDAS: Dong and Yang 2019). Functions on numbers serve searchers and reports, functions on tensors serve gradients.
 *
 * Costs are expected costs: linear in the probabilities, which sum to 1 in every layer; never in raw parameters.
 *
 * **Example** (Two layers)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as Distribution from "./Distribution.ts"
 *
 * const logits = [
 *   [0, 0],
 *   [1000, 0, 0]
 * ]
 * const entries = { base: 10, layers: [[0, 4], [1, 2, 3]] }
 * const probabilities = Distribution.probabilities(logits)
 * probabilities // => [[0.5, 0.5], [1, 0, 0]]
 * Distribution.logProbabilities(logits)[1] // => [0, -1000, -1000]
 * Distribution.expectedCost(entries, probabilities) // => 13
 * Distribution.draw(logits, Key.make(1))[1] // => 0
 * const relaxation = { relaxation: "gumbel", temperature: 1, hard: true } as const
 * const weights = Distribution.weights({ logits, ...relaxation }, Key.make(1))
 * weights[1] // => [1, 0, 0]
 * const tensors = logits.map((row) => tf.tensor1d(row))
 * const mixed = Distribution.weightsOf(tensors, relaxation, Key.make(1))
 * mixed.map((row) => Array.from(row.dataSync())) // => weights
 * const expected = Distribution.expectedCostOf(entries, Distribution.probabilitiesOf(tensors), 10)
 * expected.dataSync()[0].toFixed(6) // => "1.300000"
 * ```
 */
import type { Scalar, Tensor1D } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import type { CostEntries } from "../cost/CostModel.ts"
import * as Deterministic from "../random/Deterministic.ts"
import * as Key from "../random/Key.ts"
import type { ArchitectureDistribution } from "./SearchStrategy.ts"

/** One number per option, layer by layer. */
export type Rows = ReadonlyArray<ReadonlyArray<number>>

const softmax = (row: ReadonlyArray<number>): ReadonlyArray<number> => {
  const most = Math.max(...row)
  const powers = row.map((logit) => Deterministic.exp(logit - most))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

const largest = (row: ArrayLike<number>): number => {
  let best = 0
  for (let option = 1; option < row.length; option += 1) if (row[option]! > row[best]!) best = option
  return best
}

/** Standard Gumbel noise, one independent number per option. */
const gumbels = (key: Key.Key, layer: number, options: number): ReadonlyArray<number> =>
  Array.from(Key.uniforms(Key.derive(key, "gumbel", layer), options), (uniform) => {
    // Uniforms are multiples of 2^-53 below 1. Adding 2^-54 keeps both logarithms finite.
    const inside = uniform + 2 ** -54
    return -Deterministic.log(-Deterministic.log(inside))
  })

/**
 * The probability of every option.
 *
 * **Example** (Twice as probable)
 *
 * ```ts
 * import * as Distribution from "./Distribution.ts"
 *
 * Distribution.probabilities([[0, 0], [Math.log(2), 0]]).map(([first]) => first!.toFixed(3)) // => ["0.500", "0.667"]
 * ```
 */
export const probabilities = (logits: Rows): Rows => logits.map(softmax)

/** Logarithms of the probabilities. */
export const logProbabilities = (logits: Rows): Rows =>
  logits.map((row) => {
    const most = Math.max(...row)
    const sum = row.reduce((total, logit) => total + Deterministic.exp(logit - most), 0)
    const log = Deterministic.log(sum)
    return row.map((logit) => logit - most - log)
  })

/**
 * The entropy of a layer as a fraction of the largest possible, mean over the layers with more than one option. 1: all
 * options are equally probable; 0: one option per layer.
 *
 * **Example** (Uniform, and certain)
 *
 * ```ts
 * import * as Distribution from "./Distribution.ts"
 *
 * Distribution.entropy([[0, 0], [3, 3]]) // => 1
 * Distribution.entropy([[1000, 0, 0]]) // => 0
 * ```
 */
export const entropy = (logits: Rows): number => {
  const searched = logits.filter((row) => row.length > 1)
  if (searched.length === 0) return 0
  const sum = searched.reduce((total, row) => {
    const own = softmax(row).reduce((inner, p) => (p > 0 ? inner - p * Deterministic.log(p) : inner), 0)
    return total + Math.min(1, own / Deterministic.log(row.length))
  }, 0)
  return sum / searched.length
}

/** The mean cost of architectures drawn by these probabilities. */
export const expectedCost = ({ base, layers }: CostEntries, rows: Rows): number =>
  rows.reduce((sum, row, layer) => row.reduce((inner, p, option) => inner + p * layers[layer]![option]!, sum), base)

/**
 * Logits plus Gumbel noise. The option with the largest value is a draw by the probabilities.
 *
 * **Example** (One number per option)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as Distribution from "./Distribution.ts"
 *
 * Distribution.perturbed([[0, 1], [0, 0, 0]], Key.make(0)).map((row) => row.length) // => [2, 3]
 * ```
 */
export const perturbed = (logits: Rows, key: Key.Key): Rows =>
  logits.map((row, layer) => {
    const noise = gumbels(key, layer, row.length)
    return row.map((logit, option) => logit + noise[option]!)
  })

/** An architecture drawn by the probabilities, as one option per layer. */
export const draw = (logits: Rows, key: Key.Key): ReadonlyArray<number> => perturbed(logits, key).map(largest)

/**
 * The weights by which a step mixes the options. Softmax: of the logits over the temperature, for every key the same.
 * Gumbel-softmax: a relaxed draw. `hard`: 1 for the option with the largest weight, 0 for all others.
 */
export const weights = ({ hard, logits, relaxation, temperature }: ArchitectureDistribution, key: Key.Key): Rows =>
  logits.map((row, layer) => {
    const noise = relaxation === "softmax" ? undefined : gumbels(key, layer, row.length)
    const relaxed = softmax(row.map((logit, option) => (logit + (noise?.[option] ?? 0)) / temperature))
    if (!hard) return relaxed
    const taken = largest(relaxed)
    return relaxed.map((_, option) => (option === taken ? 1 : 0))
  })

// ---- tensors -------------------------------------------------------------------------------------------------------

/** The value of a single option, the gradient of the relaxation. */
const straightThrough = (relaxed: Tensor1D): Tensor1D => {
  const values = relaxed.dataSync()
  const taken = largest(values)
  return tf.customGrad((_) => ({
    value: tf.tensor1d(Array.from(values, (__, option) => (option === taken ? 1 : 0))),
    gradFunc: (dy) => tf.clone(dy as Tensor1D)
  }))(relaxed) as Tensor1D
}

/** As {@link weights}, differentiable in the logits: one tensor [options] per layer. The same key draws the same noise. */
export const weightsOf = (
  logits: ReadonlyArray<Tensor1D>,
  { hard, relaxation, temperature }: Omit<ArchitectureDistribution, "logits">,
  key: Key.Key
): ReadonlyArray<Tensor1D> =>
  logits.map((row, layer) => {
    const noisy =
      relaxation === "softmax" ? row : tf.add(row, tf.tensor1d([...gumbels(key, layer, row.size)], "float32"))
    const relaxed = tf.softmax(tf.div(noisy, temperature)) as Tensor1D
    return hard ? straightThrough(relaxed) : relaxed
  })

/** The probability of every option, differentiable in the logits. */
export const probabilitiesOf = (logits: ReadonlyArray<Tensor1D>): ReadonlyArray<Tensor1D> =>
  logits.map((row) => tf.softmax(row))

/**
 * As {@link expectedCost}, differentiable in the probabilities, in units of `unit` (for example the target, so that large
 * costs keep their accuracy in float32).
 */
export const expectedCostOf = ({ base, layers }: CostEntries, rows: ReadonlyArray<Tensor1D>, unit: number): Scalar => {
  const terms = rows.map((row, layer) =>
    tf.sum(
      tf.mul(
        row,
        tf.tensor1d(
          layers[layer]!.map((cost) => cost / unit),
          "float32"
        )
      )
    )
  )
  return tf.addN([tf.scalar(base / unit), ...terms]) as Scalar
}
