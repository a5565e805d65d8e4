/**
 * Download of a file. It continues where an earlier attempt ended, checks the digest, and creates the file only when it is
 * complete. Until then the bytes are in a file `.part` beside it.
 */
import * as fs from "node:fs/promises"
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"

/** A digest as text: `sha256:` or `md5:` and hexadecimal digits. */
export const Checksum = Schema.String.check(
  Schema.makeFilter(
    (text: string) =>
      /^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$/.test(text) ||
      "sha256: or md5: and the digest in lower-case hexadecimal"
  )
)

/** What to download, and where to. */
export interface Options {
  readonly dataset: string
  readonly url: string
  readonly file: string
  /** `sha256:…` or `md5:…`; null: not checked. */
  readonly checksum: string | null
  /** The most bytes that the file may have. */
  readonly limit: number
  /** Receives the bytes on disk and, if the server sends it, the total. */
  readonly onProgress: (received: number, total: number | undefined) => void
  /** Successive attempts without progress before the download fails. */
  readonly attempts: number
  /** Milliseconds before the second attempt; doubled before each further one. */
  readonly delay: number
}

/** The connection broke, or the server has a temporary error: another attempt may succeed. */
class Interrupted extends Error {}

const transient = (status: number): boolean => status === 408 || status === 429 || status >= 500

/** One attempt: appends the missing bytes to the part file. */
const attempt = async (options: Options, part: string, signal: AbortSignal): Promise<void> => {
  const { limit, onProgress, url } = options
  const have = await fs.stat(part).then(
    (stat) => stat.size,
    () => 0
  )
  const response = await fetch(url, { signal, headers: have > 0 ? { range: `bytes=${have}-` } : {} }).catch((cause) => {
    throw new Interrupted(`${url}: ${cause instanceof Error ? (cause.cause ?? cause) : cause}`)
  })
  if (response.status === 416 && have > 0) {
    // Either the part is complete, or the file on the server is another, shorter one.
    const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]
    await response.body?.cancel()
    if (total !== undefined && Number(total) === have) return
    await fs.rm(part, { force: true })
    throw new Interrupted(`${url}: the partial file does not match the one on the server and was deleted`)
  }
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    const reason = `${url} answers ${response.status} ${response.statusText}`
    throw transient(response.status) ? new Interrupted(reason) : new Error(reason)
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "")
  const from = response.status === 206 && range !== null ? Number(range[1]) : 0
  if (from > have) throw new Error(`${url} answers from byte ${from}, asked for ${have}`)
  const length = response.headers.get("content-length")
  // Of a compressed transfer, content-length is the compressed length.
  const known = length !== null && response.headers.get("content-encoding") === null
  const total = known ? from + Number(length) : undefined
  if (total !== undefined && total > limit) {
    await response.body.cancel()
    throw new Error(`${url} has ${total} bytes; at most ${limit} are expected`)
  }
  const handle = await fs.open(part, have > 0 ? "r+" : "w")
  try {
    await handle.truncate(from)
    let at = from
    const reader = response.body.getReader()
    for (;;) {
      const piece = await reader.read().catch((cause) => {
        throw new Interrupted(`${url}: the connection broke after ${at} bytes (${cause})`)
      })
      if (piece.done) break
      if (at + piece.value.length > limit) {
        await reader.cancel()
        throw new Error(`${url} sends more than ${limit} bytes, the limit`)
      }
      await handle.write(piece.value, 0, piece.value.length, at)
      at += piece.value.length
      onProgress(at, total)
    }
    if (total !== undefined && at < total) throw new Interrupted(`${url}: ended after ${at} of ${total} bytes`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const sizeOf = (path: string): Effect.Effect<number> =>
  Effect.promise(() =>
    fs.stat(path).then(
      (stat) => stat.size,
      () => 0
    )
  )

/** Checks the digest of a file. */
export const verify = (dataset: string, file: string, checksum: string | null): Effect.Effect<void, DatasetError> => {
  if (checksum === null) return Effect.void
  const [algorithm, expected] = checksum.split(":") as ["sha256" | "md5", string]
  return Files.digestOf(dataset, file, algorithm).pipe(
    Effect.flatMap((found) =>
      found === expected
        ? Effect.void
        : Effect.fail(
            new DatasetError({
              dataset,
              file,
              reason: `its ${algorithm} is ${found}, expected ${expected}: the file is damaged`
            })
          )
    )
  )
}

/**
 * Downloads a file. After an interruption, the next download continues from the part file. A wrong digest deletes it.
 */
export const download = Effect.fn("Download.download")(function* (options: Options) {
  const { dataset, file } = options
  const part = `${file}.part`
  yield* Effect.tryPromise({
    try: () => fs.mkdir(dirname(file), { recursive: true }),
    catch: Files.failure(dataset, dirname(file))
  })
  const once = Effect.tryPromise({
    try: (signal) => attempt(options, part, signal),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })
  let withoutProgress = 0
  for (;;) {
    const before = yield* sizeOf(part)
    const failed = yield* Effect.match(once, { onFailure: (error) => error, onSuccess: () => undefined })
    if (failed === undefined) break
    withoutProgress = (yield* sizeOf(part)) > before ? 0 : withoutProgress + 1
    if (!(failed instanceof Interrupted) || withoutProgress >= options.attempts) {
      const here =
        (yield* sizeOf(part)) > 0 ? "; the received bytes are kept, and the next download continues from there" : ""
      return yield* new DatasetError({ dataset, file, reason: `download failed: ${failed.message}${here}` })
    }
    yield* Effect.sleep(options.delay * 2 ** Math.max(withoutProgress - 1, 0))
  }
  yield* verify(dataset, part, options.checksum).pipe(
    Effect.tapError(() => Effect.promise(() => fs.rm(part, { force: true }))),
    Effect.mapError(
      (error) =>
        new DatasetError({ dataset, file, reason: `downloaded from ${options.url}: ${error.reason} and was deleted` })
    )
  )
  yield* Effect.tryPromise({ try: () => fs.rename(part, file), catch: Files.failure(dataset, file) })
})
