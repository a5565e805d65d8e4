/**
 * A search space's costs, looked up instead of counted again: of the fixed part, and of every option of every layer. The
 * entries come from the block data that networks are built from, so the sum for a genotype equals the count of its network.
 *
 * A table is kept as a JSON file that says what it was made for and carries a digest. A file that you name is used if it
 * fits the space, made if it does not exist, and otherwise refused with what differs; it is never replaced. A table without
 * a digest was edited or written by hand, for example with latencies measured on a phone. A wrong digest means damage.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { type CostEntries, type CostMetric, CostModel, type CostModelShape } from "./CostModel.ts"
import * as LayerOptions from "./LayerOptions.ts"
import { fromSpace, type LookupTable } from "./lookup-table/CostTable.ts"

export {
  fromSpace,
  LatencyTable,
  LookupTable,
  Machine,
  machineText,
  otherMachine
} from "./lookup-table/CostTable.ts"
export { blockKey, blocksDigest, type PlacedBlock, placedBlocks } from "./lookup-table/SpaceBlocks.ts"
export {
  decode,
  encode,
  encodeEditable,
  type LatencyMeasurement,
  LookupTableError,
  type LookupTableFailure,
  type Origin,
  obtain,
  onGrid
} from "./lookup-table/TableFile.ts"
export { fits, misfit } from "./lookup-table/TableFit.ts"

const metricEntries = (table: LookupTable, metric: CostMetric): CostEntries => {
  if (metric !== "latency") return table[metric]
  if (table.latency === null)
    throw new RangeError(`the lookup table of ${table.space} has no latency; measure it first`)
  return table.latency.entries
}

/**
 * The cost model of a table. `cost` throws a `GenotypeError` for a genotype outside the space.
 *
 * **Example** (A sum of entries)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Network from "../search-space/Network.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const costs = LookupTable.costModel(space, LookupTable.fromSpace(space))
 * const genotype = [0, 1, 2, 3, 4, 5]
 * costs.cost("flops", genotype) // => Network.count(space.network(genotype)).macs
 * ```
 */
export const costModel = (space: LayerOptions.LayeredSpace, table: LookupTable): CostModelShape => {
  const { indicesUnsafe } = LayerOptions.make(space)
  return {
    metrics: table.latency === null ? ["flops", "params"] : ["flops", "params", "latency"],
    entries: (metric) => metricEntries(table, metric),
    cost: (metric, genotype) => {
      const { base, layers } = metricEntries(table, metric)
      return indicesUnsafe(genotype).reduce((sum, index, layer) => sum + layers[layer]![index]!, base)
    }
  }
}

/** The cost model of a table, as a Layer. */
export const layer = (table: LookupTable): Layer.Layer<CostModel, never, SearchSpace> =>
  Layer.effect(
    CostModel,
    Effect.map(SearchSpace, (space) => CostModel.of(costModel(space, table)))
  )

/**
 * FLOPs and parameters of the run's space, counted when the Layer is built.
 *
 * **Example** (Costs of the run's space)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Result from "effect/Result"
 * import { SearchSpace } from "../search-space/SearchSpace.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import { CostModel } from "./CostModel.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const cost = Effect.map(CostModel, (costs) => costs.cost("params", [0, 0, 0, 0, 0, 0]))
 * const by = (costs: Layer.Layer<CostModel, never, SearchSpace>) =>
 *   Effect.runSync(Effect.provide(cost, costs.pipe(Layer.provide(Layer.succeed(SearchSpace, space)))))
 * by(LookupTable.layerCounted) // => by(LookupTable.layer(LookupTable.fromSpace(space)))
 * ```
 */
export const layerCounted: Layer.Layer<CostModel, never, SearchSpace> = Layer.effect(
  CostModel,
  Effect.map(SearchSpace, (space) => CostModel.of(costModel(space, fromSpace(space))))
)
