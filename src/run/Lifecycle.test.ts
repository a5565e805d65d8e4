import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import * as Lifecycle from "./Lifecycle.ts"
import type { RunConfig } from "./RunConfig.ts"
import { RunMismatch } from "./RunError.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

/** The outcome of an undisturbed run. */
const undisturbed = Effect.fnUntraced(function* (config: RunConfig) {
  const memory = MemoryDisk.make()
  yield* Trials.begin(memory.disk, config)
  return Trials.outcome(memory)
})

const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("Lifecycle", () => {
  it.live("runs all phases and writes the documented files", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const before = SmallRun.liveTensors()
      const outcome = yield* Trials.begin(memory.disk)
      assert.strictEqual(outcome._tag, "Done")
      assert.strictEqual(SmallRun.liveTensors(), before, "no tensor is left behind")
      const names = [...memory.files().keys()].map((file) => file.slice(Trials.folder.length + 1)).sort()
      assert.deepStrictEqual(names, [
        "architecture.json",
        "checkpoints/retraining-000000012.safetensors",
        "checkpoints/retraining-000000018.safetensors",
        "checkpoints/supernet.safetensors",
        "config.yaml",
        "events.jsonl",
        "manifest.json",
        "metrics.json",
        "network.safetensors",
        "search.jsonl",
        "snapshot.json"
      ])
      const metrics = JSON.parse(new TextDecoder().decode(memory.files().get(`${Trials.folder}/metrics.json`)))
      assert.strictEqual(metrics.searching.evaluations, 6)
      assert.isAbove(metrics.test.top1, 0.4)
    })
  )

  it.live("the same seed gives the same bytes, another seed different ones", () =>
    Effect.gen(function* () {
      const first = yield* undisturbed(Trials.shortConfig)
      assert.deepStrictEqual(yield* undisturbed(Trials.shortConfig), first)
      const other = yield* undisturbed({ ...Trials.shortConfig, seed: 8 })
      assert.notStrictEqual(other["network.safetensors"], first["network.safetensors"])
    })
  )

  for (const how of ["pause", "interrupt"] as const) {
    it.live(`a run stopped by ${how} after any event ends like an undisturbed one`, () =>
      Effect.gen(function* () {
        const config = Trials.shortConfig
        const expected = yield* undisturbed(config)
        let paused = 0
        for (let count = 1; count < 34; count += 4) {
          const memory = MemoryDisk.make()
          const exit = yield* Trials.until(
            count,
            how,
            (pause) => Lifecycle.run({ config, folder: Trials.folder, pause }),
            config,
            memory.disk
          )
          if (Exit.isSuccess(exit) && exit.value._tag === "Paused") {
            paused += 1
            assert.strictEqual(exit.value.resume, `osnas resume ${Trials.folder}`)
          }
          const again = yield* Trials.resume(memory.disk, config)
          assert.strictEqual(again._tag, "Done")
          assert.deepStrictEqual(Trials.outcome(memory), expected, `stopped after event ${count}`)
        }
        if (how === "pause") assert.isAbove(paused, 4)
      })
    )
  }

  it.live("a run paused after every piece ends like an undisturbed one", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      let exit = yield* Trials.until(
        1,
        "pause",
        (pause) => Lifecycle.run({ config, folder: Trials.folder, pause }),
        config,
        memory.disk
      )
      let lives = 1
      while (!Trials.isDone(exit)) {
        assert.isTrue(Exit.isSuccess(exit), String(failureOf(exit)))
        lives += 1
        assert.isBelow(lives, 60)
        exit = yield* Trials.until(
          3 + (lives % 3),
          "pause",
          (pause) => Lifecycle.resume({ config, folder: Trials.folder, pause }),
          config,
          memory.disk
        )
      }
      assert.isAbove(lives, 6)
      assert.deepStrictEqual(Trials.outcome(memory), yield* undisturbed(config))
    })
  )

  it.live("pauses after maxMinutes", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      let outcome = yield* Trials.begin(memory.disk, config, { maxMinutes: 0.0001 })
      assert.strictEqual(outcome._tag, "Paused")
      const ends = (yield* Journal.read(memory.disk, `${Trials.folder}/events.jsonl`)).filter(
        (line) => line["_tag"] === "PhaseEnded"
      )
      assert.deepInclude(ends.at(-1), {
        phase: "supernetTraining",
        stopped: "paused",
        reached: { unit: "step", done: 1, total: 2 }
      })
      for (let lives = 1; outcome._tag === "Paused" && lives < 40; lives++) {
        outcome = yield* Trials.resume(memory.disk, config, { maxMinutes: lives / 1000 })
      }
      assert.deepStrictEqual(Trials.outcome(memory), yield* undisturbed(config))
    })
  )

  it.live("writes checkpoints by steps, by minutes and at the end of an epoch, and removes all but the newest", () =>
    Effect.gen(function* () {
      const saved = Effect.fnUntraced(function* (checkpoint: Partial<RunConfig["checkpoint"]>) {
        const memory = MemoryDisk.make()
        yield* Trials.begin(memory.disk, {
          ...Trials.shortConfig,
          retraining: { ...Trials.shortConfig.retraining, epochs: 2 },
          checkpoint: { everySteps: 0, everyMinutes: 0, keep: 99, ...checkpoint }
        })
        return [...memory.files().keys()].flatMap((file) => {
          const step = /retraining-(\d+)\.safetensors$/.exec(file)?.[1]
          return step === undefined ? [] : [Number(step)]
        })
      })
      // Epochs of three steps; the last one ends with the network itself.
      assert.deepStrictEqual(yield* saved({}), [3])
      assert.deepStrictEqual(yield* saved({ everySteps: 2 }), [2, 3, 4])
      assert.deepStrictEqual(yield* saved({ everySteps: 1, keep: 2 }), [4, 5])
      assert.includeMembers([...(yield* saved({ everyMinutes: 1e-7 }))], [1, 2, 3])
    })
  )

  it.live("resuming a finished run changes nothing", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, Trials.shortConfig)
      const before = Trials.outcome(memory)
      assert.strictEqual((yield* Trials.resume(memory.disk, Trials.shortConfig))._tag, "Done")
      assert.deepStrictEqual(Trials.outcome(memory), before)
    })
  )

  it.live("stops after the requested phase, and continues when that is changed", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      const half = yield* Trials.begin(memory.disk, { ...config, stopAfter: "searching" })
      assert.strictEqual(half._tag, "Done")
      assert.isNull(half.results.network)
      assert.isNotNull(half.results.search)
      const whole = yield* Trials.resume(memory.disk, config)
      assert.isNotNull(whole.results.evaluation)
      assert.deepStrictEqual(Trials.outcome(memory), yield* undisturbed(config))
    })
  )

  it.live("starts from a supernet, an architecture or a network", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      const whole = yield* Trials.begin(memory.disk, config)
      const architecture = SmallRun.space.format(whole.results.search?.architecture ?? [])
      const at = (name: string, start: Partial<RunConfig["start"]>) =>
        Trials.begin(
          memory.disk,
          { ...config, start: { supernet: null, architecture: null, network: null, ...start } },
          { folder: `/runs/${name}` }
        )
      const searched = yield* at("searched", { supernet: `${Trials.folder}/checkpoints/supernet.safetensors` })
      assert.deepStrictEqual(searched.results.search, whole.results.search)
      assert.isNull(searched.results.supernetTraining)
      const retrained = yield* at("retrained", { architecture })
      assert.strictEqual(retrained.results.retraining?.weights, whole.results.retraining?.weights)
      const evaluated = yield* at("evaluated", { architecture, network: `${Trials.folder}/network.safetensors` })
      assert.deepStrictEqual(evaluated.results.evaluation, whole.results.evaluation)
      assert.isNull(evaluated.results.retraining)
    })
  )

  it.live("an invalid start is refused before anything is written", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const start = (start: Partial<RunConfig["start"]>) =>
        Effect.exit(
          Trials.begin(memory.disk, {
            ...Trials.shortConfig,
            start: { supernet: null, architecture: null, network: null, ...start }
          })
        )
      assert.match(String(failureOf(yield* start({ architecture: "0,1" }))), /it has 2 positions/)
      assert.match(String(failureOf(yield* start({ architecture: "fbnet-a" }))), /its own is searchSpace: .*fbnet-s/)
      assert.match(String(failureOf(yield* start({ supernet: "nowhere.safetensors" }))), /there is no such file/)
      assert.match(String(failureOf(yield* start({ network: "weights.safetensors" }))), /start.architecture/)
      assert.strictEqual(memory.files().size, 0)
    })
  )

  it.live("a run that diverged before its first checkpoint is resumed at a lower learning rate", () =>
    Effect.gen(function* () {
      const { retraining, ...config } = {
        ...Trials.shortConfig,
        checkpoint: { everySteps: 0, everyMinutes: 0, keep: 1 }
      }
      const at = (learningRate: number): RunConfig => ({
        ...config,
        retraining: { ...retraining, epochs: 2, optimizer: { ...retraining.optimizer, learningRate } }
      })
      const memory = MemoryDisk.make()
      const exit = yield* Effect.exit(Trials.begin(memory.disk, at(1e38)))
      assert.include(
        String(failureOf(exit)),
        "\n  osnas resume /runs/small --set retraining.optimizer.learningRate=3e+37"
      )
      yield* Trials.resume(memory.disk, at(0.1))
      assert.deepStrictEqual(Trials.outcome(memory), yield* undisturbed(at(0.1)))
    })
  )

  it.live("weights of another space of the same shapes, or of another architecture, are refused", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, config)
      const start = (given: Partial<RunConfig["start"]>, searchSpace = config.searchSpace) =>
        Trials.begin(
          memory.disk,
          { ...config, searchSpace, start: { ...config.start, ...given } },
          { folder: "/other" }
        )
      const supernet = `${Trials.folder}/checkpoints/supernet.safetensors`
      yield* start({ supernet })
      // As of a supernet whose stem has another stride: the names and shapes of its weights are the same.
      const checkpoint = yield* Checkpoint.read(memory.disk, supernet)
      const metadata = { ...checkpoint.metadata, blocks: "0".repeat(64) }
      yield* Checkpoint.write(memory.disk, "/other.safetensors", { ...checkpoint, metadata })
      assert.match(
        String(failureOf(yield* Effect.exit(start({ supernet: "/other.safetensors" })))),
        /other\.safetensors: it was trained in search space small, which then had other blocks/
      )
      assert.match(
        String(
          failureOf(
            yield* Effect.exit(start({ supernet: "/other.safetensors" }, { ...config.searchSpace, stemStride: 1 }))
          )
        ),
        /with stemStride nothing, and searchSpace\.stemStride is 1/
      )
      const { architecture } = JSON.parse(
        new TextDecoder().decode(memory.files().get(`${Trials.folder}/architecture.json`))
      ) as { architecture: string }
      const another = architecture.replace(/^\d/, (digit) => String((Number(digit) + 1) % 2))
      assert.match(
        String(
          failureOf(
            yield* Effect.exit(start({ architecture: another, network: `${Trials.folder}/network.safetensors` }))
          )
        ),
        new RegExp(`it has the weights of architecture ${architecture}; expected those of ${another}`)
      )
    })
  )

  it.live("divergence is an error with advice, and the last good checkpoint is kept", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const wild = {
        ...Trials.shortConfig,
        retraining: {
          ...Trials.shortConfig.retraining,
          epochs: 40,
          optimizer: { ...Trials.shortConfig.retraining.optimizer, learningRate: 1e30 }
        }
      }
      const exit = yield* Effect.exit(Trials.begin(memory.disk, wild))
      assert.match(
        String(failureOf(exit)),
        /retraining diverged in epoch \d+, step \d+.*lower retraining\.optimizer\.learningRate/
      )
      const found = JSON.parse(
        new TextDecoder().decode(memory.files().get(`${Trials.folder}/architecture.json`))
      ) as Record<string, string>
      assert.include(
        String(failureOf(exit)),
        `\n  osnas run /runs/small/config.yaml --dir /runs/small-2 --set start.architecture=${found["architecture"]} --set retraining.optimizer.learningRate=3e+29`
      )
      assert.isDefined(memory.files().get(`${Trials.folder}/checkpoints/retraining-000000001.safetensors`))
      const again = failureOf(yield* Effect.exit(Trials.resume(memory.disk, wild)))
      assert.strictEqual(String(again), String(failureOf(exit)))
    })
  )

  it.live("refuses to resume with another seed, or another batch size of a recorded phase", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, { ...config, stopAfter: "supernetTraining" })
      const changed: RunConfig = {
        ...config,
        seed: 8,
        supernetTraining: { ...config.supernetTraining, batchSize: 6 }
      }
      const error = failureOf(yield* Effect.exit(Trials.resume(memory.disk, changed)))
      assert.instanceOf(error, RunMismatch)
      assert.deepStrictEqual(
        error.differences.map(({ is, key, was, why }) => [key, was, is, why]),
        [
          ["config.seed", "7", "8", "another value makes another run"],
          ["config.supernetTraining.batchSize", "12", "6", "supernet training has recorded results with it"]
        ]
      )
    })
  )

  it.live("names a damaged checkpoint with its tensor, and a damaged snapshot or log by its file", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const stopped = Effect.gen(function* () {
        const memory = MemoryDisk.make()
        yield* Trials.begin(memory.disk, { ...config, stopAfter: "searching" })
        return memory
      })
      const supernet = `${Trials.folder}/checkpoints/supernet.safetensors`
      const network = yield* stopped
      yield* Trials.resume(network.disk, { ...config, stopAfter: "retraining" })
      const weights = `${Trials.folder}/network.safetensors`
      network.flip(weights, (network.files().get(weights)?.length ?? 0) - 1)
      assert.match(
        String(failureOf(yield* Effect.exit(Trials.resume(network.disk, config)))),
        /network\.safetensors, tensor [a-z0-9.]+: its bytes are damaged/
      )
      const header = yield* stopped
      header.flip(supernet, 40)
      const memory = yield* stopped
      memory.flip(`${Trials.folder}/snapshot.json`, 300)
      assert.match(String(failureOf(yield* Effect.exit(Trials.resume(memory.disk, config)))), /snapshot\.json: it is/)
      const log = yield* stopped
      log.flip(`${Trials.folder}/search.jsonl`, 30)
      assert.match(
        String(failureOf(yield* Effect.exit(Trials.resume(log.disk, config)))),
        /search\.jsonl, line 1: the line is damaged/
      )
    })
  )

  it.live("a forged snapshot is refused, at any depth", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, { ...config, stopAfter: "supernetTraining" })
      const file = `${Trials.folder}/snapshot.json`
      const good = JSON.parse(new TextDecoder().decode(memory.files().get(file))).snapshot
      const bad: ReadonlyArray<readonly [snapshot: unknown, message: RegExp]> = [
        [{}, /status/],
        [{ ...good, value: 7 }, /value/],
        [{ ...good, value: "dreaming" }, /dreaming|not the state of a run/],
        [{ ...good, context: { ...good.context, completed: "lunch" } }, /completed/],
        [{ ...good, children: {} }, /the agent machine is in state recording without its actor record/],
        [{ ...good, children: { record: { src: "elsewhere", snapshot: {} } } }, /without its actor record/],
        [{ ...good, children: { searching: { src: "searching", snapshot: { a: 1 } } } }, /without its actor record/],
        [{ ...good, value: "searching", children: { searching: { src: "searching", snapshot: { a: 1 } } } }, /status/]
      ]
      for (const [snapshot, message] of bad) {
        yield* Disk.writeTextAtomic(
          memory.disk,
          file,
          JSON.stringify({ format: 1, sha256: CanonicalJson.digest(snapshot), snapshot })
        )
        const error = failureOf(yield* Effect.exit(Trials.resume(memory.disk, config)))
        assert.match(String(error), /snapshot\.json/)
        assert.match(String(error), message)
      }
      const deep = `{"format":1,"sha256":"","snapshot":${"[".repeat(1e5)}${"]".repeat(1e5)}}`
      yield* Disk.writeTextAtomic(memory.disk, file, deep)
      const error = failureOf(yield* Effect.exit(Trials.resume(memory.disk, config)))
      assert.match(String(error), /snapshot\.json: it is nested deeper than 200 levels/)
    })
  )

  it.live("the run recovers when any disk operation fails, is cut short, or is the last one", () =>
    Effect.gen(function* () {
      const config = Trials.shortConfig
      const expected = yield* undisturbed(config)
      const counter = MemoryDisk.faulty(MemoryDisk.make().disk, -1, "error")
      yield* Trials.begin(counter.disk, config)
      const operations = counter.operations()
      assert.isAbove(operations, 60)
      const faults: ReadonlyArray<MemoryDisk.Fault> = ["error", "short", "crash"]
      let failed = 0
      for (let at = 0, turn = 0; at < operations; at += 11, turn++) {
        const memory = MemoryDisk.make()
        const fault = faults[turn % 3] as MemoryDisk.Fault
        const faulty = MemoryDisk.faulty(memory.disk, at, fault)
        const exit = yield* Effect.exit(Trials.begin(faulty.disk, config))
        if (Exit.isFailure(exit)) failed += 1
        if (fault === "crash") {
          memory.powerCut(turn % 2 === 0)
          yield* Trials.buryOwner(memory)
        }
        const again = yield* Trials.resumeOrBegin(memory.disk, config)
        const where = `${fault} at ${faulty.log.at(-1)} (${at})`
        assert.strictEqual(again._tag, "Done", where)
        assert.deepStrictEqual(Trials.outcome(memory), expected, where)
        const left = [...memory.files().keys()].filter((file) => /\.part|run\.lock/.test(file))
        assert.deepStrictEqual(left, [], where)
      }
      assert.isAbove(failed, 5)
    })
  )
})
