/** Whether a lookup table is one of a search space, and if not, what differs. */
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import type { CostEntries, CostMetric } from "../CostModel.ts"
import { fromSpace, type LookupTable, plural } from "./CostTable.ts"
import { blocksDigest } from "./SpaceBlocks.ts"

const metricsOf = (table: LookupTable): ReadonlyArray<readonly [metric: CostMetric, entries: CostEntries]> => [
  ["flops", table.flops],
  ["params", table.params],
  ...(table.latency === null ? [] : [["latency", table.latency.entries] as const])
]

/** An option of a layer, as messages name it. */
const optionName = (space: SearchSpaceShape, layer: number, option: number): string => {
  const { name, options } = space.layers[layer]!
  return `layer ${layer} (${name}), option ${option} (${options[option]!.label})`
}

/** Why entries are not a non-negative cost for every option of every layer; undefined if they are. */
const uncovered = (metric: CostMetric, { base, layers }: CostEntries, space: SearchSpaceShape): string | undefined => {
  if (layers.length !== space.layers.length) {
    return `${metric} has ${plural(layers.length, "layer")}; expected ${space.layers.length}`
  }
  if (!(base >= 0)) return `${metric} has the base ${base}; expected 0 or more`
  for (const [layer, costs] of layers.entries()) {
    const { name, options } = space.layers[layer]!
    if (costs.length !== options.length) {
      const labels = options.map(({ label }) => label).join(", ")
      return `${metric} has ${plural(costs.length, "entry").replace(/ys$/, "ies")} for layer ${layer} (${name}); expected ${options.length}: ${labels}`
    }
    const wrong = costs.findIndex((cost) => !(cost >= 0))
    if (wrong >= 0) {
      return `${metric} of ${optionName(space, layer, wrong)} is ${costs[wrong]}; expected 0 or more`
    }
  }
  return undefined
}

/** The first entry of flops or params that differs from the space's own; undefined if none does. */
export const miscounted = (table: LookupTable, space: SearchSpaceShape): string | undefined => {
  const counted = fromSpace(space)
  for (const metric of ["flops", "params"] as const) {
    const [is, expected] = [table[metric], counted[metric]]
    if (is.base !== expected.base) {
      return `${metric} of the fixed part (base) is ${is.base}; in this space it is ${expected.base}`
    }
    for (const [layer, costs] of expected.layers.entries()) {
      const option = costs.findIndex((cost, at) => is.layers[layer]?.[at] !== cost)
      if (option < 0) continue
      const [was, now] = [is.layers[layer]?.[option], costs[option]]
      return `${metric} of ${optionName(space, layer, option)} is ${was}; in this space it is ${now}`
    }
  }
  return undefined
}

/**
 * The first difference between a table and a space: name, input, layer or option. Undefined if the table fits.
 *
 * **Example** (Made for another input)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as CostTable from "./CostTable.ts"
 * import * as TableFit from "./TableFit.ts"
 *
 * const space = (side: number) =>
 *   Result.getOrThrow(
 *     Tiny.make({ stemStride: 2 }, { input: [side, side, 1], head: { _tag: "Classifier", classes: 10 } })
 *   )
 * const table = CostTable.fromSpace(space(28))
 * TableFit.misfit(table, space(28)) // => undefined
 * TableFit.misfit(table, space(32)) // => "it is for an input of 28x28x1; this run's is 32x32x1"
 * ```
 */
export const misfit = (table: LookupTable, space: SearchSpaceShape): string | undefined => {
  if (table.space !== space.name) return `it is of the space ${table.space}; this run's is ${space.name}`
  if (!table.input.every((side, axis) => side === space.interface.input[axis])) {
    return `it is for an input of ${table.input.join("x")}; this run's is ${space.interface.input.join("x")}`
  }
  for (const [metric, entries] of metricsOf(table)) {
    const why = uncovered(metric, entries, space)
    if (why !== undefined) return why
  }
  if (table.blocks === blocksDigest(space)) return undefined
  const where = miscounted(table, space)
  return where === undefined
    ? "its blocks differ, though their costs are equal: the space was made with other options (another activation, for example)"
    : `its blocks differ: ${where}`
}

/**
 * Whether a table was made for this space and input, with an entry for each of its options.
 *
 * **Example** (Made for another input)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as CostTable from "./CostTable.ts"
 * import * as TableFit from "./TableFit.ts"
 *
 * const space = (side: number) =>
 *   Result.getOrThrow(
 *     Tiny.make({ stemStride: 2 }, { input: [side, side, 1], head: { _tag: "Classifier", classes: 10 } })
 *   )
 * const table = CostTable.fromSpace(space(28))
 * TableFit.fits(table, space(28)) // => true
 * TableFit.fits(table, space(32)) // => false
 * ```
 */
export const fits = (table: LookupTable, space: SearchSpaceShape): boolean => misfit(table, space) === undefined
