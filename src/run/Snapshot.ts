/**
 * Checks a persisted snapshot of the main agent before a machine is restored from it. A machine restored into a state
 * without its actors would wait forever.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { AnyStateMachine } from "xstate"
import { AgentContext, agentMachine } from "../../machines/AgentMachine.ts"
import { EvaluatingContext, evaluatingMachine } from "../../machines/Evaluating.ts"
import { type CheckpointRef, phases } from "../../machines/RunState.ts"
import { SearchingContext, searchingMachine } from "../../machines/Searching.ts"
import { TrainingContext, trainingMachine } from "../../machines/Training.ts"
import { valueAt } from "../support/Records.ts"

const persisted = <Context>(machine: AnyStateMachine, context: Schema.Codec<Context, unknown>) =>
  Schema.Struct({
    status: Schema.Literals(["active", "done"]),
    value: Schema.Literals(Object.keys(machine.states)),
    context,
    children: Schema.Record(Schema.String, Schema.Struct({ src: Schema.String, snapshot: Schema.Json }))
  })

const decodeAgent = Schema.decodeUnknownEffect(persisted(agentMachine, AgentContext))
const phaseMachines = {
  supernetTraining: trainingMachine,
  searching: searchingMachine,
  retraining: trainingMachine,
  evaluating: evaluatingMachine
} as const
const decodePhase = {
  supernetTraining: Schema.decodeUnknownEffect(persisted(trainingMachine, TrainingContext)),
  searching: Schema.decodeUnknownEffect(persisted(searchingMachine, SearchingContext)),
  retraining: Schema.decodeUnknownEffect(persisted(trainingMachine, TrainingContext)),
  evaluating: Schema.decodeUnknownEffect(persisted(evaluatingMachine, EvaluatingContext))
} as const

interface PersistedState {
  readonly value: string
  readonly children: Readonly<Record<string, { readonly src: string }>>
}

/** Fails unless every actor that the current state invokes is in the snapshot. */
const checkActors = (
  machine: AnyStateMachine,
  state: PersistedState
): Effect.Effect<void, { readonly message: string }> => {
  for (const { id, src } of machine.states[state.value]?.invoke ?? []) {
    if (state.children[id]?.src !== src) {
      return Effect.fail({ message: `the ${machine.id} machine is in state ${state.value} without its actor ${id}` })
    }
  }
  return Effect.void
}

/**
 * Checks that a value is a persisted snapshot of the main agent: states, contexts and actors of the agent and of its
 * current phase. Gives the agent's state and context.
 */
export const check = Effect.fnUntraced(function* (snapshot: unknown) {
  const agent = yield* decodeAgent(snapshot)
  yield* checkActors(agentMachine, agent)
  for (const phase of phases) {
    const child = agent.children[phase]
    if (child !== undefined) yield* checkActors(phaseMachines[phase], yield* decodePhase[phase](child.snapshot))
  }
  return agent
})

/** All checkpoints that a snapshot names, at any depth. */
export const checkpointsIn = (snapshot: unknown): ReadonlyArray<CheckpointRef> => {
  if (typeof snapshot !== "object" || snapshot === null) return []
  if (
    "file" in snapshot &&
    "digest" in snapshot &&
    typeof snapshot.file === "string" &&
    typeof snapshot.digest === "string"
  ) {
    return [{ file: snapshot.file, digest: snapshot.digest }]
  }
  return Object.values(snapshot).flatMap(checkpointsIn)
}

/** Number of scored candidates that a snapshot counts; the log of the search must have at least as many lines. */
export const evaluationsIn = (snapshot: unknown): number => {
  const searching = ["children", "searching", "snapshot", "context"]
  const scored = valueAt(snapshot, ...searching, "scored")
  const counts = [
    valueAt(snapshot, "context", "results", "search", "evaluations"),
    valueAt(snapshot, ...searching, "evaluations")
  ].map((count) => (typeof count === "number" ? count : 0))
  return Math.max(counts[0] ?? 0, (counts[1] ?? 0) + (Array.isArray(scored) ? scored.length : 0))
}
