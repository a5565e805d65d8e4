/**
 * The architecture generator of SGNAS (Huang and Chu 2021, "Searching by Generating: Flexible and Efficient One-Shot NAS
 * with Architecture Generator"): not an architecture is searched but a network that draws one for any target cost. It is
 * trained on the frozen supernet: for a random target it draws scores, Gumbel-softmax makes weights of them, and the
 * task's loss of the supernet's mixture under these weights plus the squared distance of the mixture's cost from the
 * target is minimised (sections 3.1 and 3.2). How well it does rises and falls from pass to pass, so the best pass is kept:
 * the one with the least of that same loss where nothing is random or mixed any more ({@link objectiveOf}).
 *
 * What was trained serves any number of targets ({@link generate}). For the run's own budget it names its most likely
 * architecture within the band and further ones, seen from other priors or through Gumbel noise, and the estimator
 * picks the best of them.
 *
 * **Example** (Before any training: an architecture for a budget all the same)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as LookupTable from "../cost/LookupTable.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as ArchitectureGenerator from "./ArchitectureGenerator.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const budget = { metric: "flops", min: 2e6, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, flops, budget))
 * const options = Schema.decodeUnknownSync(ArchitectureGenerator.Options)({ channels: 8, depth: 1, priors: 4 })
 * const strategy = Result.getOrThrow(ArchitectureGenerator.make(space, flops, feasible, options))
 * strategy.name // => ArchitectureGenerator.component.name
 * const state = strategy.gradient.init(Key.make(1))
 * ArchitectureGenerator.interfaceOf(state) // => task
 * const on = Result.getOrThrow(ArchitectureGenerator.generatorContext(space, flops, "flops", options))
 * const trained = ArchitectureGenerator.trainedOf(state)
 * const { cost } = ArchitectureGenerator.generate(on, trained, feasible)
 * cost >= 2e6 && cost <= 2.5e6 // => true
 * const swept = ArchitectureGenerator.sweep(on, trained, 3)
 * swept.targets.length // => 3
 * ArchitectureGenerator.objectiveOf(on, 0, swept, [2, 4]) // => 3
 * const target = ArchitectureGenerator.targetOf(on.range, 2, Key.make(1), 0)
 * target >= on.range.min && target <= on.range.max // => true
 * ArchitectureGenerator.temperatureOf({ temperature: 4, finalTemperature: 1 }, 0, 10) // => 4
 * const inputs = [{ target, prior: trained.pool[0] }]
 * const input = { inputs, costWeight: 1, key: Key.make(1), temperature: 1, taskLoss: () => tf.scalar(2) }
 * const step = ArchitectureGenerator.stepLoss(on, trained.params, input)
 * step.loss.dataSync()[0] >= 2 // => true
 * ```
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { type Budget, BudgetInfeasible, type CostEntries, CostModel } from "../cost/CostModel.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import { optimizerSection } from "../nn/OptimizerConfig.ts"
import type { ParameterTree } from "../nn/ParameterTree.ts"
import * as Schedule from "../nn/Schedule.ts"
import * as Deterministic from "../random/Deterministic.ts"
import * as Key from "../random/Key.ts"
import { type Genotype, SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { NonNegative, Positive, PositiveInt } from "../support/Numbers.ts"
import * as Distribution from "./Distribution.ts"
import * as GeneratorNetwork from "./generator/GeneratorNetwork.ts"
import * as Grid from "./generator/Grid.ts"
import * as PriorPool from "./generator/PriorPool.ts"
import * as RankCorrelation from "./RankCorrelation.ts"
import * as SearchProgress from "./SearchProgress.ts"
import {
  type GradientSearch,
  type LearnerState,
  type LearningMetrics,
  type LearningStep,
  type PassChoice,
  SearchStrategy,
  type SearchStrategyShape
} from "./SearchStrategy.ts"
import { drawManyUnseen } from "./Unseen.ts"

const defaulted = <T, E>(schema: Schema.Codec<T, E>, value: E, description: string) =>
  schema.annotate({ description }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** Options of the generator. */
export const Options = Schema.Struct({
  evaluations: defaulted(PositiveInt, 10, "How many of its architectures are scored; the first is its most likely one"),
  epochs: defaulted(PositiveInt, 20, "How many times the generator's training sees the validation split"),
  batchSize: defaulted(PositiveInt, 64, "Validation images of a step"),
  optimizer: optimizerSection({ name: "adam", learningRate: 1e-3, beta1: 0.9, weightDecay: 0 })
    .annotate({ description: "How the generator is trained; its own optimiser" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  targets: defaulted(PositiveInt, 8, "Target costs of a step; the supernet is asked about the first"),
  costWeight: defaulted(NonNegative, 20, "Weight of the cost term: squared distance from the target, in spans"),
  lowest: defaulted(Schema.NullOr(NonNegative), null, "Least target cost it learns; null: the cheapest architecture's"),
  highest: defaulted(
    Schema.NullOr(Positive),
    null,
    "Largest target cost it learns; null: the most expensive architecture's"
  ),
  priors: defaulted(PositiveInt, 10, "Architectures in the prior pool"),
  temperature: defaulted(Positive, 5, "Temperature of the Gumbel-softmax at the first step"),
  finalTemperature: defaulted(Positive, 1, "Temperature at the last step; it falls by the same factor every step"),
  channels: defaulted(PositiveInt, 32, "Channels of the generator's convolutions"),
  depth: defaulted(PositiveInt, 4, "Convolutions of the generator's trunk"),
  targetPlanes: defaulted(PositiveInt, 8, "Planes that encode the target cost"),
  sweep: defaulted(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(2)),
    50,
    "Target costs by which the trained generator is judged: does the cost of what it draws follow them?"
  ),
  judged: defaulted(PositiveInt, 5, "Of how many targets, after every pass, the architecture's task loss is measured"),
  judgedBatches: defaulted(PositiveInt, 4, "On how many batches; by this loss and the cost term the best pass is kept")
})
/** Options of the generator. */
export type Options = typeof Options.Type

/** What of a search space the generator works on. */
export type GeneratorSpace = Pick<SearchSpaceShape, "canonical" | "interface" | "layers" | "name">

/** What a generator is made from: the space, its costs, the range of targets, how large the network is. */
export interface GeneratorContext {
  readonly space: GeneratorSpace
  readonly grid: Grid.Grid
  readonly size: GeneratorNetwork.GeneratorSize
  readonly entries: CostEntries
  readonly layerOptions: LayerOptions.LayerOptions
  /** The targets it is trained for. */
  readonly range: PriorPool.CostRange
}

/**
 * The context by options; targets not given are the costs of the cheapest and the most expensive architecture. `BudgetInfeasible`
 * where no architecture has a cost among the targets.
 */
export const generatorContext = (
  space: GeneratorSpace,
  entries: CostEntries,
  metric: Budget["metric"],
  options: Pick<Options, "channels" | "depth" | "highest" | "lowest" | "targetPlanes">
): Result.Result<GeneratorContext, BudgetInfeasible> => {
  const end = (of: (...costs: ReadonlyArray<number>) => number) =>
    entries.layers.reduce((sum, costs) => sum + of(...costs), entries.base)
  const smallest = end(Math.min)
  const largest = end(Math.max)
  const asked = { min: options.lowest ?? smallest, max: options.highest ?? largest }
  const range = { metric, min: Math.max(smallest, asked.min), max: Math.min(largest, asked.max) }
  if (!(range.min <= range.max)) {
    return Result.fail(new BudgetInfeasible({ space: space.name, metric, ...asked, smallest, largest }))
  }
  return Result.succeed({
    space,
    grid: Grid.make(space),
    size: { channels: options.channels, depth: options.depth, targetPlanes: options.targetPlanes },
    entries,
    layerOptions: LayerOptions.make(space),
    range
  })
}

/** What distances from the target are measured in. */
const spanOf = ({ max, min }: PriorPool.CostRange): number => (max > min ? max - min : Math.max(max, 1))

/** The target for a budget: its upper end, or the nearest cost in the range of targets. */
const goalOf = (range: PriorPool.CostRange, budget: Pick<Budget, "max">): number =>
  Math.max(range.min, Math.min(range.max, budget.max))

/** Position of a cost in the range of targets: 0 at its least and 1 at its largest. */
const place = ({ max, min }: PriorPool.CostRange, cost: number): number => (max > min ? (cost - min) / (max - min) : 0)

// ---- drawing -------------------------------------------------------------------------------------------------------

/** A trained generator: its parameters and its pool. */
export interface Trained {
  readonly params: ParameterTree
  readonly pool: ReadonlyArray<PriorPool.Prior>
}

/** A target cost, and the prior that it is drawn from. */
interface GenerationInput {
  readonly target: number
  readonly prior: PriorPool.Prior
}

/** The pictures that the generator draws, one an aim: [inputs, rows, columns]. Differentiable. */
const picturesOf = (on: GeneratorContext, params: ParameterTree, inputs: ReadonlyArray<GenerationInput>): tf.Tensor3D =>
  GeneratorNetwork.apply(
    on.size,
    on.grid,
    params,
    inputs.map(({ prior, target }) => ({ target: place(on.range, target), prior: Grid.draw(on.grid, prior.indices) }))
  )

/** The scores that the generator draws, as numbers: [aim][layer][option]. */
const scores = (
  on: GeneratorContext,
  { params }: Trained,
  inputs: ReadonlyArray<GenerationInput>
): ReadonlyArray<Distribution.Rows> => {
  const pictures = picturesOf(on, params, inputs)
  const rows = inputs.map((_, aim) => {
    const tensors = Grid.optionScores(on.grid, pictures, aim)
    const numbers = tensors.map((row) => Array.from(row.dataSync()))
    tf.dispose([...tensors])
    return numbers
  })
  pictures.dispose()
  return rows
}

const likeliest = (rows: Distribution.Rows): ReadonlyArray<number> =>
  rows.map((row) => row.reduce((best, score, option) => (score > row[best]! ? option : best), 0))

/** Draws that are tried for each architecture wanted. */
const patience = 16

/** An architecture that a trained generator produced for a band. */
export interface Generated {
  readonly genotype: Genotype
  readonly cost: number
  /** The cost it was asked for. */
  readonly target: number
  /** The cost of the architecture as it was drawn, before it was moved into the band if it was outside. */
  readonly drawn: number
}

/**
 * The architecture of the band that the generator finds most likely for a target: what it draws, layer by layer, if
 * that is in the band, else the most likely of all that are. The target is the upper end of the band, or the nearest
 * that the generator was trained for.
 */
export const generate = (on: GeneratorContext, trained: Trained, feasible: FeasibleSet): Generated => {
  const target = goalOf(on.range, feasible.budget)
  const [rows = []] = scores(on, trained, [{ target, prior: PriorPool.nearest(trained.pool, target)[0]! }])
  const indices = likeliest(rows)
  const drawn = PriorPool.costOf(on.entries, indices)
  const genotype = isWithin(feasible.budget, drawn)
    ? on.layerOptions.genotype(indices)
    : feasible.mostValuable(Distribution.logProbabilities(rows))
  return { genotype, cost: feasible.cost(genotype), target, drawn }
}

const isWithin = ({ max, min }: Pick<Budget, "max" | "min">, cost: number): boolean => cost >= min && cost <= max

/** How the cost of what a trained generator draws follows the target. */
export interface Sweep {
  readonly targets: ReadonlyArray<number>
  /** Cost of the architecture drawn for each target, layer by layer the likeliest option, not moved into any band. */
  readonly costs: ReadonlyArray<number>
  /** Rank correlations of the two; null where all costs are equal. */
  readonly kendall: number | null
  readonly spearman: number | null
  /** Mean distance of cost and target, as a fraction of the range of targets. */
  readonly deviation: number
}

/** Draws an architecture for each of `count` targets, spread evenly over the range that the generator was trained for. */
export const sweep = (on: GeneratorContext, trained: Trained, count: number): Sweep => {
  const { max, min } = on.range
  const targets = Array.from({ length: count }, (_, i) => min + ((max - min) * i) / Math.max(1, count - 1))
  const inputs = targets.map((target) => ({ target, prior: PriorPool.nearest(trained.pool, target)[0]! }))
  const costs = scores(on, trained, inputs).map((rows) => PriorPool.costOf(on.entries, likeliest(rows)))
  const distance = costs.reduce((sum, cost, i) => sum + Math.abs(cost - targets[i]!), 0) / count
  return {
    targets,
    costs,
    kendall: RankCorrelation.kendall(targets, costs),
    spearman: RankCorrelation.spearman(targets, costs),
    deviation: max > min ? distance / (max - min) : 0
  }
}

// ---- training ------------------------------------------------------------------------------------------------------

/** For what input and head the space was built: enough to build it again without the data. */
const NetworkInterface = Schema.Struct({
  input: Schema.Tuple([Schema.Int, Schema.Int, Schema.Int]),
  head: Schema.Union([
    Schema.TaggedStruct("Classifier", { classes: Schema.Int }),
    Schema.TaggedStruct("Embedding", { dimension: Schema.Int })
  ])
})

/** What the learner keeps beside its tensors. */
const LearnerJson = Schema.Struct({
  interface: NetworkInterface,
  key: Key.Key,
  pool: Schema.Array(PriorPool.Prior),
  counts: Schema.Record(Schema.String, Schema.Int),
  temperature: Schema.Finite,
  /** The best pass so far, from 1, and what it was judged by; its parameters are tensors of their own. */
  best: Schema.NullOr(Schema.Struct({ pass: Schema.Int, objective: Schema.Finite }))
})

const decodeLearner = Schema.decodeUnknownSync(LearnerJson)

const paramPrefix = "params."
const slotPrefix = "optimizer."
const bestPrefix = "best."

const under = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(
    Object.entries(tree).flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : []
    )
  )

const prefixed = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [prefix + name, tensor]))

const slotsOf = (tensors: ParameterTree): Readonly<Record<string, ParameterTree>> => {
  const slots: Record<string, Record<string, tf.Tensor>> = {}
  for (const [name, tensor] of Object.entries(under(slotPrefix, tensors))) {
    const at = name.indexOf(".")
    const slot = name.slice(0, at)
    slots[slot] = { ...slots[slot], [name.slice(at + 1)]: tensor }
  }
  return slots
}

/** The input and head that a learner's space was built for. */
export const interfaceOf = (state: Pick<LearnerState, "json">): typeof NetworkInterface.Type =>
  decodeLearner(state.json).interface

/** The trained part of a learner's state: of the best pass or, until one is judged, of the current one. */
export const trainedOf = (state: LearnerState): Trained => {
  const { best, pool } = decodeLearner(state.json)
  return { params: under(best === null ? paramPrefix : bestPrefix, state.tensors), pool }
}

/** The trained part of the current pass, whichever pass was kept. */
const currentOf = (state: LearnerState): Trained => ({
  params: under(paramPrefix, state.tensors),
  pool: decodeLearner(state.json).pool
})

/**
 * The target of a place in their sequence: uniform in the range, but so that of every `parts` successive targets one is in each of
 * `parts` equal parts of the range.
 */
export const targetOf = (range: PriorPool.CostRange, parts: number, key: Key.Key, step: number): number => {
  const round = Key.derive(key, Math.floor(step / parts))
  const part = Key.permutation(Key.derive(round, "order"), parts)[step % parts]!
  const inside = Key.uniform(Key.derive(round, "place"), step % parts)
  return range.min + ((part + inside) / parts) * (range.max - range.min)
}

/** The temperature of a step: from the first to the last by the same factor every step. */
export const temperatureOf = (
  { finalTemperature, temperature }: Pick<Options, "finalTemperature" | "temperature">,
  step: number,
  steps: number
): number =>
  steps <= 1
    ? finalTemperature
    : temperature * Deterministic.exp((step / (steps - 1)) * Deterministic.log(finalTemperature / temperature))

/** What a step's loss depends on beside the generator's parameters. */
export interface StepInput {
  /** The task's loss is that of the first. */
  readonly inputs: ReadonlyArray<GenerationInput>
  readonly costWeight: number
  readonly key: Key.Key
  readonly temperature: number
  readonly taskLoss: LearningStep["taskLoss"]
}

/**
 * The loss of a step: the task's under Gumbel-softmax weights of what is drawn for the first aim, and `costWeight` times the
 * squared distance of the weighted cost from the target, in spans of the range of targets, mean over the inputs. The
 * further inputs cost next to nothing, as they need no supernet, and tell much more of how cost depends on the target.
 */
export const stepLoss = (on: GeneratorContext, params: ParameterTree, input: StepInput) => {
  const { inputs, costWeight, key, taskLoss, temperature } = input
  const span = spanOf(on.range)
  const pictures = picturesOf(on, params, inputs)
  const each = inputs.map(({ target }, aim) => {
    const drawn = Grid.optionScores(on.grid, pictures, aim)
    const own = Key.derive(key, "noise", aim)
    const weights = Distribution.weightsOf(drawn, { relaxation: "gumbel-softmax", hard: false, temperature }, own)
    const relative = { ...on.entries, base: on.entries.base - target }
    return { drawn, weights, distance: Distribution.expectedCostOf(relative, weights, span) }
  })
  const { distance, drawn, weights } = each[0]!
  const task = taskLoss(weights)
  const squares = tf.mean(tf.square(tf.stack(each.map((one) => one.distance))))
  return { loss: tf.add(task, tf.mul(squares, costWeight)), rest: { task, distance, drawn: [...drawn] } }
}

/**
 * What passes are compared by, least best: the loss that training minimises, at its cold end. The mean task loss of
 * architectures it draws, each a single path of the supernet, and `costWeight` times the mean squared distance of the
 * costs of a sweep from their targets, in spans of the range. Unlike the loss of the steps it depends on no noise,
 * no temperature and no chance targets, so that passes can be compared at all.
 */
export const objectiveOf = (
  on: Pick<GeneratorContext, "range">,
  costWeight: number,
  { costs, targets }: Pick<Sweep, "costs" | "targets">,
  losses: ReadonlyArray<number>
): number => {
  const span = spanOf(on.range)
  const squares = costs.reduce((sum, cost, i) => sum + ((cost - targets[i]!) / span) ** 2, 0)
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length + (costWeight * squares) / costs.length
}

/** Figures of a sweep by name. */
const figuresOf = ({ deviation, kendall, spearman }: Sweep): Readonly<Record<string, number>> => ({
  deviation,
  ...(kendall === null ? {} : { kendall }),
  ...(spearman === null ? {} : { spearman })
})

const learning = (on: GeneratorContext, options: Options, feasible: FeasibleSet): GradientSearch => {
  const optimizer = Optimizer.fromConfig(options.optimizer)
  const span = spanOf(on.range)

  const trainStep = (
    state: LearnerState,
    { key, step, steps, taskLoss }: LearningStep
  ): readonly [LearnerState, LearningMetrics] => {
    const json = decodeLearner(state.json)
    const params = under(paramPrefix, state.tensors)
    const temperature = temperatureOf(options, step, steps)
    const targets = Key.derive(json.key, "targets")
    const inputs = Array.from({ length: options.targets }, (_, i): GenerationInput => {
      const target = targetOf(on.range, options.targets, targets, step * options.targets + i)
      return { target, prior: PriorPool.nearest(json.pool, target)[0]! }
    })
    const { target } = inputs[0]!
    const input = { inputs, costWeight: options.costWeight, key, temperature, taskLoss }
    const { gradients, loss, rest } = valueAndGradient(() => stepLoss(on, params, input), params)
    const before = { slots: slotsOf(state.tensors), counts: json.counts }
    const learningRate = options.optimizer.learningRate * Schedule.cosine(steps)(step)
    const updated = optimizer.update(gradients, before, params, learningRate)
    const numbers = (tensor: tf.Tensor) => Array.from(tensor.dataSync())
    const metrics = {
      loss: numbers(loss)[0]!,
      taskLoss: numbers(rest.task)[0]!,
      cost: target + numbers(rest.distance)[0]! * span,
      target,
      entropy: Distribution.entropy(rest.drawn.map(numbers)),
      temperature
    }
    tf.dispose([loss, rest.task, rest.distance, ...rest.drawn, ...Object.values(gradients)])
    const slots = Object.entries(updated.state.slots).map(([slot, tree]) => prefixed(`${slotPrefix}${slot}.`, tree))
    const tensors = Object.assign({}, state.tensors, prefixed(paramPrefix, updated.params), ...slots) as ParameterTree
    return [{ tensors, json: { ...json, counts: updated.state.counts, temperature } }, metrics]
  }

  const choice: PassChoice = {
    batches: options.judgedBatches,
    // From the middles of equal parts of the range: at its ends there is little to choose.
    architectures: (state) => {
      const { max, min } = on.range
      const trained = currentOf(state)
      const inputs = Array.from({ length: options.judged }, (_, i): GenerationInput => {
        const target = min + ((i + 0.5) / options.judged) * (max - min)
        return { target, prior: PriorPool.nearest(trained.pool, target)[0]! }
      })
      return scores(on, trained, inputs).map((rows) => on.layerOptions.genotype(likeliest(rows)))
    },
    tell: (state, pass, losses) => {
      const json = decodeLearner(state.json)
      const current = currentOf(state)
      const swept = sweep(on, current, options.sweep)
      const objective = objectiveOf(on, options.costWeight, swept, losses)
      const figures = figuresOf(swept)
      // A supernet that was never trained on such a path may answer anything: no pass to keep.
      if (!Number.isFinite(objective)) return [state, figures]
      const kept =
        json.best !== null && json.best.objective <= objective
          ? state
          : {
              tensors: { ...state.tensors, ...prefixed(bestPrefix, current.params) },
              json: { ...json, best: { pass, objective } }
            }
      return [kept, { ...figures, objective }]
    }
  }

  /** The generator's own architectures of the budget, its most likely one first; as many as are to be scored. */
  const candidates = (state: LearnerState, key: Key.Key): ReadonlyArray<Genotype> => {
    const trained = trainedOf(state)
    const wanted = feasible.count < options.evaluations ? Number(feasible.count) : options.evaluations
    const out: Array<Genotype> = []
    const seen = new Set<string>()
    const take = (genotype: Genotype) => {
      const name = SearchProgress.text(on.space.canonical(genotype))
      if (seen.has(name)) return
      seen.add(name)
      out.push(genotype)
    }
    take(generate(on, trained, feasible).genotype)
    // Seen from every prior, without and with noise: what is in the band as it is drawn.
    const target = goalOf(on.range, feasible.budget)
    const inputs = PriorPool.nearest(trained.pool, target).map((prior): GenerationInput => ({ target, prior }))
    const seenFrom = scores(on, trained, inputs)
    for (let draw = 0; draw < patience * wanted && out.length < wanted; draw += 1) {
      const rows = seenFrom[draw % seenFrom.length]!
      const noise = Key.derive(key, "draw", draw)
      const indices = likeliest(draw < seenFrom.length ? rows : Distribution.perturbed(rows, noise))
      if (isWithin(feasible.budget, PriorPool.costOf(on.entries, indices))) take(on.layerOptions.genotype(indices))
    }
    // A band too narrow to be hit: the most probable within it, through noise.
    const [nearest = []] = seenFrom
    for (let draw = 0; draw < wanted && out.length < wanted; draw += 1) {
      take(feasible.mostValuable(Distribution.perturbed(nearest, Key.derive(key, "moved", draw))))
    }
    // A generator that is sure of itself hardly draws another one: the rest of the band serves too.
    return [...out, ...drawManyUnseen(feasible, Key.derive(key, "rest"), wanted - out.length, seen, on.space.canonical)]
  }

  return {
    plan: { _tag: "AfterSupernet", epochs: options.epochs, batchSize: options.batchSize },
    init: (key) => ({
      tensors: prefixed(paramPrefix, GeneratorNetwork.initialise(on.size, Key.derive(key, "generator"))),
      json: {
        interface: { input: [...on.space.interface.input], head: { ...on.space.interface.head } },
        key: { k0: key.k0, k1: key.k1 },
        pool: PriorPool.make(on.entries, on.range, options.priors, Key.derive(key, "pool")),
        counts: {},
        temperature: options.temperature,
        best: null
      }
    }),
    trainStep,
    choice,
    distribution: (state) => {
      const trained = trainedOf(state)
      const target = goalOf(on.range, feasible.budget)
      const [logits = []] = scores(on, trained, [{ target, prior: PriorPool.nearest(trained.pool, target)[0]! }])
      return {
        logits,
        temperature: decodeLearner(state.json).temperature,
        relaxation: "gumbel-softmax",
        hard: false
      }
    },
    review: (state) => {
      const swept = sweep(on, trainedOf(state), options.sweep)
      const { best } = decodeLearner(state.json)
      const metrics = { ...figuresOf(swept), ...(best === null ? {} : { pass: best.pass }) }
      return { metrics, targets: swept.targets, costs: swept.costs }
    },
    conclude: (state, key) => ({ ...SearchProgress.initial(key), candidates: candidates(state, key) })
  }
}

// ---- search --------------------------------------------------------------------------------------------------------

/** State of the search: the common part, and the architectures generated. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  /** What the generator produced; null: it was not trained, and the budget's architectures are drawn uniformly. */
  candidates: Schema.NullOr(Schema.Array(Schema.Array(Schema.Int)))
})

const decodeState = Schema.decodeUnknownSync(State)

/** The architecture generator over a space's budget. `BudgetInfeasible` where no architecture has a cost in its range. */
export const make = (
  space: GeneratorSpace,
  entries: CostEntries,
  feasible: FeasibleSet,
  options: Options
): Result.Result<SearchStrategyShape, BudgetInfeasible> =>
  Result.map(generatorContext(space, entries, feasible.budget.metric, options), (on): SearchStrategyShape => {
    return {
      name: "architecture-generator",
      evaluations: feasible.count < options.evaluations ? Number(feasible.count) : options.evaluations,
      distinct: true,
      gradient: learning(on, options, feasible),
      init: (key) => ({ ...SearchProgress.initial(key), candidates: null }),
      ask: (state) => {
        const now = decodeState(state)
        const open = SearchProgress.pending(now)
        if (open.length > 0) return [open, state]
        if (now.generation > 0) return [[], state]
        const candidates =
          now.candidates ?? drawManyUnseen(feasible, now.key, options.evaluations, new Set(), space.canonical)
        return [candidates, SearchProgress.begin(now, candidates, space.canonical)]
      },
      tell: (state, scored) => SearchProgress.tell(decodeState(state), scored, (progress) => progress),
      best: (state) => SearchProgress.best(decodeState(state))
    }
  })

/** `name: architecture-generator`. */
export const component = define({
  kind: "searchStrategy",
  name: "architecture-generator",
  description:
    "A small network, trained on the frozen supernet, that draws an architecture for any target cost (SGNAS)",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      SearchStrategy,
      Effect.gen(function* () {
        const space = yield* SearchSpace
        const costs = yield* CostModel
        const { budget, feasible } = yield* SearchBudget
        return SearchStrategy.of(yield* Effect.fromResult(make(space, costs.entries(budget.metric), feasible, options)))
      })
    )
})
