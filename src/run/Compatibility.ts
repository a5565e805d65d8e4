/**
 * Which components go together. A pairing that cannot work is refused by name before anything is written, with the reason
 * and what would be right.
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

/** The components of a run that must fit. */
export interface Paired {
  readonly trainingStrategy: Pick<TrainingStrategyShape, "name" | "follows">
  readonly searchStrategy: Pick<SearchStrategyShape, "name" | "gradient">
  readonly estimator: Pick<PerformanceEstimatorShape, "name" | "needsSupernet">
  readonly dataflow: Pick<DataflowShape, "name" | "count" | "steps">
  /** Whether the run starts from a given supernet instead of training one. */
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
      "the search is gradient-based and needs a supernet, and with an estimator that reads scores from a table none is trained",
      "estimator supernet, or searchStrategy random or evolution"
    )
  }
  if (trainingStrategy.follows === true && !given && gradient?.plan._tag !== "WithSupernet") {
    return refuse(
      "trainingStrategy.name",
      [sampler, searcher],
      gradient === undefined
        ? "the sampler weights the options by the search's current distribution, and the search is not gradient-based"
        : "the sampler weights the options by the search's current distribution, and the search learns only after the supernet is trained",
      "trainingStrategy uniform or fair, or searchStrategy softmax-differentiable or gumbel-softmax-differentiable with learn: training"
    )
  }
  if (trainingStrategy.follows !== true && !given && gradient?.plan._tag === "WithSupernet") {
    return refuse(
      "trainingStrategy.name",
      [sampler, searcher],
      "the search learns from mixtures of all options while the supernet is trained, and the sampler does not train mixtures",
      "trainingStrategy differentiable, or searchStrategy with learn: searching, which learns once the supernet is trained"
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
