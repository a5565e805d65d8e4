/**
 * Ownership of a folder by one process: a lock file with the owner's process, host and time. An owner that is dead has
 * no lock; its file is removed without asking.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"

/** What the names of lock files begin with; process and a count follow. */
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
      this.host === os.hostname()
        ? "wait for it or stop it"
        : `if that process is gone, remove ${path.join(this.folder, lockName)}-${this.pid}-* and try again`
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

const ownerOf = (disk: Disk.DiskShape, file: string): Effect.Effect<Lock | undefined, Disk.DiskError> =>
  Effect.gen(function* () {
    const text = yield* Disk.readText(disk, file, 4096)
    if (text === undefined) return undefined
    const found = decodeLock(text)
    if (found._tag === "Some") return found.value
    // Torn by a power cut; its name still tells the process.
    const pid = Number.parseInt(/-(\d+)-\d+$/.exec(file)?.[1] ?? "", 10)
    return Number.isNaN(pid) ? undefined : { pid, host: os.hostname(), started: null, since: 0 }
  })

/** The live locks of a folder beside one's own. Those of dead processes are removed: nobody comes back for them. */
const rivals = (
  disk: Disk.DiskShape,
  folder: string,
  own: string
): Effect.Effect<ReadonlyArray<Lock>, Disk.DiskError> =>
  Effect.gen(function* () {
    const out: Array<Lock> = []
    for (const name of yield* disk.list(folder)) {
      if (!name.startsWith(lockName) || name.endsWith(Disk.temporarySuffix) || name === own) continue
      const file = path.join(folder, name)
      const owner = yield* ownerOf(disk, file)
      if (owner !== undefined && isHeld(owner)) out.push(owner)
      else yield* disk.remove(file)
    }
    return out
  })

/** How often two processes that come at the same moment step back and try again. */
const attempts = 6

let taken = 0

/**
 * Makes this process the owner of a folder and gives the name of its lock file, which stays until someone removes it.
 *
 * Every process puts up a file of its own, then looks for others and steps back where it finds one that lives: of two
 * that come at the same moment the later one to look sees the other, so that they may both step back, but never both
 * stay. Nothing that another process could still believe to own is ever moved or removed.
 */
export const acquireUnscoped = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<string, RunLocked | Disk.DiskError> =>
  Effect.gen(function* () {
    const started = startOf(process.pid)
    const own = `${lockName}-${process.pid}-${++taken}`
    const file = path.join(folder, own)
    for (let attempt = 1; ; attempt++) {
      const now = yield* Clock.currentTimeMillis
      const mine: Lock = { pid: process.pid, host: os.hostname(), started, since: now }
      // Seen by others only when it is whole.
      yield* Disk.writeTextAtomic(disk, file, CanonicalJson.pretty(mine))
      const [rival] = yield* Effect.tapError(rivals(disk, folder, own), () => Effect.ignore(disk.remove(file)))
      if (rival === undefined) return own
      yield* disk.remove(file)
      const age = Math.max(0, now - rival.since)
      if (attempt === attempts || age > 2000) {
        return yield* new RunLocked({ folder, pid: rival.pid, host: rival.host, ageSeconds: age / 1000 })
      }
      // Processes wait for different times, lest they meet again.
      yield* Effect.sleep(attempt * (5 + (process.pid % 29)))
    }
  })

/** Makes this process the owner of a folder until the scope closes. */
export const acquire = (disk: Disk.DiskShape, folder: string): Effect.Effect<void, RunLocked | Disk.DiskError, Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(acquireUnscoped(disk, folder), (own) => Effect.ignore(disk.remove(path.join(folder, own))))
  )
