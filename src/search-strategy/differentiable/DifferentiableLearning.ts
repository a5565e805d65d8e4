/**
 * How a differentiable search learns: one parameter per option of every layer, updated by the gradient of the task's loss
 * with all options mixed, and of the expected cost. All parameters are one tensor, layer after layer.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import type { CostEntries } from "../../cost/CostModel.ts"
import type { FeasibleSet } from "../../cost/FeasibleSet.ts"
import { valueAndGradient } from "../../nn/Gradient.ts"
import * as Optimizer from "../../nn/Optimizer.ts"
import type { OptimizerConfig } from "../../nn/OptimizerConfig.ts"
import { disposeUnsafe, type ParameterTree } from "../../nn/ParameterTree.ts"
import { Positive } from "../../support/Numbers.ts"
import * as Distribution from "../Distribution.ts"
import * as SearchProgress from "../SearchProgress.ts"
import type { ArchitectureDistribution, GradientSearch, LearnerState } from "../SearchStrategy.ts"
import * as Temperature from "../Temperature.ts"
import { type CostTerm, lossWithCost } from "./CostTerm.ts"

/** The options that decide how the parameters are learned. See `DifferentiableSearch.Options`. */
export interface LearningOptions {
  readonly learn: "training" | "searching"
  readonly warmupEpochs: number
  readonly everySteps: number
  readonly epochs: number
  readonly batchSize: number
  readonly optimizer: OptimizerConfig
  readonly cost: CostTerm
  readonly temperature: { readonly initial: number; readonly final: number }
  readonly hard: boolean
}

/** The learner's state beside its tensors. */
const LearnerJson = Schema.Struct({
  temperature: Positive,
  /** Updates so far, by parameter, for the optimizer. */
  counts: Schema.Record(Schema.String, Schema.Int)
})
const decodeLearner = Schema.decodeUnknownSync(LearnerJson)

/** Name of the tensor of parameters. The optimizer's slots are `<slot>.logits`. */
const name = "logits"

/** The optimizer's slots among the tensors of a state. */
const slotsOf = (tensors: ParameterTree): Readonly<Record<string, ParameterTree>> =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([key, tensor]) =>
      key === name ? [] : [[key.slice(0, -name.length - 1), { [name]: tensor }] as const]
    )
  )

const planOf = (options: LearningOptions): GradientSearch["plan"] =>
  options.learn === "training"
    ? {
        _tag: "WithSupernet",
        warmupEpochs: options.warmupEpochs,
        everySteps: options.everySteps,
        batchSize: options.batchSize
      }
    : { _tag: "AfterSupernet", epochs: options.epochs, batchSize: options.batchSize }

/** Where the parameters of each layer are in the tensor. */
interface Layout {
  readonly counts: ReadonlyArray<number>
  readonly offsets: ReadonlyArray<number>
  readonly total: number
  readonly rowsOf: (flat: ArrayLike<number>) => ReadonlyArray<ReadonlyArray<number>>
  /** The parameters of a state. Throws a `RangeError` if they are those of another space. */
  readonly logitsOf: (state: LearnerState) => tf.Tensor1D
}

const layoutOf = (space: string, counts: ReadonlyArray<number>): Layout => {
  const offsets = counts.map((_, layer) => counts.slice(0, layer).reduce((sum, count) => sum + count, 0))
  const total = counts.reduce((sum, count) => sum + count, 0)
  return {
    counts,
    offsets,
    total,
    rowsOf: (flat) =>
      counts.map((count, layer) => Array.from({ length: count }, (_, option) => flat[offsets[layer]! + option]!)),
    logitsOf: (state) => {
      const tensor = state.tensors[name]
      if (tensor === undefined || tensor.size !== total) {
        throw new RangeError(
          `the state has ${tensor === undefined ? "no" : tensor.size} architecture parameters; ${space} has ${total} options`
        )
      }
      return tensor as tf.Tensor1D
    }
  }
}

/** One update of the parameters. */
const trainStepOf = (
  layout: Layout,
  { budget, largest, smallest }: Pick<FeasibleSet, "budget" | "largest" | "smallest">,
  entries: CostEntries,
  relaxation: ArchitectureDistribution["relaxation"],
  options: LearningOptions
): GradientSearch["trainStep"] => {
  const { cost: costTerm, hard, temperature } = options
  const target = costTerm.target ?? Math.min(budget.max, largest)
  const band = { min: Math.max(budget.min, smallest) / target, max: Math.min(budget.max, largest) / target }
  const optimizer = Optimizer.fromConfig(options.optimizer)
  return (state, { key, step, steps, taskLoss }) => {
    const logits = layout.logitsOf(state)
    const now = Temperature.decayed(temperature, steps > 1 ? Math.min(1, step / (steps - 1)) : 0)
    const { gradients, loss, rest } = valueAndGradient(
      () => {
        const rows = layout.counts.map((count, layer) => tf.slice1d(logits, layout.offsets[layer]!, count))
        const task = taskLoss(Distribution.weightsOf(rows, { relaxation, temperature: now, hard }, key))
        const cost = Distribution.expectedCostOf(entries, Distribution.probabilitiesOf(rows), target)
        return { loss: lossWithCost(costTerm, band, task, cost), rest: { task, cost } }
      },
      { [name]: logits }
    )
    const { counts } = decodeLearner(state.json)
    const before = { slots: slotsOf(state.tensors), counts }
    const updated = optimizer.update(gradients, before, { [name]: logits }, options.optimizer.learningRate)
    const numbers = [loss, rest.task, rest.cost].map((tensor) => tensor.dataSync()[0] as number)
    tf.dispose([loss, rest.task, rest.cost])
    disposeUnsafe(gradients)
    const learned = updated.params[name] ?? logits
    const slots = Object.entries(updated.state.slots).map(([slot, tree]) => [`${slot}.${name}`, tree[name]!] as const)
    return [
      {
        tensors: { [name]: learned, ...Object.fromEntries(slots) },
        json: { temperature: now, counts: updated.state.counts }
      },
      {
        loss: numbers[0]!,
        taskLoss: numbers[1]!,
        cost: numbers[2]! * target,
        target,
        entropy: Distribution.entropy(layout.rowsOf(learned.dataSync())),
        temperature: now
      }
    ]
  }
}

/** The gradient-based part of a differentiable search over the space called `space`. */
export const gradientSearch = (
  space: string,
  feasible: FeasibleSet,
  entries: CostEntries,
  relaxation: ArchitectureDistribution["relaxation"],
  options: LearningOptions
): GradientSearch => {
  const layout = layoutOf(space, feasible.options.counts)
  const { logitsOf, rowsOf, total } = layout
  return {
    plan: planOf(options),
    init: () => ({
      tensors: { [name]: tf.zeros([total]) },
      json: { temperature: options.temperature.initial, counts: {} }
    }),
    trainStep: trainStepOf(layout, feasible, entries, relaxation, options),
    distribution: (state) => ({
      logits: rowsOf(logitsOf(state).dataSync()),
      temperature: decodeLearner(state.json).temperature,
      relaxation,
      hard: options.hard
    }),
    conclude: (state, key) => ({
      ...SearchProgress.initial(key),
      logits: rowsOf(logitsOf(state).dataSync())
    })
  }
}
