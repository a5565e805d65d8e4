/**
 * The prior pool (Huang and Chu 2021, section 3.2): architectures whose costs are evenly spaced over the range of targets.
 * For a target the generator sees the one nearest in cost, so it only has to modify it.
 *
 * Each position of the range has a prior, even if the costs of the space have a gap there. It is the nearest in cost of a
 * few draws from the distribution of maximum entropy with that mean cost: the probabilities of a layer's options fall or
 * rise exponentially in their cost. There is no rejection sampling.
 */
import * as Schema from "effect/Schema"
import type { Budget, CostEntries } from "../../cost/CostModel.ts"
import * as Key from "../../random/Key.ts"
import * as Distribution from "../Distribution.ts"

/** An architecture of the pool: the option of each layer, and the cost. */
export const Prior = Schema.Struct({ indices: Schema.Array(Schema.Int), cost: Schema.Finite })
/** An architecture of the pool. */
export type Prior = typeof Prior.Type

/** The range of target costs of a generator, both ends inclusive. */
export type CostRange = Pick<Budget, "metric" | "min" | "max">

/** Cost of the architecture that takes the given option in each layer. */
export const costOf = ({ base, layers }: CostEntries, indices: ReadonlyArray<number>): number =>
  indices.reduce((sum, option, layer) => sum + layers[layer]![option]!, base)

/** Draws for each position; the nearest in cost is taken. */
const draws = 16

/** Bisection steps for the exponent of a position. */
const halvings = 40

/** Logits, linear in the cost, of a distribution with mean cost `cost`, or the nearest possible at either end. */
const tilted = (entries: CostEntries, cost: number): Distribution.Rows => {
  const span = entries.layers.reduce((sum, costs) => sum + Math.max(...costs) - Math.min(...costs), 0)
  const unit = span > 0 ? span / entries.layers.length : 1
  const rows = (tilt: number) => entries.layers.map((costs) => costs.map((one) => (tilt * one) / unit))
  let low = -1e4
  let high = 1e4
  for (let i = 0; i < halvings; i += 1) {
    const middle = (low + high) / 2
    if (Distribution.expectedCost(entries, Distribution.probabilities(rows(middle))) < cost) low = middle
    else high = middle
  }
  return rows((low + high) / 2)
}

/**
 * A pool of `size` architectures, cheapest first.
 *
 * **Example** (Three priors over two layers)
 *
 * ```ts
 * import * as Key from "../../random/Key.ts"
 * import * as PriorPool from "./PriorPool.ts"
 *
 * const entries = { base: 1, layers: [[0, 2, 4], [0, 2, 4]] }
 * const pool = PriorPool.make(entries, { metric: "flops", min: 1, max: 9 }, 3, Key.make(1))
 * pool.map(({ cost }) => cost) // => [3, 5, 7]
 * ```
 */
export const make = (entries: CostEntries, range: CostRange, size: number, key: Key.Key): ReadonlyArray<Prior> =>
  Array.from({ length: size }, (_, place): Prior => {
    const middle = range.min + ((place + 0.5) / size) * (range.max - range.min)
    const rows = tilted(entries, middle)
    const drawn = Array.from({ length: draws }, (__, i) => {
      const indices = Distribution.draw(rows, Key.derive(key, place, i))
      return { indices, cost: costOf(entries, indices) }
    })
    return nearest(drawn, middle)[0] as Prior
  }).sort((a, b) => a.cost - b.cost)

/**
 * The architectures of the pool, nearest to a cost first.
 *
 * **Example** (A cost between two)
 *
 * ```ts
 * import { nearest } from "./PriorPool.ts"
 *
 * const pool = [10, 20, 40].map((cost) => ({ indices: [], cost }))
 * nearest(pool, 29).map(({ cost }) => cost) // => [20, 40, 10]
 * ```
 */
export const nearest = (pool: ReadonlyArray<Prior>, cost: number): ReadonlyArray<Prior> =>
  [...pool].sort((a, b) => Math.abs(a.cost - cost) - Math.abs(b.cost - cost) || a.cost - b.cost)
