/**
 * The machine of a training phase: piece by piece, each saved before the next begins. A piece is an epoch, or a part of one
 * if checkpoints are due more often; the code that fills the hole `train` decides.
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
import { onError } from "./OnError.ts"
import { Failure, type SavePiece, TrainingPhase, TrainingPosition } from "./RunState.ts"

/** Input of a training phase. */
export const TrainingInput = Schema.Struct({
  phase: TrainingPhase,
  /** The architecture to train; null: the supernet. */
  architecture: Schema.NullOr(Schema.Array(Schema.Int))
})
/** Input of a training phase. */
export type TrainingInput = typeof TrainingInput.Type

/** The context of the machine. */
export const TrainingContext = Schema.Struct({
  ...TrainingInput.fields,
  /** Null before the first piece. */
  position: Schema.NullOr(TrainingPosition),
  pausing: Schema.Boolean,
  failure: Schema.NullOr(Failure)
})
/** The context of the machine. */
export type TrainingContext = typeof TrainingContext.Type

/** `pause`: end after the current step; `resume`: clear a pause from before the restart. */
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
    /** Trains a piece and writes its checkpoint; ends early on a pause. */
    train: hole<TrainingPosition, TrainPiece>("train"),
    /** Persists the machine's snapshot. */
    save: hole<void, SavePiece>("save")
  },
  guards: {
    isComplete: ({ context }) => isComplete(context.position),
    isPausing: ({ context }) => context.pausing
  },
  actions: {
    advance: assign((_, params: { position: TrainingPosition }) => ({ position: params.position })),
    requestPause: assign({ pausing: true }),
    clearPause: assign({ pausing: false }),
    forwardPause: sendTo("train", { type: "pause" }),
    recordFailure: assign((_, params: { readonly failure: Failure }) => ({ failure: params.failure }))
  }
}).createMachine({
  id: "training",
  context: ({ input }) => ({ ...input, position: null, pausing: false, failure: null }),
  initial: "training",
  on: {
    pause: { actions: "requestPause" },
    resume: { actions: "clearPause" }
  },
  output: ({ context }) =>
    context.failure !== null
      ? { _tag: "Failed", failure: context.failure }
      : context.position !== null && isComplete(context.position)
        ? { _tag: "Trained", position: context.position }
        : { _tag: "Paused" },
  states: {
    training: {
      on: { pause: { actions: ["requestPause", "forwardPause"] } },
      invoke: {
        id: "train",
        src: "train",
        input: ({ context: { architecture, phase, position } }) => ({ phase, architecture, position }),
        onDone: {
          target: "saving",
          actions: { type: "advance", params: ({ event }) => ({ position: event.output }) }
        },
        onError
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
        onError
      }
    },
    trained: { type: "final" },
    paused: { type: "final" },
    failed: { type: "final" }
  }
})
