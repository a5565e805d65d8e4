/**
 * Uniform sampling of the architectures whose cost is in a band, by counting them: each has the same probability, and no draw
 * is rejected. Layers can be restricted to some of their options (for example those of two parents), so mutation and
 * crossover stay within the budget by construction.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import { type Budget, BudgetInfeasible, type CostEntries } from "./CostModel.ts"
import * as Counting from "./Counting.ts"
import * as LayerOptions from "./LayerOptions.ts"
import * as MostValuable from "./MostValuable.ts"

/** A set of architectures that can be counted and drawn from. Never empty. */
export interface ArchitectureSet {
  /** The number of genotypes. */
  readonly count: bigint
  /** One of them, each with the same probability. */
  readonly sample: (key: Key.Key) => Genotype
  /** The genotype of a rank in [0, count), layer by layer ordered by cost, then by option. */
  readonly at: (rank: bigint) => Genotype
}

/** Options a layer may take, by index; undefined: all of them. */
export type Allowed = ReadonlyArray<ReadonlyArray<number> | undefined>

/** The architectures of a space within a budget. */
export interface FeasibleSet extends ArchitectureSet {
  readonly budget: Budget
  /** Cost of the cheapest and of the most expensive architecture of the whole space. */
  readonly smallest: number
  readonly largest: number
  readonly options: LayerOptions.LayerOptions
  /** Cost of a genotype of the space; throws a `GenotypeError` for any other. */
  readonly cost: (genotype: Genotype) => number
  /** Whether a genotype belongs to the space and its cost to the band. */
  readonly contains: (genotype: Genotype) => boolean
  /** The architectures of the band that take only the allowed options; none if there is no such architecture. */
  readonly restrict: (allowed: Allowed) => Option.Option<ArchitectureSet>
  /**
   * The architecture of the band with the largest sum of values, [layer][option]: with logarithms of probabilities, the most
   * probable one. Exact for integer costs; measured costs have the same resolution as for counting. Values must not be NaN
   * or positive infinity; among equal sums the lower cost wins.
   */
  readonly mostValuable: (values: ReadonlyArray<ReadonlyArray<number>>) => Genotype
}

/** Costs as integers, and the band on their scale. */
interface Scale {
  readonly layers: ReadonlyArray<ReadonlyArray<number>>
  readonly min: number
  readonly max: number
}

/** Factors that make measured costs integers, if all of them are multiples of the inverse. */
const dyadic = [1, 2 ** 12, 2 ** 20]

const exactScale = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number): Scale | undefined => {
  for (const factor of dyadic) {
    const scaled = layers.map((layer) => layer.map((cost) => cost * factor))
    if (scaled.every((layer) => layer.every(Number.isSafeInteger))) {
      return { layers: scaled, min: min * factor, max: max * factor }
    }
  }
  return undefined
}

/**
 * Other costs are rounded to one of `cells` steps, and the band shrinks by the largest possible rounding error. So every
 * draw is truly in the band; only architectures that close to its ends are lost.
 */
const roundedScale = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number, cells: number): Scale => {
  const least = layers.map((layer) => Math.min(...layer))
  const span = layers.reduce((sum, layer, l) => sum + Math.max(...layer) - least[l]!, 0)
  // All architectures cost the same, and the caller has checked that this cost is in the band.
  if (span === 0) return { layers: layers.map((layer) => layer.map(() => 0)), min: 0, max: 0 }
  const step = span / cells
  const slack = layers.length / 2 + 1
  const floor = least.reduce((sum, cost) => sum + cost, 0)
  return {
    layers: layers.map((layer, l) => layer.map((cost) => Math.round((cost - least[l]!) / step))),
    min: (min - floor) / step + slack,
    max: (max - floor) / step - slack
  }
}

/** The costs of a space in integers, and the architectures of the band counted in them. */
type Counted = readonly [Scale, Counting.Counting]

const countBand = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number): Counted => {
  const exact = exactScale(layers, min, max)
  if (exact !== undefined) return [exact, Counting.make(exact.layers, exact.min, exact.max)]
  for (const cells of [2 ** 14, 2 ** 17]) {
    const scale = roundedScale(layers, min, max, cells)
    const counting = Counting.make(scale.layers, scale.min, scale.max)
    if (counting.count > 0n) return [scale, counting]
  }
  const scale = roundedScale(layers, min, max, 2 ** 20)
  return [scale, Counting.make(scale.layers, scale.min, scale.max)]
}

/**
 * The latest count. A run needs the same set when it is checked, assembled and searched, and counting a large space takes
 * seconds. The search keeps its set anyway, so remembering one count costs no memory of its own.
 */
let latest: { readonly band: string; readonly counted: Counted } | undefined

const countOnce = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number): Counted => {
  const band = [min, max, ...layers.map((layer) => layer.join())].join(";")
  if (latest?.band !== band) latest = { band, counted: countBand(layers, min, max) }
  return latest.counted
}

const uniform = (counting: Counting.Counting, genotype: (choice: Array<number>) => Genotype): ArchitectureSet => {
  const at = (rank: bigint) => genotype(counting.at(rank))
  return { count: counting.count, at, sample: (key) => at(Key.bigint(key, counting.count)) }
}

/**
 * Prepares sampling of a space under a budget. Fails with `BudgetInfeasible`, which has the smallest and the largest cost of
 * the space, if no architecture fits.
 *
 * **Example** (Networks of at most a million multiply-accumulates)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as Key from "../random/Key.ts"
 * import * as FeasibleSet from "./FeasibleSet.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const budget = { metric: "flops", min: 0, max: 1_000_000 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, flops, budget))
 * feasible.count // => 54n
 * feasible.cost(feasible.sample(Key.make(1))) <= 1_000_000 // => true
 * ```
 */
export const make = (
  space: LayerOptions.LayeredSpace,
  entries: CostEntries,
  budget: Budget
): Result.Result<FeasibleSet, BudgetInfeasible> => {
  const options = LayerOptions.make(space)
  const { base, layers } = entries
  const min = budget.min - base
  const max = budget.max - base
  const smallest = layers.reduce((sum, layer) => sum + Math.min(...layer), base)
  const largest = layers.reduce((sum, layer) => sum + Math.max(...layer), base)
  const infeasible = () => Result.fail(new BudgetInfeasible({ space: space.name, ...budget, smallest, largest }))
  if (!(budget.min <= budget.max && budget.min <= largest && budget.max >= smallest)) return infeasible()

  const [scale, counting] = countOnce(layers, min, max)
  if (counting.count === 0n) return infeasible()

  const cost = (genotype: Genotype) =>
    options.indicesUnsafe(genotype).reduce((sum, index, layer) => sum + layers[layer]![index]!, base)
  const restrict = (allowed: Allowed): Option.Option<ArchitectureSet> => {
    // Layers with one option are not searched: their cost is subtracted from the band.
    const fixed = new Array<number>(layers.length)
    const free: Array<{ readonly layer: number; readonly items: ReadonlyArray<number> }> = []
    let spent = 0
    for (let layer = 0; layer < layers.length; layer += 1) {
      const items = allowed[layer] ?? layers[layer]!.map((_, index) => index)
      const only = items[0]
      if (only === undefined) return Option.none()
      if (items.length > 1) free.push({ layer, items })
      else {
        fixed[layer] = only
        spent += scale.layers[layer]![only]!
      }
    }
    const rest = Counting.make(
      free.map(({ items, layer }) => items.map((index) => scale.layers[layer]![index]!)),
      scale.min - spent,
      scale.max - spent
    )
    if (rest.count === 0n) return Option.none()
    return Option.some(
      uniform(rest, (choice) => {
        const indices = [...fixed]
        free.forEach(({ items, layer }, position) => {
          indices[layer] = items[choice[position]!]!
        })
        return options.genotype(indices)
      })
    )
  }
  return Result.succeed({
    ...uniform(counting, options.genotype),
    budget,
    smallest,
    largest,
    options,
    cost,
    contains: (genotype) =>
      Result.match(options.indices(genotype), {
        onFailure: () => false,
        onSuccess: (indices) => {
          const total = indices.reduce((sum, index, layer) => sum + layers[layer]![index]!, base)
          return total >= budget.min && total <= budget.max
        }
      }),
    restrict,
    mostValuable: (values) => {
      const choice = MostValuable.find(scale.layers, values, scale.min, scale.max)
      // Cannot happen: on the same scale, the count of the band is above 0.
      if (choice === undefined) throw new RangeError(`FeasibleSet: no architecture of ${space.name} in the band`)
      return options.genotype(choice)
    }
  })
}
