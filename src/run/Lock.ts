/**
 * Ownership of a folder by one process: a lock file that names the owner and that the owner renews at an interval.
 *
 * Process numbers prove nothing by themselves: two containers may have the same host name and the same process numbers. An
 * owner is known to be dead only if it began in the same boot of the same machine and in the same process namespace, and the
 * process of that number is gone or began at another time. Its lock is then removed at once. In all other cases the lock is
 * a lease. A process that wants the folder watches the file: if its content changes, the owner is alive; if it stays the same
 * for {@link SurroundingsShape.staleMillis}, the lease has ended. Only the watcher's clock is used, and only for durations,
 * so clocks of different machines need not agree.
 *
 * A process that was suspended for longer than that may have lost the folder when it resumes. {@link Lease.disk} therefore
 * looks for its own lock file before every change, and refuses the change once the file is gone.
 */
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"

/** Beginning of the names of lock files; the process number and a random part follow. */
export const lockName = "run.lock"

/** Another process is using the folder. */
export class RunLocked extends Schema.TaggedError<RunLocked>()("RunLocked", {
  folder: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  ageSeconds: Schema.Finite,
  /** State of the owner, if this process can see it; `suspended` as by Ctrl-Z. */
  owner: Schema.Literals(["alive", "suspended", "elsewhere"])
}) {
  override get message(): string {
    const advice = {
      alive: "wait for it or stop it",
      suspended: `it is suspended; let it continue (kill -CONT ${this.pid}) or stop it`,
      elsewhere: "it is alive on another machine or in another container; wait for it or stop it there"
    }[this.owner]
    return `run folder ${this.folder} is in use by process ${this.pid} on ${this.host} for ${Math.round(this.ageSeconds)} s: ${advice}`
  }
}

/** State of a process. `unknown`: there may be a process of that number, and it may be another one. */
export type Liveness = "alive" | "suspended" | "dead" | "unknown"

/** What a lock needs to know about the machine and this process; tests replace it. */
export interface SurroundingsShape {
  readonly pid: number
  readonly host: string
  /** Boot of the machine and process namespace: within one, a process number means the same to all. Null: unknown. */
  readonly place: string | null
  /** When this process began, in ticks of the system: process numbers are reused. Null: unknown. */
  readonly started: string | null
  /** State of the process of the same place that began at `started`. */
  readonly livenessOf: (pid: number, started: string | null) => Liveness
  /** A unique part of the name of a lock. */
  readonly token: () => string
  /** How often an owner renews its lock. */
  readonly beatMillis: number
  /** Time without a change after which a lock has ended. */
  readonly staleMillis: number
  /** How often a watcher reads the lock. */
  readonly pollMillis: number
}

const readOr = <A>(read: () => A, otherwise: A): A => {
  try {
    return read()
  } catch {
    return otherwise
  }
}

/** State and start of a process on Linux; undefined if the system does not show it. */
const statOf = (pid: number): { readonly state: string; readonly started: string } | undefined =>
  readOr(() => {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field is a name in parentheses that may contain spaces; the state is field 3, the start field 22.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    const [state, started] = [fields[0], fields[19]]
    return state === undefined || started === undefined ? undefined : { state, started }
  }, undefined)

const livenessOf = (pid: number, started: string | null): Liveness => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    // EPERM: the process belongs to another user.
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return "dead"
  }
  const stat = process.platform === "linux" ? statOf(pid) : undefined
  if (stat === undefined || started === null) return "unknown"
  // A zombie has ended; its parent has not read its exit status yet.
  if (stat.started !== started || /[ZXx]/.test(stat.state)) return "dead"
  return /[Tt]/.test(stat.state) ? "suspended" : "alive"
}

/** On Linux, boot and process namespace; on other systems, which have one namespace, the machine by its network cards. */
const placeOf = (): string | null => {
  if (process.platform === "linux") {
    return readOr(() => {
      const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
      return `${boot} ${fs.readlinkSync("/proc/self/ns/pid")}`
    }, null)
  }
  const cards = Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal }) => !internal)
    .map(({ mac }) => mac)
  if (cards.length === 0) return null
  const digest = createHash("sha256")
    .update([...new Set(cards)].sort().join())
    .digest("hex")
  return `${process.platform} ${digest.slice(0, 32)}`
}

/** What a lock needs to know about the machine and this process. Default: from the system. */
export const Surroundings = Context.Reference<SurroundingsShape>("osnas/run/Lock/Surroundings", {
  defaultValue: () => ({
    pid: process.pid,
    host: os.hostname(),
    place: placeOf(),
    started: process.platform === "linux" ? (statOf(process.pid)?.started ?? null) : null,
    livenessOf,
    token: () => randomBytes(6).toString("hex"),
    beatMillis: 2000,
    staleMillis: 20_000,
    pollMillis: 250
  })
})

const Lock = Schema.Struct({
  /** Counts up while the owner is alive. */
  beat: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  place: Schema.NullOr(Schema.String),
  started: Schema.NullOr(Schema.String),
  since: Schema.Finite
})
type Lock = typeof Lock.Type

const decodeLock = Schema.decodeUnknownOption(Schema.fromJsonString(Lock))

/** The lock of another process. */
interface Rival {
  readonly file: string
  readonly text: string
  /** Undefined: the file is not a complete lock, as after a power cut. */
  readonly lock: Lock | undefined
  readonly liveness: Liveness
}

/** Upper bound of the size of a lock, in bytes. */
const longest = 4096

const rivalOf = Effect.fnUntraced(function* (disk: Disk.DiskShape, here: SurroundingsShape, file: string) {
  const read = Effect.map(disk.read(file, 0, longest), (bytes) => new TextDecoder().decode(bytes))
  // Its owner may remove it at any time.
  const text = yield* Effect.catch(read, (error) =>
    error.code === "ENOENT" ? Effect.succeed(undefined) : Effect.fail(error)
  )
  if (text === undefined) return undefined
  const lock = Option.getOrUndefined(decodeLock(text))
  const isNear = lock !== undefined && here.place !== null && lock.place === here.place && lock.host === here.host
  const liveness: Liveness = isNear ? here.livenessOf(lock.pid, lock.started) : "unknown"
  return { file, text, lock, liveness } satisfies Rival
})

/** The locks of other processes in a folder. Removes those of dead processes. */
const rivalsIn = Effect.fnUntraced(function* (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  own: string
) {
  const out: Array<Rival> = []
  for (const name of yield* disk.list(folder)) {
    if (!name.startsWith(lockName) || name.endsWith(Disk.temporarySuffix) || name === own) continue
    const rival = yield* rivalOf(disk, here, path.join(folder, name))
    if (rival === undefined) continue
    if (rival.liveness === "dead") yield* disk.remove(rival.file)
    else out.push(rival)
  }
  return out
})

const nameOf = ({ file, lock }: Rival): string =>
  lock === undefined ? `the lock ${path.basename(file)}` : `process ${lock.pid} on ${lock.host}`

/**
 * Watches a lock whose owner cannot be seen from here until it changes (`alive`), is removed (`gone`), or has not changed for
 * the duration of a lease (`ended`).
 */
const watch = Effect.fnUntraced(function* (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  rival: Rival,
  wait: Effect.Effect<void>
) {
  const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
  const first = yield* millis
  let [since, last] = [first, first]
  let isLogged = false
  yield* wait
  while (true) {
    const seen = yield* rivalOf(disk, here, rival.file)
    const now = yield* millis
    if (seen === undefined || seen.liveness === "dead") return "gone"
    if (seen.text !== rival.text) return "alive"
    // A watcher that was suspended, or waited for the disk, may have missed a change.
    if (now - last > here.staleMillis / 2 + 4 * here.pollMillis) since = now
    last = now
    if (now - since >= here.staleMillis) return "ended"
    if (!isLogged && now - first >= 2 * here.pollMillis) {
      isLogged = true
      yield* Effect.logInfo(
        `run folder ${folder} was in use by ${nameOf(rival)}, which cannot be seen from here (on another machine or in another container, or it has ended); waiting up to ${Math.ceil(here.staleMillis / 1000)} s for a sign of life`
      )
    }
    yield* Effect.sleep(here.pollMillis)
  }
})

/** How often a process steps back and tries again if others start at the same moment. */
const attempts = 8

/** A folder that this process owns. */
export interface Lease {
  /** Name of the lock file in the folder. */
  readonly name: string
  /** The disk for files of the folder. It refuses every change once another process has the lock. */
  readonly disk: Disk.DiskShape
  /** To be called after the folder was moved, and the lock with it. */
  readonly moved: (folder: string) => Effect.Effect<void>
}

const taken = (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  own: string
): Effect.Effect<string, Disk.DiskError> =>
  Effect.map(rivalsIn(disk, here, folder, own), ([rival]) =>
    rival === undefined
      ? `the lock of this process, ${path.join(folder, own)}, is gone: the folder was removed or replaced, or another process took it over and has ended; nothing more is written`
      : `${nameOf(rival)} has taken over run folder ${folder}, while this process was suspended or cut off from the disk for more than ${Math.ceil(here.staleMillis / 1000)} s; nothing more is written`
  )

/** A disk that refuses changes unless the lock exists. */
const guard = (disk: Disk.DiskShape, here: SurroundingsShape, folder: () => string, own: string): Disk.DiskShape => {
  const owned =
    (operation: string, file: string) =>
    <A>(change: Effect.Effect<A, Disk.DiskError>): Effect.Effect<A, Disk.DiskError> =>
      // Opened again each time: a network file system then asks the server.
      Effect.catch(Effect.asVoid(disk.read(path.join(folder(), own), 0, 1)), (error) =>
        error.code !== "ENOENT"
          ? Effect.fail(error)
          : Effect.flatMap(taken(disk, here, folder(), own), (reason) =>
              Effect.fail(new Disk.DiskError({ operation, file, code: "ELEASE", reason }))
            )
      ).pipe(Effect.andThen(change))
  return {
    ...disk,
    makeFolder: (at) => owned("make folder", at)(disk.makeFolder(at)),
    open: (file, how) => owned("open", file)(disk.open(file, how)),
    write: (handle, bytes) => owned("write", handle.file)(disk.write(handle, bytes)),
    truncate: (file, length) => owned("cut", file)(disk.truncate(file, length)),
    rename: (from, to) => owned("rename to", to)(disk.rename(from, to)),
    remove: (file) => owned("remove", file)(disk.remove(file))
  }
}

/** Writes a lock of its own, and keeps it if no other process has one. */
const take = Effect.fnUntraced(function* (disk: Disk.DiskShape, here: SurroundingsShape, folder: string, own: string) {
  const file = path.join(folder, own)
  const jitter = Number.parseInt(createHash("sha256").update(own).digest("hex").slice(0, 4), 16) / 65_536
  for (let attempt = 1; ; attempt++) {
    const now = yield* Clock.currentTimeMillis
    const { host, pid, place, started } = here
    const mine: Lock = { beat: firstBeat, pid, host, place, started, since: now }
    // Others see it only when it is complete. The folder's owner may remove temporary files, also this one.
    const put = yield* Effect.catch(Disk.writeTextAtomic(disk, file, CanonicalJson.pretty(mine)), (error) =>
      error.code === "ENOENT" && error.operation === "rename to" ? Effect.succeed("lost" as const) : Effect.fail(error)
    )
    const rivals = yield* Effect.tapError(rivalsIn(disk, here, folder, own), () => Effect.ignore(disk.remove(file)))
    const [rival] = rivals
    if (rival === undefined && put !== "lost") return
    yield* disk.remove(file)
    const refuse = (owner: RunLocked["owner"], { host, pid, since }: Lock) =>
      new RunLocked({ folder, pid, host, ageSeconds: Math.max(0, now - since) / 1000, owner })
    // Processes wait for different times, so that they do not collide again.
    const wait = Effect.sleep(attempt * (5 + 30 * jitter))
    const seen = rivals.find(({ liveness }) => liveness === "alive" || liveness === "suspended")
    if (seen?.lock !== undefined) {
      const old = Math.max(0, now - seen.lock.since) > 2000
      if (attempt >= attempts || old) {
        return yield* refuse(seen.liveness === "suspended" ? "suspended" : "alive", seen.lock)
      }
      yield* wait
      continue
    }
    if (rival === undefined) {
      yield* wait
      continue
    }
    const found = yield* watch(disk, here, folder, rival, wait)
    if (found === "ended") {
      yield* disk.remove(rival.file)
      // An owner that resumes at this moment may be in the middle of one change: let it finish.
      yield* Effect.sleep(here.pollMillis)
    } else if (found === "alive" || attempt >= attempts) {
      // The lock cannot be read, and yet it is renewed: its name still has the process number.
      const number = Number.parseInt(/-(\d+)-\w+$/.exec(rival.file)?.[1] ?? "0", 10)
      return yield* refuse("elsewhere", rival.lock ?? { ...mine, pid: number, host: "an unknown host" })
    }
  }
})

const firstBeat = "0".repeat(Disk.beatDigits)
/** Offset of the beat in a lock: its key is the first. */
const beatOffset = CanonicalJson.pretty({ beat: firstBeat }).indexOf(firstBeat)

/**
 * Makes this process the owner of a folder until the scope closes; the lock file is then removed, even if the process exits
 * without closing the scope.
 *
 * Every process writes a file of its own, then looks for others and steps back if it finds one of a living process. Of two
 * that start at the same moment, the one that looks later sees the other: both may step back, but never both stay. A process
 * removes the lock of another only if its owner is certainly dead or its lease has ended.
 *
 * Fails at once if the owner can be seen, and after one beat at most if it is alive elsewhere. Waiting for the end of a lease
 * is logged.
 */
export const acquire = Effect.fn("Lock.acquire")(function* (disk: Disk.DiskShape, folder: string) {
  const here = yield* Surroundings
  const own = `${lockName}-${here.pid}-${here.token()}`
  let at = folder
  const remove = Effect.suspend(() => Effect.ignore(disk.remove(path.join(at, own))))
  const onExit = () => Effect.runSync(remove)
  yield* Effect.acquireRelease(
    Effect.tap(take(disk, here, folder, own), () => Effect.sync(() => process.once("exit", onExit))),
    () =>
      Effect.andThen(
        Effect.sync(() => process.off("exit", onExit)),
        remove
      )
  )
  const move = yield* disk.beat(path.join(folder, own), beatOffset, here.beatMillis)
  return {
    name: own,
    disk: guard(disk, here, () => at, own),
    moved: (to: string) =>
      Effect.suspend(() => {
        at = to
        return move(path.join(to, own))
      })
  }
})
