/**
 * Runs the main agent's machine in an Effect scope: fills its holes with the work of the phases, persists its snapshot
 * after every piece of work, and turns its final state into the outcome of the run.
 *
 * All work is safe to repeat, so a run that was stopped anywhere ends with the same bits: training continues from the
 * checkpoint that the snapshot names, the search continues from the searcher's state, and a score that was logged after
 * the last snapshot is read from the log.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { type ActorRefFrom, createActor, type InspectionEvent, type Snapshot as XStateSnapshot } from "xstate"
import { type AgentInput, agentMachine } from "../../machines/AgentMachine.ts"
import { type EvaluatingInput, evaluatingMachine } from "../../machines/Evaluating.ts"
import { fromEffect, type Runtime } from "../../machines/fromEffect.ts"
import type { RecordResults, Results, SavePiece } from "../../machines/RunState.ts"
import {
  type AskCandidates,
  type LearnPiece,
  type ScoreGeneration,
  searchingMachine,
  type TellScores
} from "../../machines/Searching.ts"
import { type TrainPiece, trainingMachine } from "../../machines/Training.ts"
import * as ThrownIn from "../component/ThrownIn.ts"
import * as Advice from "./Advice.ts"
import type * as Identity from "./Identity.ts"
import * as Progress from "./Progress.ts"
import * as Evaluating from "./phases/Evaluating.ts"
import * as Learning from "./phases/Learning.ts"
import * as Searching from "./phases/Searching.ts"
import * as Training from "./phases/Training.ts"
import * as ResidentWeights from "./ResidentWeights.ts"
import * as RunResults from "./Results.ts"
import type { RunConfig } from "./RunConfig.ts"
import { type RunError, RunFailure } from "./RunError.ts"
import * as RunFolder from "./RunFolder.ts"
import type { Services } from "./RunServices.ts"
import * as SearchLog from "./SearchLog.ts"
import * as Snapshot from "./Snapshot.ts"

/** The outcome of a run that did not fail. */
export type RunOutcome =
  | { readonly _tag: "Done"; readonly folder: string; readonly results: Results }
  | { readonly _tag: "Paused"; readonly folder: string; readonly results: Results; readonly resume: string }

/** Options of {@link drive}. */
export interface HostOptions {
  readonly config: RunConfig
  /** The run's folder. */
  readonly folder: string
  /**
   * Completes when a pause is requested: the current step is finished and saved, and the run ends as `Paused`. Default:
   * never. To stop immediately, interrupt the run; it can still be resumed.
   */
  readonly pause?: Effect.Effect<void> | undefined
  /** Minutes after which the run pauses; default: never. */
  readonly maxMinutes?: number | undefined
  /** Receives the inspection events of the machines, as XState's inspector does. */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined
}

/** The start of a run: `snapshot` is null for a new run, otherwise the state to restore. */
export interface Beginning {
  readonly input: AgentInput
  readonly snapshot: Schema.Json
  /** Options that differ from those the run began with. */
  readonly changes: ReadonlyArray<Identity.Difference>
}

/** What the parts of a run share, from its start or resume to its end. */
interface Host {
  readonly options: HostOptions
  readonly folder: RunFolder.RunFolderShape
  readonly search: Searching.SearchContext
  readonly results: RunResults.ResultsContext
  readonly failures: FailureRecord
}

/** The cause of the last failure of work. The machine itself keeps only its tag and message. */
interface FailureRecord {
  readonly recording: <A, E extends RunError>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  readonly last: () => Cause.Cause<RunError> | undefined
}

const makeFailureRecord = (): FailureRecord => {
  let last: Cause.Cause<RunError> | undefined
  return {
    recording: (effect) =>
      Effect.tapCause(effect, (cause) =>
        Effect.sync(() => {
          if (!Cause.hasInterruptsOnly(cause)) last = cause
        })
      ),
    last: () => last
  }
}

const makeHost = Effect.fnUntraced(function* (
  services: Services,
  options: HostOptions,
  folder: RunFolder.RunFolderShape
) {
  const { config } = options
  const log = SearchLog.make(folder.search)
  const search: Searching.SearchContext = {
    services: { ...services, disk: folder.disk },
    config,
    folder,
    shownFolder: options.folder,
    resident: yield* ResidentWeights.make,
    progress: Progress.make(services.events, folder.events),
    log,
    scoredBefore: folder.search.lines.length
  }
  const { costs, space } = services
  const results = { space, costs, budget: config.budget, folder, log }
  return { options, folder, search, results, failures: makeFailureRecord() } satisfies Host
})

/** Persists a snapshot of the machine as the state of the run. */
const persist = Effect.fnUntraced(
  function* ({ folder, options }: Host, snapshot: () => unknown) {
    const persisted = JSON.parse(JSON.stringify(snapshot())) as Schema.Json
    // Before the snapshot, which counts on the lines of its candidates.
    yield* folder.search.sync
    yield* folder.saveSnapshot(persisted)
    yield* folder.prune(options.config.checkpoint.keep, Snapshot.checkpointsIn(persisted))
  },
  (effect, { search }) => search.progress.saving(effect)
)

/** The machine with its holes filled. `snapshot` returns the persisted snapshot of the actor that runs it. */
const machineOf = (host: Host, runtime: Runtime<never>, snapshot: () => unknown) => {
  const { failures, results, search } = host
  const { recording } = failures
  const training = Training.make(search)
  const actors = {
    train: fromEffect(runtime, (piece: TrainPiece, { pausing }) => recording(training.train(piece, pausing))),
    save: fromEffect(runtime, (_: SavePiece) => recording(persist(host, snapshot)))
  }
  const record = Effect.fnUntraced(function* ({ results: found }: RecordResults) {
    yield* search.progress.saving(RunResults.write(results, found))
    yield* search.progress.closePhase()
    yield* persist(host, snapshot)
  })
  return agentMachine.provide({
    actors: {
      supernetTraining: trainingMachine.provide({ actors }),
      retraining: trainingMachine.provide({ actors }),
      searching: searchingMachine.provide({
        actors: {
          learn: fromEffect(runtime, (piece: LearnPiece, { pausing }) =>
            recording(Learning.learn(search, piece, pausing))
          ),
          ask: fromEffect(runtime, (question: AskCandidates) => recording(Searching.ask(search, question))),
          score: fromEffect(runtime, (generation: ScoreGeneration, { pausing }) =>
            recording(Searching.score(search, generation, pausing))
          ),
          tell: fromEffect(runtime, (scores: TellScores) => recording(Searching.tell(search, scores))),
          save: actors.save
        }
      }),
      evaluating: evaluatingMachine.provide({
        actors: {
          evaluate: fromEffect(runtime, (question: EvaluatingInput) => recording(Evaluating.evaluate(search, question)))
        }
      }),
      record: fromEffect(runtime, (found: RecordResults) => recording(record(found)))
    }
  })
}

type Actor = ActorRefFrom<ReturnType<typeof machineOf>>

const badSnapshot = (folder: RunFolder.RunFolderShape, why: string) =>
  new RunFolder.SnapshotError({
    file: folder.path(RunFolder.files.snapshot),
    reason: `it is not the state of a run: ${why}`
  })

/** An actor of the machine, not yet started. The scope stops it. */
const makeActor = Effect.fnUntraced(function* (host: Host, { input, snapshot }: Beginning) {
  const { inspect } = host.options
  const runFork = yield* FiberSet.makeRuntime<never>()
  const actor: Actor = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        createActor(
          machineOf(host, { runFork }, (): unknown => actor.getPersistedSnapshot()),
          {
            input,
            ...(snapshot === null ? {} : { snapshot: snapshot as unknown as XStateSnapshot<unknown> }),
            ...(inspect === undefined ? {} : { inspect })
          }
        ),
      catch: (cause) => badSnapshot(host.folder, String(cause))
    }),
    (actor) => Effect.sync(() => actor.stop())
  )
  const initial = actor.getSnapshot()
  if (initial.status === "error") return yield* badSnapshot(host.folder, String(initial.error))
  return actor
})

/** Starts the actor, and completes when it has ended. */
const untilEnded = (actor: Actor, { config }: HostOptions, isRestored: boolean): Effect.Effect<void, RunFailure> =>
  Effect.callback((resume) => {
    const subscription = actor.subscribe({
      complete: () => resume(Effect.void),
      error: (cause) =>
        resume(Effect.fail(new RunFailure({ tag: "MachineError", reason: `the main agent failed: ${String(cause)}` })))
    })
    actor.start()
    if (isRestored) actor.send({ type: "resume", stopAfter: config.stopAfter })
    return Effect.sync(() => subscription.unsubscribe())
  })

/** Sends the machine a pause on request, or after `maxMinutes`. */
const forkPauses = (actor: Actor, { maxMinutes, pause }: HostOptions): Effect.Effect<void, never, Scope> => {
  const requests = [pause, maxMinutes === undefined ? undefined : Effect.sleep(maxMinutes * 60_000)]
  const sendPause = Effect.sync(() => {
    if (actor.getSnapshot().status === "active") actor.send({ type: "pause" })
  })
  return Effect.forEach(
    requests.filter((request) => request !== undefined),
    (request) => Effect.forkScoped(Effect.andThen(request, sendPause)),
    { discard: true }
  )
}

/** The outcome of the run by the machine's final state. Reports it by events. */
const outcomeOf = Effect.fnUntraced(function* (host: Host, actor: Actor) {
  const { failures, folder, options, results, search } = host
  const { progress, services } = search
  const { output } = actor.getSnapshot()
  if (output === undefined) return yield* new RunFailure({ tag: "MachineError", reason: "the main agent was stopped" })
  switch (output._tag) {
    case "Failed": {
      const { tag } = output.failure
      yield* Effect.ignore(progress.closePhase("failed"))
      const cause = failures.last()
      const module = cause === undefined ? undefined : ThrownIn.module(Cause.squash(cause))
      const message = Advice.afterThrow(output.failure.message, module, options.folder)
      yield* Effect.ignore(progress.emit({ _tag: "RunFailed", tag, message }, { sync: true }))
      if (cause !== undefined && !Cause.hasDies(cause)) return yield* Effect.failCause(cause)
      return yield* new RunFailure({ tag, reason: message })
    }
    case "Paused": {
      const resume = `osnas resume ${options.folder}`
      yield* progress.closePhase("paused")
      yield* progress.emit({ _tag: "RunPaused", resume }, { sync: true })
      return { _tag: "Paused", folder: folder.folder, results: output.results, resume } satisfies RunOutcome
    }
    case "Done": {
      const architecture = output.results.search?.architecture
      yield* progress.emit(
        {
          _tag: "RunDone",
          architecture: architecture === undefined ? null : services.space.format(architecture),
          costs: architecture === undefined ? {} : RunResults.costsOf(results, architecture),
          metrics: output.results.evaluation ?? {}
        },
        { sync: true }
      )
      return { _tag: "Done", folder: folder.folder, results: output.results } satisfies RunOutcome
    }
  }
})

/** Runs the machine to its end, from its input or from a snapshot. A snapshot must agree with the result files. */
export const drive = Effect.fn("MachineHost.drive")(function* (
  services: Services,
  options: HostOptions,
  folder: RunFolder.RunFolderShape,
  beginning: Beginning
): Effect.fn.Return<RunOutcome, RunError, Scope> {
  const { config } = options
  const { changes, snapshot } = beginning
  const host = yield* makeHost(services, options, folder)
  const { progress } = host.search
  if (snapshot !== null) {
    const { context } = yield* Effect.mapError(Snapshot.check(snapshot), (error) => badSnapshot(folder, error.message))
    yield* RunResults.check(host.results, context.results)
  }
  yield* progress.emit({
    _tag: "RunStarted",
    name: config.name,
    resumed: snapshot !== null,
    seed: config.seed,
    space: services.space.name,
    size: services.space.size.toString(),
    dataset: services.dataflow.name,
    engine: services.engine.name,
    headline: services.agent.headline
  })
  if (changes.length > 0) yield* progress.emit({ _tag: "OptionsChanged", changes })
  const actor = yield* makeActor(host, beginning)
  yield* forkPauses(actor, options)
  yield* untilEnded(actor, options, snapshot !== null)
  return yield* outcomeOf(host, actor)
})
