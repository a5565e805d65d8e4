import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Disk, readText, writeTextAtomic } from "../support/Disk.ts"
import * as Journal from "./Journal.ts"
import { acquire, lockName, RunLocked, Surroundings } from "./Lock.ts"
import * as RunFolder from "./RunFolder.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"

const manifest: RunFolder.Manifest = { identity: { seed: 1 }, input: {}, changes: [], notes: { note: "x" } }
const options = { folder: "/runs/a", config: "name: a\n", manifest }

const on =
  (memory: MemoryDisk.MemoryDisk) =>
  <A, E>(effect: Effect.Effect<A, E, Disk | import("effect/Scope").Scope>) =>
    Effect.scoped(Effect.provideService(effect, Disk, memory.disk))

/** The clock always shows the same time; sleeping still takes its time. */
const atOneInstant = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (live) =>
    Effect.provideService(self, Clock.Clock, {
      currentTimeMillisUnsafe: () => 0,
      currentTimeMillis: Effect.succeed(0),
      currentTimeNanosUnsafe: () => 0n,
      currentTimeNanos: Effect.succeed(0n),
      monotonicTimeNanosUnsafe: () => live.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: live.monotonicTimeNanos,
      sleep: (duration) => live.sleep(duration)
    })
  )

describe("RunFolder", () => {
  it.live("appears complete, with configuration and manifest, and can be opened again", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* on(memory)(RunFolder.create(options))
      const folder = yield* on(memory)(RunFolder.open("/runs/a"))
      assert.strictEqual(folder.config, "name: a\n")
      assert.deepStrictEqual(folder.manifest, manifest)
      assert.isFalse([...memory.files().keys()].some((file) => file.includes(lockName)))
    })
  )

  it.live("refuses a folder with a run or anything else in it, and says what to do", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* on(memory)(RunFolder.create(options))
      const taken = yield* Effect.flip(on(memory)(RunFolder.create(options)))
      assert.match(taken.message, /osnas resume \/runs\/a.*--dir.*--overwrite/)
      yield* on(memory)(RunFolder.create({ ...options, config: "name: b\n", overwrite: true }))
      assert.strictEqual((yield* on(memory)(RunFolder.open("/runs/a"))).config, "name: b\n")
      yield* memory.disk.makeFolder("/home")
      yield* writeTextAtomic(memory.disk, "/home/thesis.txt", "years of work")
      const home = yield* Effect.flip(on(memory)(RunFolder.create({ ...options, folder: "/home", overwrite: true })))
      assert.match(home.message, /it contains files but is not a run/)
      assert.isDefined(memory.files().get("/home/thesis.txt"))
      assert.match((yield* Effect.flip(on(memory)(RunFolder.open("/home")))).message, /is not a run/)
      assert.match((yield* Effect.flip(on(memory)(RunFolder.open("/nowhere")))).message, /the folder does not exist/)
    })
  )

  it.live("refuses a folder inside that of another run, whatever its depth, and writes nothing", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* on(memory)(RunFolder.create(options))
      const before = [...memory.files().keys()]
      for (const folder of ["/runs/a/b", "/runs/a/checkpoints/b/c"]) {
        for (const overwrite of [false, true]) {
          const error = yield* Effect.flip(on(memory)(RunFolder.create({ ...options, folder, overwrite })))
          assert.strictEqual(
            error.message,
            `run folder ${folder}: it is inside the folder of another run, /runs/a; choose a folder outside it with --dir`
          )
        }
      }
      assert.deepStrictEqual([...memory.files().keys()], before)
      // A folder with a manifest of something else is not a run.
      yield* memory.disk.makeFolder("/site")
      yield* writeTextAtomic(memory.disk, "/site/manifest.json", "{}")
      yield* on(memory)(RunFolder.create({ ...options, folder: "/site/a" }))
    })
  )

  it.live("replaces an empty folder, but not a run that was begun at the same moment", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* memory.disk.makeFolder("/runs/a")
      yield* on(memory)(RunFolder.create(options))
      const second = MemoryDisk.make()
      let other = false
      const late = {
        ...second.disk,
        rename: (from: string, to: string) =>
          to === "/runs/a" && !other
            ? Effect.gen(function* () {
                other = true
                yield* second.disk.makeFolder("/runs/a")
                yield* writeTextAtomic(second.disk, "/runs/a/config.yaml", "name: quicker\n")
                yield* second.disk.rename(from, to)
              })
            : second.disk.rename(from, to)
      }
      const error = yield* Effect.flip(Effect.scoped(Effect.provideService(RunFolder.create(options), Disk, late)))
      assert.match(error.message, /ENOTEMPTY/)
      assert.strictEqual(new TextDecoder().decode(second.files().get("/runs/a/config.yaml")), "name: quicker\n")
      assert.strictEqual(second.files().size, 1)
    })
  )

  it.live("is owned by one process at a time; the error names the process and the age of its lock", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* on(memory)(RunFolder.create(options))
      const error = yield* on(memory)(
        Effect.andThen(RunFolder.open("/runs/a"), Effect.flip(on(memory)(RunFolder.open("/runs/a"))))
      )
      assert.instanceOf(error, RunLocked)
      assert.match(error.message, new RegExp(`in use by process ${process.pid} .*for 0 s: wait for it or stop it`))
      const overwriting = yield* on(memory)(
        Effect.andThen(
          RunFolder.open("/runs/a"),
          Effect.flip(on(memory)(RunFolder.create({ ...options, overwrite: true })))
        )
      )
      assert.instanceOf(overwriting, RunLocked)
      yield* on(memory)(RunFolder.open("/runs/a"))
    }).pipe(atOneInstant)
  )

  it.live("takes over a lock that is incomplete, of a dead process, or of an earlier process of the same number", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* on(memory)(RunFolder.create(options))
      const dead = spawnSync(process.execPath, ["-e", ""]).pid
      const lock = yield* Effect.scoped(
        Effect.gen(function* () {
          const { name } = yield* acquire(memory.disk, "/runs/a")
          return JSON.parse((yield* readText(memory.disk, `/runs/a/${name}`)) ?? "")
        })
      )
      const torn = Effect.updateService(Surroundings, (here) => ({ ...here, staleMillis: 20, pollMillis: 5 }))
      const locks = [JSON.stringify({ ...lock, pid: dead }), JSON.stringify({ ...lock, started: "12" }), '{"pid": 12']
      for (const text of locks) {
        yield* writeTextAtomic(memory.disk, `/runs/a/${lockName}-${dead}-1`, text)
        yield* torn(on(memory)(RunFolder.open("/runs/a")))
        assert.isFalse([...memory.files().keys()].some((file) => file.includes(lockName)))
      }
    })
  )

  it.live("keeps the newest checkpoints and the named ones", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Effect.gen(function* () {
        const folder = yield* RunFolder.create(options)
        const names = [
          ...[1, 2, 3, 10].map((step) => RunFolder.checkpointName("supernetTraining", step)),
          RunFolder.checkpointName("retraining", 1),
          RunFolder.files.supernet,
          "checkpoints/mine.safetensors"
        ]
        for (const name of names) yield* folder.writeText(name, "x")
        yield* folder.prune(2, [{ file: RunFolder.checkpointName("supernetTraining", 2), digest: "" }])
        assert.deepStrictEqual(yield* memory.disk.list("/runs/a/checkpoints"), [
          "mine.safetensors",
          "retraining-000000001.safetensors",
          "supernet.safetensors",
          "supernetTraining-000000002.safetensors",
          "supernetTraining-000000010.safetensors"
        ])
      }).pipe(on(memory))
    })
  )

  it.live("returns the saved snapshot, or says what is wrong with it", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const snapshot = { value: "searching", context: { a: [1, 0.1, null], b: { c: "x" } } }
      yield* Effect.gen(function* () {
        const folder = yield* RunFolder.create(options)
        assert.isNull(yield* folder.loadSnapshot)
        yield* folder.saveSnapshot(snapshot)
        assert.deepStrictEqual(yield* folder.loadSnapshot, snapshot)
        const length = memory.files().get("/runs/a/snapshot.json")?.length ?? 0
        for (let at = 0; at < length; at++) {
          memory.flip("/runs/a/snapshot.json", at)
          const exit = yield* Effect.result(folder.loadSnapshot)
          // A flipped blank between two values changes no value, or the text is not JSON any more.
          if (exit._tag === "Success") assert.deepStrictEqual(exit.success, snapshot)
          else assert.match(exit.failure.message, /^\/runs\/a\/snapshot\.json: it is (not|damaged)/)
          memory.flip("/runs/a/snapshot.json", at)
        }
      }).pipe(on(memory))
    })
  )

  it.live("works on a real disk", () =>
    Effect.gen(function* () {
      const home = mkdtempSync(path.join(tmpdir(), "osnas-folder-"))
      const real = <A, E>(effect: Effect.Effect<A, E, Disk | import("effect/Scope").Scope>) =>
        Effect.scoped(Effect.provide(effect, Disk.layer))
      const where = path.join(home, "deep", "run")
      yield* real(
        Effect.gen(function* () {
          const folder = yield* RunFolder.create({ ...options, folder: where })
          yield* folder.saveSnapshot({ n: 1 })
          yield* folder.events.append({ a: 1 }, { sync: true })
          assert.instanceOf(yield* Effect.flip(RunFolder.open(where)), RunLocked)
        })
      )
      yield* real(
        Effect.gen(function* () {
          const folder = yield* RunFolder.open(where)
          assert.deepStrictEqual(yield* folder.loadSnapshot, { n: 1 })
          assert.deepStrictEqual(yield* Journal.read(folder.disk, folder.events.file), [{ a: 1 }])
          assert.deepStrictEqual(yield* folder.disk.list(where), [
            "checkpoints",
            "config.yaml",
            "events.jsonl",
            "manifest.json",
            (yield* folder.disk.list(where)).find((name) => name.startsWith(lockName)) ?? "no lock",
            "search.jsonl",
            "snapshot.json"
          ])
          const refused = yield* Effect.flip(folder.disk.rename(path.join(where, "none"), path.join(where, "x")))
          assert.strictEqual(refused.code, "ENOENT")
        })
      )
      rmSync(home, { recursive: true })
    })
  )
})
