/** The costs of a search space as plain data: counted from its blocks, and where latency is known, the machine it is of. */
import * as Schema from "effect/Schema"
import { blockCost } from "../../search-space/Network.ts"
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import * as CanonicalJson from "../../support/CanonicalJson.ts"
import { CostEntries } from "../CostModel.ts"
import { blockKey, blocksDigest, type PlacedBlock, placedBlocks } from "./SpaceBlocks.ts"

/** What latency was measured with. */
export const Machine = Schema.Struct({
  /** The processor's name, as the system reports it. */
  processor: Schema.String,
  cores: Schema.Int,
  engine: Schema.String,
  mode: Schema.String,
  threads: Schema.Int
})
/** What latency was measured with. */
export type Machine = typeof Machine.Type

/** Measured milliseconds of one image's forward pass in evaluation mode. */
export const LatencyTable = Schema.Struct({
  machine: Machine,
  warmUp: Schema.Int,
  runs: Schema.Int,
  /** Medians. */
  entries: CostEntries,
  /** Distance between the quartiles of the runs. */
  spread: CostEntries
})
/** Measured milliseconds of one image's forward pass in evaluation mode. */
export type LatencyTable = typeof LatencyTable.Type

/**
 * The costs of a space.
 *
 * **Example** (A table is plain data)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as CostTable from "./CostTable.ts"
 *
 * const none = { base: 0, layers: [] }
 * const machine: CostTable.Machine = { processor: "any", cores: 2, engine: "simd", mode: "strict", threads: 2 }
 * const latency = { machine, warmUp: 3, runs: 20, entries: none, spread: none }
 * Schema.is(CostTable.Machine)(machine) // => true
 * Schema.is(CostTable.LatencyTable)(latency) // => true
 * Schema.is(CostTable.LookupTable)({ latency }) // => false
 * ```
 */
export const LookupTable = Schema.Struct({
  format: Schema.Literals(["osnas-lookup-table-1"]),
  space: Schema.String,
  input: Schema.Tuple([Schema.Int, Schema.Int, Schema.Int]),
  /** SHA-256 of the blocks of the space, hex: it differs if any block differs, even if the name is the same. */
  blocks: Schema.String,
  flops: CostEntries,
  params: CostEntries,
  latency: Schema.NullOr(LatencyTable)
})
/** The costs of a space. */
export type LookupTable = typeof LookupTable.Type

/**
 * The table of a space: FLOPs and parameters, without latency.
 *
 * **Example** (The smallest and the largest first layer)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as CostTable from "./CostTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = CostTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * table.flops.layers.length // => 6
 * ```
 */
export const fromSpace = (space: SearchSpaceShape): LookupTable => {
  const placed = placedBlocks(space)
  const costs = new Map<string, ReturnType<typeof blockCost>>()
  const costOf = (at: PlacedBlock) => {
    const key = blockKey(at)
    const cost = costs.get(key) ?? blockCost(at.block.block, at.input)
    costs.set(key, cost)
    return cost
  }
  const entries = (metric: "macs" | "params"): CostEntries => ({
    base: [...placed.first, ...placed.last].reduce((sum, at) => sum + costOf(at)[metric], 0),
    layers: placed.layers.map((layer) => layer.map((at) => costOf(at)[metric]))
  })
  return {
    format: "osnas-lookup-table-1",
    space: space.name,
    input: [...space.interface.input],
    blocks: blocksDigest(space),
    flops: entries("macs"),
    params: entries("params"),
    latency: null
  }
}

/** A count and its noun, in the plural where it is not 1. */
export const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** A machine in words. */
export const machineText = ({ cores, engine, mode, processor, threads }: Machine): string =>
  `${processor} (${plural(cores, "core")}), engine ${engine} ${mode}, ${plural(threads, "thread")}`

/**
 * The machine that a table's latency is of, if it is not this machine with this engine; else undefined.
 *
 * **Example** (Measured on a phone)
 *
 * ```ts
 * import * as CostTable from "./CostTable.ts"
 *
 * const none = { base: 0, layers: [] }
 * const phone: CostTable.Machine = { processor: "Phone", cores: 8, engine: "tflite", mode: "fp16", threads: 4 }
 * const here: CostTable.Machine = { processor: "Desk", cores: 2, engine: "simd", mode: "strict", threads: 2 }
 * const latency = { machine: phone, warmUp: 0, runs: 0, entries: none, spread: none }
 * CostTable.otherMachine({ latency }, phone) // => undefined
 * CostTable.otherMachine({ latency }, here) // => CostTable.machineText(phone)
 * ```
 */
export const otherMachine = ({ latency }: Pick<LookupTable, "latency">, here: Machine): string | undefined =>
  latency === null || CanonicalJson.stringify(latency.machine) === CanonicalJson.stringify(here)
    ? undefined
    : machineText(latency.machine)
