/** How a candidate is scored: by a trained supernet, by a tabular benchmark, by anything that gives a number. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
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
  /** Deterministic in the genotype: the same one always scores the same. */
  readonly score: (genotype: Genotype) => Effect.Effect<Score, EstimationError>
}

/** The performance estimator of a search. */
export class PerformanceEstimator extends Context.Service<PerformanceEstimator, PerformanceEstimatorShape>()(
  "osnas/estimator/PerformanceEstimator"
) {}
