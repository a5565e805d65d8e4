/**
 * Download of a file: continued where an earlier attempt ended, checked against a digest, and in place only when whole.
 * What has arrived lies beside the file as `.part`.
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

/** What to get, and where to put it. */
export interface Options {
  readonly dataset: string
  readonly url: string
  readonly file: string
  /** `sha256:…` or `md5:…`; null: not checked. */
  readonly checksum: string | null
  /** More bytes than this are refused. */
  readonly limit: number
  /** Told of the bytes on disk and, where the server says it, of all. */
  readonly onProgress: (received: number, total: number | undefined) => void
  /** Attempts that bring nothing new before giving up. */
  readonly attempts: number
  /** Milliseconds before the second attempt; twice as long before each further one. */
  readonly delay: number
}

/** The connection broke or the server is out of sorts: worth another attempt. */
class Interrupted extends Error {}

const transient = (status: number): boolean => status === 408 || status === 429 || status >= 500

/** One attempt: appends what is missing to the part file. */
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
    // Either all is there, or the file on the server is another, shorter one; the digest will tell, a size now.
    const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]
    await response.body?.cancel()
    if (total !== undefined && Number(total) === have) return
    await fs.rm(part, { force: true })
    throw new Interrupted(`${url}: the partial file did not fit the one on the server and was deleted`)
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
  // A compressed transfer says how long the compressed bytes are, which is not what arrives here.
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
        throw new Error(`${url} sends more than ${limit} bytes, the most that is expected`)
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

/** Checks a file's digest; one that differs is named with both. */
export const verify = (dataset: string, file: string, checksum: string | null): Effect.Effect<void, DatasetError> => {
  if (checksum === null) return Effect.void
  const [algorithm, expected] = checksum.split(":") as ["sha256" | "md5", string]
  return Files.digestOf(dataset, file, algorithm).pipe(
    Effect.flatMap((found) =>
      found === expected
        ? Effect.void
        : Effect.fail(
            new DatasetError({ dataset, file, reason: `its ${algorithm} is ${found}, must be ${expected}: damaged` })
          )
    )
  )
}

/**
 * Downloads a file. Interrupting leaves the part file, from which the next download goes on; a wrong digest deletes it.
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
  let fruitless = 0
  for (;;) {
    const before = yield* sizeOf(part)
    const failed = yield* Effect.match(once, { onFailure: (error) => error, onSuccess: () => undefined })
    if (failed === undefined) break
    fruitless = (yield* sizeOf(part)) > before ? 0 : fruitless + 1
    if (!(failed instanceof Interrupted) || fruitless >= options.attempts) {
      const here = (yield* sizeOf(part)) > 0 ? "; what has arrived is kept, another start goes on from there" : ""
      return yield* new DatasetError({ dataset, file, reason: `download failed: ${failed.message}${here}` })
    }
    yield* Effect.sleep(options.delay * 2 ** Math.max(fruitless - 1, 0))
  }
  yield* verify(dataset, part, options.checksum).pipe(
    Effect.tapError(() => Effect.promise(() => fs.rm(part, { force: true }))),
    Effect.mapError(
      (error) =>
        new DatasetError({ dataset, file, reason: `downloaded from ${options.url}: ${error.reason}, and deleted` })
    )
  )
  yield* Effect.tryPromise({ try: () => fs.rename(part, file), catch: Files.failure(dataset, file) })
})
