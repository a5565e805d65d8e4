/**
 * The events of a run, as one typed stream. The journal records them, progress bars show them, and the report is made from
 * them. Only a {@link Stamped} event has a time. No digest covers events or times, so results do not depend on either.
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

/** The run begins or resumes. */
export const RunStarted = Schema.TaggedStruct("RunStarted", {
  name: Schema.String,
  resumed: Schema.Boolean,
  seed: Schema.Int,
  space: Schema.String,
  /** Number of architectures of the space, as text: it may exceed the largest safe integer. */
  size: Schema.String,
  dataset: Schema.String,
  engine: Schema.String,
  /** Name of the primary metric. */
  headline: Schema.String
})
/** Options that differ from those the run began with. No recorded result depends on them. */
export const OptionsChanged = Schema.TaggedStruct("OptionsChanged", {
  changes: Schema.Array(Schema.Struct({ key: Schema.String, was: Schema.String, is: Schema.String }))
})
/** A phase begins or resumes. */
export const PhaseStarted = Schema.TaggedStruct("PhaseStarted", {
  phase: Phase,
  /** Optimizer steps or candidates: those done before, and all; null if the total is unknown. */
  done: Schema.Int,
  total: Schema.NullOr(Schema.Int)
})
/** Progress of training. Not every step is reported. */
export const StepDone = Schema.TaggedStruct("StepDone", {
  phase: TrainingPhase,
  /** Optimizer steps done, and all of the phase. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Epochs done, including the fraction of the current one. */
  epoch: Schema.Finite,
  /** Mean of the epoch so far. */
  loss: Schema.Finite,
  accuracy: Schema.NullOr(Schema.Finite),
  learningRate: Schema.Finite,
  imagesPerSecond: Schema.Finite,
  remainingSeconds: Schema.Finite
})
/** An epoch of training is complete: means over its steps. */
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
/** A generation of candidates is scored, and the searcher has received the scores. */
export const GenerationDone = Schema.TaggedStruct("GenerationDone", {
  /** From 0. */
  generation: Schema.Int,
  best: Schema.NullOr(
    Schema.Struct({ architecture: Schema.String, cost: Schema.Finite, objective: Schema.Finite, metrics: Metrics })
  )
})
/**
 * Progress of a gradient-based searcher: between two steps of supernet training, or in the search phase before it proposes
 * candidates. Not every step is reported.
 */
export const Learned = Schema.TaggedStruct("Learned", {
  phase: Phase,
  /** Steps of learning done, and all. */
  step: Schema.Int,
  steps: Schema.Int,
  /** Of the last step; with `probabilities`, means over the epoch (the pass over the validation split). */
  metrics: Metrics,
  /** [layer][option] at the end of an epoch; otherwise null. */
  probabilities: Schema.NullOr(Schema.Array(Schema.Array(Schema.Finite)))
})
/** A searcher that learned on the trained supernet has reviewed what it learned. */
export const LearningReviewed = Schema.TaggedStruct("LearningReviewed", LearningReview.fields)
/** A warning of the criterion about a batch, such as that no triplet could be formed; the first of an epoch only. */
export const CriterionWarning = Schema.TaggedStruct("CriterionWarning", {
  phase: TrainingPhase,
  /** From 1. */
  epoch: Schema.Int,
  /** Within the epoch, from 1. */
  step: Schema.Int,
  warning: Schema.String
})
/** A checkpoint is on disk. */
export const CheckpointSaved = Schema.TaggedStruct("CheckpointSaved", {
  phase: Phase,
  step: Schema.Int,
  file: Schema.String,
  digest: Schema.String
})
/** The metrics on the test split. */
export const Evaluated = Schema.TaggedStruct("Evaluated", { metrics: Metrics })
/** A phase is complete, or stopped early. */
export const PhaseEnded = Schema.TaggedStruct("PhaseEnded", {
  phase: Phase,
  /** Why it stopped early; absent if it is complete. */
  stopped: Schema.optionalKey(Schema.Literals(["paused", "failed"])),
  /** How far it came, if it stopped early and that can be counted; `total` is null if unknown. */
  reached: Schema.optionalKey(
    Schema.Struct({
      unit: Schema.Literals(["step", "candidate"]),
      done: Schema.Int,
      total: Schema.NullOr(Schema.Int)
    })
  ),
  /** Duration since it began or resumed. */
  seconds: Schema.Finite,
  /** The part of it spent on journals, checkpoints, snapshots and their digests. */
  savingSeconds: Schema.optionalKey(Schema.Finite)
})
/** The run paused on request; it can be resumed. */
export const RunPaused = Schema.TaggedStruct("RunPaused", { resume: Schema.String })
/** The run failed; everything saved before is still valid. */
export const RunFailed = Schema.TaggedStruct("RunFailed", { tag: Schema.String, message: Schema.String })
/** The run is complete. */
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
 * const event: RunEvents.RunEvent = { _tag: "RunPaused", resume: "osnas resume runs/mine" }
 * Schema.is(RunEvents.RunPaused)(event) // => true
 * Schema.is(RunEvents.Stamped)({ time: 0, event }) // => true
 * const { CandidateScored, CheckpointSaved, EpochDone, Evaluated, GenerationDone, Learned } = RunEvents
 * const { LearningReviewed, OptionsChanged, CriterionWarning } = RunEvents
 * const { PhaseEnded, PhaseStarted, RunDone, RunFailed, RunStarted, StepDone } = RunEvents
 * const begins = [RunStarted, PhaseStarted, StepDone, EpochDone, CheckpointSaved]
 * const others = [CandidateScored, GenerationDone, Evaluated, PhaseEnded, RunFailed, RunDone, Learned, LearningReviewed]
 * ;[...begins, ...others, CriterionWarning, OptionsChanged].some((schema) => Schema.is(schema)(event)) // => false
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

/** An event and its time in milliseconds since 1970. */
export const Stamped = Schema.Struct({ time: Schema.Finite, event: RunEvent })
/** An event and its time. */
export type Stamped = typeof Stamped.Type

/** The contract. */
export interface RunEventsShape {
  readonly publish: (event: RunEvent) => Effect.Effect<Stamped>
  /** The events published after the subscription. */
  readonly subscribe: Effect.Effect<Stream.Stream<Stamped>, never, Scope>
}

/**
 * The event stream of a run.
 *
 * **Example** (A subscriber)
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
  /** Within the process. A subscriber that falls more than 4096 events behind loses the oldest; the journal loses none. */
  static readonly layer: Layer.Layer<RunEvents> = Layer.effect(
    RunEvents,
    Effect.gen(function* () {
      const pubsub = yield* Effect.acquireRelease(PubSub.sliding<Stamped>(4096), PubSub.shutdown)
      return RunEvents.of({
        publish: Effect.fnUntraced(function* (event: RunEvent) {
          const stamped = { time: yield* Clock.currentTimeMillis, event }
          yield* PubSub.publish(pubsub, stamped)
          return stamped
        }),
        subscribe: Effect.map(PubSub.subscribe(pubsub), Stream.fromSubscription)
      })
    })
  )
}
