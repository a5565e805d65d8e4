/**
 * Finds image files that cannot be read, before a run needs them. The first and last bytes of a file are compared with its
 * format. That finds empty, truncated and mislabelled files at the cost of opening them. A file that looks wrong is decoded,
 * so no readable file is refused. Damage in the middle of a file is found only by decoding.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Bmp from "./Bmp.ts"
import { DatasetError } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as Files from "./Files.ts"
import * as Netpbm from "./Netpbm.ts"
import * as Wording from "./Wording.ts"

/** What is read of a file: its size, both ends, or all of it. */
export type Level = "none" | "headers" | "decode"

/** A file to check. */
export interface Candidate {
  readonly path: string
  readonly level: Level
}

/** A file that cannot be read. */
export interface Fault {
  readonly path: string
  readonly reason: string
}

const headLength = 256
const tailLength = 16

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)))

/**
 * Whether the first and last bytes of a file of `size` bytes are those of a complete image. `foreign`: only `sharp` can
 * decode it.
 *
 * **Example** (A complete JPEG, and a truncated one)
 *
 * ```ts
 * import * as CheckImages from "./CheckImages.ts"
 *
 * const head = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)
 * CheckImages.looksWhole(head, Uint8Array.of(0xff, 0xd9), 1000).whole // => true
 * CheckImages.looksWhole(head, Uint8Array.of(0x12, 0x34), 1000).whole // => false
 * ```
 */
export const looksWhole = (
  head: Uint8Array,
  tail: Uint8Array,
  size: number
): { readonly whole: boolean; readonly foreign: boolean } => {
  const end = tail.length
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (Netpbm.isNetpbm(head)) {
    const read = Netpbm.header(head)
    const need = read._tag === "Success" ? read.success : undefined
    return {
      whole: need !== undefined && need.most <= 255 && size >= need.at + need.width * need.height * need.channels,
      foreign: false
    }
  }
  if (Bmp.isBmp(head)) {
    const read = Bmp.header(head)
    return { whole: read._tag === "Success" && size >= Bmp.neededBytes(read.success), foreign: false }
  }
  const whole = (() => {
    if (head.length < 12) return head[0] === 0xff && head[1] === 0xd8 && tail[end - 1] === 0xd9
    if (head[0] === 0xff && head[1] === 0xd8) return tail[end - 2] === 0xff && tail[end - 1] === 0xd9
    if (ascii(head, 0, 8) === "\x89PNG\r\n\x1a\n") return ascii(tail, end - 8, end - 4) === "IEND"
    if (ascii(head, 0, 3) === "GIF") return tail[end - 1] === 0x3b
    if (ascii(head, 0, 4) === "RIFF" && ascii(head, 8, 12) === "WEBP") return size >= view.getUint32(4, true) + 8
    const order = ascii(head, 0, 4)
    if (order === "II*\0" || order === "MM\0*") {
      // The directory may be at the end of the file: if that was cut off, its offset is beyond the end.
      return view.getUint32(4, order === "II*\0") + 2 <= size
    }
    return ascii(head, 4, 8) === "ftyp"
  })()
  return { whole, foreign: true }
}

/** The size of a file in bytes, and why it cannot be read; undefined if it can. */
interface Seen {
  readonly size: number
  readonly fault: string | undefined
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const decoded = async (file: string): Promise<string | undefined> => {
  try {
    await DecodeImage.decode(file)
    return undefined
  } catch (cause) {
    return reasonOf(cause)
  }
}

/** A smaller JPEG cannot have too many pixels: 64 pixels need at least two bits. */
const smallJpeg = DecodeImage.mostPixels / 256

/** Whether an image may have too many pixels, so that its header has to be decoded. */
const mayBeTooLarge = (head: Uint8Array, size: number): boolean => {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (ascii(head, 0, 8) === "\x89PNG\r\n\x1a\n" && ascii(head, 12, 16) === "IHDR" && head.length >= 24) {
    return view.getUint32(16) * view.getUint32(20) > DecodeImage.mostPixels
  }
  return !(head[0] === 0xff && head[1] === 0xd8) || size > smallJpeg
}

/** Why a complete file is refused by its header; undefined if it is not. */
const undecodable = async (file: string): Promise<string | undefined> => {
  try {
    await DecodeImage.facts(file)
    return undefined
  } catch (cause) {
    return reasonOf(cause)
  }
}

const look = async (file: string, level: Level): Promise<Seen> => {
  if (level === "none") return { size: (await fs.stat(file)).size, fault: undefined }
  const handle = await fs.open(file)
  let whole: boolean
  let size: number
  let large = false
  try {
    size = (await handle.stat()).size
    const head = new Uint8Array(Math.min(headLength, size))
    const tail = new Uint8Array(Math.min(tailLength, size))
    await handle.read(head, 0, head.length, 0)
    await handle.read(tail, 0, tail.length, size - tail.length)
    const seen = size === 0 ? { whole: false, foreign: false } : looksWhole(head, tail, size)
    whole = seen.whole && (!seen.foreign || (await DecodeImage.hasSharp()))
    large = whole && seen.foreign && mayBeTooLarge(head, size)
  } finally {
    await handle.close()
  }
  if (!whole || level !== "headers") return { size, fault: await decoded(file) }
  return { size, fault: large ? await undecodable(file) : undefined }
}

/** Runs an effect and logs its progress every two seconds. */
export const reporting = Effect.fnUntraced(function* <A, E, R>(line: () => string, work: Effect.Effect<A, E, R>) {
  const report = Effect.andThen(
    Effect.sleep("2 seconds"),
    Effect.suspend(() => Effect.logInfo(line()))
  )
  const reporter = yield* Effect.forkChild(Effect.forever(report))
  return yield* Effect.ensuring(work, Fiber.interrupt(reporter))
})

/** Files that are checked concurrently. */
const lanes = 16

/**
 * Checks files, 16 at a time, and logs progress every two seconds. Sizes are in the order of the candidates; -1 for a file
 * that could not be opened.
 */
export const check = Effect.fn("CheckImages.check")(function* (
  dataset: string,
  root: string,
  candidates: ReadonlyArray<Candidate>
) {
  const sizes = new Array<number>(candidates.length).fill(-1)
  const faults: Array<Fault & { readonly at: number }> = []
  let next = 0
  let done = 0
  const work = Effect.promise(async (signal) => {
    const lane = async () => {
      while (next < candidates.length && !signal.aborted) {
        const at = next
        next += 1
        const { level, path } = candidates[at]!
        try {
          const seen = await look(join(root, path), level)
          sizes[at] = seen.size
          if (seen.fault !== undefined) faults.push({ at, path, reason: seen.fault })
        } catch (cause) {
          faults.push({ at, path, reason: Files.failure(dataset, path)(cause).reason })
        }
        done += 1
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  })
  const all = Wording.counted(candidates.length, "image file")
  yield* reporting(() => `${dataset}: checked ${done} of ${all}`, work)
  faults.sort((a, b) => a.at - b.at)
  return { sizes, faults: faults.map(({ path, reason }): Fault => ({ path, reason })) }
})

/** The failure of broken files: the first with its reason, the others by name, and the remedy. */
export const failure = (
  dataset: string,
  root: string,
  faults: ReadonlyArray<Fault>,
  mayBeSkipped: boolean
): DatasetError => {
  const [first, ...others] = faults
  const more =
    others.length === 0
      ? ""
      : `; ${Wording.counted(others.length, "more file")} cannot be read (${Wording.some(
          others.map(({ path }) => path),
          5
        )})`
  const way = mayBeSkipped
    ? "Repair or remove the broken files, or set `broken: skip` to continue without them"
    : "Repair or remove the broken files: an image to verify cannot be skipped"
  return new DatasetError({ dataset, file: join(root, first!.path), reason: `${first!.reason}${more}. ${way}` })
}

/** The notice of broken files that are skipped: one, or none if there are no such files. */
export const notices = (root: string, faults: ReadonlyArray<Fault>, fate: string): ReadonlyArray<string> =>
  faults.length === 0
    ? []
    : [
        `${root}: ${Wording.counted(faults.length, "file")} cannot be read, ${fate} (${Wording.some(
          faults.map(({ path }) => path),
          5
        )})`
      ]

/** Broken files for the inventory. */
export const brokenFiles = (root: string, faults: ReadonlyArray<Fault>) =>
  faults.map(({ path, reason }) => ({ file: join(root, path), reason }))
