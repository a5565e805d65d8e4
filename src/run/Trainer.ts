/**
 * The training loop over the contracts: state in, one optimiser step, state out. Everything a step depends on is in the
 * state or follows from the phase's key, so a state read back from its checkpoint continues to the same bits.
 *
 * Tensors: {@link step} leaves the old state alone and shares what it did not change; whoever goes on with the new state
 * frees the rest by {@link disposeReplacedUnsafe}.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EpochRecord } from "../../machines/RunState.ts"
import type { CriterionShape } from "../criterion/Criterion.ts"
import type { Batch, DataflowShape, DatasetError, Split } from "../dataflow/Dataflow.ts"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { distillationLoss } from "../engine/Distillation.ts"
import type { Optimizer, OptimizerState } from "../nn/Optimizer.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import type { LearnerState, LearningMetrics } from "../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as SafeJson from "../support/SafeJson.ts"
import type { Forward, TrainingAgentShape } from "../training-agent/TrainingAgent.ts"
import type { SamplerState, TrainingStep, TrainingStrategyShape } from "../training-strategy/TrainingStrategy.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Learner from "./Learner.ts"

/** A loss that is no number any more. */
export class TrainingDiverged extends Schema.TaggedError<TrainingDiverged>()("TrainingDiverged", {
  phase: Schema.String,
  epoch: Schema.Int,
  step: Schema.Int,
  /** `NaN`, `Infinity`. */
  loss: Schema.String,
  learningRate: Schema.Finite,
  /** The command that goes on from what the run has found so far; null: there is nothing yet. */
  command: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const remedy = `lower ${this.phase}.optimizer.learningRate, add warm-up (${this.phase}.schedule.warmupEpochs) or clip gradients (${this.phase}.optimizer.clipNorm)`
    const command = this.command === null ? "" : `, for example:\n  ${this.command}`
    return `${this.phase} diverged in epoch ${this.epoch}, step ${this.step}: the loss is ${this.loss} at learning rate ${this.learningRate}; ${remedy}${command}`
  }
}

/** Sums over the steps of an epoch so far. */
interface EpochSums {
  readonly steps: number
  readonly loss: number
  readonly accuracy: number
  /** What a search strategy that learns meanwhile told, and in how many of its steps. */
  readonly learned?: { readonly steps: number; readonly metrics: Readonly<Record<string, number>> } | undefined
}

/** All that training has made so far. */
export interface TrainingState {
  /** Optimiser steps done. */
  readonly step: number
  readonly variables: Variables
  /** The criterion's own weights. */
  readonly criterion: ParameterTree
  readonly optimizer: OptimizerState
  readonly sampler: SamplerState
  /** What a search strategy that learns meanwhile has learned; null: there is none. */
  readonly learner: LearnerState | null
  readonly sums: EpochSums
  readonly history: ReadonlyArray<EpochRecord>
}

/** What a phase trains, on what, how. */
export interface TrainerSetup {
  readonly phase: string
  /** The phase's own key. */
  readonly key: Key.Key
  readonly split: Split
  readonly epochs: number
  readonly stepsPerEpoch: number
  readonly batchSize: number
  /** In how many parts a batch is computed. */
  readonly accumulate: number
  /** Weight of a new batch in the running statistics. */
  readonly bnMomentum: number
  /** Peak learning rate, and what it is multiplied by at a step of the phase. */
  readonly learningRate: number
  readonly schedule: (step: number) => number
  readonly optimizer: Optimizer
  readonly agent: TrainingAgentShape
  readonly criterion: CriterionShape
  readonly dataflow: DataflowShape
  readonly sampler: Pick<TrainingStrategyShape, "init" | "next">
  /** A search strategy that learns between the steps, and its name; undefined: there is none. */
  readonly learner?: (Learner.LearnerSetup & { readonly strategy: string }) | undefined
  /** What a step trains, as functions of the variables; their gradients are summed. */
  readonly forwards: (step: TrainingStep) => ReadonlyArray<Forward>
  readonly updateStatistics: (
    stats: ParameterTree,
    batch: Readonly<Record<string, BatchStatistics>>,
    momentum: number
  ) => ParameterTree
  /** Whether outputs are class scores, so that training accuracy means something. */
  readonly classifies: boolean
}

/** Steps of the whole phase. */
export const totalSteps = (setup: Pick<TrainerSetup, "epochs" | "stepsPerEpoch">): number =>
  setup.epochs * setup.stepsPerEpoch

/** The state before the first step. The trees become the state's. */
export const init = (setup: TrainerSetup, variables: Variables, criterion: ParameterTree): TrainingState => ({
  step: 0,
  variables,
  criterion,
  optimizer: setup.optimizer.init(),
  sampler: setup.sampler.init(Key.derive(setup.key, "sampler")),
  learner: setup.learner === undefined ? null : Learner.init(setup.learner),
  sums: { steps: 0, loss: 0, accuracy: 0 },
  history: []
})

/** Separates the criterion's names from the network's where both stand in one tree. */
const criterionPrefix = "criterion."

const prefixed = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [prefix + name, tensor]))

const withPrefix = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(
    Object.entries(tree).flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : []
    )
  )

const withoutPrefix = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(Object.entries(tree).filter(([name]) => !name.startsWith(prefix)))

/** The fraction of rows whose largest entry is at the label. */
const accuracyOf = (outputs: ArrayLike<number>, labels: Int32Array): number => {
  const columns = outputs.length / labels.length
  let right = 0
  for (let row = 0; row < labels.length; row++) {
    let best = 0
    for (let column = 1; column < columns; column++) {
      if ((outputs[row * columns + column] as number) > (outputs[row * columns + best] as number)) best = column
    }
    if (best === labels[row]) right += 1
  }
  return right / labels.length
}

/** Cuts a batch into parts of nearly equal size, the larger ones first. */
const partsOf = (batch: Batch, count: number): ReadonlyArray<Batch> => {
  if (count <= 1) return [batch]
  const length = batch.images.length / batch.size
  const parts: Array<Batch> = []
  let start = 0
  for (let index = 0; index < count && start < batch.size; index++) {
    const size = Math.ceil((batch.size - start) / (count - index))
    parts.push({
      images: batch.images.subarray(start * length, (start + size) * length),
      labels: batch.labels.subarray(start, start + size),
      size
    })
    start += size
  }
  return parts
}

/** Adds `weight * tree` to a sum; frees what the sum held before where it is replaced, and the tree's tensors. */
const accumulateUnsafe = (sum: Record<string, tf.Tensor>, tree: ParameterTree, weight: number): void => {
  for (const name of Parameters.names(tree)) {
    const tensor = tree[name] as tf.Tensor
    const scaled = weight === 1 ? tensor : tf.mul(tensor, weight)
    const before = sum[name]
    sum[name] = before === undefined ? scaled : tf.add(before, scaled)
    if (before !== undefined) {
      before.dispose()
      if (scaled !== tensor) scaled.dispose()
    }
    if (sum[name] !== tensor) tensor.dispose()
  }
}

const disposeStatistics = (statistics: Readonly<Record<string, BatchStatistics>>): void => {
  for (const { mean, variance } of Object.values(statistics)) {
    mean.dispose()
    variance.dispose()
  }
}

/** What a step tells beside the new state. */
export interface StepReport {
  readonly loss: number
  readonly accuracy: number | null
  readonly learningRate: number
  /** What the criterion had to say about the batch, or a part of it. */
  readonly warning: string | undefined
  /** What the search strategy told of its own step, where one was due. */
  readonly learned: LearningMetrics | undefined
  /** The epoch that this step ended. */
  readonly epochDone: EpochRecord | undefined
}

/** Name of the epoch and step within it of a global step, both from 0. */
const placeOf = (setup: TrainerSetup, step: number) => ({
  epoch: Math.floor(step / setup.stepsPerEpoch),
  inEpoch: step % setup.stepsPerEpoch
})

/** What the next step of a state sees. */
export interface Batches {
  readonly training: Batch
  /** For the search strategy's own step, where one is due. */
  readonly validation: Batch | undefined
}

/** Where the search strategy's learning stands, where a step of it is due now. */
const learningPlace = (setup: TrainerSetup, state: TrainingState): Learner.Place | undefined => {
  if (setup.learner === undefined || state.learner === null) return undefined
  const stepsWith = (steps: number) => Learner.stepsWith(setup.learner!.gradient, steps, setup.stepsPerEpoch)
  const before = stepsWith(state.step)
  return stepsWith(state.step + 1) > before ? { step: before, steps: stepsWith(totalSteps(setup)) } : undefined
}

/** The batches that the next step of a state trains on. */
export const nextBatches = (setup: TrainerSetup, state: TrainingState): Effect.Effect<Batches, DatasetError> =>
  Effect.gen(function* () {
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
      place === undefined || setup.learner === undefined
        ? undefined
        : yield* Learner.nextBatch(setup.learner, place.step)
    return { training, validation }
  })

/** The search strategy's own step, before that of the supernet. */
const learn = (
  setup: TrainerSetup,
  state: TrainingState,
  batch: Batch | undefined
): Effect.Effect<
  { readonly learner: LearnerState | null; readonly metrics: LearningMetrics | undefined },
  Learner.LearningDiverged
> => {
  const { learner, variables } = state
  const place = learningPlace(setup, state)
  if (setup.learner === undefined || learner === null || place === undefined || batch === undefined) {
    return Effect.succeed({ learner, metrics: undefined })
  }
  const supernet = { variables, criterion: state.criterion }
  return Effect.map(
    Learner.update(setup.learner, learner, place, batch, supernet, setup.learner.strategy),
    ([next, metrics]) => ({ learner: next, metrics })
  )
}

const addMetrics = (sums: EpochSums["learned"], metrics: LearningMetrics | undefined): EpochSums["learned"] => {
  if (metrics === undefined) return sums
  const before = sums?.metrics ?? {}
  return {
    steps: (sums?.steps ?? 0) + 1,
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, (before[name] ?? 0) + value]))
  }
}

const meansOf = (sums: EpochSums["learned"]): Pick<EpochRecord, "learned"> =>
  sums === undefined
    ? {}
    : { learned: Object.fromEntries(Object.entries(sums.metrics).map(([name, sum]) => [name, sum / sums.steps])) }

/**
 * One optimiser step: the next batch, the gradients of everything the sampler names, summed, one update of what had a
 * gradient; before it, where one is due, a step of a search strategy that learns meanwhile. A loss that is no number
 * fails before anything is updated; the given state stays good.
 */
export const step = (
  setup: TrainerSetup,
  state: TrainingState
): Effect.Effect<readonly [TrainingState, StepReport], StepFailure | DatasetError> =>
  Effect.flatMap(nextBatches(setup, state), (batches) => Effect.uninterruptible(update(setup, state, batches)))

/** The criterion of a path that learns from the outputs of a teacher on the same images. */
const distilling = (criterion: CriterionShape, teacher: tf.Tensor2D): CriterionShape => ({
  name: criterion.name,
  init: criterion.init,
  loss: (_, outputs) => distillationLoss(teacher, outputs)
})

/** A step that came to no number. */
export type StepFailure = TrainingDiverged | Learner.LearningDiverged

/** The step without the batches. Interrupted halfway it would leave tensors behind: to be run uninterruptible. */
export const update = (
  setup: TrainerSetup,
  state: TrainingState,
  { training: batch, validation }: Batches
): Effect.Effect<readonly [TrainingState, StepReport], StepFailure> =>
  Effect.gen(function* () {
    const { epoch, inEpoch } = placeOf(setup, state.step)
    const key = Key.derive(setup.key, epoch, inEpoch, "step")
    const learningRate = setup.learningRate * setup.schedule(state.step)
    const { learner, metrics: learned } = yield* learn(setup, state, validation)
    const distribution =
      setup.learner === undefined || learner === null ? undefined : setup.learner.gradient.distribution(learner)
    const [training, sampler] = setup.sampler.next(state.sampler, distribution)
    const forwards = setup.forwards(training)
    const parts = partsOf(batch, setup.accumulate)

    /** Outputs of the teacher for each part of the batch. */
    const taught = training._tag === "Paths" && training.teacher === 0 && setup.classifies
    const teacher: Array<tf.Tensor2D> = []
    const gradients: Record<string, tf.Tensor> = {}
    let stats = state.variables.stats
    let loss = 0
    let accuracy = 0
    let warning: string | undefined
    const release = () => {
      tf.dispose(teacher)
      if (learner !== null) Parameters.disposeReplacedUnsafe(learner.tensors, state.learner?.tensors ?? {})
      Parameters.disposeUnsafe(gradients)
      Parameters.disposeReplacedUnsafe(stats, state.variables.stats)
    }
    for (const [p, forward] of forwards.entries()) {
      for (const [q, part] of parts.entries()) {
        const weight = part.size / batch.size
        const images = tf.tensor4d(part.images, [part.size, ...setup.dataflow.image])
        const labels = tf.tensor1d(part.labels, "int32")
        const result = setup.agent.step({
          forward,
          variables: { params: state.variables.params, stats },
          criterion: taught && p > 0 ? distilling(setup.criterion, teacher[q]!) : setup.criterion,
          criterionParams: state.criterion,
          images,
          labels,
          key: Key.derive(key, p, q)
        })
        const [lossValues, outputs] = yield* Effect.promise(() =>
          Promise.all([result.loss.data(), setup.classifies ? result.output.data() : []])
        )
        images.dispose()
        labels.dispose()
        result.loss.dispose()
        if (taught && p === 0) teacher.push(result.output as tf.Tensor2D)
        else result.output.dispose()
        warning ??= result.warning
        const value = lossValues[0] as number
        if (!Number.isFinite(value)) {
          Parameters.disposeUnsafe(result.gradients)
          Parameters.disposeUnsafe(result.criterionGradients)
          disposeStatistics(result.statistics)
          release()
          return yield* new TrainingDiverged({
            command: null,
            phase: setup.phase,
            epoch: epoch + 1,
            step: inEpoch + 1,
            loss: String(value),
            learningRate
          })
        }
        loss += (value * weight) / forwards.length
        if (setup.classifies) accuracy += (accuracyOf(outputs, part.labels) * weight) / forwards.length
        accumulateUnsafe(gradients, result.gradients, weight)
        accumulateUnsafe(gradients, prefixed(criterionPrefix, result.criterionGradients), weight)
        const updated = setup.updateStatistics(stats, result.statistics, setup.bnMomentum)
        disposeStatistics(result.statistics)
        // What an earlier part of this very step made is of no use to anyone else.
        if (stats !== state.variables.stats) {
          const kept = new Set([...Object.values(updated), ...Object.values(state.variables.stats)])
          for (const tensor of Object.values(stats)) if (!kept.has(tensor)) tensor.dispose()
        }
        stats = updated
      }
    }

    tf.dispose(teacher)
    const owns = Object.keys(state.criterion).length > 0
    const params = owns
      ? { ...state.variables.params, ...prefixed(criterionPrefix, state.criterion) }
      : state.variables.params
    const updated = setup.optimizer.update(gradients, state.optimizer, params, learningRate)
    Parameters.disposeUnsafe(gradients)

    const sums: EpochSums = {
      steps: state.sums.steps + 1,
      loss: state.sums.loss + loss,
      accuracy: state.sums.accuracy + accuracy,
      learned: addMetrics(state.sums.learned, learned)
    }
    const epochDone: EpochRecord | undefined =
      inEpoch + 1 === setup.stepsPerEpoch
        ? {
            epoch: epoch + 1,
            loss: sums.loss / sums.steps,
            accuracy: setup.classifies ? sums.accuracy / sums.steps : null,
            learningRate,
            weights: null,
            ...meansOf(sums.learned)
          }
        : undefined
    const next: TrainingState = {
      step: state.step + 1,
      variables: {
        params: Parameters.merge(
          state.variables.params,
          owns ? withoutPrefix(criterionPrefix, updated.params) : updated.params
        ),
        stats
      },
      criterion: owns
        ? Parameters.merge(state.criterion, withPrefix(criterionPrefix, updated.params))
        : state.criterion,
      optimizer: updated.state,
      sampler,
      learner,
      sums: epochDone === undefined ? sums : { steps: 0, loss: 0, accuracy: 0 },
      history: epochDone === undefined ? state.history : [...state.history, epochDone]
    }
    const told = setup.classifies ? accuracy : null
    return [next, { loss, accuracy: told, learningRate, warning, learned, epochDone }] as const
  })

/**
 * Digest of a state's weights (parameters and running statistics, and what a search strategy has learned beside them), noted
 * with its last epoch where that has just ended.
 */
export const noteWeights = (
  setup: TrainerSetup,
  state: TrainingState
): Effect.Effect<readonly [state: TrainingState, digest: string]> =>
  Effect.gen(function* () {
    const tensors = new Map(yield* weightsOf(state.variables))
    if (state.learner !== null) {
      for (const [name, entry] of (yield* Learner.toEntries(state.learner)).tensors) tensors.set(name, entry)
    }
    const weights = Checkpoint.digestOf(tensors)
    const last = state.history.at(-1)
    const atEnd = last !== undefined && last.epoch * setup.stepsPerEpoch === state.step
    return [atEnd ? { ...state, history: [...state.history.slice(0, -1), { ...last, weights }] } : state, weights]
  })

/** All trees of a state by their place in it: parameters, statistics, criterion, learner, slots of the optimiser. */
export const trees = (state: TrainingState): Readonly<Record<string, ParameterTree>> => ({
  params: state.variables.params,
  stats: state.variables.stats,
  criterion: state.criterion,
  learner: state.learner?.tensors ?? {},
  ...prefixedTrees(state.optimizer.slots)
})

const prefixedTrees = (slots: Readonly<Record<string, ParameterTree>>): Readonly<Record<string, ParameterTree>> =>
  Object.fromEntries(Object.entries(slots).map(([slot, tree]) => [`optimizer.${slot}`, tree]))

/** Frees every tensor of `before` that `after` does not have in the same place. */
export const disposeReplacedUnsafe = (before: TrainingState, after: TrainingState): void => {
  const kept = trees(after)
  for (const [place, tree] of Object.entries(trees(before))) {
    const successor = kept[place]
    if (tree === successor) continue
    for (const name in tree) {
      const tensor = tree[name] as tf.Tensor
      if (successor?.[name] !== tensor && !tensor.isDisposed) tensor.dispose()
    }
  }
}

/** Frees every tensor of a state. */
export const disposeUnsafe = (state: TrainingState): void => {
  for (const tree of Object.values(trees(state))) Parameters.disposeUnsafe(tree)
}

// ---- checkpoints -------------------------------------------------------------------------------------------------

const stateKey = "osnas.state"

const Sums = Schema.Struct({
  steps: Schema.Int,
  loss: Schema.Finite,
  accuracy: Schema.Finite,
  learned: Schema.optional(Schema.Struct({ steps: Schema.Int, metrics: Schema.Record(Schema.String, Schema.Finite) }))
})

const Json = Schema.Struct({
  step: Schema.Int,
  sampler: Schema.Record(Schema.String, Schema.Json),
  counts: Schema.Record(Schema.String, Schema.Int),
  sums: Sums,
  history: Schema.Array(EpochRecord)
})

const entryOf = (tensor: tf.Tensor): Effect.Effect<Checkpoint.TensorEntry> =>
  Effect.map(
    Effect.promise(() => tensor.data()),
    (values) => Checkpoint.float32(tensor.shape, new Float32Array(values))
  )

const addTree = (into: Map<string, Checkpoint.TensorEntry>, prefix: string, tree: ParameterTree): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const name of Parameters.names(tree)) into.set(prefix + name, yield* entryOf(tree[name] as tf.Tensor))
  })

/** The weights of a network: parameters and running statistics under their own names. */
export const weightsOf = (variables: Variables): Effect.Effect<ReadonlyMap<string, Checkpoint.TensorEntry>> =>
  Effect.gen(function* () {
    const tensors = new Map<string, Checkpoint.TensorEntry>()
    yield* addTree(tensors, "", variables.params)
    yield* addTree(tensors, "", variables.stats)
    return tensors
  })

const slotPrefix = "optimizer."

/**
 * A state as a checkpoint: weights and running statistics under their own names, the criterion's under `criterion.`, what
 * a search strategy has learned under `searcher.`, the optimiser's slots under `optimizer.<slot>.`, all else as JSON in the
 * metadata. With `weightsOnly` the optimiser's memory is left out, as it is of no use when training is over.
 */
export const toCheckpoint = (
  state: TrainingState,
  metadata: Readonly<Record<string, string>>,
  weightsOnly = false
): Effect.Effect<Checkpoint.Checkpoint> =>
  Effect.gen(function* () {
    const tensors = new Map(yield* weightsOf(state.variables))
    yield* addTree(tensors, criterionPrefix, state.criterion)
    const learned = state.learner === null ? undefined : yield* Learner.toEntries(state.learner)
    for (const [name, entry] of learned?.tensors ?? []) tensors.set(name, entry)
    const told = { ...metadata, ...learned?.metadata }
    if (weightsOnly) return { tensors, metadata: told }
    for (const [slot, tree] of Object.entries(state.optimizer.slots)) {
      yield* addTree(tensors, `${slotPrefix}${slot}.`, tree)
    }
    const json: typeof Json.Type = {
      step: state.step,
      sampler: state.sampler,
      counts: state.optimizer.counts,
      sums: state.sums,
      history: state.history
    }
    return { tensors, metadata: { ...told, [stateKey]: CanonicalJson.stringify(json) } }
  })

const statisticsPattern = /\.(mean|variance)$/

const tensorOf = (
  file: string,
  name: string,
  entry: Checkpoint.TensorEntry
): Effect.Effect<tf.Tensor, Checkpoint.CheckpointError> =>
  entry.dtype === "F32"
    ? Effect.sync(() => tf.tensor(Checkpoint.toFloat32(entry), [...entry.shape], "float32"))
    : Effect.fail(
        new Checkpoint.CheckpointError({ file, tensor: name, reason: `its type is ${entry.dtype}; weights are F32` })
      )

interface Restored {
  readonly variables: Variables
  readonly criterion: ParameterTree
  readonly slots: Readonly<Record<string, ParameterTree>>
}

const restore = (
  file: string,
  checkpoint: Checkpoint.Checkpoint
): Effect.Effect<Restored, Checkpoint.CheckpointError> =>
  Effect.suspend(() => {
    const made: Array<tf.Tensor> = []
    return Effect.gen(function* () {
      const params: Record<string, tf.Tensor> = {}
      const stats: Record<string, tf.Tensor> = {}
      const criterion: Record<string, tf.Tensor> = {}
      const slots: Record<string, Record<string, tf.Tensor>> = {}
      for (const [name, entry] of checkpoint.tensors) {
        if (name.startsWith(Learner.prefix)) continue
        const tensor = yield* tensorOf(file, name, entry)
        made.push(tensor)
        if (name.startsWith(slotPrefix)) {
          const [slot, rest] = splitOnce(name.slice(slotPrefix.length))
          const tree = slots[slot] ?? {}
          tree[rest] = tensor
          slots[slot] = tree
        } else if (name.startsWith(criterionPrefix)) criterion[name.slice(criterionPrefix.length)] = tensor
        else if (statisticsPattern.test(name)) stats[name] = tensor
        else params[name] = tensor
      }
      return { variables: { params, stats }, criterion, slots }
    }).pipe(Effect.tapError(() => Effect.sync(() => tf.dispose(made))))
  })

const splitOnce = (text: string): readonly [string, string] => {
  const at = text.indexOf(".")
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)]
}

/** Names and shapes a tree must have. */
export type Shapes = ReadonlyMap<string, ReadonlyArray<number>>

/** The names and shapes of variables. */
export const shapesOf = (variables: Variables): Shapes =>
  new Map(
    [...Object.entries(variables.params), ...Object.entries(variables.stats)]
      .map(([name, tensor]): [string, ReadonlyArray<number>] => [name, tensor.shape])
      .sort(([a], [b]) => (a < b ? -1 : 1))
  )

/** Checks that a checkpoint holds exactly the tensors of a network, shape for shape. */
const checkShapes = (
  file: string,
  found: Variables,
  expected: Shapes
): Effect.Effect<void, Checkpoint.CheckpointError> =>
  Effect.gen(function* () {
    const shapes = shapesOf(found)
    const fail = (tensor: string, reason: string) => new Checkpoint.CheckpointError({ file, tensor, reason })
    for (const [name, shape] of expected) {
      const has = shapes.get(name)
      if (has === undefined) return yield* fail(name, "it is missing; the network has it")
      if (has.length !== shape.length || has.some((side, axis) => side !== shape[axis])) {
        return yield* fail(name, `its shape is [${has.join(", ")}]; the network's is [${shape.join(", ")}]`)
      }
    }
    for (const name of shapes.keys()) {
      if (!expected.has(name)) return yield* fail(name, "the network has no tensor of this name")
    }
  })

/** What a trained network is: its variables, and the weights of the criterion it was trained by. */
export interface Weights {
  readonly variables: Variables
  readonly criterion: ParameterTree
}

const freeRestored = (restored: Restored): void => {
  for (const tree of [
    restored.variables.params,
    restored.variables.stats,
    restored.criterion,
    ...Object.values(restored.slots)
  ]) {
    Parameters.disposeUnsafe(tree)
  }
}

/** The weights of a checkpoint, checked against the network's names and shapes. The tensors are the caller's. */
export const weightsFromCheckpoint = (
  file: string,
  checkpoint: Checkpoint.Checkpoint,
  shapes: Shapes
): Effect.Effect<Weights, Checkpoint.CheckpointError> =>
  Effect.gen(function* () {
    const restored = yield* restore(file, checkpoint)
    yield* Effect.tapError(checkShapes(file, restored.variables, shapes), () =>
      Effect.sync(() => freeRestored(restored))
    )
    for (const tree of Object.values(restored.slots)) Parameters.disposeUnsafe(tree)
    return { variables: restored.variables, criterion: restored.criterion }
  })

const decodeJson = Schema.decodeUnknownEffect(Json)

/** A training state from its checkpoint, checked against the network's names and shapes. */
export const fromCheckpoint = (
  file: string,
  checkpoint: Checkpoint.Checkpoint,
  shapes: Shapes
): Effect.Effect<TrainingState, Checkpoint.CheckpointError> =>
  Effect.gen(function* () {
    const json = yield* Effect.fromResult(SafeJson.parse(checkpoint.metadata[stateKey] ?? "")).pipe(
      Effect.flatMap((value) => Effect.mapError(decodeJson(value), (error) => error.message)),
      Effect.mapError(
        (reason) =>
          new Checkpoint.CheckpointError({
            file,
            tensor: null,
            reason: `its metadata ${stateKey} is not a training state: ${reason}`
          })
      )
    )
    const restored = yield* restore(file, checkpoint)
    yield* Effect.tapError(checkShapes(file, restored.variables, shapes), () =>
      Effect.sync(() => freeRestored(restored))
    )
    const learner = Learner.isIn(checkpoint)
      ? yield* Effect.tapError(Learner.fromCheckpoint(file, checkpoint), () =>
          Effect.sync(() => freeRestored(restored))
        )
      : null
    return {
      step: json.step,
      variables: restored.variables,
      criterion: restored.criterion,
      optimizer: { slots: restored.slots, counts: json.counts },
      sampler: json.sampler as SamplerState,
      learner,
      sums: json.sums,
      history: json.history
    }
  })
