/**
 * Ownership of a folder by one process: a lock file with the owner's process, host and time. An owner that is dead has
 * no lock; its file is taken over without asking.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as CanonicalJson from "./CanonicalJson.ts"
import * as Disk from "./Disk.ts"

/** Name of the lock file. */
export const lockName = "run.lock"

/** Another process is using the folder. */
export class RunLocked extends Schema.TaggedError<RunLocked>()("RunLocked", {
  folder: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  ageSeconds: Schema.Finite
}) {
  override get message(): string {
    const advice =
      this.pid === 0
        ? "several processes are taking it at this moment; try again"
        : this.host === os.hostname()
          ? "wait for it or stop it"
          : `if that process is gone, remove ${path.join(this.folder, lockName)} and try again`
    return `run folder ${this.folder} is in use by process ${this.pid} on ${this.host}, since ${Math.round(this.ageSeconds)} s: ${advice}`
  }
}

const Lock = Schema.Struct({
  pid: Schema.Int,
  host: Schema.String,
  /** When the process began, in the system's own ticks: a process id may be given anew. */
  started: Schema.NullOr(Schema.String),
  since: Schema.Finite
})
type Lock = typeof Lock.Type

const decodeLock = Schema.decodeUnknownOption(Schema.fromJsonString(Lock))

/** When a process began, in ticks; null where the system does not tell. */
const startOf = (pid: number): string | null => {
  if (process.platform !== "linux") return null
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    // Field 22; the second field is a name in parentheses that may hold blanks.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null
  } catch {
    return null
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    // EPERM: there is one, of another user.
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

const isHeld = (lock: Lock): boolean => {
  if (lock.host !== os.hostname()) return true
  if (!isAlive(lock.pid)) return false
  const start = startOf(lock.pid)
  return start === null || lock.started === null || start === lock.started
}

/** Makes this process the owner of a folder; the lock file stays until someone removes it. */
export const acquireUnscoped = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<void, RunLocked | Disk.DiskError> =>
  Effect.gen(function* () {
    const file = path.join(folder, lockName)
    const now = yield* Clock.currentTimeMillis
    const mine: Lock = { pid: process.pid, host: os.hostname(), started: startOf(process.pid), since: now }
    const create = Effect.acquireUseRelease(
      disk.open(file, "exclusive"),
      (handle) => disk.write(handle, new TextEncoder().encode(CanonicalJson.pretty(mine))),
      (handle) => disk.close(handle)
    )
    for (let attempt = 0; attempt < 3; attempt++) {
      const made = yield* Effect.as(create, true).pipe(
        Effect.catch((error) => (error.code === "EEXIST" ? Effect.succeed(false) : Effect.fail(error)))
      )
      if (made) return
      const text = yield* Disk.readText(disk, file, 4096)
      if (text === undefined) continue
      const found = decodeLock(text)
      // One that does not decode was torn by a crash while it was written: its owner is dead.
      if (found._tag === "Some" && isHeld(found.value)) {
        const { host, pid, since } = found.value
        return yield* new RunLocked({ folder, pid, host, ageSeconds: Math.max(0, now - since) / 1000 })
      }
      // Two processes may find the same dead owner. The rename gives its lock to one of them; should it be a newer
      // lock that was moved, it is put back.
      const taken = `${file}.${process.pid}${Disk.temporarySuffix}`
      const moved = yield* Effect.as(disk.rename(file, taken), true).pipe(Effect.catch(() => Effect.succeed(false)))
      if (!moved) continue
      if ((yield* Disk.readText(disk, taken, 4096)) === text) yield* disk.remove(taken)
      else yield* disk.rename(taken, file)
    }
    return yield* new RunLocked({ folder, pid: 0, host: os.hostname(), ageSeconds: 0 })
  })

/** Makes this process the owner of a folder until the scope closes. */
export const acquire = (disk: Disk.DiskShape, folder: string): Effect.Effect<void, RunLocked | Disk.DiskError, Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(acquireUnscoped(disk, folder), () => Effect.ignore(disk.remove(path.join(folder, lockName))))
  )
