/** How architectures are scored: with a trained supernet, with a tabular benchmark, or in any way that gives a number. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Finding } from "../component/Finding.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"

/** An architecture that could not be scored. */
export class EstimationError extends Schema.TaggedError<EstimationError>()("EstimationError", {
  estimator: Schema.String,
  genotype: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `estimator ${this.estimator}, architecture ${this.genotype}: ${this.reason}`
  }
}

/** A trained supernet. Its tensors belong to the caller: an estimator neither changes nor disposes them. */
export interface TrainedSupernet {
  /** SHA-256 (hex) of its checkpoint: two supernets with the same digest have the same weights. */
  readonly digest: string
  /** Parameters and running statistics of all paths. */
  readonly variables: Variables
  /** The criterion's own weights; `{}` if it has none. */
  readonly criterion: ParameterTree
}

/** What scoring takes besides the architectures. */
export interface ScoreOptions<E = never> {
  /** The run's trained supernet; undefined for an estimator that needs none. */
  readonly supernet?: TrainedSupernet | undefined
  /**
   * Called with each score as soon as it is known, with the index of its architecture in the list; in any order. A run
   * records the score here, so that a crash does not lose it. If it fails, the scoring fails.
   */
  readonly onScore?: ((index: number, score: Score) => Effect.Effect<void, E>) | undefined
}

/** Scores a list of architectures; the scores are in the order of the list. */
export type ScoreArchitectures = <E = never>(
  architectures: ReadonlyArray<Genotype>,
  options?: ScoreOptions<E>
) => Effect.Effect<ReadonlyArray<Score>, EstimationError | E>

/** The contract of an estimator. */
export interface PerformanceEstimatorShape {
  readonly name: string
  /** Whether it needs the run's trained supernet; default true. */
  readonly needsSupernet?: boolean | undefined
  /** Findings about its options that follow from the data, for the examination before the first step. */
  readonly findings?: ReadonlyArray<Finding> | undefined
  /** SHA-256 (hex) of data of its own, such as a table; a resumed run must find the same. */
  readonly digest?: string | undefined
  /**
   * Scores a generation. The scores are in the order of the list; it may compute several at once and in any order.
   * Deterministic: an architecture and a supernet have the same score in every list.
   */
  readonly score: ScoreArchitectures
}

/**
 * Scores the architectures of a list one by one, with a function that scores one.
 *
 * **Example** (A function of the architecture alone)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PerformanceEstimator from "./PerformanceEstimator.ts"
 *
 * const score = PerformanceEstimator.oneByOne((genotype) =>
 *   Effect.succeed({ objective: genotype.length, metrics: {} })
 * )
 * const scored = Effect.runSync(score([[0], [1, 2]]))
 * scored.map(({ objective }) => objective) // => [1, 2]
 * ```
 */
export const oneByOne =
  (
    scoreOne: (genotype: Genotype, supernet: TrainedSupernet | undefined) => Effect.Effect<Score, EstimationError>
  ): ScoreArchitectures =>
  (architectures, options) =>
    Effect.forEach(architectures, (genotype, index) =>
      Effect.tap(scoreOne(genotype, options?.supernet), (score) => options?.onScore?.(index, score) ?? Effect.void)
    )

/** What {@link scoreEach} takes beside the architectures. */
export interface ScoreEachOptions<E> extends ScoreOptions<E> {
  readonly onScore: (index: number, score: Score) => Effect.Effect<void, E>
}

/**
 * Scores architectures and calls `onScore` exactly once for each, whether the estimator reports a score on the way or only
 * in its list. Fails with an `EstimationError` if the list is shorter than that of the architectures.
 *
 * **Example** (An estimator that reports nothing on the way)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PerformanceEstimator from "./PerformanceEstimator.ts"
 *
 * const score = { objective: 0.5, metrics: {} }
 * const estimator = { name: "silent", score: () => Effect.succeed([score, score]) }
 * const seen: Array<number> = []
 * const onScore = (index: number) => Effect.sync(() => void seen.push(index))
 * const space = { format: (genotype: ReadonlyArray<number>) => genotype.join() }
 * Effect.runSync(PerformanceEstimator.scoreEach({ estimator, space }, [[0], [1]], { onScore }))
 * seen // => [0, 1]
 * const short = PerformanceEstimator.scoreEach({ estimator, space }, [[0], [1], [2]], { onScore })
 * Effect.runSync(Effect.flip(short)).genotype // => "2"
 * ```
 */
export const scoreEach = Effect.fnUntraced(function* <E>(
  {
    estimator,
    space
  }: {
    readonly estimator: Pick<PerformanceEstimatorShape, "name" | "score">
    readonly space: { readonly format: (genotype: Genotype) => string }
  },
  architectures: ReadonlyArray<Genotype>,
  options: ScoreEachOptions<E>
) {
  const reported = new Set<number>()
  const onScore = (index: number, score: Score): Effect.Effect<void, E> => {
    if (reported.has(index)) return Effect.void
    reported.add(index)
    return options.onScore(index, score)
  }
  const scores = yield* estimator.score(architectures, { supernet: options.supernet, onScore })
  const missing = architectures[scores.length]
  if (missing !== undefined) {
    const reason = `a list of ${architectures.length} architectures got ${scores.length} scores; expected one for each`
    return yield* new EstimationError({ estimator: estimator.name, genotype: space.format(missing), reason })
  }
  for (const [index, score] of scores.entries()) yield* onScore(index, score)
})

/**
 * The performance estimator of a search.
 *
 * **Example** (An estimator that knows a single architecture)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PerformanceEstimator from "./PerformanceEstimator.ts"
 *
 * const estimator = PerformanceEstimator.PerformanceEstimator.of({
 *   name: "single",
 *   needsSupernet: false,
 *   score: PerformanceEstimator.oneByOne((genotype) =>
 *     genotype.join() === "0,1"
 *       ? Effect.succeed({ objective: 0.2, metrics: { top1: 0.8 } })
 *       : Effect.fail(
 *           new PerformanceEstimator.EstimationError({
 *             estimator: "single",
 *             genotype: genotype.join(),
 *             reason: "the only architecture it knows is 0,1"
 *           })
 *         )
 *   )
 * })
 * Effect.runSync(estimator.score([[0, 1]])) // => [{ objective: 0.2, metrics: { top1: 0.8 } }]
 * ```
 */
export class PerformanceEstimator extends Context.Service<PerformanceEstimator, PerformanceEstimatorShape>()(
  "osnas/estimator/PerformanceEstimator"
) {}
