/** How `resume` and `verify` respond when one bit of one file of a finished run is flipped. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Key from "../random/Key.ts"
import { Disk, writeAtomic, writeTextAtomic } from "../support/Disk.ts"
import * as RunFolder from "./RunFolder.ts"
import * as RunVerification from "./RunVerification.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const config = { ...Trials.shortConfig, checkpoint: { ...Trials.shortConfig.checkpoint, keep: 9 } }

type Files = ReadonlyMap<string, Uint8Array>

const snapshotOf = (memory: MemoryDisk.MemoryDisk): Files =>
  new Map([...memory.files()].map(([name, bytes]) => [name, bytes.slice()]))

const diskOf = Effect.fnUntraced(function* (files: Files) {
  const memory = MemoryDisk.make()
  yield* memory.disk.makeFolder(`${Trials.folder}/checkpoints`)
  for (const [name, bytes] of files) yield* writeAtomic(memory.disk, name, [bytes])
  return memory
})

const verify = (memory: MemoryDisk.MemoryDisk) =>
  RunVerification.verify({ config, folder: Trials.folder }).pipe(
    Effect.provide(Layer.merge(SmallRun.layer(config.seed), Layer.succeed(Disk, memory.disk)))
  )

const integrity = (memory: MemoryDisk.MemoryDisk) => RunFolder.checkIntegrity(memory.disk, Trials.folder)

const messageOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.match(effect, {
    onSuccess: () => "",
    onFailure: (error) => (error instanceof Error ? error.message : String(error))
  })

const finished = Effect.gen(function* () {
  const memory = MemoryDisk.make()
  yield* Trials.begin(memory.disk, config)
  return snapshotOf(memory)
})

const flipped = (files: Files, file: string, at: number, bit: number): Files =>
  new Map(
    [...files].map(([name, bytes]) => [
      name,
      name === file ? bytes.map((b, i) => (i === at ? b ^ (1 << bit) : b)) : bytes
    ])
  )

const relative = (file: string) => file.slice(Trials.folder.length + 1)

/** Whether a JSON text still says the same. */
const sameJson = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean => {
  try {
    const [x, y] = [a, b].map((bytes) => JSON.stringify(JSON.parse(new TextDecoder().decode(bytes))))
    return x === y
  } catch {
    return false
  }
}

describe("a finished run with one bit changed", () => {
  it.live("names file and tensor for every checkpoint, and changes nothing", () =>
    Effect.gen(function* () {
      const files = yield* finished
      const checkpoints = [...files.keys()].filter((file) => file.endsWith(".safetensors"))
      assert.isAbove(checkpoints.length, 3)
      for (const [turn, file] of checkpoints.entries()) {
        const size = files.get(file)!.length
        const data = yield* diskOf(flipped(files, file, size - 1 - turn, 3))
        const before = snapshotOf(data)
        const expected = new RegExp(`${relative(file)}, tensor [A-Za-z0-9._]+: its bytes are damaged`)
        assert.match(yield* messageOf(Trials.resume(data.disk, config)), expected)
        assert.match(yield* messageOf(verify(data)), expected)
        assert.deepStrictEqual(snapshotOf(data), before)
        const header = yield* diskOf(flipped(files, file, 60 + turn, 0))
        assert.match(yield* messageOf(Trials.resume(header.disk, config)), new RegExp(`${relative(file)}: .*header`))
      }
    })
  )

  it.live("an old checkpoint may be removed, but not one that the snapshot names", () =>
    Effect.gen(function* () {
      const files = yield* finished
      const old = [...files.keys()].find((file) => /retraining-0+1\.safetensors/.test(file))!
      const memory = yield* diskOf(flipped(files, old, files.get(old)!.length - 1, 0))
      assert.match(yield* messageOf(Trials.resume(memory.disk, config)), /the run does not need it.*remove it/)
      yield* memory.disk.remove(old)
      assert.strictEqual(yield* messageOf(Trials.resume(memory.disk, config)), "")
      const network = `${Trials.folder}/network.safetensors`
      const needed = yield* diskOf(flipped(files, network, files.get(network)!.length - 1, 0))
      assert.match(yield* messageOf(Trials.resume(needed.disk, config)), /replace it with a good copy/)
    })
  )

  it.live("names every other file, or has no effect on the results", () =>
    Effect.gen(function* () {
      const files = yield* finished
      const outcome = Trials.outcome(yield* diskOf(files))
      const others = [...files.keys()].filter((file) => !file.endsWith(".safetensors"))
      assert.sameMembers(others.map(relative), [
        "architecture.json",
        "config.yaml",
        "events.jsonl",
        "manifest.json",
        "metrics.json",
        "search.jsonl",
        "snapshot.json"
      ])
      const found: Record<string, number> = {}
      const trials = 12
      for (const file of others) {
        const key = Key.derive(Key.make(3), file)
        for (let trial = 0; trial < trials; trial++) {
          const bytes = files.get(file)!
          const at = Key.integer(key, bytes.length, 2 * trial)
          const changed = flipped(files, file, at, Key.integer(key, 8, 2 * trial + 1))
          const memory = yield* diskOf(changed)
          const where = `${relative(file)}, byte ${at}`
          const message = yield* messageOf(Trials.resume(memory.disk, config))
          if (message !== "") {
            assert.include(message, relative(file), where)
            assert.deepStrictEqual(snapshotOf(memory), changed, where)
            found[relative(file)] = (found[relative(file)] ?? 0) + 1
            continue
          }
          // No error: the file decides no result (the command checks config.yaml against the manifest; a damaged last line
          // of events.jsonl looks like one that a crash left incomplete), or its value is the same (1e5 and 1E5).
          assert.isTrue(
            ["config.yaml", "events.jsonl"].includes(relative(file)) || sameJson(changed.get(file), bytes),
            where
          )
          if (sameJson(changed.get(file), bytes)) continue
          assert.deepStrictEqual(Trials.outcome(memory), outcome, where)
        }
      }
      for (const name of ["architecture.json", "manifest.json", "metrics.json", "search.jsonl", "snapshot.json"]) {
        assert.isAtLeast(found[name] ?? 0, trials - 1, name)
      }
      assert.isAtLeast(found["events.jsonl"] ?? 0, trials / 2)
      assert.isUndefined(found["config.yaml"])
    })
  )

  it.live("verify finds what resume finds, and a changed result", () =>
    Effect.gen(function* () {
      const files = yield* finished
      for (const name of ["manifest.json", "snapshot.json", "events.jsonl", "search.jsonl"]) {
        const memory = yield* diskOf(flipped(files, `${Trials.folder}/${name}`, 40, 0))
        assert.include(yield* messageOf(verify(memory)), name)
        assert.include(yield* messageOf(integrity(memory)), name)
      }
      for (const name of ["metrics.json", "architecture.json"]) {
        const memory = yield* diskOf(files)
        const file = `${Trials.folder}/${name}`
        const text = new TextDecoder().decode(files.get(file))
        yield* writeTextAtomic(memory.disk, file, text.replace(/"flops": \d/, '"flops": 7'))
        const { differences } = yield* verify(memory)
        assert.deepStrictEqual(
          differences.map((difference) => [difference.file, difference.place]),
          [[name, "costs.flops"]]
        )
      }
    })
  )

  it.live(
    "a log without its last line is refused if the run counts on it; a missing result file is written again",
    () =>
      Effect.gen(function* () {
        const files = yield* finished
        const log = `${Trials.folder}/search.jsonl`
        const whole = files.get(log)!
        const cut = whole.subarray(0, whole.lastIndexOf(10, whole.length - 2) + 1)
        const memory = yield* diskOf(new Map([...files, [log, cut]]))
        assert.match(
          yield* messageOf(Trials.resume(memory.disk, config)),
          /search\.jsonl, line 6: the line is damaged or missing: the run has recorded 6 scores, and the file has 5 intact lines/
        )
        const without = yield* diskOf(
          new Map([...files].filter(([file]) => !/(metrics|architecture)\.json$/.test(file)))
        )
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(Trials.resume(without.disk, config))))
        assert.deepStrictEqual(Trials.outcome(without), Trials.outcome(yield* diskOf(files)))
      })
  )
})
