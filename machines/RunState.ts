/**
 * The data that the machines exchange and that a run's snapshot contains. All of it is JSON; tensors are references to a
 * checkpoint file by name and digest. Every type is a Schema, because a snapshot from disk is decoded before use.
 *
 * **Example** (Parts of a snapshot)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as RunState from "./RunState.ts"
 *
 * RunState.phases // => RunState.Phase.literals
 * Schema.is(RunState.TrainingPhase)("searching") // => false
 * const checkpoint = { file: "checkpoints/supernetTraining-000000004.safetensors", digest: "ab" }
 * Schema.is(RunState.CheckpointRef)(checkpoint) // => true
 * const epoch = { epoch: 1, loss: 2.3, accuracy: 0.1, learningRate: 0.05, weights: null }
 * Schema.is(RunState.EpochRecord)(epoch) // => true
 * Schema.is(RunState.TrainingPosition)({ step: 4, steps: 8, checkpoint, weights: "cd", history: [epoch] }) // => true
 * Schema.is(RunState.LearningPosition)({ step: 4, steps: 8, checkpoint, history: [] }) // => true
 * Schema.is(RunState.SearchResult)({ architecture: [0, 1], evaluations: null, best: null }) // => true
 * Schema.is(RunState.Failure)({ tag: "DiskError", message: "the disk is full" }) // => true
 * Schema.is(RunState.Results)(RunState.noResults) // => true
 * ```
 */
import * as Schema from "effect/Schema"
import { Phase, phases, TrainingPhase } from "../src/component/Phase.ts"
import { LearningReview, Score, Scored } from "../src/search-strategy/SearchStrategy.ts"

export { Phase, phases, Score, Scored, TrainingPhase }

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Tensors on disk: a file of the run's folder and the digest (SHA-256, hex) of the header that names all its tensors. */
export const CheckpointRef = Schema.Struct({ file: Schema.String, digest: Schema.String })
/** Tensors on disk. */
export type CheckpointRef = typeof CheckpointRef.Type

/** A completed epoch of training: means over its steps. */
export const EpochRecord = Schema.Struct({
  /** From 1. */
  epoch: Count,
  loss: Schema.Finite,
  /** Fraction of training images classified correctly during training; null if the task has no classes. */
  accuracy: Schema.NullOr(Schema.Finite),
  /** Learning rate of the epoch's last step. */
  learningRate: Schema.Finite,
  /** Digest of the weights at its end (SHA-256, hex), to verify a part of a run; null: not computed. */
  weights: Schema.NullOr(Schema.String),
  /** Means of the metrics of a gradient-based searcher that learns during supernet training. */
  learned: Schema.optionalKey(Schema.Record(Schema.String, Schema.Finite))
})
/** A completed epoch of training. */
export type EpochRecord = typeof EpochRecord.Type

/** Position of a training phase. */
export const TrainingPosition = Schema.Struct({
  /** Optimizer steps done. */
  step: Count,
  /** Optimizer steps of the whole phase. */
  steps: Count,
  checkpoint: CheckpointRef,
  /** Digest of the weights alone (SHA-256, hex), which a run of the same seed must reach again. */
  weights: Schema.String,
  history: Schema.Array(EpochRecord)
})
/** Position of a training phase. */
export type TrainingPosition = typeof TrainingPosition.Type

/** Position of the learning of a searcher on the trained supernet. */
export const LearningPosition = Schema.Struct({
  /** Steps of learning done. */
  step: Count,
  /** Steps of learning in all. */
  steps: Count,
  checkpoint: CheckpointRef,
  /** One entry per pass over the validation split: means over its steps. */
  history: Schema.Array(Schema.Record(Schema.String, Schema.Finite)),
  /** The searcher's own review, once learning is complete. */
  review: Schema.optionalKey(LearningReview)
})
/** Position of the learning of a searcher on the trained supernet. */
export type LearningPosition = typeof LearningPosition.Type

/** The result of a search. */
export const SearchResult = Schema.Struct({
  architecture: Schema.Array(Count),
  /** Number of scored candidates. Null: the architecture was given, not searched. */
  evaluations: Schema.NullOr(Count),
  best: Schema.NullOr(Scored),
  /** Final position of a searcher that learned on the trained supernet. */
  learning: Schema.optionalKey(LearningPosition)
})
/** The result of a search. */
export type SearchResult = typeof SearchResult.Type

/** Why a run failed, in JSON: the tag of the error and its message. */
export const Failure = Schema.Struct({ tag: Schema.String, message: Schema.String })
/** Why a run failed. */
export type Failure = typeof Failure.Type

/** The results of all phases so far. */
export const Results = Schema.Struct({
  /** The trained supernet: weights and running statistics. */
  supernet: Schema.NullOr(CheckpointRef),
  supernetTraining: Schema.NullOr(TrainingPosition),
  search: Schema.NullOr(SearchResult),
  /** The trained weights of the found architecture. */
  network: Schema.NullOr(CheckpointRef),
  retraining: Schema.NullOr(TrainingPosition),
  /** Metrics on the test split, by name. */
  evaluation: Schema.NullOr(Schema.Record(Schema.String, Schema.Finite))
})
/** The results of all phases so far. */
export type Results = typeof Results.Type

/** Input of the hole `save`: the phase whose snapshot is saved. */
export interface SavePiece {
  readonly phase: Phase
}

/** Input of the hole `record`: the last completed phase, and all results. */
export interface RecordResults {
  readonly completed: Phase | null
  readonly results: Results
}

/** The results of a run that has not begun. */
export const noResults: Results = {
  supernet: null,
  supernetTraining: null,
  search: null,
  network: null,
  retraining: null,
  evaluation: null
}

/**
 * Any thrown or failed value as JSON.
 *
 * **Example** (A JavaScript error)
 *
 * ```ts
 * import { toFailure } from "./RunState.ts"
 *
 * toFailure(new RangeError("too long")) // => { tag: "RangeError", message: "too long" }
 * toFailure("odd") // => { tag: "Unknown", message: "odd" }
 * ```
 */
export const toFailure = (error: unknown): Failure => {
  if (error instanceof Error) {
    const tag = "_tag" in error && typeof error._tag === "string" ? error._tag : error.name
    return { tag, message: error.message }
  }
  return { tag: "Unknown", message: String(error) }
}
