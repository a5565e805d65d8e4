/** How a candidate is scored: by a trained supernet, by a tabular benchmark, by anything that gives a number. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Finding } from "../component/Finding.ts"
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

/** The contract. */
export interface PerformanceEstimatorShape {
  readonly name: string
  /** Whether it scores by the run's trained supernet (`SupernetHandle`), which must be trained first. Default: it does. */
  readonly needsSupernet?: boolean | undefined
  /** Mistakes in its options that follow from the data alone, for the examination before the first step. */
  readonly findings?: ReadonlyArray<Finding> | undefined
  /** SHA-256 (hex) of data it scores by beside the run's own, as a table; a resumed run must find the same. */
  readonly digest?: string | undefined
  /** Deterministic in the genotype: the same one always scores the same. */
  readonly score: (genotype: Genotype) => Effect.Effect<Score, EstimationError>
}

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
 *   score: (genotype) =>
 *     genotype.join() === "0,1"
 *       ? Effect.succeed({ objective: 0.2, metrics: { top1: 0.8 } })
 *       : Effect.fail(
 *           new PerformanceEstimator.EstimationError({
 *             estimator: "single",
 *             genotype: genotype.join(),
 *             reason: "is not the one"
 *           })
 *         )
 * })
 * Effect.runSync(estimator.score([0, 1])).metrics // => { top1: 0.8 }
 * ```
 */
export class PerformanceEstimator extends Context.Service<PerformanceEstimator, PerformanceEstimatorShape>()(
  "osnas/estimator/PerformanceEstimator"
) {}
