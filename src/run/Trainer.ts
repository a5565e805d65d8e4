/**
 * One optimizer step over the contracts: state in, next state out. A step depends only on the state and on the key of the
 * phase, so a state that is read back from its checkpoint continues to the same bits.
 *
 * Tensors: {@link step} leaves the old state intact, and the new one shares what did not change. The caller frees the rest
 * with `TrainingState.disposeReplacedUnsafe`.
 */
import type * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { EpochRecord } from "../../machines/RunState.ts"
import type { Batch, DataflowShape, DatasetError, Split } from "../dataflow/Dataflow.ts"
import type { Optimizer } from "../nn/Optimizer.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import type { LearnerState, LearningMetrics } from "../search-strategy/SearchStrategy.ts"
import type { Forward } from "../training-agent/TrainingAgent.ts"
import type { SamplerState, TrainingStep, TrainingStrategyShape } from "../training-strategy/TrainingStrategy.ts"
import * as BatchGradients from "./BatchGradients.ts"
import * as Learner from "./Learner.ts"
import * as MetricSums from "./MetricSums.ts"
import { criterionPrefix, type EpochSums, noSums, type TrainingState } from "./TrainingState.ts"

/** The loss, or a weight, became NaN or infinite. */
export class TrainingDiverged extends Schema.TaggedError<TrainingDiverged>()("TrainingDiverged", {
  phase: Schema.String,
  epoch: Schema.Int,
  step: Schema.Int,
  /** `NaN`, `Infinity`. */
  loss: Schema.String,
  learningRate: Schema.Finite,
  /** The command that continues from what the run has found so far; null if it has found nothing yet. */
  command: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const remedy = `lower ${this.phase}.optimizer.learningRate, add warm-up (${this.phase}.schedule.warmupEpochs) or clip gradients (${this.phase}.optimizer.clipNorm)`
    const command = this.command === null ? "" : `, for example:\n  ${this.command}`
    return `${this.phase} diverged in epoch ${this.epoch}, step ${this.step}: the loss is ${this.loss} at learning rate ${this.learningRate}; ${remedy}${command}`
  }
}

/** Why a step failed. */
export type StepFailure = TrainingDiverged | Learner.LearningDiverged

/** What a phase trains, on which images, and how. */
export interface TrainerSetup extends BatchGradients.GradientSetup {
  readonly phase: string
  /** The phase's own key. */
  readonly key: Key.Key
  readonly split: Split
  readonly epochs: number
  readonly stepsPerEpoch: number
  readonly batchSize: number
  /** Peak learning rate. */
  readonly learningRate: number
  /** Factor of the learning rate at a step of the phase, counted from 0. */
  readonly schedule: (step: number) => number
  readonly optimizer: Optimizer
  readonly dataflow: DataflowShape
  readonly sampler: Pick<TrainingStrategyShape, "init" | "next">
  /** A gradient-based searcher that learns during supernet training, with its name; undefined if there is none. */
  readonly learner?: (Learner.LearnerSetup & { readonly strategy: string }) | undefined
  /** What a step trains, as functions of the variables; their gradients are summed. */
  readonly forwards: (step: TrainingStep) => ReadonlyArray<Forward>
}

/** Results of a step beside the new state. */
export interface StepReport {
  readonly loss: number
  /** Null unless the task classifies. */
  readonly accuracy: number | null
  readonly learningRate: number
  /** The criterion's warning about the batch. */
  readonly warning: string | undefined
  /** Metrics of the searcher's own step, if one was due. */
  readonly learned: LearningMetrics | undefined
  /** The epoch that this step completed. */
  readonly epochDone: EpochRecord | undefined
}

/** The images of a step. */
export interface Batches {
  readonly training: Batch
  /** For the searcher's own step, if one is due. */
  readonly validation: Batch | undefined
}

/** Steps of the whole phase. */
export const totalSteps = (setup: Pick<TrainerSetup, "epochs" | "stepsPerEpoch">): number =>
  setup.epochs * setup.stepsPerEpoch

/** The state before the first step. The given trees become part of it. */
export const init = (setup: TrainerSetup, variables: Variables, criterion: ParameterTree): TrainingState => ({
  step: 0,
  variables,
  criterion,
  optimizer: setup.optimizer.init(),
  sampler: setup.sampler.init(Key.derive(setup.key, "sampler")),
  learner: setup.learner === undefined ? null : Learner.init(setup.learner),
  sums: noSums,
  history: []
})

/** Epoch, and step within it, of a step of the phase; all from 0. */
const placeOf = (setup: TrainerSetup, step: number) => ({
  epoch: Math.floor(step / setup.stepsPerEpoch),
  inEpoch: step % setup.stepsPerEpoch
})

/** Place of the searcher's step that is due before the next step of training; undefined if none is due. */
const learningPlace = (setup: TrainerSetup, state: TrainingState): Learner.Place | undefined => {
  if (setup.learner === undefined || state.learner === null) return undefined
  const { gradient } = setup.learner
  const stepsWith = (steps: number) => Learner.stepsWith(gradient, steps, setup.stepsPerEpoch)
  const before = stepsWith(state.step)
  return stepsWith(state.step + 1) > before ? { step: before, steps: stepsWith(totalSteps(setup)) } : undefined
}

/** The images of the next step. */
export const nextBatches = Effect.fnUntraced(function* (
  setup: TrainerSetup,
  state: TrainingState
): Effect.fn.Return<Batches, DatasetError> {
  const { epoch, inEpoch } = placeOf(setup, state.step)
  const training = yield* setup.dataflow.batch({
    split: setup.split,
    epoch,
    step: inEpoch,
    batchSize: setup.batchSize,
    training: true
  })
  const place = learningPlace(setup, state)
  const validation =
    place === undefined || setup.learner === undefined ? undefined : yield* Learner.nextBatch(setup.learner, place.step)
  return { training, validation }
})

/** The searcher's own step, which comes before that of the supernet. */
const learn = Effect.fnUntraced(function* (setup: TrainerSetup, state: TrainingState, batch: Batch | undefined) {
  const { criterion, learner, variables } = state
  const place = learningPlace(setup, state)
  if (setup.learner === undefined || learner === null || place === undefined || batch === undefined) {
    return { learner, metrics: undefined }
  }
  const supernet = { variables, criterion }
  const [next, metrics] = yield* Learner.update(setup.learner, learner, place, batch, supernet, setup.learner.strategy)
  return { learner: next, metrics }
})

const partition = (tree: ParameterTree) => {
  const network: Record<string, tf.Tensor> = {}
  const criterion: Record<string, tf.Tensor> = {}
  for (const [name, tensor] of Object.entries(tree)) {
    if (name.startsWith(criterionPrefix)) criterion[name.slice(criterionPrefix.length)] = tensor
    else network[name] = tensor
  }
  return { network, criterion }
}

/** The optimizer's update of network and criterion. Frees the gradients. */
const applyGradients = (
  setup: TrainerSetup,
  { criterion, optimizer, variables }: TrainingState,
  gradients: ParameterTree,
  learningRate: number
): Pick<TrainingState, "criterion" | "optimizer"> & { readonly params: ParameterTree } => {
  // A criterion without weights must not change which names the optimizer sees.
  const isCriterionTrained = Object.keys(criterion).length > 0
  const params = isCriterionTrained
    ? { ...variables.params, ...BatchGradients.addPrefix(criterionPrefix, criterion) }
    : variables.params
  const updated = setup.optimizer.update(gradients, optimizer, params, learningRate)
  Parameters.disposeUnsafe(gradients)
  if (!isCriterionTrained) {
    return { params: Parameters.merge(variables.params, updated.params), criterion, optimizer: updated.state }
  }
  const parts = partition(updated.params)
  return {
    params: Parameters.merge(variables.params, parts.network),
    criterion: Parameters.merge(criterion, parts.criterion),
    optimizer: updated.state
  }
}

/** The record of the epoch that a step completes. */
const recordOf = (setup: TrainerSetup, epoch: number, sums: EpochSums, learningRate: number): EpochRecord => ({
  epoch: epoch + 1,
  loss: sums.loss / sums.steps,
  accuracy: setup.classifies ? sums.accuracy / sums.steps : null,
  learningRate,
  weights: null,
  ...(sums.learned === undefined ? {} : { learned: MetricSums.means(sums.learned) })
})

const addToSums = (
  { accuracy, learned, loss, steps }: EpochSums,
  step: Pick<BatchGradients.BatchGradients, "accuracy" | "loss">,
  metrics: LearningMetrics | undefined
): EpochSums => ({
  steps: steps + 1,
  loss: loss + step.loss,
  accuracy: accuracy + step.accuracy,
  learned: metrics === undefined ? learned : MetricSums.add(learned ?? MetricSums.empty, metrics)
})

/** What a step starts from once the searcher has learned and the sampler has chosen. */
interface Prepared {
  readonly learner: LearnerState | null
  readonly learned: LearningMetrics | undefined
  readonly sampler: SamplerState
  readonly forwards: BatchGradients.StepForwards
}

const prepare = Effect.fnUntraced(function* (
  setup: TrainerSetup,
  state: TrainingState,
  validation: Batch | undefined
): Effect.fn.Return<Prepared, Learner.LearningDiverged> {
  const { learner, metrics } = yield* learn(setup, state, validation)
  const distribution =
    setup.learner === undefined || learner === null ? undefined : setup.learner.gradient.distribution(learner)
  const [training, sampler] = setup.sampler.next(state.sampler, distribution)
  const distils = training._tag === "Paths" && training.teacher === 0 && setup.classifies
  return { learner, learned: metrics, sampler, forwards: { forwards: setup.forwards(training), distils } }
})

/**
 * One step on given batches. Must run uninterruptible: an interruption halfway leaks tensors. If the loss is NaN or
 * infinite, it fails before any update, and the given state stays valid.
 */
export const update = Effect.fnUntraced(function* (
  setup: TrainerSetup,
  state: TrainingState,
  { training, validation }: Batches
): Effect.fn.Return<readonly [TrainingState, StepReport], StepFailure> {
  const { epoch, inEpoch } = placeOf(setup, state.step)
  const key = Key.derive(setup.key, epoch, inEpoch, "step")
  const learningRate = setup.learningRate * setup.schedule(state.step)
  const { forwards, learned, learner, sampler } = yield* prepare(setup, state, validation)
  const computed = yield* Effect.catch(BatchGradients.compute(setup, state, forwards, training, key), ({ loss }) => {
    if (learner !== null) Parameters.disposeReplacedUnsafe(learner.tensors, state.learner?.tensors ?? {})
    const place = { epoch: epoch + 1, step: inEpoch + 1 }
    return Effect.fail(new TrainingDiverged({ command: null, phase: setup.phase, ...place, loss, learningRate }))
  })
  const { params, ...updated } = applyGradients(setup, state, computed.gradients, learningRate)
  const sums = addToSums(state.sums, computed, learned)
  const epochDone = inEpoch + 1 === setup.stepsPerEpoch ? recordOf(setup, epoch, sums, learningRate) : undefined
  const next: TrainingState = {
    step: state.step + 1,
    variables: { params, stats: computed.stats },
    ...updated,
    sampler,
    learner,
    sums: epochDone === undefined ? sums : noSums,
    history: epochDone === undefined ? state.history : [...state.history, epochDone]
  }
  const { accuracy, loss, warning } = computed
  return [next, { loss, accuracy: setup.classifies ? accuracy : null, learningRate, warning, learned, epochDone }]
})

/**
 * One optimizer step: reads the next batch, sums the gradients of everything the sampler chose, and updates the weights
 * that have a gradient. If a step of a searcher that learns during training is due, it comes first.
 */
export const step = (
  setup: TrainerSetup,
  state: TrainingState
): Effect.Effect<readonly [TrainingState, StepReport], StepFailure | DatasetError> =>
  Effect.flatMap(nextBatches(setup, state), (batches) => Effect.uninterruptible(update(setup, state, batches)))
