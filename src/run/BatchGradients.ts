/**
 * The gradients of one optimizer step, summed over the forward functions of the step and over the parts of the batch. The
 * order of additions is fixed, and so are the bits: function by function, and within each part by part.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CriterionShape } from "../criterion/Criterion.ts"
import type { Batch, DataflowShape } from "../dataflow/Dataflow.ts"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { distillationLoss } from "../engine/Distillation.ts"
import { disposeStatisticsUnsafe } from "../nn/Normalisation.ts"
import type { ParameterTree } from "../nn/ParameterTree.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import type { Forward, StepResult, TrainingAgentShape } from "../training-agent/TrainingAgent.ts"
import { criterionPrefix, type Weights } from "./TrainingState.ts"

/** How gradients are computed. */
export interface GradientSetup {
  /** Number of parts that a batch is computed in. */
  readonly accumulate: number
  /** Weight of a new batch in the running statistics. */
  readonly bnMomentum: number
  readonly agent: TrainingAgentShape
  readonly criterion: CriterionShape
  readonly dataflow: Pick<DataflowShape, "image">
  readonly updateStatistics: (
    stats: ParameterTree,
    batch: Readonly<Record<string, BatchStatistics>>,
    momentum: number
  ) => ParameterTree
  /** Whether outputs are class scores, so that training accuracy means something. */
  readonly classifies: boolean
}

/** What a step computes before it updates the weights. Gradients and new statistics belong to the caller. */
export interface BatchGradients {
  /** Sum over the forward functions, mean over the batch; the criterion's own under `criterion.`. */
  readonly gradients: ParameterTree
  /** Running statistics after the batch. */
  readonly stats: ParameterTree
  /** Means over the forward functions and the batch. */
  readonly loss: number
  readonly accuracy: number
  /** The criterion's first warning about a part of the batch. */
  readonly warning: string | undefined
}

/** A loss of NaN or infinity. */
export class NonFiniteLoss extends Schema.TaggedError<NonFiniteLoss>()("NonFiniteLoss", {
  /** `NaN`, `Infinity`. */
  loss: Schema.String
}) {}

/** Adds a prefix to every name of a tree. */
export const addPrefix = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [prefix + name, tensor]))

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

/** Adds `weight * tree` to a sum. Frees the tensors of the tree, and those of the sum that it replaces. */
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

interface PartResult {
  /** All but the loss, which is disposed. The tensors belong to the caller. */
  readonly result: Omit<StepResult, "loss">
  readonly loss: number
  /** Class scores, row by row; empty unless the task classifies. */
  readonly outputs: ArrayLike<number>
}

/** The criterion of a forward function that learns from the outputs of a teacher on the same images. */
const distilling = (criterion: CriterionShape, teacher: tf.Tensor2D): CriterionShape => ({
  name: criterion.name,
  init: criterion.init,
  loss: (_, outputs) => distillationLoss(teacher, outputs)
})

/** Loss and gradients of one forward function on one part of the batch. */
const computePart = Effect.fnUntraced(function* (
  setup: GradientSetup,
  weights: Weights,
  forward: Forward,
  part: Batch,
  key: Key.Key
) {
  const images = tf.tensor4d(part.images, [part.size, ...setup.dataflow.image])
  const labels = tf.tensor1d(part.labels, "int32")
  const result = setup.agent.step({
    forward,
    variables: weights.variables,
    criterion: setup.criterion,
    criterionParams: weights.criterion,
    images,
    labels,
    key
  })
  const [losses, outputs] = yield* Effect.promise(() =>
    Promise.all([result.loss.data(), setup.classifies ? result.output.data() : []])
  )
  images.dispose()
  labels.dispose()
  result.loss.dispose()
  return { result, loss: losses[0] as number, outputs } satisfies PartResult
})

/** Frees the statistics that only an earlier part of the same step used. */
const disposeIntermediate = (stats: ParameterTree, updated: ParameterTree, initial: ParameterTree): void => {
  if (stats === initial) return
  const kept = new Set([...Object.values(updated), ...Object.values(initial)])
  for (const tensor of Object.values(stats)) if (!kept.has(tensor)) tensor.dispose()
}

/** What a step trains. */
export interface StepForwards {
  readonly forwards: ReadonlyArray<Forward>
  /** Whether the first one learns from the labels and the others from its outputs. */
  readonly distils: boolean
}

/** Computes the gradients of a step. On failure, all tensors that it created are freed. */
export const compute = Effect.fnUntraced(function* (
  setup: GradientSetup,
  { criterion, variables }: Weights,
  { distils, forwards }: StepForwards,
  batch: Batch,
  key: Key.Key
): Effect.fn.Return<BatchGradients, NonFiniteLoss> {
  const parts = partsOf(batch, setup.accumulate)
  /** Outputs of the first forward function on each part, if the others learn from them. */
  const teacher: Array<tf.Tensor2D> = []
  const gradients: Record<string, tf.Tensor> = {}
  let stats = variables.stats
  let loss = 0
  let accuracy = 0
  let warning: string | undefined
  for (const [p, forward] of forwards.entries()) {
    for (const [q, part] of parts.entries()) {
      const weights = { variables: { params: variables.params, stats }, criterion }
      const own = teacher[q]
      const using = p > 0 && own !== undefined ? { ...setup, criterion: distilling(setup.criterion, own) } : setup
      const computed = yield* computePart(using, weights, forward, part, Key.derive(key, p, q))
      const { criterionGradients, gradients: added, output, statistics } = computed.result
      if (distils && p === 0) teacher.push(output as tf.Tensor2D)
      else output.dispose()
      warning ??= computed.result.warning
      if (!Number.isFinite(computed.loss)) {
        Parameters.disposeUnsafe(added)
        Parameters.disposeUnsafe(criterionGradients)
        disposeStatisticsUnsafe(statistics)
        tf.dispose(teacher)
        Parameters.disposeUnsafe(gradients)
        Parameters.disposeReplacedUnsafe(stats, variables.stats)
        return yield* new NonFiniteLoss({ loss: String(computed.loss) })
      }
      const weight = part.size / batch.size
      loss += (computed.loss * weight) / forwards.length
      if (setup.classifies) accuracy += (accuracyOf(computed.outputs, part.labels) * weight) / forwards.length
      accumulateUnsafe(gradients, added, weight)
      accumulateUnsafe(gradients, addPrefix(criterionPrefix, criterionGradients), weight)
      const updated = setup.updateStatistics(stats, statistics, setup.bnMomentum)
      disposeStatisticsUnsafe(statistics)
      disposeIntermediate(stats, updated, variables.stats)
      stats = updated
    }
  }
  tf.dispose(teacher)
  return { gradients, stats, loss, accuracy, warning }
})
