/**
 * Text files that people write: configurations, lists, tables. They are UTF-8, with or without a byte order mark, or UTF-16
 * with one, as PowerShell's `>` writes it. Any other encoding is refused by name, with the line of the first wrong byte: text
 * in a wrong encoding is different text.
 */
import { readFileSync, statSync } from "node:fs"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** Largest text file that is read, in bytes, unless a reader says otherwise. */
export const maxBytes = 64 * 1024 * 1024

const utf8 = new TextDecoder("utf-8", { fatal: true })
const advice = "save it as UTF-8"

const startsWith = (bytes: Uint8Array, ...mark: ReadonlyArray<number>): boolean =>
  mark.every((byte, at) => bytes[at] === byte)

/** The line of a byte, from 1. */
const lineOf = (bytes: Uint8Array, at: number): number => {
  let line = 1
  for (let i = 0; i < at; i += 1) if (bytes[i] === 0x0a) line += 1
  return line
}

/** Length of the UTF-8 sequence at an offset; 0 if there is none. */
const sequence = (bytes: Uint8Array, at: number): number => {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first <= 0xf4 ? 4 : 0
  if (first < 0xc2 || length === 0 || at + length > bytes.length) return 0
  for (let i = 1; i < length; i += 1) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0
  const second = bytes[at + 1]!
  const overlong = (first === 0xe0 && second < 0xa0) || (first === 0xf0 && second < 0x90)
  const outside = (first === 0xed && second >= 0xa0) || (first === 0xf4 && second >= 0x90)
  return overlong || outside ? 0 : length
}

/** The first byte that is not UTF-8. */
const firstWrong = (bytes: Uint8Array): number => {
  for (let at = 0; at < bytes.length; ) {
    const length = sequence(bytes, at)
    if (length === 0) return at
    at += length
  }
  return bytes.length
}

const hex = (byte: number): string => `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`

const decodeUtf16 = (bytes: Uint8Array, name: "utf-16le" | "utf-16be"): Result.Result<string, string> => {
  const what = name === "utf-16le" ? "UTF-16 (little endian)" : "UTF-16 (big endian)"
  if (bytes.length % 2 !== 0) return Result.fail(`the file is ${what} and ends within a character; ${advice}`)
  const text = Result.try(() => new TextDecoder(name, { fatal: true }).decode(bytes))
  if (Result.isFailure(text)) return Result.fail(`the file has the byte order mark of ${what} and is not; ${advice}`)
  const at = text.success.indexOf("\0")
  if (at >= 0) {
    const line = text.success.slice(0, at).split("\n").length
    return Result.fail(`line ${line} has a NUL character, which is not text; ${advice}`)
  }
  return Result.succeed(text.success)
}

/**
 * The text of a file's bytes without the byte order mark, or why it cannot be decoded.
 *
 * **Example** (UTF-16, UTF-8 and Latin-1)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { decodeText } from "./TextFile.ts"
 *
 * Result.getOrThrow(decodeText(Uint8Array.of(0xff, 0xfe, 0x61, 0x00))) // => "a"
 * Result.getOrThrow(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))) // => "a"
 * const latin = decodeText(Uint8Array.of(0x6e, 0x0a, 0xe9, 0x20))
 * Result.isFailure(latin) && latin.failure // => "line 2 has the byte 0xE9, which is not UTF-8: the file seems to be Latin-1 or Windows-1252; save it as UTF-8"
 * ```
 */
export const decodeText = (bytes: Uint8Array): Result.Result<string, string> => {
  if (startsWith(bytes, 0xff, 0xfe, 0, 0) || startsWith(bytes, 0, 0, 0xfe, 0xff)) {
    return Result.fail(`the file is UTF-32; ${advice}`)
  }
  if (startsWith(bytes, 0xff, 0xfe)) return decodeUtf16(bytes, "utf-16le")
  if (startsWith(bytes, 0xfe, 0xff)) return decodeUtf16(bytes, "utf-16be")
  const nul = bytes.indexOf(0)
  if (nul >= 0) {
    // ASCII as UTF-16 has a NUL in every second byte.
    const pairs = Math.min(bytes.length >> 1, 64)
    const zeros = (offset: number) => {
      let count = 0
      for (let i = 0; i < pairs; i += 1) if (bytes[2 * i + offset] === 0) count += 1
      return count
    }
    const isWide = pairs > 0 && Math.max(zeros(0), zeros(1)) * 4 >= pairs * 3
    return Result.fail(
      isWide
        ? `the file is UTF-16 without a byte order mark; ${advice}`
        : `line ${lineOf(bytes, nul)} has a NUL byte, which is not text: is this a binary file? Otherwise ${advice}`
    )
  }
  const text = Result.try(() => utf8.decode(bytes))
  if (Result.isSuccess(text)) return Result.succeed(text.success)
  const at = firstWrong(bytes)
  return Result.fail(
    `line ${lineOf(bytes, at)} has the byte ${hex(bytes[at] ?? 0)}, which is not UTF-8: the file seems to be Latin-1 or Windows-1252; ${advice}`
  )
}

/** Why a file cannot be read. */
const reasonOf = (error: unknown, what: string): string => {
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  if (code === "ENOENT" || code === "ENOTDIR") return "the file does not exist"
  if (code === "EISDIR") return `this is a folder; expected ${what}`
  if (code === "EACCES" || code === "EPERM") return "the file may not be read (permission denied)"
  return `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`
}

/**
 * The text of a file, or why it cannot be read. `what` is what the caller expects, for the message about a folder. A file of
 * more than `limit` bytes is refused before it is read. `"-"` is a file name here, not standard input.
 *
 * **Example** (A file that does not exist)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { readText } from "./TextFile.ts"
 *
 * const none = readText("/no/such/file.yaml", "a configuration's file")
 * Result.isFailure(none) && none.failure // => "the file does not exist"
 * ```
 */
export const readText = (file: string, what: string, limit = maxBytes): Result.Result<string, string> =>
  Result.flatMap(
    Result.try({
      try: () => {
        const found = statSync(file)
        return found.isFile() && found.size > limit ? found.size : readFileSync(file)
      },
      catch: (error) => reasonOf(error, what)
    }),
    (read) =>
      typeof read === "number" ? Result.fail(`the file has ${read} bytes; at most ${limit} are read`) : decodeText(read)
  )
