/**
 * How well predicted scores order architectures whose true accuracy is known: rank correlations in all architectures and
 * in the better half, the overlap of the best, and what is lost by trusting the prediction. Every figure has a bootstrap
 * interval over the architectures (Efron 1979: percentiles of resampled figures).
 */
import * as Schema from "effect/Schema"
import * as Key from "../random/Key.ts"
import { kendall, spearman } from "../search-strategy/RankCorrelation.ts"

/** A figure with its bootstrap interval. `value` is null where it is undefined, as tau of a constant prediction is. */
export const Figure = Schema.Struct({
  value: Schema.NullOr(Schema.Finite),
  /** 2.5th percentile over the resamples. */
  low: Schema.NullOr(Schema.Finite),
  /** 97.5th percentile. */
  high: Schema.NullOr(Schema.Finite)
})
/** A figure with its bootstrap interval. */
export type Figure = typeof Figure.Type

/** How good a ranking is. Accuracies and regrets are in the truth's unit (points of accuracy). */
export const RankQuality = Schema.Struct({
  /** Kendall's tau-b over all architectures. */
  tau: Figure,
  /** Kendall's tau-b over the half with the highest true accuracy. */
  tauTopHalf: Figure,
  /** Kendall's tau-b with true accuracies rounded to multiples of their own noise: closer ones count as equal. */
  tauRounded: Figure,
  /** Spearman's rho. */
  spearman: Figure,
  /** The share of the predicted best 5 % that are among the true best 5 %. */
  precision5: Figure,
  /** The same for 10 %. */
  precision10: Figure,
  /** The best true accuracy there is, less that of the predicted best architecture. */
  regret1: Figure,
  /** The same for the best of the 5 predicted best. */
  regret5: Figure,
  /** The same for the best of the 10 predicted best. */
  regret10: Figure
})
/** How good a ranking is. */
export type RankQuality = typeof RankQuality.Type

/** The name of a figure. */
export type FigureName = keyof RankQuality

/** The figures, in the order in which they are shown. */
export const figureNames: ReadonlyArray<FigureName> = [
  "tau",
  "tauTopHalf",
  "tauRounded",
  "spearman",
  "precision5",
  "precision10",
  "regret1",
  "regret5",
  "regret10"
]

/** What a ranking is judged by. */
export interface QualityOptions {
  /** Standard deviation of a true accuracy, by which `tauRounded` rounds; 0: it does not round. */
  readonly noise: number
  /** Number of bootstrap resamples; default 1000. */
  readonly resamples?: number | undefined
  readonly key: Key.Key
}

type Values = ReadonlyArray<number>

const pick = (values: Values, indices: Values): Values => indices.map((index) => values[index]!)

/** Indices of the values, largest first; among equals the earlier first. */
const descending = (values: Values): Values =>
  values.map((_, index) => index).sort((a, b) => values[b]! - values[a]! || a - b)

const topHalf = (truth: Values): Values => descending(truth).slice(0, Math.ceil(truth.length / 2))

const precision = (predicted: Values, truth: Values, share: number): number => {
  const count = Math.max(1, Math.round(truth.length * share))
  const best = new Set(descending(truth).slice(0, count))
  const hits = descending(predicted)
    .slice(0, count)
    .filter((index) => best.has(index))
  return hits.length / count
}

const regret = (predicted: Values, truth: Values, count: number): number =>
  Math.max(...truth) - Math.max(...pick(truth, descending(predicted).slice(0, count)))

type Point = { readonly [K in FigureName]: number | null }

/** The figures of a list of architectures, without intervals. */
const pointOf = (predicted: Values, truth: Values, noise: number): Point => {
  const half = topHalf(truth)
  const rounded = noise > 0 ? truth.map((value) => Math.round(value / noise)) : truth
  return {
    tau: kendall(predicted, truth),
    tauTopHalf: kendall(pick(predicted, half), pick(truth, half)),
    tauRounded: kendall(predicted, rounded),
    spearman: spearman(predicted, truth),
    precision5: precision(predicted, truth, 0.05),
    precision10: precision(predicted, truth, 0.1),
    regret1: regret(predicted, truth, 1),
    regret5: regret(predicted, truth, 5),
    regret10: regret(predicted, truth, 10)
  }
}

/** The indices of a bootstrap resample of `count` architectures. */
const resample = (count: number, key: Key.Key, index: number): Values => {
  const own = Key.derive(key, index)
  return Array.from({ length: count }, (_, i) => Key.integer(Key.derive(own, i), count))
}

/** A percentile of sorted values, interpolated linearly. */
const percentile = (sorted: Values, fraction: number): number => {
  const at = (sorted.length - 1) * fraction
  const below = Math.floor(at)
  const from = sorted[below]!
  return from + (sorted[Math.min(below + 1, sorted.length - 1)]! - from) * (at - below)
}

const intervalOf = (value: number | null, resampled: ReadonlyArray<number | null>): Figure => {
  const sorted = resampled.filter((one) => one !== null).sort((a, b) => a - b)
  return sorted.length === 0
    ? { value, low: null, high: null }
    : { value, low: percentile(sorted, 0.025), high: percentile(sorted, 0.975) }
}

const defaultResamples = 1000

/** The resamples of all predictors are the same architectures, so that differences of their figures are paired. */
const resamplesOf = (count: number, { key, resamples = defaultResamples }: QualityOptions): ReadonlyArray<Values> =>
  Array.from({ length: resamples }, (_, index) => resample(count, key, index))

const checkLengths = (predicted: Values, truth: Values): void => {
  if (predicted.length !== truth.length || truth.length < 2) {
    throw new RangeError(`a ranking needs two or more architectures, got ${predicted.length} scores of ${truth.length}`)
  }
}

/**
 * The quality of a ranking. `predicted` and `truth` are larger for better architectures, one number for each. Throws a
 * `RangeError` for lists of different lengths or of fewer than two numbers.
 *
 * **Example** (The two best are the wrong way round)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as RankQuality from "./RankQuality.ts"
 *
 * const predicted = [1, 2, 3, 5, 4]
 * const quality = RankQuality.of(predicted, [90, 91, 92, 93, 94], { noise: 0, key: Key.make(1) })
 * quality.tau.value // => 0.8
 * quality.regret1.value // => 1
 * quality.regret5.value // => 0
 * ```
 */
export const of = (predicted: Values, truth: Values, options: QualityOptions): RankQuality => {
  checkLengths(predicted, truth)
  const point = pointOf(predicted, truth, options.noise)
  const points = resamplesOf(truth.length, options).map((indices) =>
    pointOf(pick(predicted, indices), pick(truth, indices), options.noise)
  )
  const figure = (name: FigureName) =>
    intervalOf(
      point[name],
      points.map((one) => one[name])
    )
  return {
    tau: figure("tau"),
    tauTopHalf: figure("tauTopHalf"),
    tauRounded: figure("tauRounded"),
    spearman: figure("spearman"),
    precision5: figure("precision5"),
    precision10: figure("precision10"),
    regret1: figure("regret1"),
    regret5: figure("regret5"),
    regret10: figure("regret10")
  }
}

/**
 * How much larger the tau of one prediction is than that of another on the same architectures, with the bootstrap interval
 * of the difference: both are resampled together.
 *
 * **Example** (A perfect prediction against one that is backwards)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as RankQuality from "./RankQuality.ts"
 *
 * const truth = [90, 91, 92]
 * RankQuality.tauDifference([1, 2, 3], [3, 2, 1], truth, { noise: 0, key: Key.make(1) }).value // => 2
 * ```
 */
export const tauDifference = (one: Values, other: Values, truth: Values, options: QualityOptions): Figure => {
  checkLengths(one, truth)
  checkLengths(other, truth)
  const difference = (indices: Values): number | null => {
    const target = pick(truth, indices)
    const [a, b] = [kendall(pick(one, indices), target), kendall(pick(other, indices), target)]
    return a === null || b === null ? null : a - b
  }
  const all = truth.map((_, index) => index)
  return intervalOf(difference(all), resamplesOf(truth.length, options).map(difference))
}

/**
 * The regret to expect of the best of `count` architectures drawn at random without replacement: what a ranking must beat.
 *
 * **Example** (One of two)
 *
 * ```ts
 * import * as RankQuality from "./RankQuality.ts"
 *
 * RankQuality.randomRegret([90, 94], 1) // => 2
 * RankQuality.randomRegret([90, 94], 2) // => 0
 * ```
 */
export const randomRegret = (truth: Values, count: number): number => {
  const sorted = [...truth].sort((a, b) => b - a)
  const drawn = Math.min(count, sorted.length)
  let expected = 0
  /** The probability that none of the better ones was drawn. */
  let missed = 1
  for (const [better, value] of sorted.entries()) {
    const probability = Math.min(1, drawn / (sorted.length - better))
    expected += missed * probability * value
    missed *= 1 - probability
  }
  return sorted[0]! - expected
}
