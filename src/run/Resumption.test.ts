import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Yaml from "yaml"
import { phases } from "../../machines/RunState.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as Resumption from "./Resumption.ts"
import { RunConfig } from "./RunConfig.ts"
import { RunMismatch } from "./RunError.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as Trials from "./testing/Trials.ts"

const kinds: OptionKind.OptionKinds = new Map([
  ...OptionKind.of(RunConfig.ast),
  ["dataflow.folder", { kind: "place", isPath: true }],
  ["dataflow.workers", { kind: "performance" }],
  ["dataflow.size", { kind: "identity" }]
])
const short = Trials.shortConfig
const mismatch = (exit: Exit.Exit<unknown, unknown>): RunMismatch => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  assert.instanceOf(error, RunMismatch)
  return error
}
const manifestIn = (memory: MemoryDisk.MemoryDisk) =>
  JSON.parse(new TextDecoder().decode(memory.files().get(`${Trials.folder}/manifest.json`))) as {
    readonly changes?: ReadonlyArray<unknown>
  }
const begunUntil = (stopAfter: RunConfig["stopAfter"], config = short) =>
  Effect.gen(function* () {
    const memory = MemoryDisk.make()
    yield* Trials.begin(memory.disk, { ...config, stopAfter }, { kinds })
    return memory
  })

describe("Resumption", () => {
  it.live("options of a later phase may change: the run equals one that had them from the start", () =>
    Effect.gen(function* () {
      const changed = {
        ...short,
        retraining: { ...short.retraining, epochs: 2, batchSize: 6 },
        evaluation: { batchSize: 5 }
      }
      const memory = yield* begunUntil("searching")
      const configText = Yaml.stringify(changed)
      yield* Trials.resume(memory.disk, changed, { kinds, configText })
      const whole = MemoryDisk.make()
      yield* Trials.begin(whole.disk, changed, { kinds })
      assert.deepStrictEqual(Trials.outcome(memory), Trials.outcome(whole))
      assert.deepStrictEqual(manifestIn(memory).changes, [
        { is: "5", key: "evaluation.batchSize", was: "250" },
        { is: "6", key: "retraining.batchSize", was: "12" },
        { is: "2", key: "retraining.epochs", was: "1" }
      ])
      assert.strictEqual(
        new TextDecoder().decode(memory.files().get(`${Trials.folder}/config.yaml`)),
        configText,
        "the folder's configuration is the one that was used"
      )
      // From now on, the run has these options.
      yield* Trials.resume(memory.disk, changed, { kinds })
      const back = mismatch(yield* Effect.exit(Trials.resume(memory.disk, short, { kinds })))
      assert.include(back.message, "config.retraining.epochs: the run began with 2, now it is 1")
    })
  )

  it.live("a refused change changes no file", () =>
    Effect.gen(function* () {
      const memory = yield* begunUntil("retraining")
      const before = new Map(memory.files())
      const changed = { ...short, retraining: { ...short.retraining, epochs: 9 } }
      const error = mismatch(
        yield* Effect.exit(Trials.resume(memory.disk, changed, { kinds, configText: "never written" }))
      )
      assert.include(
        error.message,
        "config.retraining.epochs: the run began with 1, now it is 9 (retraining has recorded results with it)"
      )
      for (const name of ["config.yaml", "manifest.json", "snapshot.json"]) {
        const file = `${Trials.folder}/${name}`
        assert.deepStrictEqual(memory.files().get(file), before.get(file), name)
      }
    })
  )

  it.live("a crash between the configuration and the manifest loses nothing", () =>
    Effect.gen(function* () {
      const changed = { ...short, evaluation: { batchSize: 3 } }
      const memory = yield* begunUntil("retraining")
      // Such a crash leaves the new configuration, which the next resume reads, and the old manifest.
      yield* Trials.resume(memory.disk, changed, { kinds })
      assert.deepStrictEqual(manifestIn(memory).changes, [{ is: "3", key: "evaluation.batchSize", was: "250" }])
    })
  )

  it.live("places and options of performance are not part of the identity; options that decide results are", () =>
    Effect.gen(function* () {
      const dataflow = { name: "made-up", folder: "/old", workers: 2, size: 8 }
      const memory = yield* begunUntil("supernetTraining", { ...short, dataflow })
      const moved = { ...short, dataflow: { ...dataflow, folder: "/new", workers: 7 } }
      const other = { ...moved, dataflow: { ...moved.dataflow, size: 9 } }
      const error = mismatch(yield* Effect.exit(Trials.resume(memory.disk, other, { kinds })))
      assert.deepStrictEqual(
        error.differences.map(({ key }) => key),
        ["config.dataflow.size"]
      )
      const outcome = yield* Trials.resume(
        memory.disk,
        { ...moved, engine: { ...moved.engine, threads: 3 } },
        { kinds }
      )
      assert.strictEqual(outcome._tag, "Done")
      assert.isUndefined(manifestIn(memory).changes)
    })
  )

  it("reports the seed once, although the identity has it twice", () => {
    const of = (seed: number) => ({ config: { seed }, seed })
    const recorded = { phases: new Set<never>(), scored: false }
    const { refused } = Resumption.judge(of(7), of(9), { kinds, recorded, learnsWithSupernet: false })
    assert.deepStrictEqual(
      refused.map(({ key }) => key),
      ["config.seed"]
    )
  })

  it("data that are listed and data that are read are the same if their files are", () => {
    const of = (digest: string, listing?: string) => ({
      dataset: { name: "made-up", digest, ...(listing === undefined ? {} : { listing }) }
    })
    const options = { kinds, recorded: { phases: new Set(phases), scored: true }, learnsWithSupernet: false }
    const refused = (began: ReturnType<typeof of>, now: ReturnType<typeof of>) => {
      const { accepted, refused } = Resumption.judge(began, now, options)
      assert.deepStrictEqual(accepted, [])
      return refused.map(({ key }) => key)
    }
    const [read, listed] = [of("pixels", "list"), of("list", "list")]
    assert.deepStrictEqual(refused(read, listed), [])
    assert.deepStrictEqual(refused(listed, read), [])
    assert.deepStrictEqual(refused(read, of("pixels", "other files of the same pixels")), [])
    assert.deepStrictEqual(refused(of("pixels"), read), [], "a run of an older version")
    assert.deepStrictEqual(refused(read, of("other pixels", "list")), ["dataset.digest"])
    assert.deepStrictEqual(refused(listed, of("other list", "other list")), ["dataset.digest"])
    assert.deepStrictEqual(refused(listed, of("pixels", "other list")), ["dataset.digest"])
    assert.deepStrictEqual(refused(of("pixels"), listed), ["dataset.digest"])
  })

  it("the estimator may change until an architecture is scored, the search until it has proposed one", () => {
    const judged = (key: string, recorded: Partial<Resumption.Recorded>, learnsWithSupernet = false) => {
      const [top = "", option = ""] = key.split(".")
      const of = (value: number) => ({ config: { [top]: { [option]: value } } })
      const options = { kinds, recorded: { phases: new Set(phases.slice(0, 1)), scored: false, ...recorded } }
      const { accepted } = Resumption.judge(of(1), of(2), { ...options, learnsWithSupernet })
      return accepted.length === 1
    }
    const searching = new Set(phases.slice(0, 2))
    assert.isTrue(judged("estimator.name", { phases: searching }))
    assert.isFalse(judged("estimator.name", { scored: true }))
    assert.isTrue(judged("budget.max", {}))
    assert.isFalse(judged("budget.max", { phases: searching }))
    assert.isFalse(judged("budget.max", {}, true), "a search that learns with the supernet has used it")
    assert.isTrue(judged("budget.max", { phases: new Set() }, true))
    assert.isFalse(judged("trainingAgent.name", { phases: new Set() }))
  })
})
