import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { Disk, DiskError, type DiskShape, readText, writeTextAtomic } from "../support/Disk.ts"
import * as Lock from "./Lock.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"

const folder = "/runs/a"
let tokens = 0

/** A process in a container. All have the same host name and process number 7. */
const container = (place: string | null, changes: Partial<Lock.SurroundingsShape> = {}): Lock.SurroundingsShape => ({
  pid: 7,
  host: "vm",
  place,
  started: "100",
  livenessOf: () => "alive",
  token: () => `t${++tokens}`,
  beatMillis: 20,
  staleMillis: 150,
  pollMillis: 10,
  ...changes
})

/** Owns the folder until the scope is closed. */
const own = Effect.fnUntraced(function* (disk: DiskShape, here: Lock.SurroundingsShape) {
  const scope = yield* Scope.make()
  const lease = yield* Lock.acquire(disk, folder).pipe(
    Effect.provideService(Lock.Surroundings, here),
    Effect.provideService(Scope.Scope, scope)
  )
  return { lease, scope }
})

const made = Effect.gen(function* () {
  const memory = MemoryDisk.make()
  yield* memory.disk.makeFolder(folder)
  return memory
})

const locks = (memory: MemoryDisk.MemoryDisk): number =>
  [...memory.files().keys()].filter((file) => file.includes(Lock.lockName)).length

/** A disk without beats, as of a process that was killed or suspended. */
const still = (disk: DiskShape): DiskShape => ({ ...disk, beat: () => Effect.succeed(() => Effect.void) })

describe("two containers with the same host name and the same process numbers", () => {
  it.live("the second is refused while the first is alive", () =>
    Effect.gen(function* () {
      const memory = yield* made
      const first = yield* own(memory.disk, container("boot pid:[1]"))
      for (const place of ["boot pid:[2]", "other pid:[1]", null]) {
        const error = yield* Effect.flip(own(memory.disk, container(place)))
        assert.instanceOf(error, Lock.RunLocked)
        assert.match(
          error.message,
          /run folder \/runs\/a is in use by process 7 on vm for \d+ s: it is alive on another machine or in another container/
        )
      }
      yield* writeTextAtomic(first.lease.disk, `${folder}/x`, "mine")
      yield* Scope.close(first.scope, Exit.void)
      assert.strictEqual(locks(memory), 0)
      yield* own(memory.disk, container("boot pid:[2]"))
    })
  )

  it.live("the folder of a killed owner is taken over after its lease has ended, and the wait is logged", () =>
    Effect.gen(function* () {
      const memory = yield* made
      yield* own(still(memory.disk), container("boot pid:[1]"))
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const before = performance.now()
      const second = yield* Effect.provide(
        own(memory.disk, container("boot pid:[2]", { livenessOf: () => "dead" })),
        Logger.layer([logger])
      )
      assert.isAtLeast(performance.now() - before, 150)
      assert.strictEqual(logged.length, 1)
      assert.match(
        logged[0] ?? "",
        /was in use by process 7 on vm, which cannot be seen from here .* waiting up to 1 s/
      )
      assert.strictEqual(locks(memory), 1)
      yield* Scope.close(second.scope, Exit.void)
    })
  )

  it.live("an owner that resumes after its lease has ended notices before it changes anything", () =>
    Effect.gen(function* () {
      const memory = yield* made
      const first = yield* own(still(memory.disk), container("boot pid:[1]"))
      const journal = yield* first.lease.disk.open(`${folder}/journal`, "append")
      const second = yield* own(memory.disk, container("boot pid:[2]", { pid: 8 }))
      yield* writeTextAtomic(second.lease.disk, `${folder}/x`, "second")
      const before = [...memory.files()].filter(([name]) => !name.includes(Lock.lockName)).toString()
      const disk = first.lease.disk
      for (const change of [
        disk.write(journal, new Uint8Array(1)),
        disk.open(`${folder}/x`, "create"),
        disk.truncate(`${folder}/x`, 0),
        disk.rename(`${folder}/x`, `${folder}/y`),
        disk.remove(`${folder}/x`),
        disk.makeFolder(`${folder}/z`)
      ]) {
        const error = yield* Effect.flip(Effect.asVoid(change as Effect.Effect<unknown, DiskError>))
        assert.strictEqual(error.code, "ELEASE")
        assert.match(
          error.message,
          /process 8 on vm has taken over run folder \/runs\/a, while this process was suspended .* nothing more is written/
        )
      }
      assert.strictEqual(yield* readText(disk, `${folder}/x`), "second")
      yield* Scope.close(first.scope, Exit.void)
      assert.strictEqual([...memory.files()].filter(([name]) => !name.includes(Lock.lockName)).toString(), before)
      assert.strictEqual(locks(memory), 1)
    })
  )

  it.live("of several that start at the same moment, one owns the folder", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 5; round++) {
        const memory = yield* made
        const exits = yield* Effect.forEach(
          ["pid:[1]", "pid:[2]", "pid:[3]"],
          (place) => Effect.exit(own(memory.disk, container(place))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        assert.strictEqual(locks(memory), 1)
      }
    })
  )
})

describe("one machine", () => {
  const place = "boot pid:[1]"

  it.live("the folder of a dead owner is taken over at once, also if its process number is reused", () =>
    Effect.gen(function* () {
      const memory = yield* made
      yield* own(still(memory.disk), container(place))
      const before = performance.now()
      const dead = container(place, {
        pid: 9,
        livenessOf: (pid, started) => (pid === 7 && started === "100" ? "dead" : "alive")
      })
      yield* own(memory.disk, dead)
      assert.isBelow(performance.now() - before, 100)
      assert.strictEqual(locks(memory), 1)
    })
  )

  it.live("a living owner keeps the folder although its lease has ended: it is suspended, or slow", () =>
    Effect.gen(function* () {
      const memory = yield* made
      yield* own(still(memory.disk), container(place))
      yield* Effect.sleep(200)
      for (const [liveness, words] of [
        ["suspended", /it is suspended; let it continue \(kill -CONT 7\) or stop it/],
        ["alive", /wait for it or stop it/]
      ] as const) {
        const error = yield* Effect.flip(own(memory.disk, container(place, { pid: 9, livenessOf: () => liveness })))
        assert.match(error.message, words)
      }
    })
  )

  it.live("if the system does not show when a process began, the lease decides", () =>
    Effect.gen(function* () {
      const memory = yield* made
      const here = container(place, { started: null, livenessOf: () => "unknown" })
      const first = yield* own(memory.disk, here)
      assert.instanceOf(yield* Effect.flip(own(memory.disk, { ...here, pid: 9 })), Lock.RunLocked)
      yield* Scope.close(first.scope, Exit.void)
      yield* own(still(memory.disk), here)
      yield* own(memory.disk, { ...here, pid: 9 })
      assert.strictEqual(locks(memory), 1)
    })
  )

  it.live("a file that is not a lock, or is too long, is removed after the time of a lease", () =>
    Effect.gen(function* () {
      for (const text of ["", '{"pid": 12', "null", "x".repeat(10_000)]) {
        const memory = yield* made
        yield* writeTextAtomic(memory.disk, `${folder}/${Lock.lockName}-7-x`, text)
        yield* own(memory.disk, container(place))
        assert.strictEqual(locks(memory), 1)
      }
    })
  )

  it.live("a folder that cannot be written is refused with the system's reason", () =>
    Effect.gen(function* () {
      const memory = yield* made
      const readOnly: DiskShape = {
        ...memory.disk,
        open: (file) => Effect.fail(new DiskError({ operation: "open", file, code: "EROFS", reason: "read-only" }))
      }
      const error = yield* Effect.flip(own(readOnly, container(place)))
      assert.match(
        error.message,
        /cannot open \/runs\/a\/run.lock-.*read-only; make the folder writable and resume the run/
      )
    })
  )

  it.live("a watcher that was suspended starts to watch again", () =>
    Effect.gen(function* () {
      const memory = yield* made
      yield* own(still(memory.disk), container("elsewhere"))
      // A disk that is slow once: in this time the owner may have renewed its lock.
      let reads = 0
      const slow: DiskShape = {
        ...memory.disk,
        read: (file, offset, length) =>
          ++reads === 6
            ? Effect.delay(memory.disk.read(file, offset, length), 400)
            : memory.disk.read(file, offset, length)
      }
      const before = performance.now()
      yield* own(slow, container(place))
      assert.isAtLeast(performance.now() - before, 550)
    })
  )
})

const childScript = fileURLToPath(new URL("./testing/lockChild.ts", import.meta.url))

/** Output of a process up to `wanted`. */
const heard = (child: ChildProcessWithoutNullStreams, wanted: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let out = ""
    child.stdout.on("data", (chunk) => {
      out += chunk
      if (out.includes(wanted)) resolve(out)
    })
    child.stderr.pipe(process.stderr)
    child.on("close", () => (out.includes(wanted) ? resolve(out) : reject(new Error(`ended with: ${out}`))))
  })

describe("processes", () => {
  it.live("renew their lock while the main thread is busy", () => {
    const home = mkdtempSync(path.join(tmpdir(), "osnas-lock-"))
    const program = Effect.gen(function* () {
      const disk = yield* Disk
      const lease = yield* Lock.acquire(disk, home)
      const file = path.join(home, lease.name)
      const beatOf = (): number => JSON.parse(readFileSync(file, "utf8")).beat
      yield* Effect.sleep(300)
      const before = beatOf()
      // Nothing but this loop runs in this thread.
      const until = performance.now() + 400
      while (performance.now() < until);
      assert.isAtLeast(Number(beatOf()) - Number(before), 3)
    })
    return Effect.scoped(program).pipe(
      Effect.updateService(Lock.Surroundings, (here) => ({ ...here, beatMillis: 20 })),
      Effect.provide(Disk.layer),
      Effect.andThen(
        Effect.sync(() => {
          assert.deepStrictEqual(readdirSync(home), [])
          rmSync(home, { recursive: true })
        })
      )
    )
  })

  it("that were suspended and lost the folder write nothing more", async () => {
    const home = mkdtempSync(path.join(tmpdir(), "osnas-lock-"))
    const start = (place: string) => spawn(process.execPath, [childScript, home, place, "20", "400"])
    const first = start("boot pid:[1]")
    await heard(first, "owns")
    const refused = start("boot pid:[2]")
    assert.match(await heard(refused, "RunLocked"), /RunLocked: .*in another container/)
    first.kill("SIGSTOP")
    const second = start("boot pid:[2]")
    await heard(second, "owns")
    const refusal = heard(first, "DiskError")
    first.kill("SIGCONT")
    assert.match(await refusal, new RegExp(`DiskError: .*process ${second.pid} on .* has taken over`))
    const gone = new Promise((resolve) => second.on("close", resolve))
    second.kill("SIGKILL")
    await gone
    assert.match(readFileSync(path.join(home, "written"), "utf8"), /^boot pid:\[2\] \d+$/)
    rmSync(home, { recursive: true })
  })
})
