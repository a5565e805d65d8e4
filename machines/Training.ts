/**
 * The machine of a training phase: piece after piece, each saved before the next begins. A piece is an epoch or, where
 * checkpoints are asked for more often, a part of one; who fills the hole `train` decides.
 *
 * **Example** (The first piece of a phase, stepped by hand)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { initialTransition } from "xstate"
 * import * as Training from "./Training.ts"
 *
 * const input: Training.TrainingInput = { phase: "supernetTraining", architecture: null }
 * Schema.is(Training.TrainingInput)(input) // => true
 * const [snapshot] = initialTransition(Training.trainingMachine, input)
 * snapshot.value // => "training"
 * Schema.is(Training.TrainingContext)(snapshot.context) // => true
 * Training.isComplete(snapshot.context.position) // => false
 * ```
 */
import * as Schema from "effect/Schema"
import { assign, sendTo, setup } from "xstate"
import { hole } from "./fromEffect.ts"
import { Failure, type SavePiece, TrainingPhase, TrainingPosition, toFailure } from "./RunState.ts"

/** What a training phase starts with. */
export const TrainingInput = Schema.Struct({
  phase: TrainingPhase,
  /** The architecture that is trained; null: the supernet. */
  architecture: Schema.NullOr(Schema.Array(Schema.Int))
})
/** What a training phase starts with. */
export type TrainingInput = typeof TrainingInput.Type

/** What the machine remembers. */
export const TrainingContext = Schema.Struct({
  ...TrainingInput.fields,
  /** Null: nothing is trained yet. */
  position: Schema.NullOr(TrainingPosition),
  pausing: Schema.Boolean,
  failure: Schema.NullOr(Failure)
})
/** What the machine remembers. */
export type TrainingContext = typeof TrainingContext.Type

/** `pause`: end after the current step; `resume`: forget a pause asked for in an earlier life. */
export type TrainingEvent = { readonly type: "pause" } | { readonly type: "resume" }

/** How the phase ended. */
export type TrainingOutput =
  | { readonly _tag: "Trained"; readonly position: TrainingPosition }
  | { readonly _tag: "Paused" }
  | { readonly _tag: "Failed"; readonly failure: Failure }

/** Input of the hole `train`: continue from `position` (null: from the start) to the end of a piece. */
export interface TrainPiece extends TrainingInput {
  readonly position: TrainingPosition | null
}

/** Whether all steps are done. */
export const isComplete = (position: TrainingPosition | null): boolean =>
  position !== null && position.step >= position.steps

/** The machine of a training phase. */
export const trainingMachine = setup({
  types: {
    context: {} as TrainingContext,
    events: {} as TrainingEvent,
    input: {} as TrainingInput,
    output: {} as TrainingOutput
  },
  actors: {
    /** Trains a piece and writes its checkpoint; ends early when asked to pause. */
    train: hole<TrainingPosition, TrainPiece>("train"),
    /** Makes the machine's snapshot the state of the run on disk. */
    save: hole<void, SavePiece>("save")
  },
  guards: {
    isComplete: ({ context }) => isComplete(context.position),
    isPausing: ({ context }) => context.pausing
  },
  actions: {
    advance: assign((_, params: { position: TrainingPosition }) => ({ position: params.position })),
    askToPause: assign({ pausing: true }),
    forgetPause: assign({ pausing: false }),
    forwardPause: sendTo("train", { type: "pause" }),
    recordFailure: assign((_, params: { error: unknown }) => ({ failure: toFailure(params.error) }))
  }
}).createMachine({
  id: "training",
  context: ({ input }) => ({ ...input, position: null, pausing: false, failure: null }),
  initial: "training",
  on: {
    pause: { actions: "askToPause" },
    resume: { actions: "forgetPause" }
  },
  output: ({ context }) =>
    context.failure !== null
      ? { _tag: "Failed", failure: context.failure }
      : context.position !== null && isComplete(context.position)
        ? { _tag: "Trained", position: context.position }
        : { _tag: "Paused" },
  states: {
    training: {
      on: { pause: { actions: ["askToPause", "forwardPause"] } },
      invoke: {
        id: "train",
        src: "train",
        input: ({ context: { architecture, phase, position } }) => ({ phase, architecture, position }),
        onDone: {
          target: "saving",
          actions: { type: "advance", params: ({ event }) => ({ position: event.output }) }
        },
        onError: {
          target: "failed",
          actions: { type: "recordFailure", params: ({ event }) => ({ error: event.error }) }
        }
      }
    },
    saving: {
      invoke: {
        id: "save",
        src: "save",
        input: ({ context: { phase } }) => ({ phase }),
        onDone: [
          { guard: "isComplete", target: "trained" },
          { guard: "isPausing", target: "paused" },
          { target: "training" }
        ],
        onError: {
          target: "failed",
          actions: { type: "recordFailure", params: ({ event }) => ({ error: event.error }) }
        }
      }
    },
    trained: { type: "final" },
    paused: { type: "final" },
    failed: { type: "final" }
  }
})
