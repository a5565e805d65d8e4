/**
 * Predictions that cost nothing: an architecture's number of layers, its multiply-accumulates, its parameters. Larger
 * networks are usually better, so a supernet must rank better than these to be worth its training.
 */
import type { CostModelShape } from "../cost/CostModel.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import { leavesOut } from "../search-space/Network.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** The free predictions by name; larger is taken to be better. */
export const names = ["layers", "flops", "params"] as const
/** The name of a free prediction. */
export type BaselineName = (typeof names)[number]

/**
 * The number of searched layers whose option is not a skip connection or zero.
 *
 * **Example** (Two of eight are skipped)
 *
 * ```ts
 * import * as NasBenchMacroTable from "../estimator/NasBenchMacroTable.ts"
 * import * as Baselines from "./Baselines.ts"
 *
 * Baselines.layers(NasBenchMacroTable.space(), [0, 1, 2, 0, 1, 1, 2, 1]) // => 6
 * ```
 */
export const layers = (space: Pick<SearchSpaceShape, "layers" | "name">, genotype: Genotype): number => {
  const indices = LayerOptions.make(space).indicesUnsafe(genotype)
  return indices.filter((option, layer) => !leavesOut(space.layers[layer]!.options[option]!.block.block)).length
}

/** The free predictions of an architecture. */
export const of = (
  space: Pick<SearchSpaceShape, "layers" | "name">,
  costs: CostModelShape,
  genotype: Genotype
): Readonly<Record<BaselineName, number>> => ({
  layers: layers(space, genotype),
  flops: costs.cost("flops", genotype),
  params: costs.cost("params", genotype)
})
