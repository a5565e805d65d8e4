/**
 * Training of the generator on the frozen supernet (Huang and Chu 2021, sections 3.1 and 3.2): the loss of a step, the
 * objective by which passes are compared, and both as a {@link GradientSearch}.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { FeasibleSet } from "../../cost/FeasibleSet.ts"
import { valueAndGradient } from "../../nn/Gradient.ts"
import * as Optimizer from "../../nn/Optimizer.ts"
import type { OptimizerConfig } from "../../nn/OptimizerConfig.ts"
import type { ParameterTree } from "../../nn/ParameterTree.ts"
import * as Schedule from "../../nn/Schedule.ts"
import * as Key from "../../random/Key.ts"
import type { Genotype } from "../../search-space/SearchSpace.ts"
import * as Distribution from "../Distribution.ts"
import * as SearchProgress from "../SearchProgress.ts"
import type { GradientSearch, LearnerState, LearningStep, PassChoice } from "../SearchStrategy.ts"
import * as Temperature from "../Temperature.ts"
import { drawManyUnseen } from "../Unseen.ts"
import {
  type GenerationInput,
  generate,
  inputFor,
  isWithin,
  mostLikely,
  picturesOf,
  type Sweep,
  scoresOf,
  sweep,
  sweepMetrics
} from "./Generation.ts"
import { type GeneratorContext, spanOf, targetForBudget } from "./GeneratorContext.ts"
import * as GeneratorNetwork from "./GeneratorNetwork.ts"
import {
  bestPrefix,
  currentOf,
  decodeLearner,
  paramPrefix,
  prefixed,
  slotPrefix,
  slotsOf,
  trainedOf,
  under
} from "./GeneratorState.ts"
import * as Grid from "./Grid.ts"
import * as PriorPool from "./PriorPool.ts"

/** Temperatures of the Gumbel-softmax at the first and at the last step. */
export interface TemperatureOptions {
  readonly temperature: number
  readonly finalTemperature: number
}

/** The options that decide how the generator learns. See `ArchitectureGenerator.Options`. */
export interface TrainingOptions extends TemperatureOptions {
  readonly evaluations: number
  readonly epochs: number
  readonly batchSize: number
  readonly optimizer: OptimizerConfig
  readonly targets: number
  readonly costWeight: number
  readonly priors: number
  readonly sweep: number
  readonly validationTargets: number
  readonly validationBatches: number
}

/**
 * The target at position `index` of the sequence of targets: uniform over the range, but stratified. Of every `parts`
 * successive targets, each of `parts` equal parts of the range has one.
 *
 * **Example** (Both halves of the range)
 *
 * ```ts
 * import * as Key from "../../random/Key.ts"
 * import { targetOf } from "./GeneratorTraining.ts"
 *
 * const range = { metric: "flops", min: 0, max: 10 } as const
 * const targets = [0, 1].map((index) => targetOf(range, 2, Key.make(1), index))
 * targets.map((target) => target < 5).sort() // => [false, true]
 * ```
 */
export const targetOf = (range: PriorPool.CostRange, parts: number, key: Key.Key, index: number): number => {
  const round = Key.derive(key, Math.floor(index / parts))
  const part = Key.permutation(Key.derive(round, "order"), parts)[index % parts]!
  const inside = Key.uniform(Key.derive(round, "place"), index % parts)
  return range.min + ((part + inside) / parts) * (range.max - range.min)
}

/**
 * The temperature of a step: falls from the first step to the last by the same factor every step.
 *
 * **Example** (The first and the only step)
 *
 * ```ts
 * import { temperatureOf } from "./GeneratorTraining.ts"
 *
 * temperatureOf({ temperature: 4, finalTemperature: 1 }, 0, 10) // => 4
 * temperatureOf({ temperature: 4, finalTemperature: 1 }, 0, 1) // => 1
 * ```
 */
export const temperatureOf = (
  { finalTemperature, temperature }: TemperatureOptions,
  step: number,
  steps: number
): number =>
  steps <= 1
    ? finalTemperature
    : Temperature.decayed({ initial: temperature, final: finalTemperature }, step / (steps - 1))

/** What a step's loss depends on beside the generator's parameters. */
export interface StepInput {
  /** Target costs with their priors. The task's loss is computed for the first alone. */
  readonly inputs: ReadonlyArray<GenerationInput>
  readonly costWeight: number
  readonly key: Key.Key
  readonly temperature: number
  readonly taskLoss: LearningStep["taskLoss"]
}

/**
 * The loss of a step: the task's loss under the Gumbel-softmax weights drawn for the first target, plus `costWeight` times
 * the squared distance of the weighted cost from the target, in units of the range, mean over all targets. The further
 * targets need no supernet, so they are nearly free, and they show much better how cost depends on the target.
 *
 * **Example** (Without a cost term: the task's loss)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Result from "effect/Result"
 * import * as LookupTable from "../../cost/LookupTable.ts"
 * import * as Key from "../../random/Key.ts"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import { generatorContext } from "./GeneratorContext.ts"
 * import * as GeneratorNetwork from "./GeneratorNetwork.ts"
 * import { stepLoss } from "./GeneratorTraining.ts"
 * import * as PriorPool from "./PriorPool.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const options = { lowest: null, highest: null, channels: 4, depth: 1, targetPlanes: 2 }
 * const on = Result.getOrThrow(generatorContext(space, flops, "flops", options))
 * const params = GeneratorNetwork.initialise(on.size, Key.make(1))
 * const inputs = PriorPool.make(flops, on.range, 2, Key.make(2)).map((prior) => ({ target: prior.cost, prior }))
 * const input = { inputs, costWeight: 0, key: Key.make(3), temperature: 1, taskLoss: () => tf.scalar(2) }
 * stepLoss(on, params, input).loss.dataSync()[0] // => 2
 * ```
 */
export const stepLoss = (on: GeneratorContext, params: ParameterTree, input: StepInput) => {
  const { inputs, costWeight, key, taskLoss, temperature } = input
  const span = spanOf(on.range)
  const pictures = picturesOf(on, params, inputs)
  const each = inputs.map(({ target }, index) => {
    const drawn = Grid.optionScores(on.grid, pictures, index)
    const own = Key.derive(key, "noise", index)
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
 * What passes are compared by; lower is better. The loss that training minimises, without noise or mixing: the mean task
 * loss of architectures that the generator draws, each as a single path of the supernet, plus `costWeight` times the mean
 * squared distance of the costs of a sweep from their targets, in units of the range. The loss of the steps cannot be
 * compared between passes: it depends on noise, temperature and random targets.
 *
 * **Example** (Costs that meet their targets: the mean loss)
 *
 * ```ts
 * import { objectiveOf } from "./GeneratorTraining.ts"
 *
 * const on = { range: { metric: "flops", min: 0, max: 10 } } as const
 * objectiveOf(on, 20, { costs: [3, 7], targets: [3, 7] }, [2, 4]) // => 3
 * objectiveOf(on, 20, { costs: [4, 7], targets: [3, 7] }, [2, 4]).toFixed(6) // => "3.100000"
 * ```
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

/** One update of the generator's parameters. */
const trainStepOf = (on: GeneratorContext, options: TrainingOptions): GradientSearch["trainStep"] => {
  const optimizer = Optimizer.fromConfig(options.optimizer)
  const span = spanOf(on.range)
  return (state, { key, step, steps, taskLoss }) => {
    const json = decodeLearner(state.json)
    const params = under(paramPrefix, state.tensors)
    const temperature = temperatureOf(options, step, steps)
    const targets = Key.derive(json.key, "targets")
    const inputs = Array.from({ length: options.targets }, (_, i) =>
      inputFor(json.pool, targetOf(on.range, options.targets, targets, step * options.targets + i))
    )
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
}

/** Keeps the pass with the lowest {@link objectiveOf}. */
const passChoiceOf = (on: GeneratorContext, options: TrainingOptions): PassChoice => ({
  batches: options.validationBatches,
  // Targets in the middle of equal parts of the range: near its ends there are few architectures to choose from.
  architectures: (state) => {
    const { max, min } = on.range
    const trained = currentOf(state)
    const inputs = Array.from({ length: options.validationTargets }, (_, i) =>
      inputFor(trained.pool, min + ((i + 0.5) / options.validationTargets) * (max - min))
    )
    return scoresOf(on, trained, inputs).map((rows) => on.layerOptions.genotype(mostLikely(rows)))
  },
  tell: (state, pass, losses) => {
    const json = decodeLearner(state.json)
    const current = currentOf(state)
    const swept = sweep(on, current, options.sweep)
    const objective = objectiveOf(on, options.costWeight, swept, losses)
    const metrics = sweepMetrics(swept)
    // A path that the supernet never trained can have a loss of NaN or infinity: do not keep such a pass.
    if (!Number.isFinite(objective)) return [state, metrics]
    const kept =
      json.best !== null && json.best.objective <= objective
        ? state
        : {
            tensors: { ...state.tensors, ...prefixed(bestPrefix, current.params) },
            json: { ...json, best: { pass, objective } }
          }
    return [kept, { ...metrics, objective }]
  }
})

/** Draws per requested architecture before the next way to find one is tried. */
const drawsPerCandidate = 16

/** Architectures of the budget, the generator's most likely one first; as many as are to be scored. */
const candidatesOf = (
  on: GeneratorContext,
  options: TrainingOptions,
  feasible: FeasibleSet,
  state: LearnerState,
  key: Key.Key
): ReadonlyArray<Genotype> => {
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
  // From every prior, first without noise, then with it: architectures that are in the band as they are drawn.
  const target = targetForBudget(on.range, feasible.budget)
  const inputs = PriorPool.nearest(trained.pool, target).map((prior): GenerationInput => ({ target, prior }))
  const rowsOfPriors = scoresOf(on, trained, inputs)
  for (let draw = 0; draw < drawsPerCandidate * wanted && out.length < wanted; draw += 1) {
    const rows = rowsOfPriors[draw % rowsOfPriors.length]!
    const noise = Key.derive(key, "draw", draw)
    const indices = mostLikely(draw < rowsOfPriors.length ? rows : Distribution.perturbed(rows, noise))
    if (isWithin(feasible.budget, PriorPool.costOf(on.entries, indices))) take(on.layerOptions.genotype(indices))
  }
  // The band may be too narrow to be hit: take the most likely architectures within it, under noise.
  const [nearest = []] = rowsOfPriors
  for (let draw = 0; draw < wanted && out.length < wanted; draw += 1) {
    take(feasible.mostValuable(Distribution.perturbed(nearest, Key.derive(key, "moved", draw))))
  }
  // A sharp distribution gives the same few architectures: fill up with uniform draws from the band.
  return [...out, ...drawManyUnseen(feasible, Key.derive(key, "rest"), wanted - out.length, seen, on.space.canonical)]
}

/** The generator as a gradient-based searcher that learns after the supernet. */
export const gradientSearch = (
  on: GeneratorContext,
  options: TrainingOptions,
  feasible: FeasibleSet
): GradientSearch => ({
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
  trainStep: trainStepOf(on, options),
  choice: passChoiceOf(on, options),
  distribution: (state) => {
    const trained = trainedOf(state)
    const [logits = []] = scoresOf(on, trained, [inputFor(trained.pool, targetForBudget(on.range, feasible.budget))])
    return { logits, temperature: decodeLearner(state.json).temperature, relaxation: "gumbel-softmax", hard: false }
  },
  review: (state) => {
    const swept = sweep(on, trainedOf(state), options.sweep)
    const { best } = decodeLearner(state.json)
    const metrics = { ...sweepMetrics(swept), ...(best === null ? {} : { pass: best.pass }) }
    return { metrics, targets: swept.targets, costs: swept.costs }
  },
  conclude: (state, key) => ({
    ...SearchProgress.initial(key),
    candidates: candidatesOf(on, options, feasible, state, key)
  })
})
