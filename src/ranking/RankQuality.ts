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

/** Architectures with what every prediction of them is compared with. */
interface Sample {
  /** Places in the list that was given; a resample has some of them several times. */
  readonly indices: Values
  readonly truth: Values
  /** Their places by true accuracy, best first. */
  readonly order: Values
  /** The truth in multiples of its noise, where that is known. */
  readonly rounded: Values
}

const sampleOf = (truth: Values, indices: Values, noise: number): Sample => {
  const own = pick(truth, indices)
  const rounded = noise > 0 ? own.map((value) => Math.round(value / noise)) : own
  return { indices, truth: own, order: descending(own), rounded }
}

type Point = { readonly [K in FigureName]: number | null }

/** The figures of the architectures of a sample, without intervals. */
const pointOf = (all: Values, { indices, order, rounded, truth }: Sample): Point => {
  const predicted = pick(all, indices)
  const half = order.slice(0, Math.ceil(order.length / 2))
  const chosen = descending(predicted)
  const precision = (share: number): number => {
    const count = Math.max(1, Math.round(truth.length * share))
    const best = new Set(order.slice(0, count))
    return chosen.slice(0, count).filter((index) => best.has(index)).length / count
  }
  const regret = (count: number): number => truth[order[0]!]! - Math.max(...pick(truth, chosen.slice(0, count)))
  return {
    tau: kendall(predicted, truth),
    tauTopHalf: kendall(pick(predicted, half), pick(truth, half)),
    tauRounded: kendall(predicted, rounded),
    spearman: spearman(predicted, truth),
    precision5: precision(0.05),
    precision10: precision(0.1),
    regret1: regret(1),
    regret5: regret(5),
    regret10: regret(10)
  }
}

/** The indices of a bootstrap resample of `count` architectures. */
const resample = (count: number, key: Key.Key): Values =>
  Array.from({ length: count }, (_, i) => Key.integer(Key.derive(key, i), count))

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

/** Judges predictions of the same architectures. Predictions are larger for better ones, a number for each. */
export interface Judge {
  /** The quality of a ranking. Throws a `RangeError` for another number of predictions than of architectures. */
  readonly quality: (predicted: Values) => RankQuality
  /** How much larger the tau of one prediction is than that of another, resampled together. Throws as `quality` does. */
  readonly tauDifference: (one: Values, other: Values) => Figure
}

/**
 * A judge by true accuracies, larger for better architectures. All predictions are judged on the same resamples, so that
 * differences of their figures are paired. Throws a `RangeError` for fewer than two architectures.
 *
 * **Example** (The two best are the wrong way round)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as RankQuality from "./RankQuality.ts"
 *
 * const { quality, tauDifference } = RankQuality.judge([90, 91, 92, 93, 94], { noise: 0, key: Key.make(1) })
 * const { regret1, regret5, tau } = quality([1, 2, 3, 5, 4])
 * tau.value // => 0.8
 * [regret1.value, regret5.value] // => [1, 0]
 * tauDifference([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]).value // => 2
 * ```
 */
export const judge = (truth: Values, { key, noise, resamples = 1000 }: QualityOptions): Judge => {
  const count = truth.length
  const check = (predicted: Values): void => {
    if (predicted.length !== count) {
      throw new RangeError(`a ranking needs one score per architecture, got ${predicted.length} scores of ${count}`)
    }
  }
  if (count < 2) throw new RangeError(`a ranking needs two or more architectures, got ${count}`)
  const whole = sampleOf(truth, [...truth.keys()], noise)
  const samples = Array.from({ length: resamples }, (_, index) =>
    sampleOf(truth, resample(count, Key.derive(key, index)), noise)
  )
  const tau = (predicted: Values, sample: Sample) => kendall(pick(predicted, sample.indices), sample.truth)
  return {
    quality: (predicted) => {
      check(predicted)
      const point = pointOf(predicted, whole)
      const points = samples.map((sample) => pointOf(predicted, sample))
      const figure = (name: FigureName) => [
        name,
        intervalOf(
          point[name],
          points.map((one) => one[name])
        )
      ]
      return Object.fromEntries(figureNames.map(figure)) as RankQuality
    },
    tauDifference: (one, other) => {
      check(one)
      check(other)
      const difference = (sample: Sample): number | null => {
        const [a, b] = [tau(one, sample), tau(other, sample)]
        return a === null || b === null ? null : a - b
      }
      return intervalOf(difference(whole), samples.map(difference))
    }
  }
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
