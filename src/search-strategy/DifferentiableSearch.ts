/**
 * Search by gradient: a number for every option of every layer, changed by the gradient of the task's loss on the
 * validation split with all options mixed, and of the expected cost (DARTS: Liu et al. 2019, section 2; FBNet: Wu et al.
 * 2019, section 3). `softmax-differentiable` mixes by the softmax of the numbers, `gumbel-softmax-differentiable` by
 * relaxed draws whose temperature falls.
 *
 * When learning is over the most probable architecture within the budget is looked up exactly, by dynamic programming
 * over its cost, and scored beside a few more that are drawn by what was learned: noise on the logarithms of the
 * probabilities, then the most probable one within the budget (perturb and MAP: Papandreou and Yuille 2011). Without a
 * budget that is an exact draw; within one it is near it.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { type CostEntries, CostModel } from "../cost/CostModel.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import { optimizerSection } from "../nn/OptimizerConfig.ts"
import { disposeUnsafe, type ParameterTree } from "../nn/ParameterTree.ts"
import * as Deterministic from "../random/Deterministic.ts"
import * as Key from "../random/Key.ts"
import { type Genotype, SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { NonNegative, NonNegativeInt, Positive, PositiveInt } from "../support/Numbers.ts"
import * as Distribution from "./Distribution.ts"
import * as SearchProgress from "./SearchProgress.ts"
import {
  type ArchitectureDistribution,
  type GradientSearch,
  type LearnerState,
  SearchStrategy,
  type SearchStrategyShape
} from "./SearchStrategy.ts"
import { drawUnseen } from "./Unseen.ts"

/**
 * The term of the loss that keeps the expected cost where it should be.
 *
 * **Example** (The defaults)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableSearch.CostTerm)({}) // => { form: "band", weight: 1, target: null }
 * ```
 */
export const CostTerm = Schema.Struct({
  form: Schema.Literals(["band", "absolute", "squared", "power"])
    .annotate({
      description:
        "band: weight x distance from the budget / target; absolute: weight x |cost - target| / target; squared: weight x its square; power: task loss x (cost / target) ^ weight"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("band" as const))),
  weight: NonNegative.annotate({ description: "Weight of the cost term; 0 disables it" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1))
  ),
  target: Schema.NullOr(Positive)
    .annotate({
      description:
        "The expected cost aimed at; null: the budget's max, at most the cost of the most expensive architecture"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})
/** The term of the loss that keeps the expected cost where it should be. */
export type CostTerm = typeof CostTerm.Type

const optionsWith = (temperature: { readonly initial: number; readonly final: number }) =>
  Schema.Struct({
    learn: Schema.Literals(["training", "searching"])
      .annotate({
        description: "training: between the supernet's steps; searching: on the trained supernet, before it asks"
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed("training" as const))),
    warmupEpochs: NonNegative.annotate({
      description: "training: epochs of the supernet before learning begins"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
    everySteps: PositiveInt.annotate({ description: "training: steps of the supernet between two of learning" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(1))
    ),
    epochs: Positive.annotate({ description: "searching: passes over the validation split" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(10))
    ),
    batchSize: PositiveInt.annotate({ description: "Validation images of a step of learning" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(64))
    ),
    optimizer: optimizerSection({ name: "adam", learningRate: 0.01, beta1: 0.5, weightDecay: 0 })
      .annotate({ description: "Of the architecture's parameters" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    cost: CostTerm.annotate({
      description: "The term of the loss that keeps the expected cost where it should be"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    temperature: Schema.Struct({
      initial: Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(temperature.initial))),
      final: Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(temperature.final)))
    })
      .annotate({ description: "Of the mixtures: falls exponentially from the first step of learning to the last" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    hard: Schema.Boolean.annotate({
      description: "Mix straight-through: a single option forward, the gradient of the mixture"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
    samples: NonNegativeInt.annotate({
      description: "Architectures drawn by what was learned and scored beside the most probable one"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(20)))
  })

/**
 * Options of `softmax-differentiable`.
 *
 * **Example** (The temperature stays)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({}).temperature // => { initial: 1, final: 1 }
 * ```
 */
export const SoftmaxOptions = optionsWith({ initial: 1, final: 1 })
/**
 * Options of `gumbel-softmax-differentiable`; its temperatures are FBNet's, from 5 at first to 0.956^90 of it.
 *
 * **Example** (The temperature falls)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableSearch.GumbelOptions)({}).temperature // => { initial: 5, final: 0.1 }
 * ```
 */
export const GumbelOptions = optionsWith({ initial: 5, final: 0.1 })
/** Options of either. */
export type Options = typeof SoftmaxOptions.Type

/** The state of the search: the common part, and what was learned. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  /** [layer][option]: logarithms of the probabilities, up to a constant per layer. */
  logits: Schema.Array(Schema.Array(Schema.Finite))
})
type State = typeof State.Type
const decode = Schema.decodeUnknownSync(State)

/** The state of learning apart from its tensors. */
const Learnt = Schema.Struct({
  temperature: Positive,
  /** Updates so far, by parameter, for the optimiser. */
  counts: Schema.Record(Schema.String, Schema.Int)
})
const decodeLearnt = Schema.decodeUnknownSync(Learnt)

/** The tensor of all layers' numbers, one after the other; the optimiser's slots are `<slot>.logits`. */
const name = "logits"

/** How often another draw is tried before one is taken from the whole budget. */
const attempts = 16

/**
 * Either searcher over the budget of a space.
 *
 * **Example** (Nothing learned yet: of equally probable architectures the cheapest, then others)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * const space = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b"]] })
 * const entries = { base: 0, layers: [[1, 3], [1, 3]] }
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min: 4, max: 6 }))
 * const options = Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({ samples: 9 })
 * const search = DifferentiableSearch.make(space, feasible, entries, "softmax", options)
 * const [candidates] = search.ask(search.init(Key.make(0)))
 * candidates.map(feasible.cost) // => [4, 4, 6]
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "canonical" | "name">,
  feasible: FeasibleSet,
  entries: CostEntries,
  relaxation: ArchitectureDistribution["relaxation"],
  options: Options
): SearchStrategyShape => {
  const { counts } = feasible.options
  const offsets = counts.map((_, layer) => counts.slice(0, layer).reduce((sum, count) => sum + count, 0))
  const total = counts.reduce((sum, count) => sum + count, 0)
  const rowsOf = (flat: ArrayLike<number>): ReadonlyArray<ReadonlyArray<number>> =>
    counts.map((count, layer) => Array.from({ length: count }, (_, option) => flat[offsets[layer]! + option]!))
  const { budget, largest, smallest } = feasible
  const { cost: costTerm, hard, temperature } = options
  const target = costTerm.target ?? Math.min(budget.max, largest)
  const optimizer = Optimizer.fromConfig(options.optimizer)
  const rate = options.optimizer.learningRate

  const temperatureAt = (step: number, steps: number): number => {
    const fraction = steps > 1 ? Math.min(1, step / (steps - 1)) : 0
    return (
      temperature.initial * Deterministic.exp(fraction * Deterministic.log(temperature.final / temperature.initial))
    )
  }

  /** The whole loss from the task's and the expected cost in units of the target. */
  const lossOf = (task: tf.Scalar, cost: tf.Scalar): tf.Scalar => {
    const { form, weight } = costTerm
    if (weight === 0) return task
    switch (form) {
      case "band": {
        const above = tf.relu(tf.sub(cost, Math.min(budget.max, largest) / target))
        const below = tf.relu(tf.sub(Math.max(budget.min, smallest) / target, cost))
        return tf.add(task, tf.mul(tf.add(above, below), weight))
      }
      case "absolute":
        return tf.add(task, tf.mul(tf.abs(tf.sub(cost, 1)), weight))
      case "squared":
        return tf.add(task, tf.mul(tf.square(tf.sub(cost, 1)), weight))
      case "power":
        return tf.mul(task, tf.exp(tf.mul(tf.log(cost), weight)))
    }
  }

  const logitsOf = (state: LearnerState): tf.Tensor1D => {
    const tensor = state.tensors[name]
    if (tensor === undefined || tensor.size !== total) {
      throw new RangeError(
        `it has ${tensor === undefined ? "no" : tensor.size} architecture parameters, and ${space.name} has ${total} options`
      )
    }
    return tensor as tf.Tensor1D
  }

  const slotsOf = (tensors: ParameterTree): Readonly<Record<string, ParameterTree>> =>
    Object.fromEntries(
      Object.entries(tensors).flatMap(([key, tensor]) =>
        key === name ? [] : [[key.slice(0, -name.length - 1), { [name]: tensor }] as const]
      )
    )

  const gradient: GradientSearch = {
    plan:
      options.learn === "training"
        ? {
            _tag: "WithSupernet",
            warmupEpochs: options.warmupEpochs,
            everySteps: options.everySteps,
            batchSize: options.batchSize
          }
        : { _tag: "AfterSupernet", epochs: options.epochs, batchSize: options.batchSize },
    init: () => ({
      tensors: { [name]: tf.zeros([total]) },
      json: { temperature: temperature.initial, counts: {} }
    }),
    trainStep: (state, { key, step, steps, taskLoss }) => {
      const logits = logitsOf(state)
      const now = temperatureAt(step, steps)
      const { gradients, loss, rest } = valueAndGradient(
        () => {
          const rows = counts.map((count, layer) => tf.slice1d(logits, offsets[layer]!, count))
          const task = taskLoss(Distribution.weightsOf(rows, { relaxation, temperature: now, hard }, key))
          const cost = Distribution.expectedCostOf(entries, Distribution.probabilitiesOf(rows), target)
          return { loss: lossOf(task, cost), rest: { task, cost } }
        },
        { [name]: logits }
      )
      const { counts: updates } = decodeLearnt(state.json)
      const updated = optimizer.update(
        gradients,
        { slots: slotsOf(state.tensors), counts: updates },
        { [name]: logits },
        rate
      )
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
          entropy: Distribution.entropy(rowsOf(learned.dataSync())),
          temperature: now
        }
      ]
    },
    distribution: (state) => ({
      logits: rowsOf(logitsOf(state).dataSync()),
      temperature: decodeLearnt(state.json).temperature,
      relaxation,
      hard
    }),
    conclude: (state, key) => ({
      ...SearchProgress.initial(key),
      logits: rowsOf(logitsOf(state).dataSync())
    })
  }

  const evaluations = 1 + options.samples

  /** The most probable architecture of the budget, then such as are drawn, all different. */
  const candidates = ({ key, logits }: State): ReadonlyArray<Genotype> => {
    const values = Distribution.logProbabilities(logits)
    const first = feasible.mostValuable(values)
    const seen = new Set([SearchProgress.text(space.canonical(first))])
    const out = [first]
    const add = (genotype: Genotype): boolean => {
      const text = SearchProgress.text(space.canonical(genotype))
      if (seen.has(text)) return false
      seen.add(text)
      out.push(genotype)
      return true
    }
    for (let sample = 0; sample < options.samples; sample += 1) {
      const own = Key.derive(key, "sample", sample)
      let found = false
      for (let attempt = 0; attempt < attempts && !found; attempt += 1) {
        found = add(feasible.mostValuable(Distribution.perturbed(values, Key.derive(own, attempt))))
      }
      if (found) continue
      const other = drawUnseen(feasible, own, seen, space.canonical)
      if (other === undefined) return out
      add(other)
    }
    return out
  }

  return {
    name: `${relaxation}-differentiable`,
    evaluations,
    distinct: true,
    gradient,
    init: (key) => ({
      ...SearchProgress.initial(key),
      logits: counts.map((count) => new Array<number>(count).fill(0))
    }),
    ask: (state) => {
      const now = decode(state)
      const open = SearchProgress.pending(now)
      if (open.length > 0) return [open, state]
      if (now.generation > 0) return [[], state]
      const found = candidates(now)
      return [found, SearchProgress.begin(now, found, space.canonical)]
    },
    tell: (state, scored) => SearchProgress.tell(decode(state), scored, (progress) => progress),
    best: (state) => SearchProgress.best(decode(state))
  }
}

const layerOf = (relaxation: ArchitectureDistribution["relaxation"]) => (options: Options) =>
  Layer.effect(
    SearchStrategy,
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const costs = yield* CostModel
      const { feasible } = yield* SearchBudget
      return SearchStrategy.of(make(space, feasible, costs.entries(feasible.budget.metric), relaxation, options))
    })
  )

/**
 * `name: softmax-differentiable`.
 *
 * **Example** (Its name)
 *
 * ```ts
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * DifferentiableSearch.componentSoftmax.name // => "softmax-differentiable"
 * ```
 */
export const componentSoftmax = define({
  kind: "searchStrategy",
  name: "softmax-differentiable",
  description: "A probability for every option, learned by gradient through the softmax mixture of all (DARTS)",
  options: SoftmaxOptions,
  layer: layerOf("softmax")
})

/**
 * `name: gumbel-softmax-differentiable`.
 *
 * **Example** (Its name)
 *
 * ```ts
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * DifferentiableSearch.componentGumbel.name // => "gumbel-softmax-differentiable"
 * ```
 */
export const componentGumbel = define({
  kind: "searchStrategy",
  name: "gumbel-softmax-differentiable",
  description: "The same through relaxed random draws whose temperature falls (FBNet)",
  options: GumbelOptions,
  layer: layerOf("gumbel-softmax")
})
