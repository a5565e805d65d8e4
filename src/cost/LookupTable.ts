/**
 * A search space's costs, looked up instead of counted again: of the fixed part, and of every option of every layer. The
 * entries come from the very block data that networks are built from, so a genotype's sum equals counting its network.
 *
 * Kept as a JSON file that says what it was made for and carries a digest. A file that a user names is used where it fits
 * the space, made where it does not exist, and refused with what does not fit otherwise: it is never replaced. A table
 * without a digest is one that somebody edited or wrote, as with latencies measured on a phone; a wrong digest is damage.
 */
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { blockCost, type ImageShape, type NamedBlock, outputShape } from "../search-space/Network.ts"
import { SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, type DiskError, type DiskShape, writeTextAtomic } from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"
import { decodeText, maxBytes } from "../support/TextFile.ts"
import { CostEntries, type CostMetric, CostModel, type CostModelShape } from "./CostModel.ts"
import * as LayerOptions from "./LayerOptions.ts"

/** What latency was measured with. A table measured with anything else does not fit. */
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
    return `lookup table ${this.file}: ${this.reason}`
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
 * **Example** (Alike at any position)
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

/**
 * The digest of a space's blocks, by which tables and weights know the space they were made for.
 *
 * **Example** (Another stride, another digest)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const digest = (stemStride: 1 | 2) => LookupTable.blocksDigest(Result.getOrThrow(Tiny.make({ stemStride }, task)))
 * digest(1) === digest(2) // => false
 * ```
 */
export const blocksDigest = (space: SearchSpaceShape): string => {
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

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

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

/** Why entries are not a non-negative cost for every option of every layer; undefined where they are. */
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

/** The first place where a table's flops or params are not those of the space. */
const miscounted = (table: LookupTable, space: SearchSpaceShape): string | undefined => {
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
 * What of a table is not of a space: its name, the input, a layer, an option; undefined where it fits.
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
 * LookupTable.misfit(table, space(28)) // => undefined
 * LookupTable.misfit(table, space(32)) // => "it is for an input of 28x28x1; this run's is 32x32x1"
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
    ? "its blocks are others, though they cost the same: the space has other options (activations, for instance)"
    : `its blocks are others: ${where}`
}

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
export const fits = (table: LookupTable, space: SearchSpaceShape): boolean => misfit(table, space) === undefined

/** The table as the text of a file, with its digest. */
export const encode = (table: LookupTable): string =>
  CanonicalJson.pretty({ ...table, digest: CanonicalJson.digest(table) })

/**
 * The table as the text of a file to be edited: without a digest, so that it is read with whatever is written into it.
 *
 * **Example** (Latencies of a phone)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = LookupTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const machine = { processor: "My phone", cores: 8, engine: "tflite", mode: "float16", threads: 4 }
 * const entries = { base: 1.5, layers: table.flops.layers.map((options) => options.map(() => 0.25)) }
 * const text = LookupTable.encodeEditable(table)
 * const mine = JSON.stringify({ ...JSON.parse(text), latency: { machine, entries } })
 * const read = Result.getOrThrow(LookupTable.decode(mine, "phone.json"))
 * read.latency?.entries // => entries
 * ```
 */
export const encodeEditable = (table: LookupTable): string => CanonicalJson.pretty(table)

/** Latencies are multiples of this fraction of a millisecond, so that their sums are exact and can be counted exactly. */
const grid = 2 ** 12

/**
 * Milliseconds on the grid of latencies, 1/4096 ms.
 *
 * **Example** (The nearest)
 *
 * ```ts
 * import { onGrid } from "./LookupTable.ts"
 *
 * onGrid(0.1) * 4096 // => 410
 * ```
 */
export const onGrid = (milliseconds: number): number => Math.round(milliseconds * grid) / grid

const entriesOnGrid = ({ base, layers }: CostEntries): CostEntries => ({
  base: onGrid(base),
  layers: layers.map((costs) => costs.map(onGrid))
})

// Who writes latencies by hand knows neither how often they were measured nor how they spread.
const FileLatency = Schema.Struct({
  ...LatencyTable.fields,
  warmUp: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  runs: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  spread: Schema.optionalKey(CostEntries)
})
const File = Schema.Struct({
  ...LookupTable.fields,
  latency: Schema.NullOr(FileLatency),
  digest: Schema.optionalKey(Schema.String)
})
const decodeFile = Schema.decodeUnknownResult(File)

const latencyOf = (latency: typeof FileLatency.Type | null): LatencyTable | null =>
  latency === null
    ? null
    : {
        ...latency,
        entries: entriesOnGrid(latency.entries),
        spread: entriesOnGrid(
          latency.spread ?? { base: 0, layers: latency.entries.layers.map((costs) => costs.map(() => 0)) }
        )
      }

/**
 * Reads the text of a file; says what is wrong with one that is not, or no longer, what was written. A file without a
 * digest was edited or written by hand, and is read as it is; one whose digest is wrong is refused, because an edit and a
 * damaged disk look alike.
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
  const json = SafeJson.parse(text)
  if (Result.isFailure(json)) return fail(`not a lookup table: ${json.failure}`)
  const decoded = decodeFile(json.success)
  if (Result.isFailure(decoded)) return fail(`not a lookup table (${decoded.failure.message.split("\n").join(" ")})`)
  const { digest, latency, ...rest } = decoded.success
  const table = { ...rest, latency: latencyOf(latency) }
  if (digest === undefined) return Result.succeed(table)
  const { digest: _, ...written } = json.success as Readonly<Record<string, unknown>>
  const actual = CanonicalJson.digest(written)
  return actual === digest
    ? Result.succeed(table)
    : fail(
        `its digest is ${digest.slice(0, 12)}…, its content's is ${actual.slice(0, 12)}…: it was edited, cut or damaged. If you edited it, remove its line "digest" and it is read as it is; otherwise put a good copy in its place`
      )
}

/** Whose latency a table has, in words. */
export const machineText = ({ cores, engine, mode, processor, threads }: Machine): string =>
  `${processor} (${plural(cores, "core")}), engine ${engine} ${mode}, ${plural(threads, "thread")}`

/**
 * Whose latency a table has, where that is not this machine with this engine; undefined where it is, or has none.
 *
 * **Example** (Measured on a phone)
 *
 * ```ts
 * import * as LookupTable from "./LookupTable.ts"
 *
 * const none = { base: 0, layers: [] }
 * const phone: LookupTable.Machine = { processor: "Phone", cores: 8, engine: "tflite", mode: "fp16", threads: 4 }
 * const here: LookupTable.Machine = { processor: "Desk", cores: 2, engine: "simd", mode: "strict", threads: 2 }
 * const latency = { machine: phone, warmUp: 0, runs: 0, entries: none, spread: none }
 * LookupTable.otherMachine({ latency }, phone) // => undefined
 * LookupTable.otherMachine({ latency }, here) // => LookupTable.machineText(phone)
 * ```
 */
export const otherMachine = ({ latency }: Pick<LookupTable, "latency">, here: Machine): string | undefined =>
  latency === null || CanonicalJson.stringify(latency.machine) === CanonicalJson.stringify(here)
    ? undefined
    : machineText(latency.machine)

/** How a table came to be. */
export type Origin = "reused" | "made"

/** A table's text: people may have edited it, with whatever encoding their editor writes. */
const readUserText = Effect.fnUntraced(function* (disk: DiskShape, file: string) {
  const unread = (error: DiskError) => new LookupTableError({ file, reason: `it cannot be read: ${error.reason}` })
  const size = yield* Effect.mapError(disk.size(file), unread)
  if (size === undefined) return undefined
  if (size > maxBytes) {
    return yield* new LookupTableError({ file, reason: `it has ${size} bytes; at most ${maxBytes} are read` })
  }
  return yield* Effect.fromResult(decodeText(yield* Effect.mapError(disk.read(file, 0, size), unread))).pipe(
    Effect.mapError((reason) => new LookupTableError({ file, reason }))
  )
})

const isBlank = ({ base, layers }: CostEntries): boolean =>
  base === 0 && layers.every((costs) => costs.every((cost) => cost === 0))

/** Measures what a table lacks: {@link LookupTable} in, the same with latency out. */
export interface LatencyMeasurement<E, R> {
  readonly machine: Machine
  readonly measure: (table: LookupTable) => Effect.Effect<LookupTable, E, R>
}

/**
 * The table of a space by way of a file that a user names: the file's, or a new one where there is no file yet. A file
 * that does not fit is refused with what does not fit, and never replaced. Latency is whose the file says it is: a table
 * measured on another machine is used, for that is how one searches for a device.
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
  const text = yield* readUserText(disk, file)
  const stored = text === undefined ? undefined : yield* Effect.fromResult(decode(text, file))
  if (stored !== undefined) {
    const otherwise = "name a file that does not exist yet, and a table is made there"
    const why = misfit(stored, space) ?? miscounted(stored, space)
    if (why !== undefined) {
      return yield* new LookupTableError({ file, reason: `it does not fit this run: ${why}; ${otherwise}` })
    }
    if (latency !== undefined && stored.latency === null) {
      const reason = `it has flops and params but no latency, and the budget is one of latency; ${otherwise}, measured on this machine`
      return yield* new LookupTableError({ file, reason })
    }
    if (latency !== undefined && stored.latency !== null && isBlank(stored.latency.entries)) {
      const reason = "every latency is 0: fill in latency.entries with milliseconds measured on your device"
      return yield* new LookupTableError({ file, reason })
    }
    return { table: stored, origin: "reused" as Origin }
  }
  const counted = fromSpace(space)
  const table = latency === undefined ? counted : yield* latency.measure(counted)
  yield* disk.makeFolder(dirname(file))
  yield* writeTextAtomic(disk, file, encode(table))
  return { table, origin: "made" as Origin }
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
