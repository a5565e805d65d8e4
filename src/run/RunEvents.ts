/**
 * Everything a run tells while it goes on, as one typed stream: the journal keeps it, progress bars draw it, the report
 * is made from it. Events carry no time; a {@link Stamped} one does, and nothing that is digested holds either.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Stream from "effect/Stream"
import { Phase, TrainingPhase } from "../../machines/RunState.ts"
import { LearningReview } from "../search-strategy/SearchStrategy.ts"

const Metrics = Schema.Record(Schema.String, Schema.Finite)

/** The run begins, or goes on after a stop. */
export const RunStarted = Schema.TaggedStruct("RunStarted", {
  name: Schema.String,
  resumed: Schema.Boolean,
  seed: Schema.Int,
  space: Schema.String,
  /** How many architectures the space has, as text: it may exceed what a number holds. */
  size: Schema.String,
  dataset: Schema.String,
  engine: Schema.String,
  /** Name of the metric people read first. */
  headline: Schema.String
})
/** Options that are others than when the run began, which nothing recorded has used yet. */
export const OptionsChanged = Schema.TaggedStruct("OptionsChanged", {
  changes: Schema.Array(Schema.Struct({ key: Schema.String, was: Schema.String, is: Schema.String }))
})
/** A phase begins, or goes on after a stop. */
export const PhaseStarted = Schema.TaggedStruct("PhaseStarted", {
  phase: Phase,
  /** What is done already, and what there is in all: optimiser steps, candidates; null where nobody knows. */
  done: Schema.Int,
  total: Schema.NullOr(Schema.Int)
})
/** Progress of training; not every step is told. */
export const StepDone = Schema.TaggedStruct("StepDone", {
  phase: TrainingPhase,
  /** Optimiser steps done, of all steps of the phase. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Epochs done, with the fraction of the current one. */
  epoch: Schema.Finite,
  /** Mean of the epoch so far. */
  loss: Schema.Finite,
  accuracy: Schema.NullOr(Schema.Finite),
  learningRate: Schema.Finite,
  imagesPerSecond: Schema.Finite,
  remainingSeconds: Schema.Finite
})
/** An epoch of training is over: means over its steps. */
export const EpochDone = Schema.TaggedStruct("EpochDone", {
  phase: TrainingPhase,
  /** From 1. */
  epoch: Schema.Int,
  epochs: Schema.Int,
  loss: Schema.Finite,
  accuracy: Schema.NullOr(Schema.Finite),
  learningRate: Schema.Finite
})
/** A candidate is scored. */
export const CandidateScored = Schema.TaggedStruct("CandidateScored", {
  /** From 0, over the whole search. */
  evaluation: Schema.Int,
  total: Schema.NullOr(Schema.Int),
  generation: Schema.Int,
  architecture: Schema.String,
  /** In the budget's metric. */
  cost: Schema.Finite,
  objective: Schema.Finite,
  metrics: Metrics
})
/** A generation of candidates is scored and told. */
export const GenerationDone = Schema.TaggedStruct("GenerationDone", {
  /** From 0. */
  generation: Schema.Int,
  best: Schema.NullOr(
    Schema.Struct({ architecture: Schema.String, cost: Schema.Finite, objective: Schema.Finite, metrics: Metrics })
  )
})
/**
 * A search strategy has learned by gradient: between two steps of the supernet's training, or in the search phase before
 * it asks for candidates. Not every step is told.
 */
export const Learned = Schema.TaggedStruct("Learned", {
  phase: Phase,
  /** Steps of learning done, of all. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Of the last step; where `probabilities` are told, means over the epoch (the pass over the validation split). */
  metrics: Metrics,
  /** At the end of an epoch: [layer][option]; else null. */
  probabilities: Schema.NullOr(Schema.Array(Schema.Array(Schema.Finite)))
})
/** A search strategy that learned on the trained supernet has judged what it learned. */
export const LearningReviewed = Schema.TaggedStruct("LearningReviewed", LearningReview.fields)
/** The criterion had something to say about a batch, say that no triplet could be formed; only the first time in an epoch. */
export const CriterionWarning = Schema.TaggedStruct("CriterionWarning", {
  phase: TrainingPhase,
  /** From 1. */
  epoch: Schema.Int,
  /** Of the epoch, from 1. */
  step: Schema.Int,
  warning: Schema.String
})
/** Tensors are on disk. */
export const CheckpointSaved = Schema.TaggedStruct("CheckpointSaved", {
  phase: Phase,
  step: Schema.Int,
  file: Schema.String,
  digest: Schema.String
})
/** The metrics on the test set. */
export const Evaluated = Schema.TaggedStruct("Evaluated", { metrics: Metrics })
/** A phase is over, or stops before its end. */
export const PhaseEnded = Schema.TaggedStruct("PhaseEnded", {
  phase: Phase,
  /** Why it stops before its end; absent: it is over. */
  stopped: Schema.optionalKey(Schema.Literals(["paused", "failed"])),
  /** How far it came, where it stops before its end and that can be counted; `total` null where nobody knows. */
  reached: Schema.optionalKey(
    Schema.Struct({
      unit: Schema.Literals(["step", "candidate"]),
      done: Schema.Int,
      total: Schema.NullOr(Schema.Int)
    })
  ),
  /** Time spent in it since it began or went on. */
  seconds: Schema.Finite,
  /** Of that: what journals, checkpoints, snapshots and their digests took. */
  savingSeconds: Schema.optionalKey(Schema.Finite)
})
/** The run stopped by wish; it can be resumed. */
export const RunPaused = Schema.TaggedStruct("RunPaused", { resume: Schema.String })
/** The run stopped by a failure; what was saved is still good. */
export const RunFailed = Schema.TaggedStruct("RunFailed", { tag: Schema.String, message: Schema.String })
/** The run reached its end. */
export const RunDone = Schema.TaggedStruct("RunDone", {
  architecture: Schema.NullOr(Schema.String),
  costs: Metrics,
  metrics: Metrics
})

/**
 * Any event of a run.
 *
 * **Example** (Every kind, by its tag)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as RunEvents from "./RunEvents.ts"
 *
 * const told: RunEvents.RunEvent = { _tag: "RunPaused", resume: "osnas resume runs/mine" }
 * Schema.is(RunEvents.RunPaused)(told) // => true
 * Schema.is(RunEvents.Stamped)({ time: 0, event: told }) // => true
 * const { CandidateScored, CheckpointSaved, EpochDone, Evaluated, GenerationDone, Learned } = RunEvents
 * const { LearningReviewed, OptionsChanged, CriterionWarning } = RunEvents
 * const { PhaseEnded, PhaseStarted, RunDone, RunFailed, RunStarted, StepDone } = RunEvents
 * const begins = [RunStarted, PhaseStarted, StepDone, EpochDone, CheckpointSaved]
 * const others = [CandidateScored, GenerationDone, Evaluated, PhaseEnded, RunFailed, RunDone, Learned, LearningReviewed]
 * ;[...begins, ...others, CriterionWarning, OptionsChanged].some((schema) => Schema.is(schema)(told)) // => false
 * ```
 */
export const RunEvent = Schema.Union([
  RunStarted,
  OptionsChanged,
  PhaseStarted,
  StepDone,
  EpochDone,
  Learned,
  LearningReviewed,
  CriterionWarning,
  CandidateScored,
  GenerationDone,
  CheckpointSaved,
  Evaluated,
  PhaseEnded,
  RunPaused,
  RunFailed,
  RunDone
])
/** Any event of a run. */
export type RunEvent = typeof RunEvent.Type

/** An event and when it was: milliseconds since 1970. */
export const Stamped = Schema.Struct({ time: Schema.Finite, event: RunEvent })
/** An event and when it was. */
export type Stamped = typeof Stamped.Type

/** The contract. */
export interface RunEventsShape {
  readonly publish: (event: RunEvent) => Effect.Effect<Stamped>
  /** What is published from the subscription on. */
  readonly subscribe: Effect.Effect<Stream.Stream<Stamped>, never, Scope>
}

/**
 * The event stream of a run.
 *
 * **Example** (Hearing what is published)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as RunEvents from "./RunEvents.ts"
 *
 * const program = Effect.gen(function* () {
 *   const events = yield* RunEvents.RunEvents
 *   const heard = yield* events.subscribe
 *   yield* events.publish({ _tag: "GenerationDone", generation: 0, best: null })
 *   return yield* Stream.runCollect(Stream.take(heard, 1))
 * })
 * const heard = await Effect.runPromise(Effect.scoped(Effect.provide(program, RunEvents.RunEvents.layer)))
 * heard.map(({ event }) => event._tag) // => ["GenerationDone"]
 * ```
 */
export class RunEvents extends Context.Service<RunEvents, RunEventsShape>()("osnas/run/RunEvents") {
  /** Within the process. A subscriber that falls far behind loses the oldest events; the journal loses none. */
  static readonly layer: Layer.Layer<RunEvents> = Layer.effect(
    RunEvents,
    Effect.gen(function* () {
      const pubsub = yield* Effect.acquireRelease(PubSub.sliding<Stamped>(4096), PubSub.shutdown)
      return RunEvents.of({
        publish: (event) =>
          Effect.gen(function* () {
            const stamped = { time: yield* Clock.currentTimeMillis, event }
            yield* PubSub.publish(pubsub, stamped)
            return stamped
          }),
        subscribe: Effect.map(PubSub.subscribe(pubsub), Stream.fromSubscription)
      })
    })
  )
}
