/**
 * Members of a .tar.gz, read into memory: nothing is unpacked to disk, so no path in an archive can escape a folder. The size
 * of a member is checked before it is allocated, and the whole stream has a limit. An archive within the archive is refused,
 * because its size would not be counted.
 */
import { createReadStream } from "node:fs"
import type { Readable } from "node:stream"
import { createGunzip } from "node:zlib"
import * as Effect from "effect/Effect"
import { Parser, type ReadEntry } from "tar"
import { DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"

/** How large an archive may be. */
export interface Limits {
  /** Bytes of one member. */
  readonly member: number
  /** Bytes of the whole archive, unpacked. */
  readonly total: number
}

const basename = (path: string): string => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1)

/** First bytes of gzip and zstd, which the parser would unpack by itself. */
const compressed = [Buffer.of(0x1f, 0x8b), Buffer.of(0x28, 0xb5, 0x2f, 0xfd)]

const collect = (
  source: Readable,
  wanted: ReadonlySet<string>,
  limits: Limits,
  signal: AbortSignal
): Promise<Map<string, Uint8Array>> =>
  new Promise((resolve, reject) => {
    const members = new Map<string, Uint8Array>()
    const gunzip = createGunzip({ chunkSize: 1 << 18 })
    let settled = false
    const finish = (error?: Error) => {
      if (settled) return
      settled = true
      signal.removeEventListener("abort", aborted)
      source.destroy()
      gunzip.destroy()
      if (error === undefined) resolve(members)
      else reject(error)
    }
    const aborted = () => finish(new Error("was interrupted"))
    signal.addEventListener("abort", aborted)

    const onEntry = (entry: ReadEntry) => {
      const name = basename(entry.path)
      if (settled || !wanted.has(name) || (entry.type !== "File" && entry.type !== "OldFile")) {
        entry.resume()
        return
      }
      if (members.has(name)) return finish(new Error(`contains ${name} twice`))
      if (!(entry.size >= 0 && entry.size <= limits.member)) {
        return finish(
          new Error(`its member ${entry.path} has ${entry.size} bytes; at most ${limits.member} are expected`)
        )
      }
      const bytes = new Uint8Array(entry.size)
      let at = 0
      entry.on("data", (chunk: Buffer) => {
        if (at + chunk.length > bytes.length)
          return finish(new Error(`its member ${entry.path} is longer than it says`))
        bytes.set(chunk, at)
        at += chunk.length
      })
      entry.on("end", () => {
        if (at === bytes.length) members.set(name, bytes)
        else finish(new Error(`its member ${entry.path} ends after ${at} of ${bytes.length} bytes`))
      })
    }
    const parser = new Parser({ strict: true, brotli: false, zstd: false, onReadEntry: onEntry })
    parser.on("error", finish)
    parser.on("end", () => finish())

    let total = 0
    gunzip.on("data", (chunk: Buffer) => {
      if (settled) return
      if (total === 0 && compressed.some((magic) => magic.equals(chunk.subarray(0, magic.length)))) {
        return finish(new Error("contains another compressed file instead of a tar archive"))
      }
      total += chunk.length
      if (total > limits.total) return finish(new Error(`unpacks to more than ${limits.total} bytes`))
      if (!parser.write(chunk)) {
        gunzip.pause()
        parser.once("drain", () => gunzip.resume())
      }
    })
    gunzip.on("end", () => {
      if (!settled) parser.end()
    })
    gunzip.on("error", (error) => finish(new Error(`is not a complete gzip file: ${error.message}`)))
    source.on("error", finish)
    source.pipe(gunzip)
  })

/**
 * The wanted members of the .tar.gz that `open` reads, by the last part of their path. Fails if a member is missing or
 * there twice, or if the archive is damaged or too large.
 */
export const membersOf = (
  dataset: string,
  file: string,
  open: () => Readable,
  wanted: ReadonlyArray<string>,
  limits: Limits
): Effect.Effect<ReadonlyMap<string, Uint8Array>, DatasetError> =>
  Effect.tryPromise({
    try: (signal) => collect(open(), new Set(wanted), limits, signal),
    catch: Files.failure(dataset, file)
  }).pipe(
    Effect.flatMap((found) => {
      const missing = wanted.filter((name) => !found.has(name))
      return missing.length === 0
        ? Effect.succeed(found)
        : Effect.fail(new DatasetError({ dataset, file, reason: `the archive lacks ${missing.join(", ")}` }))
    })
  )

/** The wanted members of a .tar.gz file: {@link membersOf}. */
export const members = (
  dataset: string,
  file: string,
  wanted: ReadonlyArray<string>,
  limits: Limits
): Effect.Effect<ReadonlyMap<string, Uint8Array>, DatasetError> =>
  membersOf(dataset, file, () => createReadStream(file, { highWaterMark: 1 << 18 }), wanted, limits)

/**
 * The last parts of the first `most` paths in a .tar.gz; of a damaged archive those that can be read. For messages that say
 * what an archive is.
 */
export const names = (file: string, most: number): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(
    (signal) =>
      new Promise<ReadonlyArray<string>>((resolve) => {
        const found: Array<string> = []
        const source = createReadStream(file, { highWaterMark: 1 << 18 })
        const gunzip = createGunzip({ chunkSize: 1 << 18 })
        let settled = false
        const finish = () => {
          if (settled) return
          settled = true
          source.destroy()
          gunzip.destroy()
          resolve(found)
        }
        signal.addEventListener("abort", finish)
        const parser = new Parser({
          strict: true,
          brotli: false,
          zstd: false,
          onReadEntry: (entry) => {
            if (entry.type === "File" || entry.type === "OldFile") found.push(basename(entry.path))
            entry.resume()
            if (found.length >= most) finish()
          }
        })
        parser.on("error", finish)
        parser.on("end", finish)
        let total = 0
        gunzip.on("data", (chunk: Buffer) => {
          if (settled) return
          total += chunk.length
          if (total > 1 << 30) return finish()
          if (!parser.write(chunk)) {
            gunzip.pause()
            parser.once("drain", () => gunzip.resume())
          }
        })
        gunzip.on("end", () => {
          if (!settled) parser.end()
        })
        gunzip.on("error", finish)
        source.on("error", finish)
        source.pipe(gunzip)
      })
  )
