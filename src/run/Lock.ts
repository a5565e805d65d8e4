/**
 * Ownership of a folder by one process: a lock file that says who the owner is, and that the owner renews at an interval.
 *
 * Process numbers alone prove nothing: two containers may have the same host name and the same process numbers. So an owner
 * is known to be dead only where it began in the same boot of the same machine, in the same namespace of processes, and the
 * process of that number is gone or began at another time: its lock is then removed at once. Everywhere else the lock is a
 * lease. Whoever wants the folder watches the file: if its content changes, the owner lives; if it stays the same for
 * {@link SurroundingsShape.staleMillis}, the lease has ended. Only the watcher's own clock counts, and only for durations,
 * so clocks of different machines need not agree.
 *
 * A process that was suspended for longer than that may have lost the folder when it wakes. {@link Lease.disk} therefore
 * looks for the own lock file before every change, and refuses the change once the file is gone.
 */
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"

/** What the names of lock files begin with; the process number and a random part follow. */
export const lockName = "run.lock"

/** Another process is using the folder. */
export class RunLocked extends Schema.TaggedError<RunLocked>()("RunLocked", {
  folder: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  ageSeconds: Schema.Finite,
  /** Whether this process can see the owner, how it stands: `suspended` as by Ctrl-Z. */
  owner: Schema.Literals(["alive", "suspended", "elsewhere"])
}) {
  override get message(): string {
    const advice = {
      alive: "wait for it or stop it",
      suspended: `it is suspended; let it continue (kill -CONT ${this.pid}) or stop it`,
      elsewhere:
        "it runs on another machine or in another container, and gave a sign of life; wait for it or stop it there"
    }[this.owner]
    return `run folder ${this.folder} is in use by process ${this.pid} on ${this.host}, since ${Math.round(this.ageSeconds)} s: ${advice}`
  }
}

/** What the system says of a process. `unknown`: there may be one of that number, perhaps another one. */
export type Liveness = "alive" | "suspended" | "dead" | "unknown"

/** What a lock needs to know of the machine and of this process; tests put others in its place. */
export interface SurroundingsShape {
  readonly pid: number
  readonly host: string
  /**
   * Within one place, process numbers mean the same to all: a boot of a machine and a namespace of processes. Null: the
   * system does not say.
   */
  readonly place: string | null
  /** When this process began, in the system's own ticks: a process number may be given again. Null: unknown. */
  readonly started: string | null
  /** How a process of the same place stands that began at `started`. */
  readonly livenessOf: (pid: number, started: string | null) => Liveness
  /** A name that no other lock has. */
  readonly token: () => string
  /** How often an owner renews its lock. */
  readonly beatMillis: number
  /** After how long without a change a lock has ended. */
  readonly staleMillis: number
  /** How often a watcher looks. */
  readonly pollMillis: number
}

const readOr = <A>(read: () => A, otherwise: A): A => {
  try {
    return read()
  } catch {
    return otherwise
  }
}

/** State and start of a process on Linux; undefined where the system does not show it. */
const statOf = (pid: number): { readonly state: string; readonly started: string } | undefined =>
  readOr(() => {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field is a name in parentheses that may hold blanks; the state is field 3, the start field 22.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    const [state, started] = [fields[0], fields[19]]
    return state === undefined || started === undefined ? undefined : { state, started }
  }, undefined)

const livenessOf = (pid: number, started: string | null): Liveness => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    // EPERM: there is one, of another user.
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return "dead"
  }
  const stat = process.platform === "linux" ? statOf(pid) : undefined
  if (stat === undefined || started === null) return "unknown"
  // A zombie has ended; only its parent has not asked how yet.
  if (stat.started !== started || /[ZXx]/.test(stat.state)) return "dead"
  return /[Tt]/.test(stat.state) ? "suspended" : "alive"
}

/** Boot and namespace on Linux; elsewhere, where processes have one namespace, the machine by its network cards. */
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

/** What a lock needs to know of the machine and of this process. Default: as the system says. */
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
  /** Counts up while the owner lives. */
  beat: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  place: Schema.NullOr(Schema.String),
  started: Schema.NullOr(Schema.String),
  since: Schema.Finite
})
type Lock = typeof Lock.Type

const decodeLock = Schema.decodeUnknownOption(Schema.fromJsonString(Lock))

/** A lock of somebody else. */
interface Rival {
  readonly file: string
  readonly text: string
  /** Undefined: the file is no whole lock, as after a power cut. */
  readonly lock: Lock | undefined
  readonly liveness: Liveness
}

/** More than a lock has; what is longer is none. */
const longest = 4096

const rivalOf = (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  file: string
): Effect.Effect<Rival | undefined, Disk.DiskError> =>
  Effect.gen(function* () {
    const read = Effect.map(disk.read(file, 0, longest), (bytes) => new TextDecoder().decode(bytes))
    // Its owner may remove it at any time.
    const text = yield* Effect.catch(read, (error) =>
      error.code === "ENOENT" ? Effect.succeed(undefined) : Effect.fail(error)
    )
    if (text === undefined) return undefined
    const found = decodeLock(text)
    if (found._tag === "None") return { file, text, lock: undefined, liveness: "unknown" }
    const lock = found.value
    const isNear = here.place !== null && lock.place === here.place && lock.host === here.host
    return { file, text, lock, liveness: isNear ? here.livenessOf(lock.pid, lock.started) : "unknown" }
  })

/** The locks of a folder beside one's own. Those of dead processes are removed: nobody comes back for them. */
const rivalsIn = (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  own: string
): Effect.Effect<ReadonlyArray<Rival>, Disk.DiskError> =>
  Effect.gen(function* () {
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
 * Watches a lock whose owner cannot be seen from here: until it changes (`alive`), goes (`gone`), or has not changed for as
 * long as a lease lasts (`ended`).
 */
const watch = (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  rival: Rival,
  wait: Effect.Effect<void>
): Effect.Effect<"alive" | "gone" | "ended", Disk.DiskError> =>
  Effect.gen(function* () {
    const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
    const first = yield* millis
    let [since, last] = [first, first]
    let told = false
    yield* wait
    while (true) {
      const seen = yield* rivalOf(disk, here, rival.file)
      const now = yield* millis
      if (seen === undefined || seen.liveness === "dead") return "gone"
      if (seen.text !== rival.text) return "alive"
      // Whoever was not looking, suspended or waiting for the disk, has not seen whether it changed.
      if (now - last > here.staleMillis / 2 + 4 * here.pollMillis) since = now
      last = now
      if (now - since >= here.staleMillis) return "ended"
      if (!told && now - first >= 2 * here.pollMillis) {
        told = true
        yield* Effect.logInfo(
          `run folder ${folder} was in use by ${nameOf(rival)}, which cannot be seen from here (another machine or container, or it ended with one); waiting up to ${Math.ceil(here.staleMillis / 1000)} s for a sign of life`
        )
      }
      yield* Effect.sleep(here.pollMillis)
    }
  })

/** How often processes that come at the same moment step back and try again. */
const attempts = 8

/** A folder that this process owns. */
export interface Lease {
  /** Name of the lock file in the folder. */
  readonly name: string
  /** The disk for all that belongs to the folder: it refuses every change once the lock is another's. */
  readonly disk: Disk.DiskShape
  /** The folder, and the lock with it, has been moved. */
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

/** Refuses changes unless the lock is there. */
const guard = (disk: Disk.DiskShape, here: SurroundingsShape, folder: () => string, own: string): Disk.DiskShape => {
  const owned =
    (operation: string, file: string) =>
    <A>(change: Effect.Effect<A, Disk.DiskError>): Effect.Effect<A, Disk.DiskError> =>
      // Opened anew each time: a network file system then asks the server.
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

/** Puts the own lock up, and leaves it there when nobody else has one. */
const take = (
  disk: Disk.DiskShape,
  here: SurroundingsShape,
  folder: string,
  own: string
): Effect.Effect<void, RunLocked | Disk.DiskError> =>
  Effect.gen(function* () {
    const file = path.join(folder, own)
    const jitter = Number.parseInt(createHash("sha256").update(own).digest("hex").slice(0, 4), 16) / 65_536
    for (let attempt = 1; ; attempt++) {
      const now = yield* Clock.currentTimeMillis
      const { host, pid, place, started } = here
      const mine: Lock = { beat: firstBeat, pid, host, place, started, since: now }
      // Seen by others only when it is whole. Who owns the folder removes temporary files, this one too.
      const put = yield* Effect.catch(Disk.writeTextAtomic(disk, file, CanonicalJson.pretty(mine)), (error) =>
        error.code === "ENOENT" && error.operation === "rename to"
          ? Effect.succeed("lost" as const)
          : Effect.fail(error)
      )
      const rivals = yield* Effect.tapError(rivalsIn(disk, here, folder, own), () => Effect.ignore(disk.remove(file)))
      const [rival] = rivals
      if (rival === undefined && put !== "lost") return
      yield* disk.remove(file)
      const refuse = (owner: RunLocked["owner"], { host, pid, since }: Lock) =>
        new RunLocked({ folder, pid, host, ageSeconds: Math.max(0, now - since) / 1000, owner })
      // Processes wait for different times, lest they meet again.
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
        // An owner that wakes at this very moment finishes the one change that it may be making.
        yield* Effect.sleep(here.pollMillis)
      } else if (found === "alive" || attempt >= attempts) {
        // Not to be read, and yet renewed: its name still tells the process.
        const number = Number.parseInt(/-(\d+)-\w+$/.exec(rival.file)?.[1] ?? "0", 10)
        return yield* refuse("elsewhere", rival.lock ?? { ...mine, pid: number, host: "an unknown host" })
      }
    }
  })

/** Twelve digits: enough for any life. */
const firstBeat = "0".repeat(Disk.beatDigits)
/** Where the beat is in a lock: its key is the first one. */
const beatOffset = CanonicalJson.pretty({ beat: firstBeat }).indexOf(firstBeat)

/**
 * Makes this process the owner of a folder until the scope closes; the lock file is then removed, also where the process
 * exits without closing it.
 *
 * Every process puts up a file of its own, then looks for others and steps back where it finds one that lives: of two
 * that come at the same moment the later one to look sees the other, so that they may both step back, but never both
 * stay. A lock is removed by others only where its owner is dead for certain or its lease has ended.
 *
 * Fails at once where the owner can be seen, and after one beat at most where it lives elsewhere. Where a lease must run out
 * first, the wait is logged.
 */
export const acquire = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<Lease, RunLocked | Disk.DiskError, Scope> =>
  Effect.gen(function* () {
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
      moved: (to) =>
        Effect.suspend(() => {
          at = to
          return move(path.join(to, own))
        })
    }
  })
