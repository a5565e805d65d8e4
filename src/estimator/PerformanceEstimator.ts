/** How architectures are scored: with a trained supernet, with a tabular benchmark, with anything that gives a number. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Finding } from "../component/Finding.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"

/** A candidate that could not be scored. */
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
  /** SHA-256 (hex) of its checkpoint, which names the weights: two supernets of one digest are the same. */
  readonly digest: string
  /** Parameters and running statistics of all paths. */
  readonly variables: Variables
  /** The criterion's own weights; `{}` where it has none. */
  readonly criterion: ParameterTree
}

/** What scoring takes beside the architectures. */
export interface ScoreOptions<E = never> {
  /** The run's trained supernet; undefined for an estimator that needs none. */
  readonly supernet?: TrainedSupernet | undefined
  /**
   * Called with each score as soon as it is known, and the index of its architecture in the list; in any order. A run
   * records the score here, so that a crash does not lose it. A failure ends the scoring with it.
   */
  readonly onScore?: ((index: number, score: Score) => Effect.Effect<void, E>) | undefined
}

/** Scores a list of architectures; gives their scores in the order of the list. */
export type ScoreArchitectures = <E = never>(
  architectures: ReadonlyArray<Genotype>,
  options?: ScoreOptions<E>
) => Effect.Effect<ReadonlyArray<Score>, EstimationError | E>

/** The contract. */
export interface PerformanceEstimatorShape {
  readonly name: string
  /** Whether it scores with the run's trained supernet, which must be trained first. Default: it does. */
  readonly needsSupernet?: boolean | undefined
  /** Mistakes in its options that follow from the data alone, for the examination before the first step. */
  readonly findings?: ReadonlyArray<Finding> | undefined
  /** SHA-256 (hex) of data it scores by beside the run's own, as a table; a resumed run must find the same. */
  readonly digest?: string | undefined
  /**
   * Scores a generation: a list of architectures in, their scores out, in the order of the list. It may score several at
   * once and in any order. Deterministic: the same architecture and supernet always score the same, in whatever list.
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

/**
 * The performance estimator of a search.
 *
 * **Example** (One that knows a single architecture)
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
