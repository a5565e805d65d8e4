/**
 * Supernet training and retraining. A piece of work starts from a checkpoint or from the initial weights, trains to the end
 * of an epoch or until a checkpoint is due, and writes a checkpoint. The last checkpoint of a phase contains only weights.
 */
import * as Effect from "effect/Effect"
import type { TrainingPosition } from "../../../machines/RunState.ts"
import type { TrainingInput, TrainPiece } from "../../../machines/Training.ts"
import * as Optimizer from "../../nn/Optimizer.ts"
import * as Schedule from "../../nn/Schedule.ts"
import * as Key from "../../random/Key.ts"
import * as Network from "../../search-space/Network.ts"
import * as Checkpoint from "../Checkpoint.ts"
import * as Forwards from "../Forwards.ts"
import * as Learner from "../Learner.ts"
import * as PieceLoop from "../PieceLoop.ts"
import * as Provenance from "../Provenance.ts"
import type { ResidentWeights } from "../ResidentWeights.ts"
import { type RunConfig, trainingOf } from "../RunConfig.ts"
import * as RunFolder from "../RunFolder.ts"
import type { Services } from "../RunServices.ts"
import * as Trainer from "../Trainer.ts"
import * as TrainingCheckpoint from "../TrainingCheckpoint.ts"
import type { TrainingState } from "../TrainingState.ts"
import * as Divergence from "./Divergence.ts"
import * as Learning from "./Learning.ts"
import { hasFiniteValues, initialCriterion, type PhaseContext, shapesOf } from "./PhaseContext.ts"

/** The network that a phase trains: the supernet, or the architecture it is given. */
export const networkOf = ({ space }: Services, { architecture }: Pick<TrainingInput, "architecture">) =>
  architecture === null ? space.supernet : space.network(architecture)

/** How a phase trains, by configuration and services. */
export const setupOf = (services: Services, config: RunConfig, input: TrainingInput): Trainer.TrainerSetup => {
  const { agent, criterion, dataflow, key, space, trainingStrategy } = services
  const training = trainingOf(config, input.phase)
  const split = input.phase === "supernetTraining" ? "supernet" : "train"
  const stepsPerEpoch = dataflow.steps(split, training.batchSize, true)
  const { architecture } = input
  return {
    phase: input.phase,
    key: Key.derive(key, input.phase),
    split,
    epochs: training.epochs,
    stepsPerEpoch,
    batchSize: training.batchSize,
    accumulate: training.accumulate,
    bnMomentum: training.bnMomentum,
    learningRate: training.optimizer.learningRate,
    schedule: Schedule.fromConfig(training.schedule, { epochs: training.epochs, stepsPerEpoch }),
    optimizer: Optimizer.fromConfig(training.optimizer),
    agent,
    criterion,
    dataflow,
    sampler:
      architecture === null
        ? trainingStrategy
        : { init: () => ({}), next: (state) => [{ _tag: "Paths", paths: [architecture] }, state] },
    learner: architecture === null ? Learning.setupOf(services, "WithSupernet") : undefined,
    forwards: Forwards.ofStep(space),
    updateStatistics: Network.updateStatistics,
    classifies: space.interface.head._tag === "Classifier"
  }
}

/** One optimizer step. The new state is resident; the tensors that only the old state contained are disposed. */
export const step = Effect.fnUntraced(function* (
  setup: Trainer.TrainerSetup,
  resident: ResidentWeights,
  state: TrainingState
) {
  const batches = yield* Trainer.nextBatches(setup, state)
  return yield* Effect.uninterruptible(
    Effect.map(Trainer.update(setup, state, batches), (stepped) => {
      resident.put("training", stepped[0])
      return stepped
    })
  )
})

/** The first state of a piece: from memory if it equals the checkpoint, otherwise read or initialised. */
const stateFor = Effect.fnUntraced(function* (
  { folder, resident, services }: PhaseContext,
  setup: Trainer.TrainerSetup,
  input: TrainPiece
) {
  const known = resident.find("training", input.position?.checkpoint.digest)
  if (known !== undefined) return known
  resident.release("training", "network")
  const network = networkOf(services, input)
  if (input.position === null) {
    const variables = Network.initialise(network, Key.derive(setup.key, "initialise"))
    return Trainer.init(setup, variables, initialCriterion(services, Key.derive(setup.key, "criterion")))
  }
  const file = folder.path(input.position.checkpoint.file)
  const checkpoint = yield* Checkpoint.read(folder.disk, file, input.position.checkpoint.digest)
  return yield* TrainingCheckpoint.toState(file, checkpoint, shapesOf(network))
})

/** The epoch of the last reported warning: an epoch reports one warning, however many pieces it has. */
type WarningMemory = { epoch: string }

interface Piece {
  readonly context: PhaseContext
  readonly setup: Trainer.TrainerSetup
  readonly input: TrainPiece
  readonly steps: number
}

const emitLearned = Effect.fnUntraced(function* (
  { context: { progress }, input, setup, steps }: Piece,
  state: TrainingState,
  { epochDone, learned }: Trainer.StepReport,
  journal: boolean
) {
  const metrics = epochDone?.learned ?? learned
  if (setup.learner === undefined || state.learner === null || metrics === undefined) return
  const { gradient } = setup.learner
  yield* progress.emit(
    {
      _tag: "Learned",
      phase: input.phase,
      step: Learner.stepsWith(gradient, state.step, setup.stepsPerEpoch),
      steps: Learner.stepsWith(gradient, steps, setup.stepsPerEpoch),
      metrics,
      probabilities: epochDone === undefined ? null : Learning.probabilitiesOf(gradient, state.learner)
    },
    { journal }
  )
})

const show = Effect.fnUntraced(function* (
  piece: Piece,
  state: TrainingState,
  report: Trainer.StepReport,
  { journal, millisecondsPerStep }: PieceLoop.Moment
) {
  const { context, input, setup, steps } = piece
  const { phase } = input
  const { epochDone } = report
  yield* emitLearned(piece, state, report, journal)
  yield* context.progress.emit(
    {
      _tag: "StepDone",
      phase,
      step: state.step,
      steps,
      epoch: state.step / setup.stepsPerEpoch,
      loss: epochDone?.loss ?? state.sums.loss / state.sums.steps,
      accuracy: setup.classifies ? (epochDone?.accuracy ?? state.sums.accuracy / state.sums.steps) : null,
      learningRate: report.learningRate,
      imagesPerSecond: (setup.batchSize * 1000) / millisecondsPerStep,
      remainingSeconds: ((steps - state.step) * millisecondsPerStep) / 1000
    },
    { journal }
  )
  if (epochDone === undefined) return
  const { learned: __, weights: _, ...means } = epochDone
  yield* context.progress.emit({ _tag: "EpochDone", phase, epochs: setup.epochs, ...means })
})

const showWarning = Effect.fnUntraced(function* (
  { context, input: { phase }, setup }: Piece,
  memory: WarningMemory,
  before: number,
  warning: string
) {
  const [epoch, step] = [Math.floor(before / setup.stepsPerEpoch) + 1, (before % setup.stepsPerEpoch) + 1]
  if (memory.epoch === `${phase} ${epoch}`) return
  memory.epoch = `${phase} ${epoch}`
  yield* context.progress.emit({ _tag: "CriterionWarning", phase, epoch, step, warning })
})

/** Writes the checkpoint of a state. The weights of a complete phase stay resident as a trained network. */
const save = Effect.fnUntraced(function* ({ context, input, setup, steps }: Piece, reached: TrainingState) {
  const { config, folder, progress, resident, services } = context
  const [state, weights] = yield* TrainingCheckpoint.recordWeightsDigest(setup, reached)
  const isComplete = state.step >= steps
  const finalName = input.phase === "supernetTraining" ? RunFolder.files.supernet : RunFolder.files.network
  const file = isComplete ? finalName : RunFolder.checkpointName(input.phase, state.step)
  const owner = { space: services.space, section: config.searchSpace, architecture: input.architecture }
  const metadata = { format: "osnas", phase: input.phase, ...Provenance.metadata(owner) }
  const checkpoint = yield* TrainingCheckpoint.fromState(state, metadata, isComplete)
  if (!hasFiniteValues(checkpoint.tensors)) {
    return yield* new Trainer.TrainingDiverged({
      phase: input.phase,
      epoch: Math.ceil(state.step / setup.stepsPerEpoch),
      step: ((state.step - 1) % setup.stepsPerEpoch) + 1,
      loss: "finite, but a weight is NaN or infinite",
      command: null,
      learningRate: setup.learningRate * setup.schedule(state.step - 1)
    })
  }
  const digest = yield* Checkpoint.write(folder.disk, folder.path(file), checkpoint)
  const ref = { file, digest }
  yield* progress.emit({ _tag: "CheckpointSaved", phase: input.phase, step: state.step, ...ref }, { sync: true })
  if (isComplete) {
    resident.put("network", { variables: state.variables, criterion: state.criterion }, digest)
    resident.release("training")
  } else resident.put("training", state, digest)
  return { step: state.step, steps, checkpoint: ref, weights, history: state.history } satisfies TrainingPosition
})

const trainPiece = Effect.fnUntraced(function* (
  context: PhaseContext,
  memory: WarningMemory,
  input: TrainPiece,
  pausing: () => boolean
) {
  const { config, progress, resident, services } = context
  const setup = setupOf(services, config, input)
  const steps = Trainer.totalSteps(setup)
  const piece: Piece = { context, setup, input, steps }
  const from = yield* stateFor(context, setup, input)
  // Without a digest: with one, a repeated piece could start from the state that this piece ends with.
  resident.put("training", from)
  yield* progress.openPhase(input.phase, from.step, steps)
  const reached = yield* PieceLoop.run({
    from,
    steps,
    cadence: config.checkpoint,
    pausing,
    isBoundary: (report: Trainer.StepReport) => report.epochDone !== undefined,
    step: Effect.fnUntraced(function* (state: TrainingState) {
      const stepped = yield* step(setup, resident, state)
      const [next, { warning }] = stepped
      progress.reach({ unit: "step", done: next.step, total: steps })
      if (warning !== undefined) yield* showWarning(piece, memory, state.step, warning)
      return stepped
    }),
    show: (state, report, moment) => show(piece, state, report, moment)
  })
  return yield* progress.saving(save(piece, reached))
})

/** The work of a training phase, from the start or resume of a run to its end. */
export const make = (context: PhaseContext) => {
  const memory: WarningMemory = { epoch: "" }
  /** Trains one piece and writes its checkpoint. Ends early on a pause. */
  const train = (input: TrainPiece, pausing: () => boolean) =>
    Effect.catchTags(trainPiece(context, memory, input, pausing), {
      TrainingDiverged: (error) => Effect.fail(Divergence.ofTraining(context, error, input)),
      LearningDiverged: (error) => {
        const where = { phase: input.phase, recorded: input.position !== null }
        return Effect.fail(Divergence.ofLearning(context, error, where))
      }
    })
  return { train }
}
