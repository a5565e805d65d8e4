/** What a generator works on: a search space, its costs, and the range of target costs. */
import * as Result from "effect/Result"
import { type Budget, BudgetInfeasible, type CostEntries } from "../../cost/CostModel.ts"
import * as LayerOptions from "../../cost/LayerOptions.ts"
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import type * as GeneratorNetwork from "./GeneratorNetwork.ts"
import * as Grid from "./Grid.ts"
import type * as PriorPool from "./PriorPool.ts"

/** The part of a search space that the generator needs. */
export type GeneratorSpace = Pick<SearchSpaceShape, "canonical" | "interface" | "layers" | "name">

/** The options that decide the range of targets and the size of the network. */
export interface ContextOptions {
  /** Lower end of the range; null: the cost of the cheapest architecture. */
  readonly lowest: number | null
  /** Upper end of the range; null: the cost of the most expensive architecture. */
  readonly highest: number | null
  readonly channels: number
  readonly depth: number
  readonly targetPlanes: number
}

/** What a generator is made from: the space, its costs, the range of targets, the size of the network. */
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
 * The context of a space. Fails with `BudgetInfeasible` if no architecture has a cost in the range of targets.
 *
 * **Example** (The range of all architectures)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as TabularSpace from "../../estimator/TabularSpace.ts"
 * import { generatorContext } from "./GeneratorContext.ts"
 *
 * const layers = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b"]] }).layers
 * const task = { input: [8, 8, 1], head: { _tag: "Classifier", classes: 2 } } as const
 * const space = { name: "two", layers, interface: task, canonical: (genotype: ReadonlyArray<number>) => genotype }
 * const entries = { base: 1, layers: [[1, 3], [1, 3]] }
 * const options = { lowest: null, highest: null, channels: 4, depth: 1, targetPlanes: 2 }
 * Result.getOrThrow(generatorContext(space, entries, "flops", options)).range // => { metric: "flops", min: 3, max: 7 }
 * ```
 */
export const generatorContext = (
  space: GeneratorSpace,
  entries: CostEntries,
  metric: Budget["metric"],
  options: ContextOptions
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

/** Length of the range: the unit of distances from the target. */
export const spanOf = ({ max, min }: PriorPool.CostRange): number => (max > min ? max - min : Math.max(max, 1))

/** The target for a budget: its upper end, or the nearest cost in the range of targets. */
export const targetForBudget = (range: PriorPool.CostRange, budget: Pick<Budget, "max">): number =>
  Math.max(range.min, Math.min(range.max, budget.max))

/** Position of a cost in the range of targets: 0 at its lower end, 1 at its upper end. */
export const positionOf = ({ max, min }: PriorPool.CostRange, cost: number): number =>
  max > min ? (cost - min) / (max - min) : 0
