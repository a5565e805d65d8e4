/**
 * Which components go together. A pairing that makes no sense is refused by name before anything is written, with the
 * reason and what would be right; all others run.
 */
import * as Schema from "effect/Schema"
import type { DataflowShape } from "../dataflow/Dataflow.ts"
import type { PerformanceEstimatorShape } from "../estimator/PerformanceEstimator.ts"
import type { SearchStrategyShape } from "../search-strategy/SearchStrategy.ts"
import type { TrainingStrategyShape } from "../training-strategy/TrainingStrategy.ts"

/** Components that do not go together: which, why, and what would. */
export class CompatibilityError extends Schema.TaggedError<CompatibilityError>()("CompatibilityError", {
  /** The key of the configuration to change. */
  key: Schema.String,
  /** By section: `trainingStrategy uniform`. */
  components: Schema.Array(Schema.String),
  reason: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.components.join(" and ")} do not go together: ${this.reason}; expected ${this.expected}`
  }
}

/** What is paired. */
export interface Paired {
  readonly trainingStrategy: Pick<TrainingStrategyShape, "name" | "follows">
  readonly searchStrategy: Pick<SearchStrategyShape, "name" | "gradient">
  readonly estimator: Pick<PerformanceEstimatorShape, "name" | "needsSupernet">
  readonly dataflow: Pick<DataflowShape, "name" | "count" | "steps">
  /** Whether a supernet is given, so that none is trained. */
  readonly given: boolean
}

/** The first reason why components do not go together; undefined where they do. */
export const check = (paired: Paired): CompatibilityError | undefined => {
  const { dataflow, estimator, given, searchStrategy, trainingStrategy } = paired
  const { gradient } = searchStrategy
  const sampler = `trainingStrategy ${trainingStrategy.name}`
  const searcher = `searchStrategy ${searchStrategy.name}`
  const refuse = (key: string, components: ReadonlyArray<string>, reason: string, expected: string) =>
    new CompatibilityError({ key, components, reason, expected })
  if (gradient !== undefined && estimator.needsSupernet === false) {
    return refuse(
      "estimator.name",
      [searcher, `estimator ${estimator.name}`],
      "the search learns by gradient through a supernet, and the estimator reads scores off a table, so that none is trained",
      "estimator supernet, or searchStrategy random or evolution"
    )
  }
  if (trainingStrategy.follows === true && !given && gradient?.plan._tag !== "WithSupernet") {
    return refuse(
      "trainingStrategy.name",
      [sampler, searcher],
      gradient === undefined
        ? "the sampler mixes the options by what the search has learned so far, and the search does not learn by gradient"
        : "the sampler mixes the options by what the search has learned so far, and the search learns only when the supernet is trained",
      "trainingStrategy uniform or fair, or searchStrategy softmax-differentiable or gumbel-softmax-differentiable with learn: training"
    )
  }
  if (trainingStrategy.follows !== true && !given && gradient?.plan._tag === "WithSupernet") {
    return refuse(
      "trainingStrategy.name",
      [sampler, searcher],
      "the search learns from mixtures of all options while the supernet is trained, and the sampler trains it without regard to them",
      "trainingStrategy differentiable, or learn: searching in searchStrategy, which learns on the supernet when it is trained"
    )
  }
  if (gradient !== undefined) {
    const { batchSize } = gradient.plan
    const images = dataflow.count("validation")
    if (dataflow.steps("validation", batchSize, true) < 1) {
      return refuse(
        "searchStrategy.batchSize",
        [searcher, `dataflow ${dataflow.name}`],
        `the search learns on batches of ${batchSize} images of the validation split, which has ${images}`,
        `searchStrategy.batchSize of at most ${images}, or more validation images`
      )
    }
  }
  return undefined
}
