/**
 * The machine of the main agent: supernet training, search, retraining and evaluation, each a machine of its own. The
 * results of a phase are recorded before the next phase begins. A run that starts with a supernet, an architecture or a
 * trained network skips the phases that would produce it.
 *
 * The machine is pure data. `src/run/MachineHost.ts` fills the holes of the phases and persists the machine's snapshot
 * after every piece of work; that snapshot is the state of the run.
 *
 * **Example** (Which phase comes first)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { initialTransition } from "xstate"
 * import { noResults } from "./RunState.ts"
 * import * as AgentMachine from "./AgentMachine.ts"
 *
 * const start = { supernet: null, architecture: null, network: null }
 * const input: AgentMachine.AgentInput = { start, needsSupernet: true, stopAfter: "evaluating" }
 * Schema.is(AgentMachine.AgentInput)(input) // => true
 * const [snapshot] = initialTransition(AgentMachine.agentMachine, input)
 * snapshot.value // => "supernetTraining"
 * Schema.is(AgentMachine.AgentContext)(snapshot.context) // => true
 * const given = { completed: null, needsSupernet: false, results: noResults, stopAfter: "evaluating" } as const
 * AgentMachine.nextPhase(given) // => "searching"
 * ```
 */
import * as Schema from "effect/Schema"
import { assign, sendTo, setup } from "xstate"
import { type EvaluatingOutput, evaluatingMachine } from "./Evaluating.ts"
import { hole } from "./fromEffect.ts"
import { onError } from "./OnError.ts"
import { CheckpointRef, Failure, noResults, Phase, phases, type RecordResults, Results } from "./RunState.ts"
import { type SearchingOutput, searchingMachine } from "./Searching.ts"
import { type TrainingOutput, trainingMachine } from "./Training.ts"

/** What a run starts with, and its last phase. */
export const AgentInput = Schema.Struct({
  start: Schema.Struct({
    /** A trained supernet: its training is skipped. */
    supernet: Schema.NullOr(CheckpointRef),
    /** An architecture: supernet training and search are skipped. */
    architecture: Schema.NullOr(Schema.Array(Schema.Int)),
    /** The architecture's trained network: only the evaluation runs. */
    network: Schema.NullOr(CheckpointRef)
  }),
  /** Whether a supernet scores the candidates, so that one must be trained first. */
  needsSupernet: Schema.Boolean,
  /** The last phase to run. */
  stopAfter: Phase
})
/** What a run starts with, and its last phase. */
export type AgentInput = typeof AgentInput.Type

/** The context of the agent. */
export const AgentContext = Schema.Struct({
  needsSupernet: Schema.Boolean,
  stopAfter: Phase,
  /** The last completed phase; null before the first. */
  completed: Schema.NullOr(Phase),
  results: Results,
  pausing: Schema.Boolean,
  failure: Schema.NullOr(Failure)
})
/** The context of the agent. */
export type AgentContext = typeof AgentContext.Type

/**
 * `pause`: finish the current step, save and end. `resume`: the host sends it to a restored agent before anything else; it
 * clears a pause from before the restart, and sets the last phase.
 */
export type AgentEvent = { readonly type: "pause" } | { readonly type: "resume"; readonly stopAfter: Phase }

/** How a run ended. */
export type AgentOutput =
  | { readonly _tag: "Done"; readonly results: Results }
  | { readonly _tag: "Paused"; readonly results: Results }
  | { readonly _tag: "Failed"; readonly failure: Failure; readonly results: Results }

/** The next phase of a run, given its results; undefined if nothing is left to do. */
export const nextPhase = (
  context: Pick<AgentContext, "completed" | "needsSupernet" | "results" | "stopAfter">
): Phase | undefined => {
  const { completed, needsSupernet, results, stopAfter } = context
  if (completed !== null && phases.indexOf(completed) >= phases.indexOf(stopAfter)) return undefined
  const next: Phase | undefined =
    results.evaluation !== null
      ? undefined
      : results.network !== null
        ? "evaluating"
        : results.search !== null
          ? "retraining"
          : results.supernet !== null || !needsSupernet
            ? "searching"
            : "supernetTraining"
  return next !== undefined && phases.indexOf(next) <= phases.indexOf(stopAfter) ? next : undefined
}

type PhaseOutput = { readonly _tag: string }

// What the states of all phases share. These types are the fields of an event that the handlers read.

type ResumeArgs = { readonly event: { readonly stopAfter: Phase } }
type DoneArgs = { readonly event: { readonly output: PhaseOutput } }

/** Action on restore: clear the pause flag and set the final phase. */
const clearPause = { type: "clearPause", params: ({ event }: ResumeArgs) => ({ stopAfter: event.stopAfter }) } as const

/** Forwards requests to the running phase. */
const requests = <P extends Phase>(phase: P) =>
  ({
    pause: { actions: ["requestPause", { type: "forward", params: { phase, type: "pause" } }] },
    resume: { actions: [clearPause, { type: "forward", params: { phase, type: "resume" } }] }
  }) as const

/** A phase that was paused or failed. */
const stopped = [
  { guard: { type: "hasPaused", params: ({ event }: DoneArgs) => ({ output: event.output }) }, target: "paused" },
  {
    guard: { type: "hasFailed", params: ({ event }: DoneArgs) => ({ output: event.output }) },
    target: "failed",
    actions: { type: "recordFailure", params: ({ event }: DoneArgs) => ({ failure: failureOf(event.output) }) }
  }
] as const

/** How a phase ends: paused, failed, or with results, which are recorded before the next phase begins. */
const endOf = <Output extends PhaseOutput>(phase: Phase, resultsOf: (output: Output) => Partial<Results>) =>
  [
    ...stopped,
    {
      target: "recording",
      actions: {
        type: "complete",
        params: ({ event }: { readonly event: { readonly output: Output } }) => ({
          phase,
          results: resultsOf(event.output)
        })
      }
    }
  ] as const

/** The main agent. */
export const agentMachine = setup({
  types: {
    context: {} as AgentContext,
    events: {} as AgentEvent,
    input: {} as AgentInput,
    output: {} as AgentOutput,
    children: {} as {
      supernetTraining: "supernetTraining"
      searching: "searching"
      retraining: "retraining"
      evaluating: "evaluating"
      record: "record"
    }
  },
  actors: {
    supernetTraining: trainingMachine,
    searching: searchingMachine,
    retraining: trainingMachine,
    evaluating: evaluatingMachine,
    /** Writes the result files, then persists the agent's snapshot. */
    record: hole<void, RecordResults>("record")
  },
  guards: {
    isNext: ({ context }, params: { phase: Phase }) => nextPhase(context) === params.phase,
    isOver: ({ context }) => nextPhase(context) === undefined,
    isPausing: ({ context }) => context.pausing,
    hasPaused: (_, params: { output: PhaseOutput }) => params.output._tag === "Paused",
    hasFailed: (_, params: { output: PhaseOutput }) => params.output._tag === "Failed"
  },
  actions: {
    requestPause: assign({ pausing: true }),
    clearPause: assign((_, params: { stopAfter: Phase }) => ({ pausing: false, stopAfter: params.stopAfter })),
    forward: sendTo(
      (_, params: { phase: Phase; type: "pause" | "resume" }) => params.phase,
      (_, params: { phase: Phase; type: "pause" | "resume" }) => ({ type: params.type })
    ),
    complete: assign(({ context }, params: { phase: Phase; results: Partial<Results> }) => ({
      completed: params.phase,
      results: { ...context.results, ...params.results }
    })),
    recordFailure: assign((_, params: { failure: Failure }) => ({ failure: params.failure }))
  }
}).createMachine({
  id: "agent",
  context: ({ input }) => ({
    needsSupernet: input.needsSupernet,
    stopAfter: input.stopAfter,
    completed: null,
    results: {
      ...noResults,
      supernet: input.start.supernet,
      search:
        input.start.architecture === null
          ? null
          : { architecture: input.start.architecture, evaluations: null, best: null },
      network: input.start.network
    },
    pausing: false,
    failure: null
  }),
  initial: "deciding",
  on: {
    pause: { actions: "requestPause" },
    resume: { actions: clearPause }
  },
  output: ({ context }) =>
    context.failure !== null
      ? { _tag: "Failed", failure: context.failure, results: context.results }
      : nextPhase(context) === undefined
        ? { _tag: "Done", results: context.results }
        : { _tag: "Paused", results: context.results },
  states: {
    deciding: {
      always: [
        { guard: "isOver", target: "done" },
        { guard: "isPausing", target: "paused" },
        { guard: { type: "isNext", params: { phase: "supernetTraining" } }, target: "supernetTraining" },
        { guard: { type: "isNext", params: { phase: "searching" } }, target: "searching" },
        { guard: { type: "isNext", params: { phase: "retraining" } }, target: "retraining" },
        { target: "evaluating" }
      ]
    },
    supernetTraining: {
      on: requests("supernetTraining"),
      invoke: {
        id: "supernetTraining",
        src: "supernetTraining",
        input: { phase: "supernetTraining", architecture: null },
        onDone: endOf("supernetTraining", (output: TrainingOutput) =>
          output._tag === "Trained" ? { supernet: output.position.checkpoint, supernetTraining: output.position } : {}
        ),
        onError
      }
    },
    searching: {
      on: requests("searching"),
      invoke: {
        id: "searching",
        src: "searching",
        input: ({ context }) => ({ supernet: context.results.supernet }),
        onDone: endOf("searching", (output: SearchingOutput) =>
          output._tag === "Found" ? { search: output.result } : {}
        ),
        onError
      }
    },
    retraining: {
      on: requests("retraining"),
      invoke: {
        id: "retraining",
        src: "retraining",
        input: ({ context }) => ({
          phase: "retraining" as const,
          architecture: context.results.search?.architecture ?? null
        }),
        onDone: endOf("retraining", (output: TrainingOutput) =>
          output._tag === "Trained" ? { network: output.position.checkpoint, retraining: output.position } : {}
        ),
        onError
      }
    },
    evaluating: {
      on: requests("evaluating"),
      invoke: {
        id: "evaluating",
        src: "evaluating",
        input: ({ context }) => ({
          architecture: context.results.search?.architecture ?? [],
          network: context.results.network ?? { file: "", digest: "" }
        }),
        onDone: endOf("evaluating", (output: EvaluatingOutput) =>
          output._tag === "Evaluated" ? { evaluation: output.metrics } : {}
        ),
        onError
      }
    },
    recording: {
      invoke: {
        id: "record",
        src: "record",
        input: ({ context: { completed, results } }) => ({ completed, results }),
        onDone: { target: "deciding" },
        onError
      }
    },
    done: { type: "final" },
    paused: { type: "final" },
    failed: { type: "final" }
  }
})

/** The failure that a phase ended with. */
function failureOf(output: PhaseOutput & { readonly failure?: Failure }): Failure {
  return output.failure ?? { tag: "Unknown", message: "the phase failed without a reason" }
}
