/** Lookup tables as files: written with a digest, read with or without one, made where there is none yet. */
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import * as CanonicalJson from "../../support/CanonicalJson.ts"
import { Disk, type DiskError, type DiskShape, writeTextAtomic } from "../../support/Disk.ts"
import * as SafeJson from "../../support/SafeJson.ts"
import { decodeText, maxBytes } from "../../support/TextFile.ts"
import { CostEntries } from "../CostModel.ts"
import { fromSpace, LatencyTable, LookupTable, type Machine } from "./CostTable.ts"
import { miscounted, misfit } from "./TableFit.ts"

/** A lookup table that cannot be read, is damaged, or does not fit the run. */
export class LookupTableError extends Schema.TaggedError<LookupTableError>()("LookupTableError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `lookup table ${this.file}: ${this.reason}`
  }
}

/** The table as the text of a file, with its digest. */
export const encode = (table: LookupTable): string =>
  CanonicalJson.pretty({ ...table, digest: CanonicalJson.digest(table) })

/**
 * The table as the text of a file that you can edit: it has no digest, so edits are accepted.
 *
 * **Example** (Latencies of a phone)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as CostTable from "./CostTable.ts"
 * import * as TableFile from "./TableFile.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = CostTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const machine = { processor: "My phone", cores: 8, engine: "tflite", mode: "float16", threads: 4 }
 * const entries = { base: 1.5, layers: table.flops.layers.map((options) => options.map(() => 0.25)) }
 * const text = TableFile.encodeEditable(table)
 * const mine = JSON.stringify({ ...JSON.parse(text), latency: { machine, entries } })
 * const read = Result.getOrThrow(TableFile.decode(mine, "phone.json"))
 * read.latency?.entries // => entries
 * ```
 */
export const encodeEditable = (table: LookupTable): string => CanonicalJson.pretty(table)

/** Latencies are multiples of 1 / 4096 ms, so that their sums are exact and architectures can be counted exactly. */
const grid = 2 ** 12

/**
 * Milliseconds rounded to a multiple of 1/4096 ms.
 *
 * **Example** (The nearest)
 *
 * ```ts
 * import { onGrid } from "./TableFile.ts"
 *
 * onGrid(0.1) * 4096 // => 410
 * ```
 */
export const onGrid = (milliseconds: number): number => Math.round(milliseconds * grid) / grid

const entriesOnGrid = ({ base, layers }: CostEntries): CostEntries => ({
  base: onGrid(base),
  layers: layers.map((costs) => costs.map(onGrid))
})

// Latencies written by hand usually come without runs and spread.
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
 * Reads the text of a file. A file without a digest was edited or written by hand, and is accepted. A wrong digest is
 * refused, because an edit looks like damage.
 *
 * **Example** (An intact file, and a changed one)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as CostTable from "./CostTable.ts"
 * import * as TableFile from "./TableFile.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const table = CostTable.fromSpace(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const text = TableFile.encode(table)
 * Result.getOrThrow(TableFile.decode(text, "table.json")) // => table
 * const wrong = TableFile.decode(text.replace('"tiny"', '"tinY"'), "table.json")
 * Result.isFailure(wrong) && wrong.failure instanceof TableFile.LookupTableError // => true
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
        `its digest is ${digest.slice(0, 12)}…, its content has ${actual.slice(0, 12)}…: it was edited, cut or damaged. If you edited it, remove its line "digest"; otherwise restore a good copy`
      )
}

/** Whether a table was read from its file, or made. */
export type Origin = "reused" | "made"

/** The text of a table, undefined where there is no file. It may have been edited, so a mark of its encoding is accepted. */
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

/** Adds latency to a table. */
export interface LatencyMeasurement<E, R> {
  readonly machine: Machine
  readonly measure: (table: LookupTable) => Effect.Effect<LookupTable, E, R>
}

/**
 * The table of a space from a file that you name; the file is made if it does not exist. A file that does not fit is
 * refused with what differs, and never replaced. A table measured on another machine is used: that is how to search for a
 * device.
 *
 * **Example** (Made once, then reused)
 *
 * ```ts
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import { Disk } from "../../support/Disk.ts"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as TableFile from "./TableFile.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const folder = fs.mkdtempSync(path.join(os.tmpdir(), "table-"))
 * const once = TableFile.obtain(path.join(folder, "table.json"), space).pipe(Effect.provide(Disk.layer))
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
    const otherwise = "to make a new table, name a file that does not exist yet"
    const why = misfit(stored, space) ?? miscounted(stored, space)
    if (why !== undefined) {
      return yield* new LookupTableError({ file, reason: `it does not fit this run: ${why}; ${otherwise}` })
    }
    if (latency !== undefined && stored.latency === null) {
      const reason = `it has no latency, which the budget needs; ${otherwise}: latency is measured on this machine`
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

/** What reading and writing a table may fail with. */
export type LookupTableFailure = LookupTableError | DiskError
