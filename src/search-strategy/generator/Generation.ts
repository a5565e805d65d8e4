/** What a trained generator produces: scores of options, an architecture for a budget, a sweep over all targets. */
import type * as tf from "@tensorflow/tfjs-core"
import { dispose } from "@tensorflow/tfjs-core"
import type { Budget } from "../../cost/CostModel.ts"
import type { FeasibleSet } from "../../cost/FeasibleSet.ts"
import type { ParameterTree } from "../../nn/ParameterTree.ts"
import type { Genotype } from "../../search-space/SearchSpace.ts"
import * as Distribution from "../Distribution.ts"
import * as RankCorrelation from "../RankCorrelation.ts"
import { type GeneratorContext, positionOf, targetForBudget } from "./GeneratorContext.ts"
import * as GeneratorNetwork from "./GeneratorNetwork.ts"
import * as Grid from "./Grid.ts"
import * as PriorPool from "./PriorPool.ts"

/** A trained generator: its parameters and its pool. */
export interface Trained {
  readonly params: ParameterTree
  readonly pool: ReadonlyArray<PriorPool.Prior>
}

/** A target cost, and the prior architecture that the generator sees with it. */
export interface GenerationInput {
  readonly target: number
  readonly prior: PriorPool.Prior
}

/** A target with the prior of the pool that is nearest in cost. */
export const inputFor = (pool: ReadonlyArray<PriorPool.Prior>, target: number): GenerationInput => ({
  target,
  prior: PriorPool.nearest(pool, target)[0]!
})

/** The pictures that the generator draws, one per input: [inputs, rows, columns]. Differentiable. */
export const picturesOf = (
  on: GeneratorContext,
  params: ParameterTree,
  inputs: ReadonlyArray<GenerationInput>
): tf.Tensor3D =>
  GeneratorNetwork.apply(
    on.size,
    on.grid,
    params,
    inputs.map(({ prior, target }) => ({
      target: positionOf(on.range, target),
      prior: Grid.draw(on.grid, prior.indices)
    }))
  )

/** The scores that the generator draws, as numbers: [input][layer][option]. */
export const scoresOf = (
  on: GeneratorContext,
  { params }: Trained,
  inputs: ReadonlyArray<GenerationInput>
): ReadonlyArray<Distribution.Rows> => {
  const pictures = picturesOf(on, params, inputs)
  const rows = inputs.map((_, input) => {
    const tensors = Grid.optionScores(on.grid, pictures, input)
    const numbers = tensors.map((row) => Array.from(row.dataSync()))
    dispose([...tensors])
    return numbers
  })
  pictures.dispose()
  return rows
}

/** The option with the highest score in each layer; the first of equal ones. */
export const mostLikely = (rows: Distribution.Rows): ReadonlyArray<number> =>
  rows.map((row) => row.reduce((best, score, option) => (score > row[best]! ? option : best), 0))

/** Whether a cost is in a band, both ends inclusive. */
export const isWithin = ({ max, min }: Pick<Budget, "max" | "min">, cost: number): boolean => cost >= min && cost <= max

/** An architecture that a trained generator produced for a band. */
export interface Generated {
  readonly genotype: Genotype
  readonly cost: number
  /** The cost that was requested. */
  readonly target: number
  /** The cost of the architecture as it was drawn, before it was moved into the band if it was outside. */
  readonly drawn: number
}

/**
 * The most likely architecture of a band: the most likely option of each layer if that architecture is in the band, else
 * the most likely of all architectures in the band. The target is the upper end of the band, or the nearest cost that the
 * generator was trained for.
 *
 * **Example** (A network that draws the same score for every option takes the first ones)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Result from "effect/Result"
 * import * as FeasibleSet from "../../cost/FeasibleSet.ts"
 * import * as LookupTable from "../../cost/LookupTable.ts"
 * import * as Key from "../../random/Key.ts"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import { generate } from "./Generation.ts"
 * import { generatorContext } from "./GeneratorContext.ts"
 * import * as GeneratorNetwork from "./GeneratorNetwork.ts"
 * import * as PriorPool from "./PriorPool.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const options = { lowest: null, highest: null, channels: 4, depth: 1, targetPlanes: 2 }
 * const on = Result.getOrThrow(generatorContext(space, flops, "flops", options))
 * const initial = GeneratorNetwork.initialise(on.size, Key.make(1))
 * const params = Object.fromEntries(Object.entries(initial).map(([name, tensor]) => [name, tf.zerosLike(tensor)]))
 * const pool = PriorPool.make(flops, on.range, 2, Key.make(2))
 * const all = Result.getOrThrow(FeasibleSet.make(space, flops, on.range))
 * generate(on, { params, pool }, all).genotype // => [0, 0, 0, 0, 0, 0]
 * ```
 */
export const generate = (on: GeneratorContext, trained: Trained, feasible: FeasibleSet): Generated => {
  const target = targetForBudget(on.range, feasible.budget)
  const [rows = []] = scoresOf(on, trained, [inputFor(trained.pool, target)])
  const indices = mostLikely(rows)
  const drawn = PriorPool.costOf(on.entries, indices)
  const genotype = isWithin(feasible.budget, drawn)
    ? on.layerOptions.genotype(indices)
    : feasible.mostValuable(Distribution.logProbabilities(rows))
  return { genotype, cost: feasible.cost(genotype), target, drawn }
}

/** How the cost of what a trained generator draws follows the target. */
export interface Sweep {
  readonly targets: ReadonlyArray<number>
  /** Cost of the architecture drawn for each target: the most likely option of each layer, not moved into any band. */
  readonly costs: ReadonlyArray<number>
  /** Rank correlations of the two; null where all costs are equal. */
  readonly kendall: number | null
  readonly spearman: number | null
  /** Mean distance of cost and target, as a fraction of the range of targets. */
  readonly deviation: number
}

/**
 * Draws an architecture for each of `count` targets, evenly spaced over the range that the generator was trained for.
 *
 * **Example** (Nothing learned: every target has the same architecture)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Result from "effect/Result"
 * import * as LookupTable from "../../cost/LookupTable.ts"
 * import * as Key from "../../random/Key.ts"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import { sweep } from "./Generation.ts"
 * import { generatorContext } from "./GeneratorContext.ts"
 * import * as GeneratorNetwork from "./GeneratorNetwork.ts"
 * import * as PriorPool from "./PriorPool.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const options = { lowest: null, highest: null, channels: 4, depth: 1, targetPlanes: 2 }
 * const on = Result.getOrThrow(generatorContext(space, flops, "flops", options))
 * const initial = GeneratorNetwork.initialise(on.size, Key.make(1))
 * const params = Object.fromEntries(Object.entries(initial).map(([name, tensor]) => [name, tf.zerosLike(tensor)]))
 * const swept = sweep(on, { params, pool: PriorPool.make(flops, on.range, 2, Key.make(2)) }, 3)
 * swept.targets.length // => 3
 * swept.kendall // => null
 * ```
 */
export const sweep = (on: GeneratorContext, trained: Trained, count: number): Sweep => {
  const { max, min } = on.range
  const targets = Array.from({ length: count }, (_, i) => min + ((max - min) * i) / Math.max(1, count - 1))
  const inputs = targets.map((target) => inputFor(trained.pool, target))
  const costs = scoresOf(on, trained, inputs).map((rows) => PriorPool.costOf(on.entries, mostLikely(rows)))
  const distance = costs.reduce((sum, cost, i) => sum + Math.abs(cost - targets[i]!), 0) / count
  return {
    targets,
    costs,
    kendall: RankCorrelation.kendall(targets, costs),
    spearman: RankCorrelation.spearman(targets, costs),
    deviation: max > min ? distance / (max - min) : 0
  }
}

/** Metrics of a sweep by name. */
export const sweepMetrics = ({ deviation, kendall, spearman }: Sweep): Readonly<Record<string, number>> => ({
  deviation,
  ...(kendall === null ? {} : { kendall }),
  ...(spearman === null ? {} : { spearman })
})
