/** Reads files of data sets: sizes are checked before anything is allocated, failures are {@link DatasetError}. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import * as fs from "node:fs/promises"
import { promisify } from "node:util"
import * as zlib from "node:zlib"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { decodeText } from "../support/TextFile.ts"
import { DatasetError } from "./Dataflow.ts"

const gunzip = promisify(zlib.gunzip)

/** The reason of a system error, in words. */
const describe = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "ENOENT") return "does not exist"
  if (code === "EACCES" || code === "EPERM") return "may not be read"
  if (code === "EISDIR") return "is a folder, not a file"
  if (code === "ENOTDIR") return "a part of its path is not a folder"
  if (code === "ELOOP") return "is a link that leads back to itself"
  return cause instanceof Error ? cause.message : String(cause)
}

/** Turns a cause into the failure of a file. */
export const failure = (dataset: string, file: string) => (cause: unknown) =>
  new DatasetError({ dataset, file, reason: describe(cause) })

/** Size of a file in bytes; null if there is no file, or a folder in its place. */
export const size = (dataset: string, file: string): Effect.Effect<number | null, DatasetError> =>
  Effect.tryPromise({
    try: async () => {
      try {
        const stat = await fs.stat(file)
        return stat.isFile() ? stat.size : null
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code
        if (code === "ENOENT" || code === "ENOTDIR") return null
        throw cause
      }
    },
    catch: failure(dataset, file)
  })

/** The bytes of a file of at most `limit` bytes. */
export const read = (
  dataset: string,
  file: string,
  limit: number
): Effect.Effect<Uint8Array<ArrayBuffer>, DatasetError> =>
  Effect.tryPromise({
    try: async () => {
      // By path, not by handle: a file in a zip (Yarn's Plug'n'Play keeps packages in one) cannot be read by a handle.
      const { size: bytes } = await fs.stat(file)
      if (bytes > limit) throw new Error(`has ${bytes} bytes; at most ${limit} are expected`)
      return new Uint8Array(await fs.readFile(file))
    },
    catch: failure(dataset, file)
  })

/** The text of a file of at most `limit` bytes: UTF-8, or UTF-16 with a byte order mark. */
export const readText = (dataset: string, file: string, limit: number): Effect.Effect<string, DatasetError> =>
  Effect.flatMap(read(dataset, file, limit), (bytes) => {
    const text = decodeText(bytes)
    return Result.isSuccess(text)
      ? Effect.succeed(text.success)
      : Effect.fail(new DatasetError({ dataset, file, reason: text.failure }))
  })

/** Unpacks gzip. The result may have at most `limit` bytes; no more is allocated. */
export const inflate = (
  dataset: string,
  file: string,
  bytes: Uint8Array,
  limit: number
): Effect.Effect<Uint8Array, DatasetError> =>
  Effect.tryPromise({
    try: () => gunzip(bytes, { maxOutputLength: limit }),
    catch: (cause) => {
      const code = (cause as NodeJS.ErrnoException).code
      return new DatasetError({
        dataset,
        file,
        reason:
          code === "ERR_BUFFER_TOO_LARGE"
            ? `unpacks to more than ${limit} bytes, the limit`
            : `is not a complete gzip file: ${describe(cause)}`
      })
    }
  })

/** Names in a folder, sorted by code unit: the order of the file system never matters. */
export const list = (dataset: string, folder: string): Effect.Effect<ReadonlyArray<string>, DatasetError> =>
  Effect.tryPromise({ try: async () => (await fs.readdir(folder)).sort(), catch: failure(dataset, folder) })

/** Digest of the bytes of a file, hex. The file is streamed. */
export const digestOf = (
  dataset: string,
  file: string,
  algorithm: "sha256" | "md5"
): Effect.Effect<string, DatasetError> =>
  Effect.tryPromise({
    try: async () => {
      const hash = createHash(algorithm)
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
      return hash.digest("hex")
    },
    catch: failure(dataset, file)
  })

/** SHA-256 of bytes, hex. */
export const sha256 = (...parts: ReadonlyArray<Uint8Array | string>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}
