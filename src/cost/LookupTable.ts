/**
 * A search space's costs, looked up instead of counted anew: of the fixed part, and of every option of every layer. The
 * entries come from the very block data that networks are built from, so a genotype's sum equals counting its network.
 *
 * Kept as a JSON file that says what it was made for and carries a digest: it is used again where it fits, made anew
 * where it does not, and never believed when broken.
 */
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ImageShape, NamedBlock } from "../search-space/Network.ts"
import { blockCost, outputShape } from "../search-space/Network.ts"
import { SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, type DiskError, readText, writeTextAtomic } from "../support/Disk.ts"
import { CostEntries, type CostMetric, CostModel, type CostModelShape } from "./CostModel.ts"
import * as LayerOptions from "./LayerOptions.ts"

/** What latency was measured with. A table measured with anything else does not fit. */
export const Machine = Schema.Struct({
  /** The processor's name, as the system tells it. */
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
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const none = { base: 0, layers: [] }
 * const machine: LookupTable.Machine = { processor: "any", cores: 2, engine: "simd", mode: "strict", threads: 2 }
 * const latency = { machine, warmUp: 3, runs: 20, entries: none, spread: none }
 * Schema.is(LookupTable.Machine)(machine) // => true
 * Schema.is(LookupTable.LatencyTable)(latency) // => true
 * Schema.is(LookupTable.LookupTable)({ latency }) // => false
 * ```
 */
export const LookupTable = Schema.Struct({
  format: Schema.Literals(["osnas-lookup-table-1"]),
  space: Schema.String,
  input: Schema.Tuple([Schema.Int, Schema.Int, Schema.Int]),
  /** SHA-256 over the blocks of the space, hex: two spaces of one name that differ in a block differ here. */
  blocks: Schema.String,
  flops: CostEntries,
  params: CostEntries,
  latency: Schema.NullOr(LatencyTable)
})
/** The costs of a space. */
export type LookupTable = typeof LookupTable.Type

/** A file that is not a lookup table, or a damaged one. */
export class LookupTableError extends Schema.TaggedError<LookupTableError>()("LookupTableError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `lookup table ${this.file}: ${this.reason}; delete it, and it is made anew`
  }
}

/** A block at the place where a network has it, with the shape that reaches it. */
export interface PlacedBlock {
  readonly block: NamedBlock
  readonly input: ImageShape
}

/**
 * All blocks of a space with their input shapes: the fixed ones, and every option of every layer.
 *
 * **Example** (The shape that reaches the last block)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { first, layers, last } = LookupTable.placedBlocks(space)
 * first[0]?.input // => [28, 28, 1]
 * layers[0]?.length // => 7
 * last.length // => space.last.length
 * ```
 */
export const placedBlocks = (
  space: SearchSpaceShape
): {
  readonly first: ReadonlyArray<PlacedBlock>
  readonly layers: ReadonlyArray<ReadonlyArray<PlacedBlock>>
  readonly last: ReadonlyArray<PlacedBlock>
} => {
  let shape = space.interface.input
  const chain = (blocks: ReadonlyArray<NamedBlock>): ReadonlyArray<PlacedBlock> =>
    blocks.map((block) => {
      const placed = { block, input: shape }
      shape = outputShape(block.block, shape)
      return placed
    })
  const first = chain(space.first)
  const layers = space.layers.map((layer) => {
    const input = shape
    // Options of a layer agree in their output's shape, or the space would not have been made.
    shape = outputShape(layer.options[0]!.block.block, input)
    return layer.options.map(({ block }) => ({ block, input }))
  })
  return { first, layers, last: chain(space.last) }
}

/**
 * Identical blocks on identical shapes, under one text.
 *
 * **Example** (Alike, wherever it stands)
 *
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const block = place(conv({ kernel: 3 }), 8, 8, 1)
 * const at = (name: string, side: number) => LookupTable.blockKey({ block: { name, block }, input: [side, side, 8] })
 * at("a", 14) === at("b", 14) // => true
 * at("a", 14) === at("a", 7) // => false
 * ```
 */
export const blockKey = ({ block, input }: PlacedBlock): string => CanonicalJson.stringify([block.block, input])

/** The digest by which a table knows its space. */
const blocksDigest = (space: SearchSpaceShape): string => {
  const blocks = (list: ReadonlyArray<NamedBlock>) => list.map(({ block }) => block)
  return CanonicalJson.digest({
    first: blocks(space.first),
    layers: space.layers.map((layer) => layer.options.map(({ block, selection }) => [selection, block.block])),
    last: blocks(space.last)
  })
}

/**
 * The table of a space: FLOPs and parameters, no latency yet.
 *
 * **Example** (The smallest and the largest first layer)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = LookupTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
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

/** Whether entries have a non-negative cost for every option of every layer. */
const covers = ({ base, layers }: CostEntries, space: SearchSpaceShape): boolean =>
  base >= 0 &&
  layers.length === space.layers.length &&
  layers.every(
    (costs, layer) => costs.length === space.layers[layer]!.options.length && costs.every((cost) => cost >= 0)
  )

/**
 * Whether a table was made for this space and input, with an entry for each of its options.
 *
 * **Example** (Made for another input)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const space = (side: number) =>
 *   Result.getOrThrow(
 *     Tiny.make({ stemStride: 2 }, { input: [side, side, 1], head: { _tag: "Classifier", classes: 10 } })
 *   )
 * const table = LookupTable.fromSpace(space(28))
 * LookupTable.fits(table, space(28)) // => true
 * LookupTable.fits(table, space(32)) // => false
 * ```
 */
export const fits = (table: LookupTable, space: SearchSpaceShape): boolean =>
  table.space === space.name &&
  table.input.every((side, axis) => side === space.interface.input[axis]) &&
  table.blocks === blocksDigest(space) &&
  [table.flops, table.params, ...(table.latency === null ? [] : [table.latency.entries])].every((entries) =>
    covers(entries, space)
  )

/** The table as the text of a file, with its digest. */
export const encode = (table: LookupTable): string =>
  CanonicalJson.pretty({ ...table, digest: CanonicalJson.digest(table) })

const File = Schema.Struct({ ...LookupTable.fields, digest: Schema.String })
const decodeFile = Schema.decodeUnknownResult(Schema.fromJsonString(File))

/**
 * Reads the text of a file; says what is wrong with one that is not, or no longer, what was written.
 *
 * **Example** (Through a file, and a changed one)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = LookupTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const text = LookupTable.encode(table)
 * Result.getOrThrow(LookupTable.decode(text, "table.json")) // => table
 * const wrong = LookupTable.decode(text.replace('"tiny"', '"tinY"'), "table.json")
 * Result.isFailure(wrong) && wrong.failure instanceof LookupTable.LookupTableError // => true
 * ```
 */
export const decode = (text: string, file: string): Result.Result<LookupTable, LookupTableError> => {
  const fail = (reason: string) => Result.fail(new LookupTableError({ file, reason }))
  const decoded = decodeFile(text)
  if (Result.isFailure(decoded)) return fail(`not a lookup table (${decoded.failure.message.split("\n").join(" ")})`)
  const { digest, ...table } = decoded.success
  const actual = CanonicalJson.digest(table)
  return actual === digest
    ? Result.succeed(table)
    : fail(`its digest is ${digest.slice(0, 12)}…, its content's is ${actual.slice(0, 12)}…: it was changed or cut`)
}

/** How a table came to be. */
export type Origin = "reused" | "made" | "remade"

/** Measures what a table lacks: {@link LookupTable} in, the same with latency out. */
export interface LatencyMeasurement<E, R> {
  readonly machine: Machine
  readonly measure: (table: LookupTable) => Effect.Effect<LookupTable, E, R>
}

/**
 * The table of a space by way of a file: the file's where it fits, otherwise a new one, written to the file. A table of
 * another space, input or (where latency is asked for) machine is replaced; a broken one is an error, for somebody may want to know.
 *
 * **Example** (Made once, used again)
 *
 * ```ts
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import { Disk } from "../support/Disk.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const folder = fs.mkdtempSync(path.join(os.tmpdir(), "table-"))
 * const once = LookupTable.obtain(path.join(folder, "table.json"), space).pipe(Effect.provide(Disk.layer))
 * const first = await Effect.runPromise(once)
 * const second = await Effect.runPromise(once)
 * fs.rmSync(folder, { recursive: true })
 * first.origin // => "made"
 * second.origin // => "reused"
 * ```
 */
export const obtain = Effect.fn("LookupTable.obtain")(function* <E = never, R = never>(
  file: string,
  space: SearchSpaceShape,
  latency?: LatencyMeasurement<E, R>
) {
  const disk = yield* Disk
  const text = yield* readText(disk, file)
  const stored = text === undefined ? undefined : yield* Effect.fromResult(decode(text, file))
  const usable = stored !== undefined && fits(stored, space)
  const measured =
    latency === undefined ||
    (stored?.latency != null &&
      CanonicalJson.stringify(stored.latency.machine) === CanonicalJson.stringify(latency.machine))
  if (usable && measured) return { table: stored, origin: "reused" as Origin }
  const counted = fromSpace(space)
  const table = latency === undefined ? counted : yield* latency.measure(counted)
  yield* disk.makeFolder(dirname(file))
  yield* writeTextAtomic(disk, file, encode(table))
  return { table, origin: (stored === undefined ? "made" : "remade") as Origin }
})

const metricEntries = (table: LookupTable, metric: CostMetric): CostEntries => {
  if (metric !== "latency") return table[metric]
  if (table.latency === null)
    throw new RangeError(`the lookup table of ${table.space} has no latency: measure it first`)
  return table.latency.entries
}

/**
 * The cost model of a table. `cost` throws a `GenotypeError` for a genotype that is not of the space.
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
 * FLOPs and parameters of the run's space, counted on the spot.
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

/** What reading and writing a table may fail with. */
export type LookupTableFailure = LookupTableError | DiskError
