/**
 * A ranking: architectures with their true accuracy, what the supernet and the free predictions say of them, and how well
 * each prediction orders them. It is data, kept in `ranking.json`.
 */
import * as Schema from "effect/Schema"
import * as Key from "../random/Key.ts"
import * as Baselines from "./Baselines.ts"
import * as RankQuality from "./RankQuality.ts"

/** An architecture of a ranking. */
export const Row = Schema.Struct({
  architecture: Schema.String,
  /** True accuracy, in percent. */
  truth: Schema.Finite,
  /** Larger is taken to be better: `layers`, `flops`, `params`. */
  baselines: Schema.Record(Schema.String, Schema.Finite),
  /** Scores by the names of the predictions, larger for better: `loss` is the negative loss. */
  scores: Schema.Record(Schema.String, Schema.Finite)
})
/** An architecture of a ranking. */
export type Row = typeof Row.Type

/** A prediction and how well it orders the architectures. */
export const Predictor = Schema.Struct({
  name: Schema.String,
  /** `supernet`: needs its training; `zero-cost`: needs one batch; `free`: needs nothing. */
  kind: Schema.Literals(["supernet", "zero-cost", "free"]),
  quality: RankQuality.RankQuality
})
/** A prediction and how well it orders the architectures. */
export type Predictor = typeof Predictor.Type

/** The content of `ranking.json`. */
export const Ranking = Schema.Struct({
  format: Schema.Literal(1),
  /** Name of the run or of the configuration. */
  name: Schema.String,
  space: Schema.String,
  /** Number of architectures of the space. */
  size: Schema.String,
  /** SHA-256 of the supernet's weights; null: the estimator needs none. */
  supernet: Schema.NullOr(Schema.String),
  truth: Schema.Struct({ name: Schema.String, noise: Schema.Finite, digest: Schema.String }),
  seed: Schema.Int,
  predictors: Schema.Array(Predictor),
  /** Regret to expect of the best of 1, 5 and 10 architectures drawn at random. */
  random: Schema.Struct({ regret1: Schema.Finite, regret5: Schema.Finite, regret10: Schema.Finite }),
  /**
   * The tau of the prediction that a search minimises, less that of the best baseline on the same architectures, with its
   * interval. Null where there is no such prediction.
   */
  verdict: Schema.NullOr(
    Schema.Struct({ predictor: Schema.String, baseline: Schema.String, difference: RankQuality.Figure })
  ),
  rows: Schema.Array(Row)
})
/** The content of `ranking.json`. */
export type Ranking = typeof Ranking.Type

/** What {@link make} makes a ranking of. */
export interface RankingInput
  extends Pick<Ranking, "name" | "rows" | "seed" | "size" | "space" | "supernet" | "truth"> {
  /** Names of the supernet's predictions; the first is what a search minimises. */
  readonly predictions: ReadonlyArray<string>
  /** Names of the zero-cost predictions. */
  readonly zeroCost: ReadonlyArray<string>
  /** Bootstrap resamples; default 1000. */
  readonly resamples?: number | undefined
}

/** The baseline with the largest tau. */
const bestBaseline = (predictors: ReadonlyArray<Predictor>): Predictor | undefined =>
  predictors
    .filter(({ kind }) => kind !== "supernet")
    .reduce<Predictor | undefined>(
      (best, one) => ((one.quality.tau.value ?? -2) > (best?.quality.tau.value ?? -2) ? one : best),
      undefined
    )

/**
 * Judges all predictions on the same architectures. Throws a `RangeError` for fewer than two.
 *
 * **Example** (A loss that orders three architectures as their accuracies do)
 *
 * ```ts
 * import * as Ranking from "./Ranking.ts"
 *
 * const row = (architecture: string, truth: number, loss: number, layers: number) => ({
 *   architecture,
 *   truth,
 *   baselines: { layers, flops: layers, params: layers },
 *   scores: { loss: -loss }
 * })
 * const { predictors, verdict } = Ranking.make({
 *   name: "mine",
 *   space: "tiny",
 *   size: "27",
 *   supernet: null,
 *   truth: { name: "mine.csv", noise: 0, digest: "" },
 *   seed: 1,
 *   predictions: ["loss"],
 *   zeroCost: [],
 *   rows: [row("0,0", 90, 0.3, 2), row("0,1", 92, 0.2, 1), row("1,1", 94, 0.1, 3)]
 * })
 * predictors.map(({ name }) => name) // => ["loss", "layers", "flops", "params"]
 * verdict?.difference.value?.toFixed(4) // => "0.6667"
 * ```
 */
export const make = (input: RankingInput): Ranking => {
  const { name, predictions, rows, seed, size, space, supernet, truth, zeroCost } = input
  const target = rows.map((row) => row.truth)
  const { quality, tauDifference } = RankQuality.judge(target, {
    noise: truth.noise,
    resamples: input.resamples,
    key: Key.derive(Key.make(seed), "bootstrap")
  })
  const valuesOf = (predictor: string, kind: Predictor["kind"]) =>
    rows.map((row) => (kind === "free" ? row.baselines : row.scores)[predictor] ?? 0)
  const judge = (kind: Predictor["kind"]) => (predictor: string) => ({
    name: predictor,
    kind,
    quality: quality(valuesOf(predictor, kind))
  })
  const predictors = [
    ...predictions.map(judge("supernet")),
    ...zeroCost.map(judge("zero-cost")),
    ...Baselines.names.map(judge("free"))
  ]
  const [predictor] = predictions
  const baseline = bestBaseline(predictors)
  const random = (count: number) => RankQuality.randomRegret(target, count)
  return {
    format: 1,
    name,
    space,
    size,
    supernet,
    truth,
    seed,
    predictors,
    random: { regret1: random(1), regret5: random(5), regret10: random(10) },
    verdict:
      predictor === undefined || baseline === undefined
        ? null
        : {
            predictor,
            baseline: baseline.name,
            difference: tauDifference(valuesOf(predictor, "supernet"), valuesOf(baseline.name, baseline.kind))
          },
    rows
  }
}
