/**
 * The machine of the evaluation on the test split. It saves nothing on the way: a pause ends it at once, and a resumed run
 * evaluates again.
 *
 * **Example** (From its beginning to its end, stepped by hand)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { initialTransition, transition } from "xstate"
 * import * as Evaluating from "./Evaluating.ts"
 *
 * const input: Evaluating.EvaluatingInput = {
 *   architecture: [0, 1],
 *   network: { file: "network.safetensors", digest: "ab" }
 * }
 * Schema.is(Evaluating.EvaluatingInput)(input) // => true
 * const [begun] = initialTransition(Evaluating.evaluatingMachine, input)
 * const done = { type: "xstate.done.actor.evaluate", output: { top1: 0.9 } } as never
 * const [ended] = transition(Evaluating.evaluatingMachine, begun, done)
 * ended.output // => { _tag: "Evaluated", metrics: { top1: 0.9 } }
 * Schema.is(Evaluating.EvaluatingContext)(ended.context) // => true
 * ```
 */
import * as Schema from "effect/Schema"
import { assign, setup } from "xstate"
import { hole } from "./fromEffect.ts"
import { onError } from "./OnError.ts"
import { CheckpointRef, Failure } from "./RunState.ts"

/** Input of an evaluation. */
export const EvaluatingInput = Schema.Struct({
  architecture: Schema.Array(Schema.Int),
  network: CheckpointRef
})
/** Input of an evaluation. */
export type EvaluatingInput = typeof EvaluatingInput.Type

const Metrics = Schema.Record(Schema.String, Schema.Finite)

/** The context of the machine. */
export const EvaluatingContext = Schema.Struct({
  ...EvaluatingInput.fields,
  metrics: Schema.NullOr(Metrics),
  failure: Schema.NullOr(Failure)
})
/** The context of the machine. */
export type EvaluatingContext = typeof EvaluatingContext.Type

/** `pause` ends it at once. */
export type EvaluatingEvent = { readonly type: "pause" } | { readonly type: "resume" }

/** How the evaluation ended. */
export type EvaluatingOutput =
  | { readonly _tag: "Evaluated"; readonly metrics: Readonly<Record<string, number>> }
  | { readonly _tag: "Paused" }
  | { readonly _tag: "Failed"; readonly failure: Failure }

/** The machine of the evaluation. */
export const evaluatingMachine = setup({
  types: {
    context: {} as EvaluatingContext,
    events: {} as EvaluatingEvent,
    input: {} as EvaluatingInput,
    output: {} as EvaluatingOutput
  },
  actors: {
    evaluate: hole<Readonly<Record<string, number>>, EvaluatingInput>("evaluate")
  },
  actions: {
    recordMetrics: assign((_, params: { metrics: Readonly<Record<string, number>> }) => ({ metrics: params.metrics })),
    recordFailure: assign((_, params: { readonly failure: Failure }) => ({ failure: params.failure }))
  }
}).createMachine({
  id: "evaluating",
  context: ({ input }) => ({ ...input, metrics: null, failure: null }),
  initial: "evaluating",
  output: ({ context }) =>
    context.failure !== null
      ? { _tag: "Failed", failure: context.failure }
      : context.metrics !== null
        ? { _tag: "Evaluated", metrics: context.metrics }
        : { _tag: "Paused" },
  states: {
    evaluating: {
      on: { pause: { target: "paused" } },
      invoke: {
        id: "evaluate",
        src: "evaluate",
        input: ({ context: { architecture, network } }) => ({ architecture, network }),
        onDone: {
          target: "evaluated",
          actions: { type: "recordMetrics", params: ({ event }) => ({ metrics: event.output }) }
        },
        onError
      }
    },
    evaluated: { type: "final" },
    paused: { type: "final" },
    failed: { type: "final" }
  }
})
