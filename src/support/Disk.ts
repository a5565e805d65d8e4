/**
 * The operations of a run on a disk, as a service so that tests can make each of them fail. Important files are written by
 * {@link writeAtomic}: a reader sees the old content or the new, never a part, even after a power failure.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { Worker } from "node:worker_threads"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { makeFolders } from "./MakeFolders.ts"

/** An operation that failed: what was tried, on which file, and the system's reason. */
export class DiskError extends Schema.TaggedError<DiskError>()("DiskError", {
  operation: Schema.String,
  file: Schema.String,
  /** `ENOSPC`, `EACCES`, … */
  code: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    const advice =
      this.code === "ENOSPC" || this.code === "EDQUOT"
        ? "; free some space and resume the run"
        : this.code === "EACCES" || this.code === "EPERM" || this.code === "EROFS"
          ? "; make the folder writable and resume the run"
          : ""
    return `cannot ${this.operation} ${this.file}: ${this.reason}${advice}`
  }
}

/** An open file; only the disk that opened it uses its fields. */
export interface Handle {
  readonly file: string
  readonly id: number
}

/** The contract of a disk. Paths are those of the operating system. */
export interface DiskShape {
  /** Size in bytes; undefined if the file or folder does not exist. */
  readonly size: (file: string) => Effect.Effect<number | undefined, DiskError>
  /** Sorted names in a folder; empty if it does not exist. */
  readonly list: (folder: string) => Effect.Effect<ReadonlyArray<string>, DiskError>
  /** Up to `length` bytes from `offset`; fewer at the end of the file. The bytes belong to the caller. */
  readonly read: (file: string, offset: number, length: number) => Effect.Effect<Uint8Array<ArrayBuffer>, DiskError>
  /** Makes a folder and its parents. */
  readonly makeFolder: (folder: string) => Effect.Effect<void, DiskError>
  /** Opens for writing: `create` makes or empties the file, `exclusive` fails (EEXIST) if it exists, `append` adds to it. */
  readonly open: (file: string, how: "create" | "exclusive" | "append") => Effect.Effect<Handle, DiskError>
  /** Writes all the bytes. */
  readonly write: (handle: Handle, bytes: Uint8Array) => Effect.Effect<void, DiskError>
  /** Returns when the bytes are on the medium. */
  readonly sync: (handle: Handle) => Effect.Effect<void, DiskError>
  readonly close: (handle: Handle) => Effect.Effect<void>
  /** Cuts a file to its first `length` bytes. */
  readonly truncate: (file: string, length: number) => Effect.Effect<void, DiskError>
  /** A file replaces a file; a folder replaces an empty folder. */
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  /** Removes a file, or a folder with its content; does nothing if it does not exist. */
  readonly remove: (file: string) => Effect.Effect<void, DiskError>
  /** Returns when the names in the folder are on the medium. */
  readonly syncFolder: (folder: string) => Effect.Effect<void, DiskError>
  /**
   * While the scope is open, writes a count of {@link beatDigits} digits into a file at `offset` every `millis`, even while
   * this thread is busy. It never creates the file and does nothing while it does not exist. Returns a function to call with
   * the new path after the file was moved.
   */
  readonly beat: (
    file: string,
    offset: number,
    millis: number
  ) => Effect.Effect<(file: string) => Effect.Effect<void>, never, Scope>
}

/** Digits of the count that {@link DiskShape.beat} writes. */
export const beatDigits = 12

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "EUNKNOWN"

const attempt = <A>(operation: string, file: string, body: () => A): Effect.Effect<A, DiskError> =>
  Effect.try({
    try: body,
    catch: (cause) =>
      new DiskError({
        operation,
        file,
        code: codeOf(cause),
        reason: cause instanceof Error ? cause.message : String(cause)
      })
  })

const flags = { create: "w", exclusive: "wx", append: "a" } as const

/** Beats in a thread of its own: a training step may block the main thread for minutes. */
const beatScript = `
const { parentPort, workerData } = require("node:worker_threads")
const fs = require("node:fs")
let { file } = workerData
let count = 0
parentPort.on("message", (moved) => { file = moved })
setInterval(() => {
  count += 1
  try {
    const descriptor = fs.openSync(file, "r+")
    try {
      fs.writeSync(descriptor, String(count).padStart(workerData.digits, "0"), workerData.offset)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch {
    // The file was moved or taken over, or the disk is unavailable for a moment: the next beat tries again.
  }
}, workerData.millis)
`

const beat: DiskShape["beat"] = (file, offset, millis) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const worker = new Worker(beatScript, {
          eval: true,
          execArgv: [],
          workerData: { file, offset, millis, digits: beatDigits }
        })
        // Without beats the lock looks like that of a dead process; every change is still guarded.
        worker.on("error", () => {})
        worker.unref()
        return worker
      }),
      (worker) => Effect.promise(() => worker.terminate())
    ),
    (worker) => (moved) => Effect.sync(() => worker.postMessage(moved))
  )

/** The disk of the machine. */
const node: DiskShape = {
  size: (file) => attempt("look at", file, () => fs.statSync(file, { throwIfNoEntry: false })?.size),
  list: (folder) =>
    attempt("list", folder, () => (fs.existsSync(folder) ? fs.readdirSync(folder).sort() : ([] as Array<string>))),
  read: (file, offset, length) =>
    attempt("read", file, () => {
      const descriptor = fs.openSync(file, "r")
      try {
        const available = Math.max(0, fs.fstatSync(descriptor).size - offset)
        const bytes = new Uint8Array(Math.min(length, available))
        let done = 0
        while (done < bytes.length) {
          const got = fs.readSync(descriptor, bytes, done, Math.min(bytes.length - done, 1 << 30), offset + done)
          if (got === 0) return bytes.slice(0, done)
          done += got
        }
        return bytes
      } finally {
        fs.closeSync(descriptor)
      }
    }),
  makeFolder: (folder) => attempt("make folder", folder, () => makeFolders(folder)),
  open: (file, how) => attempt("open", file, () => ({ file, id: fs.openSync(file, flags[how]) })),
  write: (handle, bytes) =>
    attempt("write", handle.file, () => {
      let done = 0
      while (done < bytes.length) {
        done += fs.writeSync(handle.id, bytes, done, Math.min(bytes.length - done, 1 << 30))
      }
    }),
  sync: (handle) => attempt("sync", handle.file, () => fs.fsyncSync(handle.id)),
  close: (handle) => Effect.ignore(attempt("close", handle.file, () => fs.closeSync(handle.id))),
  truncate: (file, length) => attempt("cut", file, () => fs.truncateSync(file, length)),
  rename: (from, to) =>
    attempt("rename to", to, () => {
      // Only Windows does not replace an empty folder; a folder with files is an error on every system.
      if (process.platform === "win32" && fs.statSync(to, { throwIfNoEntry: false })?.isDirectory()) fs.rmdirSync(to)
      // Renaming would replace a device, such as /dev/null, by the file.
      const there = fs.lstatSync(to, { throwIfNoEntry: false })
      if (there !== undefined && !there.isFile() && !there.isDirectory() && !there.isSymbolicLink()) {
        throw Object.assign(new Error("it is a device, not a file"), { code: "EEXIST" })
      }
      fs.renameSync(from, to)
    }),
  remove: (file) => attempt("remove", file, () => fs.rmSync(file, { recursive: true, force: true })),
  syncFolder: (folder) =>
    attempt("sync folder", folder, () => {
      // Windows cannot open a folder; its file system journals names.
      if (process.platform === "win32") return
      const descriptor = fs.openSync(folder, "r")
      try {
        fs.fsyncSync(descriptor)
      } finally {
        fs.closeSync(descriptor)
      }
    }),
  beat
}

/** The disk of a run. */
export class Disk extends Context.Service<Disk, DiskShape>()("osnas/support/Disk") {
  /** The disk of the machine. */
  static readonly layer: Layer.Layer<Disk> = Layer.succeed(Disk, node)
}

/** Suffix of files that are being written; after a crash they can be deleted. */
export const temporarySuffix = ".part"

const blockSize = 1 << 20

/** The same bytes in fewer pieces: small pieces are joined into blocks. */
const gathered = function* (chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  let block = new Uint8Array(0)
  let filled = 0
  for (const chunk of chunks) {
    if (filled + chunk.length > blockSize && filled > 0) {
      yield block.subarray(0, filled)
      filled = 0
    }
    if (chunk.length >= blockSize) {
      yield chunk
      continue
    }
    if (block.length === 0) block = new Uint8Array(blockSize)
    block.set(chunk, filled)
    filled += chunk.length
  }
  if (filled > 0) yield block.subarray(0, filled)
}

/**
 * Writes a file atomically: writes a temporary file beside it, syncs it, renames it into place and syncs the folder. After a
 * failure the old file is unchanged and the temporary file is removed.
 */
export const writeAtomic = (
  disk: DiskShape,
  file: string,
  chunks: Iterable<Uint8Array>
): Effect.Effect<void, DiskError> => {
  const temporary = `${file}${temporarySuffix}`
  return Effect.uninterruptible(
    Effect.acquireUseRelease(
      disk.open(temporary, "create"),
      (handle) =>
        Effect.gen(function* () {
          for (const block of gathered(chunks)) yield* disk.write(handle, block)
          yield* disk.sync(handle)
        }),
      (handle) => disk.close(handle)
    ).pipe(
      Effect.andThen(disk.rename(temporary, file)),
      Effect.andThen(disk.syncFolder(path.dirname(file))),
      Effect.tapError(() => Effect.ignore(disk.remove(temporary)))
    )
  )
}

/** Writes a text file atomically. */
export const writeTextAtomic = (disk: DiskShape, file: string, text: string): Effect.Effect<void, DiskError> =>
  writeAtomic(disk, file, [new TextEncoder().encode(text)])

/** The text of a file; undefined if it does not exist. Refuses a file of more than `limit` bytes. */
export const readText = Effect.fnUntraced(function* (disk: DiskShape, file: string, limit: number = 64 * 1024 * 1024) {
  const size = yield* disk.size(file)
  if (size === undefined) return undefined
  if (size > limit) {
    return yield* new DiskError({
      operation: "read",
      file,
      code: "EFBIG",
      reason: `it has ${size} bytes; at most ${limit} are read`
    })
  }
  return new TextDecoder().decode(yield* disk.read(file, 0, size))
})
