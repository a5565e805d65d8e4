/**
 * The machine of the main agent: supernet training, search, retraining and evaluation, each a machine of its own; what a phase brought is
 * recorded before the next begins. Phases are skipped by what the run is given: a supernet, an architecture, a trained
 * network.
 *
 * The machine is pure data. `src/run/MachineHost.ts` fills the holes of the phases, and the persisted snapshot it takes
 * after every piece of work is the state of the run.
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
import { evaluatingMachine } from "./Evaluating.ts"
import { hole } from "./fromEffect.ts"
import { CheckpointRef, Failure, noResults, Phase, phases, type RecordResults, Results, toFailure } from "./RunState.ts"
import { searchingMachine } from "./Searching.ts"
import { trainingMachine } from "./Training.ts"

/** What a run is given, and where it ends. */
export const AgentInput = Schema.Struct({
  start: Schema.Struct({
    /** A trained supernet: its training is skipped. */
    supernet: Schema.NullOr(CheckpointRef),
    /** An architecture: training of the supernet and search are skipped. */
    architecture: Schema.NullOr(Schema.Array(Schema.Int)),
    /** The architecture's trained network: evaluation alone. */
    network: Schema.NullOr(CheckpointRef)
  }),
  /** Whether candidates are scored by a supernet, so that one must be trained first. */
  needsSupernet: Schema.Boolean,
  /** The last phase to run. */
  stopAfter: Phase
})
/** What a run is given, and where it ends. */
export type AgentInput = typeof AgentInput.Type

/** What the agent remembers. */
export const AgentContext = Schema.Struct({
  needsSupernet: Schema.Boolean,
  stopAfter: Phase,
  /** The last phase that is complete; null: none was run. */
  completed: Schema.NullOr(Phase),
  results: Results,
  pausing: Schema.Boolean,
  failure: Schema.NullOr(Failure)
})
/** What the agent remembers. */
export type AgentContext = typeof AgentContext.Type

/**
 * `pause`: finish the current step, save and end. `resume`: what a host sends to a restored agent first: it forgets a
 * pause of an earlier life, and may move the end.
 */
export type AgentEvent = { readonly type: "pause" } | { readonly type: "resume"; readonly stopAfter: Phase }

/** How a run ended. */
export type AgentOutput =
  | { readonly _tag: "Done"; readonly results: Results }
  | { readonly _tag: "Paused"; readonly results: Results }
  | { readonly _tag: "Failed"; readonly failure: Failure; readonly results: Results }

/** The phase a run comes to next, given what it has; undefined: nothing is left to do. */
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

// What the states of all phases share. Their types are the least that these handlers ask of an event.

type Asked = { readonly event: { readonly stopAfter: Phase } }
type Ended = { readonly event: { readonly output: PhaseOutput } }
type Broken = { readonly event: { readonly error: unknown } }

/** Action on restore: clear the pause flag and set the final phase. */
const goOn = { type: "goOn", params: ({ event }: Asked) => ({ stopAfter: event.stopAfter }) } as const

/** A request while a phase is at work, which is handed on to it. */
const requests = <P extends Phase>(phase: P) =>
  ({
    pause: { actions: ["askToPause", { type: "forward", params: { phase, type: "pause" } }] },
    resume: { actions: [goOn, { type: "forward", params: { phase, type: "resume" } }] }
  }) as const

/** A phase that ended before its end. */
const early = [
  { guard: { type: "hasPaused", params: ({ event }: Ended) => ({ output: event.output }) }, target: "paused" },
  {
    guard: { type: "hasFailed", params: ({ event }: Ended) => ({ output: event.output }) },
    target: "failed",
    actions: { type: "recordFailure", params: ({ event }: Ended) => ({ failure: failureOf(event.output) }) }
  }
] as const

/** Work that threw. */
const broken = {
  target: "failed",
  actions: { type: "recordFailure", params: ({ event }: Broken) => ({ failure: toFailure(event.error) }) }
} as const

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
    /** Writes what the phases have brought so far, and makes the agent's snapshot the state of the run on disk. */
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
    askToPause: assign({ pausing: true }),
    goOn: assign((_, params: { stopAfter: Phase }) => ({ pausing: false, stopAfter: params.stopAfter })),
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
    pause: { actions: "askToPause" },
    resume: { actions: goOn }
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
        onDone: [
          ...early,
          {
            target: "recording",
            actions: {
              type: "complete",
              params: ({ event }) => ({
                phase: "supernetTraining" as const,
                results:
                  event.output._tag === "Trained"
                    ? { supernet: event.output.position.checkpoint, supernetTraining: event.output.position }
                    : {}
              })
            }
          }
        ],
        onError: broken
      }
    },
    searching: {
      on: requests("searching"),
      invoke: {
        id: "searching",
        src: "searching",
        input: ({ context }) => ({ supernet: context.results.supernet }),
        onDone: [
          ...early,
          {
            target: "recording",
            actions: {
              type: "complete",
              params: ({ event }) => ({
                phase: "searching" as const,
                results: event.output._tag === "Found" ? { search: event.output.result } : {}
              })
            }
          }
        ],
        onError: broken
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
        onDone: [
          ...early,
          {
            target: "recording",
            actions: {
              type: "complete",
              params: ({ event }) => ({
                phase: "retraining" as const,
                results:
                  event.output._tag === "Trained"
                    ? { network: event.output.position.checkpoint, retraining: event.output.position }
                    : {}
              })
            }
          }
        ],
        onError: broken
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
        onDone: [
          ...early,
          {
            target: "recording",
            actions: {
              type: "complete",
              params: ({ event }) => ({
                phase: "evaluating" as const,
                results: event.output._tag === "Evaluated" ? { evaluation: event.output.metrics } : {}
              })
            }
          }
        ],
        onError: broken
      }
    },
    recording: {
      invoke: {
        id: "record",
        src: "record",
        input: ({ context: { completed, results } }) => ({ completed, results }),
        onDone: { target: "deciding" },
        onError: broken
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
