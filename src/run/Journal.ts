/**
 * Append-only files of JSON lines, each with its own checksum: `{…,"crc32":"9a3f00c1"}`. An incomplete last line, left by a
 * crash, is cut off when the file is opened again. A bad line before a good one is damage, and an error.
 */
import { crc32 } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import type { DiskError, DiskShape } from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"

/** A damaged journal: which file, which line (from 1), and why. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  file: Schema.String,
  line: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file}, line ${this.line}: ${this.reason}`
  }
}

/** A line's content: any JSON object without a key `crc32`. */
export type Line = Readonly<Record<string, unknown>>

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, "0")

/**
 * A line as text, without its newline.
 *
 * **Example** (The checksum covers the canonical text before it)
 *
 * ```ts
 * import * as Journal from "./Journal.ts"
 *
 * Journal.encodeLine({ b: 1, a: 2 }) // => '{"a":2,"b":1,"crc32":"6ae39aa3"}'
 * ```
 */
export const encodeLine = (line: Line): string => {
  const text = CanonicalJson.stringify(line)
  return text === "{}" ? `{"crc32":"${checksum(text)}"}` : `${text.slice(0, -1)},"crc32":"${checksum(text)}"}`
}

/** Length of `,"crc32":"9a3f00c1"}`. */
const tail = 20

/** The content of a line; undefined if it is incomplete or damaged. */
export const decodeLine = (text: string): Line | undefined => {
  const at = text.length - tail
  if (at < 0) return undefined
  // An empty line has no comma before its checksum.
  const empty = at === 0
  const match = (empty ? /^\{"crc32":"([0-9a-f]{8})"\}$/ : /^,"crc32":"([0-9a-f]{8})"\}$/).exec(text.slice(at))
  if (match === null) return undefined
  const body = empty ? "{}" : `${text.slice(0, at)}}`
  if (checksum(body) !== match[1]) return undefined
  const value = SafeJson.parse(body)
  return Result.isSuccess(value) && Predicate.isObject(value.success) ? (value.success as Line) : undefined
}

/** Bytes per read. */
const blockSize = 1 << 22

/** Largest number of bytes of a line; a longer one is damage. */
const maxLine = 1 << 24

/** The result of a scan: number of bytes of the good lines. Bytes after them are an incomplete line. */
export interface Scanned {
  readonly length: number
}

/**
 * Calls `onLine` for every good line of a file, in constant memory. An incomplete last line is skipped; the file is not
 * changed.
 */
export const scan = Effect.fnUntraced(function* (
  disk: DiskShape,
  file: string,
  onLine: (line: Line) => void
): Effect.fn.Return<Scanned, DiskError | JournalError> {
  const size = (yield* disk.size(file)) ?? 0
  const decoder = new TextDecoder()
  let good = 0
  let number = 0
  let bad: number | undefined
  let rest = new Uint8Array(0)
  for (let offset = 0; offset < size; ) {
    const block = yield* disk.read(file, offset, Math.min(blockSize, size - offset))
    if (block.length === 0) break
    offset += block.length
    const bytes = new Uint8Array(rest.length + block.length)
    bytes.set(rest)
    bytes.set(block, rest.length)
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      number += 1
      const line = decodeLine(decoder.decode(bytes.subarray(start, end)))
      start = end + 1
      if (line === undefined) bad ??= number
      else if (bad === undefined) {
        onLine(line)
        good = offset - (bytes.length - start)
      } else {
        return yield* new JournalError({
          file,
          line: bad,
          reason: "the line is damaged: its checksum differs, and good lines follow it"
        })
      }
    }
    rest = bytes.slice(start)
    if (rest.length > maxLine) {
      return yield* new JournalError({ file, line: number + 1, reason: `the line is longer than ${maxLine} bytes` })
    }
  }
  return { length: good }
})

/** All good lines of a journal, which another process may be writing. The file is not changed. */
export const read = (disk: DiskShape, file: string): Effect.Effect<ReadonlyArray<Line>, DiskError | JournalError> =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    return Effect.as(
      scan(disk, file, (line) => lines.push(line)),
      lines
    )
  })

/** An open journal. */
export interface Journal {
  readonly file: string
  /** The lines it contained when it was opened. */
  readonly lines: ReadonlyArray<Line>
  /** Adds a line. With `sync`, returns only once the line is on the medium. */
  readonly append: (line: Line, options?: { readonly sync?: boolean | undefined }) => Effect.Effect<void, DiskError>
  /** Returns once all lines are on the medium. */
  readonly sync: Effect.Effect<void, DiskError>
}

/** Options of {@link open}. */
export interface OpenOptions {
  /** Whether to keep the lines found in `lines`; default true. */
  readonly keep?: boolean | undefined
}

/** Opens a journal and cuts off an incomplete last line. The file is closed with the scope. */
export const open = Effect.fnUntraced(function* (
  disk: DiskShape,
  file: string,
  options: OpenOptions = {}
): Effect.fn.Return<Journal, DiskError | JournalError, Scope> {
  const lines: Array<Line> = []
  const scanned = yield* scan(disk, file, (line) => {
    if (options.keep !== false) lines.push(line)
  })
  const size = yield* disk.size(file)
  if (size !== undefined && size > scanned.length) yield* disk.truncate(file, scanned.length)
  const handle = yield* Effect.acquireRelease(disk.open(file, "append"), (handle) => disk.close(handle))
  let length = scanned.length
  let dirty = false
  const sync = Effect.gen(function* () {
    if (!dirty) return
    yield* disk.sync(handle)
    dirty = false
  })
  const encoder = new TextEncoder()
  return {
    file,
    lines,
    append: (line, options) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const bytes = encoder.encode(`${encodeLine(line)}\n`)
          // A failed write may leave a part of the line, which must not come before the next line.
          yield* Effect.tapError(disk.write(handle, bytes), () => Effect.ignore(disk.truncate(file, length)))
          length += bytes.length
          dirty = true
          if (options?.sync === true) yield* sync
        })
      ),
    sync: Effect.uninterruptible(sync)
  }
})
