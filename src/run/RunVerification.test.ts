import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import * as RunVerification from "./RunVerification.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const config = Trials.shortConfig
const verify = (memory: MemoryDisk.MemoryDisk, options: Partial<RunVerification.VerifyOptions> = {}) =>
  RunVerification.verify({ config, folder: Trials.folder, ...options }).pipe(
    Effect.provide(Layer.merge(SmallRun.layer(config.seed), Layer.succeed(Disk, memory.disk)))
  )
const at = (name: string) => `${Trials.folder}/${name}`
const text = (memory: MemoryDisk.MemoryDisk, name: string) => new TextDecoder().decode(memory.files().get(at(name)))

describe("RunVerification", () => {
  it.live("finds a run equal, does not change it, and leaves no other folder", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, config)
      const before = [...memory.files()].map(([name, bytes]) => [name, bytes.length])
      const verification = yield* verify(memory)
      assert.deepStrictEqual(verification.differences, [])
      assert.strictEqual(verification.until, "evaluating")
      assert.sameMembers(Object.keys(verification.digests), [
        "checkpoints/supernet.safetensors",
        "metrics.json",
        "network.safetensors",
        "search.jsonl"
      ])
      assert.deepStrictEqual(
        [...memory.files()].map(([name, bytes]) => [name, bytes.length]),
        before
      )
      assert.strictEqual((yield* verify(memory, { until: "searching" })).until, "searching")
    })
  )

  it.live("verifies the completed phases of a stopped run, and a run that started from a supernet", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const half = { ...config, stopAfter: "searching" as const }
      yield* Trials.begin(memory.disk, half)
      const verification = yield* verify(memory, { config: half })
      assert.deepStrictEqual(verification.differences, [])
      assert.strictEqual(verification.until, "searching")
      const start = { supernet: at("checkpoints/supernet.safetensors"), architecture: null, network: null }
      yield* Trials.begin(memory.disk, { ...half, start }, { folder: "/runs/from" })
      memory.removeFile(at("checkpoints/supernet.safetensors"))
      const from = yield* verify(memory, { config: { ...half, start }, folder: "/runs/from" })
      assert.deepStrictEqual(from.differences, [])
    })
  )

  it.live("verifies a part: a number of steps from a checkpoint", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const long = SmallRun.config({ ...config, retraining: { epochs: 3, batchSize: 12 }, checkpoint: { keep: 9 } })
      yield* Trials.begin(memory.disk, long)
      const part = (from: string, steps?: number) =>
        RunVerification.verifyFrom({ config: long, folder: Trials.folder, from, steps }).pipe(
          Effect.provide(Layer.merge(SmallRun.layer(long.seed), Layer.succeed(Disk, memory.disk)))
        )
      const from = "checkpoints/retraining-000000003.safetensors"
      const rest = yield* part(from)
      assert.deepStrictEqual(rest, { phase: "retraining", from: 3, to: 9, compared: [6, 9], differences: [] })
      assert.deepStrictEqual((yield* part(from, 4)).compared, [6])
      const changed = yield* Checkpoint.read(memory.disk, at(from))
      const [name, tensor] = [...changed.tensors].find(([each]) => each.startsWith("optimizer.")) as [
        string,
        Checkpoint.TensorEntry
      ]
      const tensors = new Map(changed.tensors).set(name, { ...tensor, data: tensor.data.map(() => 0) })
      yield* Checkpoint.write(memory.disk, at(from), { ...changed, tensors })
      const { differences } = yield* part(from)
      assert.strictEqual(differences[0]?.place, "retraining, step 6")
      assert.match((yield* Effect.flip(part("network.safetensors"))).message, /is not a training state/)
      assert.match((yield* Effect.flip(part("config.yaml"))).message, /config\.yaml/)
    })
  )

  it.live("names the first difference: a metric, a line of the log, a tensor", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, config)
      const metrics = text(memory, "metrics.json")
      const { test } = JSON.parse(metrics)
      yield* writeTextAtomic(
        memory.disk,
        at("metrics.json"),
        metrics.replace(`"top1": ${test.top1}`, '"top1": 0.99').replace(/"weights": "\w/, '"weights": "x')
      )
      const doctored = yield* verify(memory)
      assert.isAbove(doctored.differences.length, 0)
      assert.match(doctored.differences[0]?.place ?? "", /^(supernetTraining|retraining)\.(epochs\.0\.)?weights$/)
      yield* writeTextAtomic(memory.disk, at("metrics.json"), metrics)

      const lines = yield* Journal.read(memory.disk, at("search.jsonl"))
      const better = lines.map((line, index) => Journal.encodeLine(index === 2 ? { ...line, objective: 0 } : line))
      const search = text(memory, "search.jsonl")
      yield* writeTextAtomic(memory.disk, at("search.jsonl"), `${better.join("\n")}\n`)
      const { differences } = yield* verify(memory)
      assert.strictEqual(differences[0]?.file, "search.jsonl")
      assert.strictEqual(differences[0]?.place, "line 3, objective")
      assert.strictEqual(differences[0]?.recorded, "0")
      yield* writeTextAtomic(memory.disk, at("search.jsonl"), search)

      const network = yield* Checkpoint.read(memory.disk, at("network.safetensors"))
      const [name, tensor] = [...network.tensors][1] as [string, Checkpoint.TensorEntry]
      const data = tensor.data.slice()
      data[0] = (data[0] ?? 0) ^ 1
      const digest = yield* Checkpoint.write(memory.disk, at("network.safetensors"), {
        ...network,
        tensors: new Map(network.tensors).set(name, { ...tensor, data })
      })
      const foreign = yield* Effect.flip(verify(memory))
      assert.match(foreign.message, /network\.safetensors: its header is not the one that was written/)
      // As if these weights were the result of the run.
      const { snapshot } = JSON.parse(text(memory, "snapshot.json"))
      snapshot.context.results.network.digest = digest
      snapshot.context.results.retraining.checkpoint.digest = digest
      yield* writeTextAtomic(
        memory.disk,
        at("snapshot.json"),
        JSON.stringify({ format: 1, sha256: CanonicalJson.digest(snapshot), snapshot })
      )
      const changed = yield* verify(memory)
      assert.deepStrictEqual(
        changed.differences.map(({ file, place }) => [file, place]),
        [["network.safetensors", name]]
      )
    })
  )

  it.live("names damage by file and tensor, and other data or settings by their keys", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, config)
      const size = memory.files().get(at("network.safetensors"))?.length ?? 0
      memory.flip(at("network.safetensors"), size - 5)
      const damaged = yield* Effect.flip(verify(memory))
      assert.match(damaged.message, /network\.safetensors, tensor [a-z0-9.]+: its bytes are damaged/)
      memory.flip(at("network.safetensors"), size - 5)
      const other = yield* Effect.flip(verify(memory, { config: { ...config, seed: 9 } }))
      assert.match(other.message, /seed: the run began with 7, now it is 9/)
      assert.match((yield* Effect.flip(verify(memory, { folder: "/nowhere" }))).message, /is not a run/)
    })
  )
})
