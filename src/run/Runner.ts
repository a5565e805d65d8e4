/**
 * Runs the main agent's machine in an Effect scope: fills its holes with Effects over the contracts, makes its persisted
 * snapshot the state of the run after every piece of work, and takes a run up again from its folder.
 *
 * Whatever the machine's actors do is safe to repeat, which is why a run that was stopped anywhere ends with the same
 * bits: training goes on from the checkpoint that the snapshot names, the search from the strategy's state, and a
 * candidate that was scored and logged but not yet told is read from the log.
 */
import * as path from "node:path"
import { keep, type Tensor2D, type Tensor4D } from "@tensorflow/tfjs-core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { createActor, type InspectionEvent, type Snapshot as XStateSnapshot } from "xstate"
import * as Yaml from "yaml"
import { type EvaluatingInput, evaluatingMachine } from "../../machines/Evaluating.ts"
import { fromEffect, type Tools } from "../../machines/fromEffect.ts"
import { AgentInput, agentMachine } from "../../machines/MainAgent.ts"
import {
  type CheckpointRef,
  type LearningPosition,
  type Phase,
  phases,
  type RecordResults,
  type Results,
  type SavePiece,
  type TrainingPhase,
  type TrainingPosition
} from "../../machines/RunState.ts"
import {
  type AskCandidates,
  type LearnPiece,
  type ScoreCandidate,
  searchingMachine,
  type TellScores
} from "../../machines/Searching.ts"
import { type TrainingInput, type TrainPiece, trainingMachine } from "../../machines/Training.ts"
import * as Finding from "../component/Finding.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as ThrownIn from "../component/ThrownIn.ts"
import { type Budget, CostModel } from "../cost/CostModel.ts"
import { Criterion } from "../criterion/Criterion.ts"
import { Dataflow, type DatasetError } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import { type EstimationError, PerformanceEstimator } from "../estimator/PerformanceEstimator.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as Schedule from "../nn/Schedule.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as Network from "../search-space/Network.ts"
import * as Presets from "../search-space/Presets.ts"
import { type Genotype, type GenotypeError, SearchSpace } from "../search-space/SearchSpace.ts"
import * as Distribution from "../search-strategy/Distribution.ts"
import {
  type GradientSearch,
  type LearnerState,
  Score,
  type SearchState,
  SearchStrategy
} from "../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, type DiskError, readText } from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { TrainingStrategy } from "../training-strategy/TrainingStrategy.ts"
import * as Advice from "./Advice.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as ConfigFile from "./ConfigFile.ts"
import * as Forwards from "./Forwards.ts"
import { HeldSupernet } from "./HeldSupernet.ts"
import * as Identity from "./Identity.ts"
import { JournalError } from "./Journal.ts"
import * as Learner from "./Learner.ts"
import type { RunLocked } from "./Lock.ts"
import * as Outcome from "./Outcome.ts"
import * as Pairing from "./Pairing.ts"
import * as Preflight from "./Preflight.ts"
import * as Provenance from "./Provenance.ts"
import * as Resumption from "./Resumption.ts"
import { lackingSection, RunConfig, trainingOf } from "./RunConfig.ts"
import { type RunEvent, RunEvents } from "./RunEvents.ts"
import * as RunFolder from "./RunFolder.ts"
import { SnapshotError } from "./RunFolder.ts"
import * as Snapshot from "./Snapshot.ts"
import * as Trainer from "./Trainer.ts"

/** A run that failed for a reason that is no error of a component: a defect, told in its words. */
export class RunFailure extends Schema.TaggedError<RunFailure>()("RunFailure", {
  tag: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** A run that cannot be resumed with what it is given now: what differs, and what to do. */
export class RunMismatch extends Schema.TaggedError<RunMismatch>()("RunMismatch", {
  folder: Schema.String,
  differences: Schema.Array(
    Schema.Struct({ key: Schema.String, was: Schema.String, is: Schema.String, why: Schema.String })
  )
}) {
  override get message(): string {
    const lines = this.differences.map(
      ({ is, key, was, why }) => `  ${key}: the run began with ${was}, now it is ${is}${why === "" ? "" : ` (${why})`}`
    )
    return [
      `run ${this.folder} cannot be resumed with what it is given now; restore what it began with, or start a new run`,
      ...lines
    ].join("\n")
  }
}

/** Any way a run can fail. */
export type RunError =
  | ConfigFile.ConfigError
  | Trainer.TrainingDiverged
  | Learner.LearningDiverged
  | Pairing.PairingError
  | Finding.PreflightError
  | DatasetError
  | EstimationError
  | GenotypeError
  | Checkpoint.CheckpointError
  | DiskError
  | JournalError
  | SnapshotError
  | RunFolder.RunFolderError
  | RunLocked
  | RunMismatch
  | RunFailure

/** Everything a run needs of its surroundings. */
export type RunServices =
  | SearchSpace
  | TrainingStrategy
  | SearchStrategy
  | Criterion
  | Dataflow
  | TrainingAgent
  | PerformanceEstimator
  | HeldSupernet
  | CostModel
  | Engine
  | RunKey
  | RunEvents
  | Disk

/** How a run ended, when it did not fail. */
export type RunOutcome =
  | { readonly _tag: "Done"; readonly folder: string; readonly results: Results }
  | { readonly _tag: "Paused"; readonly folder: string; readonly results: Results; readonly resume: string }

/** What both beginning and going on take. */
export interface RunOptions {
  readonly config: RunConfig
  /** The kinds of the configuration's options, the components' own included; default: those of its sections alone. */
  readonly kinds?: OptionKind.OptionKinds | undefined
  /** SHA-256 of the modules that components are loaded from, by section. */
  readonly modules?: Readonly<Record<string, string>> | undefined
  /** The run's folder. */
  readonly folder: string
  /**
   * Completes when a pause is wished: the current step is finished, saved, and the run ends as `Paused`. Default: never.
   * To stop at once, interrupt the run; its folder stays resumable.
   */
  readonly pause?: Effect.Effect<void> | undefined
  /** What the machine has, for the examination before the first step; default: not examined. */
  readonly machine?: Preflight.Machine | undefined
  /** Pauses the run after so many minutes; default: never. */
  readonly maxMinutes?: number | undefined
  /** Hears what the machines do, as XState's inspector does. */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined
}

/** What a new run takes. */
export interface StartOptions extends RunOptions {
  /** Text of the folder's `config.yaml`; default: the configuration with every default filled in. */
  readonly configText?: string | undefined
  /** Replaces a run that is in the folder already; default false. */
  readonly overwrite?: boolean | undefined
  /** What paths under `start` are relative to; default: the working folder. */
  readonly baseFolder?: string | undefined
  /** For people, into the manifest: versions, machine. */
  readonly notes?: Readonly<Record<string, Schema.Json>> | undefined
  /** Files to be written with the folder, by name: `lookup-table.json`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>> | undefined
}

/** Milliseconds between two progress events, and between two of them that the journal keeps. */
const progressInterval = 250
const journalInterval = 2000

/** Lets timers, signals and messages of worker threads be heard. */
const breathe: Effect.Effect<void> = Effect.callback((resume) => {
  const id = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(id))
})

/** All services at hand. */
const services = Effect.gen(function* () {
  return {
    space: yield* SearchSpace,
    trainingStrategy: yield* TrainingStrategy,
    searchStrategy: yield* SearchStrategy,
    criterion: yield* Criterion,
    dataflow: yield* Dataflow,
    agent: yield* TrainingAgent,
    estimator: yield* PerformanceEstimator,
    supernet: yield* HeldSupernet,
    costs: yield* CostModel,
    engine: yield* Engine,
    key: yield* RunKey,
    events: yield* RunEvents,
    disk: yield* Disk
  }
})
type Services = Effect.Success<typeof services>

const sectionKinds = OptionKind.of(RunConfig.ast)

const manifestOf = (
  s: Services,
  { config, kinds = sectionKinds, modules = {} }: Pick<RunOptions, "config" | "kinds" | "modules">,
  input: AgentInput | undefined,
  notes: Readonly<Record<string, Schema.Json>>
): RunFolder.Manifest => ({
  identity: {
    format: 1,
    seed: config.seed,
    keys: "threefry-2x32",
    config: Identity.ofConfig(config, kinds),
    ...(Object.keys(modules).length === 0 ? {} : { modules }),
    dataset: {
      name: s.dataflow.name,
      digest: s.dataflow.digest,
      ...(s.dataflow.listingDigest === undefined ? {} : { listing: s.dataflow.listingDigest })
    },
    space: { name: s.space.name, size: s.space.size.toString() },
    engine: { name: s.engine.name, version: s.engine.version, mode: s.engine.mode },
    ...(s.estimator.digest === undefined ? {} : { estimator: { name: s.estimator.name, digest: s.estimator.digest } })
  },
  input: input === undefined ? {} : { start: input.start, needsSupernet: input.needsSupernet },
  notes: { threads: s.engine.threads, ...notes },
  changes: []
})

/**
 * Fails where a run's folder began with something else than what is given now, unless it is an option that nothing recorded
 * has used yet; gives the options that have changed.
 */
const checkIdentity = (
  s: Services,
  options: Pick<RunOptions, "config" | "folder" | "kinds" | "modules">,
  began: RunFolder.Manifest,
  recorded: Resumption.Recorded
): Effect.Effect<ReadonlyArray<Identity.Difference>, RunMismatch> => {
  const now = manifestOf(s, options, undefined, {})
  const { accepted, refused } = Resumption.judge(began.identity, now.identity, {
    kinds: options.kinds ?? sectionKinds,
    recorded,
    learnsWithSupernet: s.searchStrategy.gradient?.plan._tag === "WithSupernet"
  })
  const { folder } = options
  return refused.length === 0
    ? Effect.succeed(accepted)
    : Effect.fail(new RunMismatch({ folder, differences: refused }))
}

/** The classes or the dimension that a network ends in. */
const outputsOf = (s: Services): number =>
  s.space.interface.head._tag === "Classifier" ? s.space.interface.head.classes : s.space.interface.head.dimension

const shapesOf = (network: Network.Network): Trainer.Shapes =>
  new Map(Network.parameterSpecs(network).map((spec) => [spec.name, spec.shape]))

const networkOf = (s: Services, input: Pick<TrainPiece, "architecture">): Network.Network =>
  input.architecture === null ? s.space.supernet : s.space.network(input.architecture)

/** A search strategy's learning; undefined where it does not learn by gradient. */
const learnerOf = (
  s: Services,
  when: GradientSearch["plan"]["_tag"]
): NonNullable<Trainer.TrainerSetup["learner"]> | undefined => {
  const { gradient, name } = s.searchStrategy
  if (gradient === undefined || gradient.plan._tag !== when) return undefined
  const key = Key.derive(s.key, "learning")
  return { key, gradient, space: s.space, criterion: s.criterion, dataflow: s.dataflow, strategy: name }
}

/** How a phase trains, by configuration and services. */
const setupOf = (s: Services, config: RunConfig, input: TrainingInput): Trainer.TrainerSetup => {
  const training = trainingOf(config, input.phase)
  const split = input.phase === "supernetTraining" ? "supernet" : "train"
  const stepsPerEpoch = s.dataflow.steps(split, training.batchSize, true)
  const { architecture } = input
  return {
    phase: input.phase,
    key: Key.derive(s.key, input.phase),
    split,
    epochs: training.epochs,
    stepsPerEpoch,
    batchSize: training.batchSize,
    accumulate: training.accumulate,
    bnMomentum: training.bnMomentum,
    learningRate: training.optimizer.learningRate,
    schedule: Schedule.fromConfig(training.schedule, { epochs: training.epochs, stepsPerEpoch }),
    optimizer: Optimizer.fromConfig(training.optimizer),
    agent: s.agent,
    criterion: s.criterion,
    dataflow: s.dataflow,
    sampler:
      architecture === null
        ? s.trainingStrategy
        : { init: () => ({}), next: (state) => [{ _tag: "Paths", paths: [architecture] }, state] },
    learner: architecture === null ? learnerOf(s, "WithSupernet") : undefined,
    forwards: Forwards.ofStep(s.space),
    updateStatistics: Network.updateStatistics,
    classifies: s.space.interface.head._tag === "Classifier"
  }
}

/** A trained network in memory, and the file it equals. */
interface Held {
  readonly ref: CheckpointRef
  readonly weights: Trainer.Weights
}

/** A training state in memory, and the checkpoint it equals; digest undefined: the phase's beginning. */
interface Live {
  readonly phase: TrainingPhase
  readonly digest: string | undefined
  readonly state: Trainer.TrainingState
}

/** What a search strategy has learned, in memory, and the checkpoint it equals; digest undefined: in none yet. */
interface Taught {
  readonly digest: string | undefined
  readonly state: LearnerState
}

const disposeWeights = ({ criterion, variables }: Trainer.Weights): void => {
  Parameters.disposeUnsafe(variables.params)
  Parameters.disposeUnsafe(variables.stats)
  Parameters.disposeUnsafe(criterion)
}

const isFiniteTree = (tensors: ReadonlyMap<string, Checkpoint.TensorEntry>): boolean => {
  for (const entry of tensors.values()) {
    for (const value of Checkpoint.toFloat32(entry)) if (!Number.isFinite(value)) return false
  }
  return true
}

/** What was told of a pass that is not over yet, beside a search strategy's state. */
const sumsKey = "osnas.learning"
const Sums = Schema.Struct({ steps: Schema.Int, metrics: Schema.Record(Schema.String, Schema.Finite) })
const decodeSums = Schema.decodeUnknownOption(Sums)
const noSums: typeof Sums.Type = { steps: 0, metrics: {} }

const probabilitiesOf = (gradient: GradientSearch, state: LearnerState) =>
  Distribution.probabilities(gradient.distribution(state).logits)

/** The state of a search from the file that holds what was learned. */
const concluded = (
  s: Services,
  file: string,
  checkpoint: Checkpoint.Checkpoint,
  key: Key.Key
): Effect.Effect<SearchState, Checkpoint.CheckpointError> =>
  Effect.gen(function* () {
    const { gradient, name } = s.searchStrategy
    const state = yield* Learner.fromCheckpoint(file, checkpoint)
    return yield* Effect.try({
      try: () => gradient?.conclude(state, key) ?? s.searchStrategy.init(key),
      catch: (cause) =>
        new Checkpoint.CheckpointError({
          file,
          tensor: null,
          reason: `what it holds was not learned by searchStrategy ${name} in this search space: ${cause instanceof Error ? cause.message : String(cause)}`
        })
    }).pipe(Effect.ensuring(Effect.sync(() => Parameters.disposeUnsafe(state.tensors))))
  })

/** Content of `metrics.json` or `architecture.json`. */
type ResultFile = Readonly<Record<string, unknown>>

/** The learning rate in a section `optimizer` of a search strategy's options, where there is one. */
const rateOf = (optimizer: unknown): number | undefined =>
  Predicate.hasProperty(optimizer, "learningRate") && typeof optimizer.learningRate === "number"
    ? optimizer.learningRate
    : undefined

type Divergent = Omit<Advice.Divergence, "folder">

/** The Effects behind the machines' holes, over the memory of one life of the run. */
const makeWork = (s: Services, config: RunConfig, folder: RunFolder.RunFolderShape, shownFolder: string) =>
  Effect.gen(function* () {
    const budget: Budget = config.budget
    let live: Live | undefined
    let held: Held | undefined
    let taught: Taught | undefined
    /** The epoch whose first remark was told last, so that pieces of an epoch do not repeat it. */
    let remarked = ""
    let phaseOpen: { readonly phase: Phase; readonly since: number } | undefined
    /** How far the open phase has come. */
    let counted: Extract<RunEvent, { readonly _tag: "PhaseEnded" }>["reached"]

    /** Nanoseconds that went into the folder and that no `PhaseEnded` has told of yet. */
    let saved = 0n
    let isSaving = false

    /** Counts the time of what is only done for the folder's sake: journals, checkpoints, snapshots, their digests. */
    const saving = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        if (isSaving) return effect
        return Effect.acquireUseRelease(
          Effect.map(Clock.monotonicTimeNanos, (began) => {
            isSaving = true
            return began
          }),
          () => effect,
          (began) =>
            Effect.map(Clock.monotonicTimeNanos, (ended) => {
              isSaving = false
              saved += ended - began
            })
        )
      })

    const emit = (event: RunEvent, sync = false) =>
      Effect.gen(function* () {
        const { time } = yield* s.events.publish(event)
        yield* saving(folder.events.append({ time, ...event }, { sync }))
      })

    const openPhase = (phase: Phase, done: number, total: number | null) =>
      Effect.gen(function* () {
        if (phaseOpen?.phase === phase) return
        phaseOpen = { phase, since: yield* Clock.currentTimeMillis }
        counted = undefined
        yield* emit({ _tag: "PhaseStarted", phase, done, total })
      })

    const closePhase = (stopped?: "paused" | "failed") =>
      Effect.gen(function* () {
        if (phaseOpen === undefined) return
        const { phase, since } = phaseOpen
        phaseOpen = undefined
        const savingSeconds = Number(saved) / 1e9
        saved = 0n
        const seconds = ((yield* Clock.currentTimeMillis) - since) / 1000
        const early = stopped === undefined ? {} : { stopped, ...(counted === undefined ? {} : { reached: counted }) }
        yield* emit({ _tag: "PhaseEnded", phase, ...early, seconds, savingSeconds })
      })

    const dropLive = () => {
      if (live !== undefined) Trainer.disposeUnsafe(live.state)
      live = undefined
    }
    const dropHeld = () => {
      if (held === undefined) return
      s.supernet.set(undefined)
      disposeWeights(held.weights)
      held = undefined
    }
    const dropTaught = () => {
      if (taught !== undefined) Parameters.disposeUnsafe(taught.state.tensors)
      taught = undefined
    }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        dropLive()
        dropHeld()
        dropTaught()
      })
    )

    // ---- training ------------------------------------------------------------------------------------------------

    /** The state a piece continues from: the one in memory if it is the right one, else its checkpoint's. */
    const stateFor = (input: TrainPiece, setup: Trainer.TrainerSetup) =>
      Effect.gen(function* () {
        const digest = input.position?.checkpoint.digest
        if (live !== undefined && live.phase === input.phase && live.digest === digest) return live.state
        dropLive()
        dropHeld()
        const network = networkOf(s, input)
        if (input.position === null) {
          const variables = Network.initialise(network, Key.derive(setup.key, "initialise"))
          const criterion = s.criterion.init(Key.derive(setup.key, "criterion"), {
            outputs: outputsOf(s),
            classes: s.dataflow.classes.length
          })
          return Trainer.init(setup, variables, criterion)
        }
        const file = folder.path(input.position.checkpoint.file)
        const checkpoint = yield* Checkpoint.read(s.disk, file, digest)
        return yield* Trainer.fromCheckpoint(file, checkpoint, shapesOf(network))
      })

    /** Says how to go on from what the run has found. */
    const withAdvice = (error: Trainer.TrainingDiverged | Learner.LearningDiverged, divergence: Divergent) => {
      const command = Advice.afterDivergence({ folder: shownFolder, ...divergence })
      return error._tag === "TrainingDiverged"
        ? new Trainer.TrainingDiverged({ ...error, command })
        : new Learner.LearningDiverged({ ...error, command })
    }

    const train = (input: TrainPiece, tools: Tools) =>
      Effect.catchTags(trainPiece(input, tools), {
        TrainingDiverged: (error) =>
          Effect.fail(
            withAdvice(error, {
              phase: input.phase,
              recorded: input.position !== null,
              architecture: input.architecture === null ? null : s.space.format(input.architecture),
              key: `${input.phase}.optimizer.learningRate`,
              learningRate: trainingOf(config, input.phase).optimizer.learningRate
            })
          ),
        LearningDiverged: (error) =>
          Effect.fail(withLearningAdvice(error, { phase: input.phase, recorded: input.position !== null }))
      })

    const withLearningAdvice = (error: Learner.LearningDiverged, where: Pick<Divergent, "phase" | "recorded">) => {
      const learningRate = rateOf(config.searchStrategy["optimizer"])
      const key = "searchStrategy.optimizer.learningRate"
      return learningRate === undefined ? error : withAdvice(error, { ...where, architecture: null, key, learningRate })
    }

    const trainPiece = (input: TrainPiece, tools: Tools) =>
      Effect.gen(function* () {
        const setup = setupOf(s, config, input)
        const steps = Trainer.totalSteps(setup)
        let state = yield* stateFor(input, setup)
        live = { phase: input.phase, digest: undefined, state }
        yield* openPhase(input.phase, state.step, steps)

        const began = yield* Clock.currentTimeMillis
        const first = state.step
        const { everyMinutes, everySteps } = config.checkpoint
        let told = Number.NEGATIVE_INFINITY
        let noted = Number.NEGATIVE_INFINITY
        while (state.step < steps) {
          const batches = yield* Trainer.nextBatches(setup, state)
          const [next, report] = yield* Effect.uninterruptible(
            Effect.map(Trainer.update(setup, state, batches), (stepped) => {
              live = { phase: input.phase, digest: undefined, state: stepped[0] }
              Trainer.disposeReplacedUnsafe(state, stepped[0])
              return stepped
            })
          )
          state = next
          counted = { unit: "step", done: state.step, total: steps }
          if (report.remark !== undefined) {
            const before = state.step - 1
            const { remark } = report
            const [epoch, step] = [Math.floor(before / setup.stepsPerEpoch) + 1, (before % setup.stepsPerEpoch) + 1]
            if (remarked !== `${input.phase} ${epoch}`) {
              remarked = `${input.phase} ${epoch}`
              yield* emit({ _tag: "Remarked", phase: input.phase, epoch, step, remark })
            }
          }
          const now = yield* Clock.currentTimeMillis
          if (now - told >= progressInterval || report.epochDone !== undefined) {
            told = now
            const perStep = Math.max(now - began, 1) / (state.step - first)
            const last = report.epochDone
            const keep = now - noted >= journalInterval || last !== undefined
            if (keep) noted = now
            const learned = last?.learned ?? report.learned
            if (setup.learner !== undefined && state.learner !== null && learned !== undefined) {
              const { gradient } = setup.learner
              const event: RunEvent = {
                _tag: "Learned",
                phase: input.phase,
                step: Learner.stepsWith(gradient, state.step, setup.stepsPerEpoch),
                steps: Learner.stepsWith(gradient, steps, setup.stepsPerEpoch),
                metrics: learned,
                probabilities: last === undefined ? null : probabilitiesOf(gradient, state.learner)
              }
              yield* keep ? emit(event) : s.events.publish(event)
            }
            const progress: RunEvent = {
              _tag: "StepDone",
              phase: input.phase,
              step: state.step,
              steps,
              epoch: state.step / setup.stepsPerEpoch,
              loss: last?.loss ?? state.sums.loss / state.sums.steps,
              accuracy: setup.classifies ? (last?.accuracy ?? state.sums.accuracy / state.sums.steps) : null,
              learningRate: report.learningRate,
              imagesPerSecond: (setup.batchSize * 1000) / perStep,
              remainingSeconds: ((steps - state.step) * perStep) / 1000
            }
            yield* keep ? emit(progress) : s.events.publish(progress)
          }
          if (report.epochDone !== undefined) {
            const { learned: __, weights: _, ...means } = report.epochDone
            yield* emit({ _tag: "EpochDone", phase: input.phase, epochs: setup.epochs, ...means })
          }
          yield* breathe
          if (
            report.epochDone !== undefined ||
            tools.pausing() ||
            (everySteps > 0 && state.step % everySteps === 0) ||
            (everyMinutes > 0 && now - began >= everyMinutes * 60_000)
          ) {
            break
          }
        }
        return yield* saving(savePosition(input, setup, state, steps))
      })

    const savePosition = (
      input: TrainPiece,
      setup: Trainer.TrainerSetup,
      reached: Trainer.TrainingState,
      steps: number
    ) =>
      Effect.gen(function* () {
        const [state, weights] = yield* Trainer.noteWeights(setup, reached)
        const finished = state.step >= steps
        const name = !finished
          ? RunFolder.checkpointName(input.phase, state.step)
          : input.phase === "supernetTraining"
            ? RunFolder.files.supernet
            : RunFolder.files.network
        const owner = { space: s.space, section: config.searchSpace, architecture: input.architecture }
        const metadata = { format: "osnas", phase: input.phase, ...Provenance.metadata(owner) }
        const checkpoint = yield* Trainer.toCheckpoint(state, metadata, finished)
        if (!isFiniteTree(checkpoint.tensors)) {
          return yield* new Trainer.TrainingDiverged({
            phase: input.phase,
            epoch: Math.ceil(state.step / setup.stepsPerEpoch),
            step: ((state.step - 1) % setup.stepsPerEpoch) + 1,
            loss: "finite, but a weight is NaN or infinite",
            command: null,
            learningRate: setup.learningRate * setup.schedule(state.step - 1)
          })
        }
        const digest = yield* Checkpoint.write(s.disk, folder.path(name), checkpoint)
        const ref: CheckpointRef = { file: name, digest }
        yield* emit({ _tag: "CheckpointSaved", phase: input.phase, step: state.step, ...ref }, true)
        if (finished) {
          // Of no use any more: the optimiser's memory. The weights stay for the phases that follow.
          dropHeld()
          for (const tree of Object.values(state.optimizer.slots)) Parameters.disposeUnsafe(tree)
          if (state.learner !== null) Parameters.disposeUnsafe(state.learner.tensors)
          held = { ref, weights: { variables: state.variables, criterion: state.criterion } }
          live = undefined
        } else live = { phase: input.phase, digest, state }
        const position: TrainingPosition = {
          step: state.step,
          steps,
          checkpoint: ref,
          weights,
          history: state.history
        }
        return position
      })

    /** The weights of a file, from memory where they are there already. */
    const hold = (ref: CheckpointRef, network: Network.Network) =>
      Effect.gen(function* () {
        if (held !== undefined && held.ref.digest === ref.digest) return held.weights
        dropLive()
        dropHeld()
        const file = folder.path(ref.file)
        const checkpoint = yield* Checkpoint.read(s.disk, file, ref.digest)
        const weights = yield* Trainer.weightsFromCheckpoint(file, checkpoint, shapesOf(network))
        held = { ref, weights }
        return weights
      })

    // ---- learning on the trained supernet ------------------------------------------------------------------------

    /** The state a piece of learning continues from, with the sums of the pass it stands in. */
    const taughtFor = (setup: Learner.LearnerSetup, position: LearningPosition | null) =>
      Effect.gen(function* () {
        const digest = position?.checkpoint.digest
        const known = taught?.digest === digest && digest !== undefined ? taught : undefined
        if (known === undefined) dropTaught()
        if (position === null) return { state: Learner.init(setup), sums: noSums }
        const file = folder.path(position.checkpoint.file)
        const checkpoint = yield* Checkpoint.read(s.disk, file, digest)
        const state = known?.state ?? (yield* Learner.fromCheckpoint(file, checkpoint))
        const sums = Option.getOrElse(
          Option.flatMap(Result.getSuccess(SafeJson.parse(checkpoint.metadata[sumsKey] ?? "")), decodeSums),
          () => noSums
        )
        return { state, sums }
      })

    const learn = (input: LearnPiece, tools: Tools) =>
      Effect.catchTag(learnPiece(input, tools), "LearningDiverged", (error) =>
        Effect.fail(withLearningAdvice(error, { phase: "searching", recorded: input.position !== null }))
      )

    const learnPiece = ({ position, supernet }: LearnPiece, tools: Tools) =>
      Effect.gen(function* () {
        const setup = learnerOf(s, "AfterSupernet")
        if (setup === undefined || supernet === null) return null
        const steps = Learner.stepsAfter(setup)
        const perPass = Learner.stepsPerPass(setup)
        const first = position?.step ?? 0
        if (first >= steps) return null
        yield* openPhase("searching", 0, s.searchStrategy.evaluations ?? null)
        const weights = yield* hold(supernet, s.space.supernet)
        const from = yield* taughtFor(setup, position)
        let { state, sums } = from
        taught = { digest: undefined, state }
        const history = [...(position?.history ?? [])]
        const began = yield* Clock.currentTimeMillis
        const { everyMinutes, everySteps } = config.checkpoint
        let told = Number.NEGATIVE_INFINITY
        let noted = Number.NEGATIVE_INFINITY
        let step = first
        while (step < steps) {
          const batch = yield* Learner.nextBatch(setup, step)
          const metrics = yield* Effect.uninterruptible(
            Effect.map(
              Learner.update(setup, state, { step, steps }, batch, weights, setup.strategy),
              ([next, metrics]) => {
                taught = { digest: undefined, state: next }
                Parameters.disposeReplacedUnsafe(state.tensors, next.tensors)
                state = next
                return metrics
              }
            )
          )
          step += 1
          counted = { unit: "step", done: step, total: steps }
          sums = {
            steps: sums.steps + 1,
            metrics: Object.fromEntries(
              Object.entries(metrics).map(([name, value]) => [name, (sums.metrics[name] ?? 0) + value])
            )
          }
          const passDone = step % perPass === 0 || step === steps
          let means = passDone
            ? Object.fromEntries(Object.entries(sums.metrics).map(([name, sum]) => [name, sum / sums.steps]))
            : undefined
          if (means !== undefined) {
            const [judged, figures] = yield* Learner.judge(setup, state, history.length + 1, weights, breathe)
            taught = { digest: undefined, state: judged }
            Parameters.disposeReplacedUnsafe(state.tensors, judged.tensors)
            state = judged
            means = { ...means, ...figures }
            history.push(means)
            sums = noSums
          }
          const now = yield* Clock.currentTimeMillis
          if (now - told >= progressInterval || passDone) {
            told = now
            const keep = now - noted >= journalInterval || passDone
            if (keep) noted = now
            const event: RunEvent = {
              _tag: "Learned",
              phase: "searching",
              step,
              steps,
              metrics: means ?? metrics,
              probabilities: passDone ? probabilitiesOf(setup.gradient, state) : null
            }
            yield* keep ? emit(event) : s.events.publish(event)
          }
          yield* breathe
          if (
            passDone ||
            tools.pausing() ||
            (everySteps > 0 && step % everySteps === 0) ||
            (everyMinutes > 0 && now - began >= everyMinutes * 60_000)
          ) {
            break
          }
        }
        const { metadata, tensors } = yield* Learner.toEntries(state)
        if (!isFiniteTree(tensors)) {
          return yield* new Learner.LearningDiverged({
            searchStrategy: setup.strategy,
            step,
            loss: "finite, but a parameter of the search is NaN or infinite",
            command: null
          })
        }
        const file = step >= steps ? RunFolder.files.searcher : RunFolder.checkpointName("searching", step)
        const written = Checkpoint.write(s.disk, folder.path(file), {
          tensors,
          metadata: {
            format: "osnas",
            phase: "searching",
            space: s.space.name,
            ...metadata,
            [sumsKey]: CanonicalJson.stringify(sums)
          }
        })
        const digest = yield* saving(written)
        const ref: CheckpointRef = { file, digest }
        yield* emit({ _tag: "CheckpointSaved", phase: "searching", step, ...ref }, true)
        taught = { digest, state }
        const review = step >= steps ? setup.gradient.review?.(state) : undefined
        if (review !== undefined) yield* emit({ _tag: "LearningReviewed", ...review })
        const reached: LearningPosition = {
          step,
          steps,
          checkpoint: ref,
          history,
          ...(review === undefined ? {} : { review })
        }
        return reached
      })

    // ---- search --------------------------------------------------------------------------------------------------

    const searchKey = Key.derive(s.key, "searching")

    /** The state that the search begins with. */
    const begin = ({ learning, supernet }: AskCandidates) =>
      Effect.gen(function* () {
        const { gradient } = s.searchStrategy
        const from = gradient?.plan._tag === "WithSupernet" ? supernet : (learning?.checkpoint ?? null)
        dropTaught()
        if (gradient === undefined || from === null) return s.searchStrategy.init(searchKey)
        const file = folder.path(from.file)
        return yield* concluded(s, file, yield* Checkpoint.read(s.disk, file, from.digest), searchKey)
      })

    const ask = (question: AskCandidates) =>
      Effect.gen(function* () {
        yield* openPhase("searching", folder.search.lines.length, s.searchStrategy.evaluations ?? null)
        const [candidates, next] = s.searchStrategy.ask(question.state ?? (yield* begin(question)))
        for (const candidate of candidates) yield* Effect.fromResult(s.space.validate(candidate))
        return { candidates, state: next }
      })

    /** Lines of the search's log, those of this life included. */
    const log = [...folder.search.lines]
    let synced = Number.NEGATIVE_INFINITY

    const fromLog = (input: ScoreCandidate, architecture: string) =>
      Effect.gen(function* () {
        const line = log[input.evaluation]
        if (line === undefined && log.length >= input.evaluation) return undefined
        const fail = (reason: string) =>
          new JournalError({ file: folder.search.file, line: input.evaluation + 1, reason })
        if (line === undefined) return yield* fail(`it is missing: the file has only ${log.length} lines`)
        if (line["architecture"] !== architecture) {
          return yield* fail(
            `the search asks for ${architecture} here, and the line tells of ${String(line["architecture"])}`
          )
        }
        const score = Schema.decodeUnknownOption(Score)({ objective: line["objective"], metrics: line["metrics"] })
        const cost = line["cost"]
        if (Option.isNone(score) || typeof cost !== "number") return yield* fail("it is no scored candidate")
        return { cost, score: score.value }
      })

    const score = (input: ScoreCandidate) =>
      Effect.gen(function* () {
        const architecture = s.space.format(input.genotype)
        yield* openPhase("searching", input.evaluation, s.searchStrategy.evaluations ?? null)
        let scored = yield* fromLog(input, architecture)
        if (scored === undefined) {
          if (input.supernet !== null) {
            const weights = yield* hold(input.supernet, s.space.supernet)
            s.supernet.set(weights)
          }
          scored = {
            cost: s.costs.cost(budget.metric, input.genotype),
            score: yield* s.estimator.score(input.genotype)
          }
          const line = {
            evaluation: input.evaluation,
            generation: input.generation,
            architecture,
            cost: scored.cost,
            ...scored.score
          }
          // A recorded score is not lost to a power cut, save those of the last second where they come by the hundreds.
          const now = yield* Clock.currentTimeMillis
          const sync = now - synced >= 1000
          if (sync) synced = now
          yield* saving(folder.search.append(line, { sync }))
          log.push(line)
          yield* breathe
        }
        counted = { unit: "candidate", done: input.evaluation + 1, total: s.searchStrategy.evaluations ?? null }
        yield* emit({
          _tag: "CandidateScored",
          evaluation: input.evaluation,
          total: s.searchStrategy.evaluations ?? null,
          generation: input.generation,
          architecture,
          cost: scored.cost,
          ...scored.score
        })
        return scored
      })

    const tell = (input: TellScores) =>
      Effect.gen(function* () {
        const state = s.searchStrategy.tell(input.state, input.scored)
        const best = Option.getOrNull(s.searchStrategy.best(state))
        yield* emit({
          _tag: "GenerationDone",
          generation: input.generation,
          best: best === null ? null : { architecture: s.space.format(best.genotype), cost: best.cost, ...best.score }
        })
        return { state, best }
      })

    // ---- evaluation ----------------------------------------------------------------------------------------------

    const evaluate = (input: EvaluatingInput) =>
      Effect.gen(function* () {
        yield* openPhase("evaluating", 0, null)
        const network = s.space.network(input.architecture)
        const { criterion, variables } = yield* hold(input.network, network)
        const forward = Forwards.ofNetwork(network)
        const key = Key.derive(s.key, "evaluating")
        const made = s.criterion.init(Key.derive(key, "criterion"), {
          outputs: outputsOf(s),
          classes: s.dataflow.classes.length
        })
        // Made when the agent asks for it: the weights that retraining begins with.
        let initial: Parameters.Variables | undefined
        const untrained = (images: Tensor4D): Tensor2D => {
          if (initial === undefined) {
            initial = Network.initialise(network, Key.derive(s.key, "retraining", "initialise"))
            for (const tree of [initial.params, initial.stats]) for (const tensor of Object.values(tree)) keep(tensor)
          }
          return forward(initial, images, "eval").output as Tensor2D
        }
        const metrics = yield* s.agent
          .evaluate({
            infer: (images) => forward(variables, images, "eval").output as never,
            untrained,
            criterion: s.criterion,
            criterionParams: Parameters.merge(made, criterion),
            dataflow: s.dataflow,
            split: "test",
            batchSize: config.evaluation.batchSize,
            batches: undefined,
            key
          })
          .pipe(
            Effect.ensuring(
              Effect.sync(() => {
                for (const tree of [made, initial?.params ?? {}, initial?.stats ?? {}]) Parameters.disposeUnsafe(tree)
              })
            )
          )
        const wrong = Object.entries(metrics).find(([, value]: readonly [string, unknown]) => !Number.isFinite(value))
        if (wrong !== undefined) {
          const value = typeof wrong[1] === "number" ? String(wrong[1]) : JSON.stringify(wrong[1])
          return yield* new RunFailure({
            tag: "EvaluationError",
            reason: `the metric ${wrong[0]} that the training agent ${s.agent.name} gives for the test images must be a finite number, is ${value}`
          })
        }
        yield* emit({ _tag: "Evaluated", metrics })
        return metrics
      })

    // ---- results -------------------------------------------------------------------------------------------------

    const searchDigest = (results: Results): string | undefined => {
      const count = results.search?.evaluations ?? null
      return count === null ? undefined : CanonicalJson.digest(log.slice(0, count))
    }

    /** The files that tell what the phases have brought, by name. */
    const resultFiles = (results: Results): ReadonlyArray<readonly [name: string, content: ResultFile]> => [
      ...(results.search === null
        ? []
        : [
            [
              RunFolder.files.architecture,
              Outcome.architectureOf(s.space, s.costs, budget, results.search.architecture)
            ] as const
          ]),
      [RunFolder.files.metrics, Outcome.metricsOf(s.space, s.costs, budget, results, searchDigest(results))]
    ]

    const writeResults = (results: Results) =>
      Effect.forEach(resultFiles(results), ([name, content]) => folder.writeJson(name, content), { discard: true })

    /**
     * Fails where a file does not tell what the snapshot knows; one that tells more, as after a crash before the snapshot
     * was saved, is written again when its phase ends. A file that is missing is made.
     */
    const checkResults = (results: Results) =>
      Effect.gen(function* () {
        for (const [name, content] of resultFiles(results)) {
          const expected = JSON.parse(CanonicalJson.stringify(content)) as ResultFile
          const file = folder.path(name)
          const text = yield* readText(s.disk, file)
          if (text === undefined) {
            if (Object.keys(expected).length > 0) yield* folder.writeJson(name, content)
            continue
          }
          const fail = (reason: string) =>
            new SnapshotError({ file, reason: `${reason}; remove it, and \`osnas resume\` writes it again` })
          const found = yield* Effect.mapError(Effect.fromResult(SafeJson.parse(text)), fail)
          const held = typeof found === "object" && found !== null ? (found as ResultFile) : {}
          for (const [key, value] of Object.entries(expected)) {
            const is = Object.hasOwn(held, key) ? CanonicalJson.stringify(held[key]) : "nothing"
            if (is !== CanonicalJson.stringify(value)) {
              return yield* fail(`it is damaged: ${key} is not what the run has recorded`)
            }
          }
        }
      })

    const costsOf = (genotype: Genotype) =>
      Object.fromEntries(
        Object.entries(Outcome.costsOf(s.costs, budget, genotype)).filter(
          (entry): entry is [string, number] => typeof entry[1] === "number"
        )
      )

    return {
      emit,
      closePhase,
      train,
      learn,
      ask,
      score,
      tell,
      evaluate,
      writeResults: (results: Results) => saving(writeResults(results)),
      checkResults,
      costsOf,
      saving
    }
  })

const decodeInput = Schema.decodeUnknownEffect(AgentInput)

/** Drives the machine to its end. `input` begins a run, `snapshot` takes one up. */
const drive = (
  s: Services,
  options: RunOptions,
  folder: RunFolder.RunFolderShape,
  input: AgentInput,
  snapshot: Schema.Json,
  changes: ReadonlyArray<Identity.Difference> = []
): Effect.Effect<RunOutcome, RunError, Scope> =>
  Effect.gen(function* () {
    const { config } = options
    const work = yield* makeWork({ ...s, disk: folder.disk }, config, folder, options.folder)
    const runFork = yield* FiberSet.makeRuntime<never>()
    let failure: Cause.Cause<RunError> | undefined

    /** Keeps the failure itself, of which the machine knows only tag and message. */
    const noting = <A, E extends RunError>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.tapCause(effect, (cause) =>
        Effect.sync(() => {
          if (!Cause.hasInterruptsOnly(cause)) failure = cause
        })
      )

    const persist = Effect.gen(function* () {
      const persisted = JSON.parse(JSON.stringify(actor.getPersistedSnapshot())) as Schema.Json
      // The snapshot counts on the lines of the candidates it knows of.
      yield* folder.search.sync
      yield* folder.saveSnapshot(persisted)
      yield* folder.prune(config.checkpoint.keep, Snapshot.checkpointsIn(persisted))
    }).pipe(work.saving)

    const actors = {
      train: fromEffect({ runFork }, (piece: TrainPiece, tools) => noting(work.train(piece, tools))),
      save: fromEffect({ runFork }, (_: SavePiece) => noting(persist))
    }
    const machine = agentMachine.provide({
      actors: {
        supernetTraining: trainingMachine.provide({ actors }),
        retraining: trainingMachine.provide({ actors }),
        searching: searchingMachine.provide({
          actors: {
            learn: fromEffect({ runFork }, (piece: LearnPiece, tools) => noting(work.learn(piece, tools))),
            ask: fromEffect({ runFork }, (question: AskCandidates) => noting(work.ask(question))),
            score: fromEffect({ runFork }, (candidate: ScoreCandidate) => noting(work.score(candidate))),
            tell: fromEffect({ runFork }, (told: TellScores) => noting(work.tell(told))),
            save: actors.save
          }
        }),
        evaluating: evaluatingMachine.provide({
          actors: {
            evaluate: fromEffect({ runFork }, (question: EvaluatingInput) => noting(work.evaluate(question)))
          }
        }),
        record: fromEffect({ runFork }, ({ results }: RecordResults) =>
          noting(
            Effect.gen(function* () {
              yield* work.writeResults(results)
              yield* work.closePhase()
              yield* persist
            })
          )
        )
      }
    })

    const badSnapshot = (why: string) =>
      new SnapshotError({
        file: folder.path(RunFolder.files.snapshot),
        reason: `it is not the state of a run: ${why}`
      })
    if (snapshot !== null) {
      const { context } = yield* Effect.mapError(Snapshot.check(snapshot), (error) => badSnapshot(error.message))
      yield* work.checkResults(context.results)
    }
    yield* work.emit({
      _tag: "RunStarted",
      name: config.name,
      resumed: snapshot !== null,
      seed: config.seed,
      space: s.space.name,
      size: s.space.size.toString(),
      dataset: s.dataflow.name,
      engine: s.engine.name,
      headline: s.agent.headline
    })
    if (changes.length > 0) yield* work.emit({ _tag: "OptionsChanged", changes })

    const actor = yield* Effect.acquireRelease(
      Effect.try({
        try: () =>
          createActor(machine, {
            input,
            ...(snapshot === null ? {} : { snapshot: snapshot as unknown as XStateSnapshot<unknown> }),
            ...(options.inspect === undefined ? {} : { inspect: options.inspect })
          }),
        catch: (cause) => badSnapshot(String(cause))
      }),
      (actor) => Effect.sync(() => actor.stop())
    )
    const begun = actor.getSnapshot()
    if (begun.status === "error") return yield* badSnapshot(String(begun.error))
    const ended = Effect.callback<void, RunFailure>((resume) => {
      const subscription = actor.subscribe({
        complete: () => resume(Effect.void),
        error: (cause) =>
          resume(Effect.fail(new RunFailure({ tag: "MachineError", reason: `the main agent broke: ${String(cause)}` })))
      })
      actor.start()
      if (snapshot !== null) actor.send({ type: "resume", stopAfter: config.stopAfter })
      return Effect.sync(() => subscription.unsubscribe())
    })
    const wishes = [
      options.pause,
      options.maxMinutes === undefined ? undefined : Effect.sleep(options.maxMinutes * 60_000)
    ]
    for (const wish of wishes) {
      if (wish === undefined) continue
      yield* Effect.forkScoped(
        Effect.andThen(
          wish,
          Effect.sync(() => {
            if (actor.getSnapshot().status === "active") actor.send({ type: "pause" })
          })
        )
      )
    }
    yield* ended
    const output = actor.getSnapshot().output
    if (output === undefined)
      return yield* new RunFailure({ tag: "MachineError", reason: "the main agent was stopped" })
    switch (output._tag) {
      case "Failed": {
        yield* Effect.ignore(work.closePhase("failed"))
        const { tag } = output.failure
        const message = Advice.afterThrow(
          output.failure.message,
          failure === undefined ? undefined : ThrownIn.module(Cause.squash(failure)),
          options.folder
        )
        yield* Effect.ignore(work.emit({ _tag: "RunFailed", tag, message }, true))
        if (failure !== undefined && !Cause.hasDies(failure)) return yield* Effect.failCause(failure)
        return yield* new RunFailure({ tag, reason: message })
      }
      case "Paused": {
        const resume = `osnas resume ${options.folder}`
        yield* work.closePhase("paused")
        yield* work.emit({ _tag: "RunPaused", resume }, true)
        return { _tag: "Paused", folder: folder.folder, results: output.results, resume } as const
      }
      case "Done": {
        const { results } = output
        yield* work.emit(
          {
            _tag: "RunDone",
            architecture: results.search === null ? null : s.space.format(results.search.architecture),
            costs: results.search === null ? {} : work.costsOf(results.search.architecture),
            metrics: results.evaluation ?? {}
          },
          true
        )
        return { _tag: "Done", folder: folder.folder, results } as const
      }
    }
  })

/** Fails where the run would fail later, or mean nothing. */
const examine = (s: Services, { config, machine }: RunOptions): Effect.Effect<void, Finding.PreflightError> => {
  const findings = Preflight.examine({ ...s, config, machine })
  return findings.some(({ severity }) => severity === "error")
    ? Effect.fail(new Finding.PreflightError({ findings }))
    : Effect.void
}

/** The phase that a run begins with. */
const firstPhase = ({ needsSupernet, start: { architecture, network, supernet } }: AgentInput): Phase => {
  if (network !== null) return "evaluating"
  if (architecture !== null) return "retraining"
  return supernet !== null || !needsSupernet ? "searching" : "supernetTraining"
}

const refuse = (config: RunConfig, issues: ReadonlyArray<ConfigFile.ConfigIssue>) =>
  issues.length === 0 ? Effect.void : Effect.fail(new ConfigFile.ConfigError({ file: config.name, issues }))

/** Fails where a training phase that the run comes to has no section in the configuration. */
const checkSections = (config: RunConfig, input: AgentInput): Effect.Effect<void, ConfigFile.ConfigError> => {
  const first = firstPhase(input)
  const path = lackingSection(config, first, input.stopAfter)
  const message = `missing, but required: the run goes from ${first} to ${input.stopAfter}; give ${path}.epochs, as in ${path}: { epochs: 10 }`
  return refuse(config, path === undefined ? [] : [{ path, line: null, origin: "", message }])
}

/** What a run is given at its start, read and checked before anything is made. */
const readStart = (s: Services, config: RunConfig, baseFolder: string) =>
  Effect.gen(function* () {
    const { start } = config
    const architecture =
      start.architecture === null ? null : yield* Effect.fromResult(Presets.parse(s.space, start.architecture))
    if (architecture === null) {
      const unfit = Pairing.check({ ...s, given: start.supernet !== null })
      if (unfit !== undefined) return yield* unfit
    }
    const load = (file: string | null, name: string, network: () => Network.Network) =>
      Effect.gen(function* () {
        if (file === null) return null
        const absolute = path.resolve(baseFolder, file)
        const checkpoint = yield* Checkpoint.read(s.disk, absolute)
        yield* Provenance.check(absolute, checkpoint.metadata, {
          space: s.space,
          section: config.searchSpace,
          architecture: name === RunFolder.files.network ? architecture : null
        })
        const learns = s.searchStrategy.gradient?.plan._tag === "WithSupernet" && architecture === null
        if (learns && name === RunFolder.files.supernet) {
          yield* concluded(s, absolute, checkpoint, Key.derive(s.key, "searching"))
        }
        const weights = yield* Trainer.weightsFromCheckpoint(absolute, checkpoint, shapesOf(network()))
        disposeWeights(weights)
        const { bytes, digest } = Checkpoint.encode(checkpoint)
        const ref: CheckpointRef = { file: name, digest }
        return { ref, file: { [name]: bytes } }
      })
    if (start.network !== null && architecture === null) {
      return yield* new RunFailure({
        tag: "StartError",
        reason: "start.network: weights alone are no network; give start.architecture beside it"
      })
    }
    const supernet = yield* load(start.supernet, RunFolder.files.supernet, () => s.space.supernet)
    const network = yield* load(start.network, RunFolder.files.network, () => s.space.network(architecture ?? []))
    const input: AgentInput = {
      start: { architecture, supernet: supernet?.ref ?? null, network: network?.ref ?? null },
      needsSupernet: s.estimator.needsSupernet ?? true,
      stopAfter: config.stopAfter
    }
    yield* checkSections(config, input)
    return { input, files: { ...supernet?.file, ...network?.file } }
  })

/**
 * Begins a run in a new folder and goes through its phases to the end, or to a pause. Nothing is written before
 * everything the run is given has been read and checked.
 */
export const run = (options: StartOptions): Effect.Effect<RunOutcome, RunError, RunServices> =>
  Effect.scoped(
    Effect.gen(function* () {
      const s = yield* services
      const { config } = options
      const { files, input } = yield* readStart(s, config, options.baseFolder ?? ".")
      yield* examine(s, options)
      const folder = yield* RunFolder.create({
        folder: options.folder,
        config: options.configText ?? Yaml.stringify(config),
        manifest: manifestOf(s, options, input, options.notes ?? {}),
        files: { ...options.files, ...files },
        overwrite: options.overwrite
      })
      return yield* drive(s, options, folder, input, null)
    })
  )

/**
 * Fails where what a run's folder began with is not what is given now: another configuration, other data, another engine.
 */
export const checkSame = (
  options: Pick<RunOptions, "config" | "folder" | "kinds" | "modules">
): Effect.Effect<void, RunError, RunServices> =>
  Effect.gen(function* () {
    const s = yield* services
    const began = yield* RunFolder.readManifest(s.disk, path.resolve(options.folder))
    const changed = yield* checkIdentity(s, options, began, everythingRecorded)
    if (changed.length > 0) {
      const differences = changed.map((difference) => ({ ...difference, why: "resume the run to change it" }))
      return yield* new RunMismatch({ folder: options.folder, differences })
    }
  })

const everythingRecorded: Resumption.Recorded = { phases: new Set(phases), scored: true }

/** What {@link replay} takes. */
export interface ReplayOptions extends Pick<RunOptions, "config" | "folder" | "kinds" | "modules"> {
  /** A training checkpoint of the folder: `checkpoints/retraining-000000312.safetensors`. */
  readonly from: string
  /** How many optimiser steps to do again; default: to the end of the phase. */
  readonly steps?: number | undefined
}

/** The weights that training came to again. */
export interface Replayed {
  readonly phase: TrainingPhase
  readonly from: number
  readonly stepsPerEpoch: number
  /** At the end of every epoch passed, and at the last step: the digest of the weights by the step. */
  readonly digests: ReadonlyArray<{ readonly step: number; readonly weights: string }>
}

/**
 * Trains again from a checkpoint of a run's folder, which it neither changes nor owns, and gives the digests of the
 * weights on the way; `Verify.verifyFrom` compares them with the recorded ones.
 */
export const replay = (options: ReplayOptions): Effect.Effect<Replayed, RunError, RunServices> =>
  Effect.gen(function* () {
    yield* checkSame(options)
    const s = yield* services
    const file = path.resolve(options.folder, options.from)
    const checkpoint = yield* Checkpoint.read(s.disk, file)
    const { architecture, phase } = checkpoint.metadata
    if (phase !== "supernetTraining" && phase !== "retraining") {
      return yield* new Checkpoint.CheckpointError({
        file,
        tensor: null,
        reason: "it is no checkpoint of a training phase"
      })
    }
    const input: TrainingInput = {
      phase,
      architecture: architecture === undefined ? null : yield* Effect.fromResult(s.space.parse(architecture))
    }
    const setup = setupOf(s, options.config, input)
    const digests: Array<{ readonly step: number; readonly weights: string }> = []
    let state = yield* Trainer.fromCheckpoint(file, checkpoint, shapesOf(networkOf(s, input)))
    const from = state.step
    const last = Math.min(Trainer.totalSteps(setup), from + (options.steps ?? Number.POSITIVE_INFINITY))
    const train = Effect.gen(function* () {
      while (state.step < last) {
        const batches = yield* Trainer.nextBatches(setup, state)
        yield* Effect.uninterruptible(
          Effect.map(Trainer.update(setup, state, batches), ([next]) => {
            Trainer.disposeReplacedUnsafe(state, next)
            state = next
          })
        )
        if (state.step % setup.stepsPerEpoch === 0 || state.step === last) {
          const [, weights] = yield* Trainer.noteWeights(setup, state)
          digests.push({ step: state.step, weights })
        }
        yield* breathe
      }
    })
    yield* Effect.ensuring(
      train,
      Effect.sync(() => Trainer.disposeUnsafe(state))
    )
    return { phase, from, stepsPerEpoch: setup.stepsPerEpoch, digests }
  })

/** Whether a supernet is needed was decided when the run began. */
const checkEstimator = (
  s: Services,
  options: RunOptions,
  input: AgentInput,
  changed: ReadonlyArray<Identity.Difference>
): Effect.Effect<void, RunMismatch> => {
  if ((s.estimator.needsSupernet ?? true) === input.needsSupernet) return Effect.void
  const why = `the run began ${input.needsSupernet ? "with" : "without"} a supernet to score by`
  const differences = changed
    .filter(({ key }) => key.startsWith("config.estimator."))
    .map((difference) => ({ ...difference, why }))
  return Effect.fail(new RunMismatch({ folder: options.folder, differences }))
}

/** What resuming a run takes. */
export interface ResumeOptions extends RunOptions {
  /** Text of `config.yaml` where the configuration is not the folder's own; written when the changes are accepted. */
  readonly configText?: string | undefined
}

/**
 * Resumes a run where its folder says it stopped: after a pause, a failure, a crash. What the run is made of must be what
 * it began with. Places and options of performance may differ, and so may options that nothing recorded has used yet,
 * which the manifest then lists under `changes`. A run that is done stays done.
 */
export const resume = (options: ResumeOptions): Effect.Effect<RunOutcome, RunError, RunServices> =>
  Effect.scoped(
    Effect.gen(function* () {
      const s = yield* services
      const folder = yield* RunFolder.open(options.folder)
      const snapshot = yield* folder.loadSnapshot
      const input = yield* Effect.mapError(
        decodeInput({ ...folder.manifest.input, stopAfter: options.config.stopAfter }),
        (error) =>
          new SnapshotError({
            file: folder.path(RunFolder.files.manifest),
            reason: `its input is not what a run is given: ${error.message}`
          })
      )
      yield* checkSections(options.config, input)
      const recorded = Resumption.recordedIn(snapshot, folder.search.lines.length)
      const changed = yield* checkIdentity(s, options, folder.manifest, recorded)
      yield* checkEstimator(s, options, input, changed)
      if (changed.some(({ key }) => /^config\.(searchStrategy|trainingStrategy)\./.test(key))) {
        const unfit = Pairing.check({ ...s, given: input.start.supernet !== null })
        if (unfit !== undefined) return yield* unfit
      }
      yield* examine(s, options)
      // The configuration goes first: a crash in between leaves a change that is accepted again.
      if (options.configText !== undefined) yield* folder.writeText(RunFolder.files.config, options.configText)
      const changes = changed.map(({ is, key, was }) => ({ key: key.replace(/^config\./, ""), was, is }))
      if (changes.length > 0) {
        const { identity } = manifestOf(s, options, input, {})
        const { manifest } = folder
        yield* folder.saveManifest({ ...manifest, identity, changes: [...manifest.changes, ...changes] })
      }
      return yield* drive(s, options, folder, input, snapshot, changes)
    })
  )
