import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CostModel } from "../cost/CostModel.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import { Criterion } from "../criterion/Criterion.ts"
import * as ArchitectureGenerator from "../search-strategy/ArchitectureGenerator.ts"
import * as DifferentiableSearch from "../search-strategy/DifferentiableSearch.ts"
import { SearchStrategy, type SearchStrategyShape } from "../search-strategy/SearchStrategy.ts"
import { Disk, type DiskShape } from "../support/Disk.ts"
import * as FollowingSampler from "../training-strategy/DifferentiableTraining.ts"
import { TrainingStrategy } from "../training-strategy/TrainingStrategy.ts"
import * as Uniform from "../training-strategy/Uniform.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Learner from "./Learner.ts"
import * as Lifecycle from "./Lifecycle.ts"
import type { RunConfig } from "./RunConfig.ts"
import type { RunError } from "./RunError.ts"
import { type RunEvent, RunEvents } from "./RunEvents.ts"
import * as RunFolder from "./RunFolder.ts"
import type { RunServices } from "./RunServices.ts"
import * as RunVerification from "./RunVerification.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const { space } = SmallRun
const table = LookupTable.fromSpace(space)
const budget = { metric: "flops", min: 0, max: 30_000 } as const
const feasible = Result.getOrThrow(FeasibleSet.make(space, table.flops, budget))

/** One way to learn: sampler, searcher, and expected steps of learning. */
interface Way {
  readonly training: "differentiable" | "uniform"
  readonly search: SearchStrategyShape
  readonly steps: number
}

const searcher = (relaxation: "softmax" | "gumbel-softmax", options: Readonly<Record<string, unknown>>) =>
  DifferentiableSearch.make(
    space,
    feasible,
    table.flops,
    relaxation,
    Schema.decodeUnknownSync(DifferentiableSearch.GumbelOptions)({ batchSize: 6, samples: 3, ...options })
  )

const ways: Readonly<Record<string, Way>> = {
  "between the supernet's steps": {
    training: "differentiable",
    search: searcher("gumbel-softmax", { warmupEpochs: 0.5, everySteps: 1 }),
    steps: 3
  },
  "on the trained supernet": {
    training: "uniform",
    search: searcher("softmax", { learn: "searching", epochs: 1.5 }),
    steps: 3
  },
  "on the trained supernet, and keeps its best pass": {
    training: "uniform",
    search: Result.getOrThrow(
      ArchitectureGenerator.make(
        space,
        table.flops,
        feasible,
        Schema.decodeUnknownSync(ArchitectureGenerator.Options)({
          ...{
            batchSize: 6,
            epochs: 3,
            channels: 4,
            depth: 1,
            priors: 3,
            evaluations: 3,
            sweep: 5,
            validationTargets: 2,
            targets: 2,
            targetPlanes: 2
          },
          optimizer: { learningRate: 0.05 }
        })
      )
    ),
    steps: 6
  }
}

const config = SmallRun.config({
  budget,
  supernetTraining: { epochs: 2, batchSize: 12, optimizer: { learningRate: 0.1 } },
  retraining: { epochs: 1, batchSize: 12, optimizer: { learningRate: 0.1 } },
  checkpoint: { everySteps: 1, keep: 1 }
})

const feasibleSets = {
  uniform: Uniform.make(space),
  differentiable: FollowingSampler.make(space, { mode: "searcher", temperature: null, hard: null })
}

type Program<A> = Effect.Effect<A, RunError, RunServices>

const on = <A>({ search, training }: Way, disk: DiskShape, program: Program<A>, hear = (_: RunEvent): void => {}) =>
  program.pipe(
    Effect.updateService(RunEvents, (events) => ({
      ...events,
      publish: (event) => Effect.tap(events.publish(event), () => Effect.sync(() => hear(event)))
    })),
    Effect.provideService(SearchStrategy, search),
    Effect.provideService(TrainingStrategy, feasibleSets[training]),
    Effect.provideService(CostModel, LookupTable.costModel(space, table)),
    Effect.provide(Layer.merge(SmallRun.layer(config.seed), Layer.succeed(Disk, disk)))
  )

const { folder } = Trials
const begin = (options: Partial<Lifecycle.StartOptions> = {}) => Lifecycle.run({ config, folder, ...options })
const resume = (options: Partial<Lifecycle.RunOptions> = {}) => Lifecycle.resume({ config, folder, ...options })

/** The files that must be the same however the run was stopped. */
const outcome = (memory: MemoryDisk.MemoryDisk) => ({
  ...Trials.outcome(memory),
  searcher: Buffer.from(memory.files().get(`${folder}/${RunFolder.files.searcher}`) ?? []).toString("base64")
})

/** Runs until the `count`-th event, then pauses or interrupts. */
const until = Effect.fnUntraced(function* (
  way: Way,
  memory: MemoryDisk.MemoryDisk,
  count: number,
  how: "pause" | "interrupt"
) {
  const reached = yield* Deferred.make<void>()
  let seen = 0
  const hear = () => {
    seen += 1
    if (seen === count) Deferred.doneUnsafe(reached, Effect.void)
  }
  const pause = how === "pause" ? Deferred.await(reached) : Effect.never
  const fiber = yield* Effect.forkChild(on(way, memory.disk, begin({ pause }), hear))
  if (how === "interrupt") {
    yield* Effect.raceFirst(Deferred.await(reached), Fiber.await(fiber))
    yield* Fiber.interrupt(fiber)
  }
  return yield* Fiber.await(fiber)
})

for (const [name, way] of Object.entries(ways)) {
  describe(`a searcher that learns ${name}`, () => {
    it.live(
      "searches by what it learned, reports it, and ends the same wherever it was stopped",
      () =>
        Effect.gen(function* () {
          const heard: Array<RunEvent> = []
          const untouched = MemoryDisk.make()
          const before = SmallRun.liveTensors()
          const whole = yield* on(way, untouched.disk, begin(), (event) => heard.push(event))
          assert.strictEqual(whole._tag, "Done")
          assert.strictEqual(SmallRun.liveTensors(), before, "tensors left behind")
          assert.isTrue(feasible.contains(whole.results.search?.architecture ?? []))

          const learned = heard.filter((event) => event._tag === "Learned")
          const last = learned.at(-1)
          assert.strictEqual(last?.step, last?.steps)
          assert.strictEqual(last?.steps, way.steps)
          assert.lengthOf(last?.probabilities ?? [], space.layers.length)
          for (const row of last?.probabilities ?? []) {
            assert.closeTo(
              row.reduce((sum, p) => sum + p, 0),
              1,
              1e-9
            )
          }
          for (const metric of ["loss", "taskLoss", "cost", "target", "entropy", "temperature"]) {
            assert.isTrue(Number.isFinite(last?.metrics[metric]), metric)
          }
          assert.isBelow(last?.metrics["entropy"] ?? 1, 1)

          // If passes are judged, the review names the best one, with its own metrics.
          const objectives = heard.flatMap((event) =>
            event._tag === "Learned" ? (event.metrics["objective"] ?? []) : []
          )
          assert.lengthOf(objectives, way.search.gradient?.choice === undefined ? 0 : 3)
          if (objectives.length > 0) {
            const best = objectives.indexOf(Math.min(...objectives))
            const passes = learned.filter(({ probabilities }) => probabilities !== null)
            const reviewed = heard.find((event) => event._tag === "LearningReviewed")
            assert.strictEqual(reviewed?.metrics["pass"], best + 1)
            assert.strictEqual(reviewed?.metrics["kendall"], passes[best]?.metrics["kendall"])
            assert.strictEqual(reviewed?.metrics["deviation"], passes[best]?.metrics["deviation"])
          }

          const expected = outcome(untouched)
          for (const [count, how] of [
            [4, "interrupt"],
            [9, "pause"],
            [14, "interrupt"],
            [17, "pause"],
            [20, "interrupt"]
          ] as const) {
            const memory = MemoryDisk.make()
            yield* until(way, memory, count, how)
            yield* Trials.buryOwner(memory)
            const done = yield* on(way, memory.disk, resume())
            assert.strictEqual(done._tag, "Done")
            assert.deepStrictEqual(outcome(memory), expected, `${how} after event ${count}`)
          }

          const verified = yield* on(way, untouched.disk, RunVerification.verify({ config, folder }))
          assert.deepStrictEqual(verified.differences, [])
        }),
      120_000
    )
  })
}

describe("a supernet from elsewhere", () => {
  const learnsWith = ways["between the supernet's steps"] as Way
  it.live("is searched by what was learned with it, and refused if nothing was", () =>
    Effect.gen(function* () {
      const { disk } = MemoryDisk.make()
      const first = yield* on(learnsWith, disk, begin({ config: { ...config, stopAfter: "searching" } }))
      const file = `${folder}/${RunFolder.files.supernet}`
      const from = (supernet: string): RunConfig => ({
        ...config,
        stopAfter: "searching",
        start: { ...config.start, supernet }
      })
      const again = yield* on(learnsWith, disk, begin({ config: from(file), folder: "/runs/again" }))
      assert.deepStrictEqual(again.results.search, first.results.search)
      // The same file without the state of the searcher.
      const { metadata, tensors } = yield* Checkpoint.read(disk, file)
      const plain = new Map([...tensors].filter(([tensor]) => !tensor.startsWith(Learner.prefix)))
      assert.isBelow(plain.size, tensors.size)
      yield* Checkpoint.write(disk, "/plain.safetensors", {
        tensors: plain,
        metadata: { space: metadata["space"] ?? "" }
      })
      const refused = yield* Effect.flip(
        on(learnsWith, disk, begin({ config: from("/plain.safetensors"), folder: "/runs/refused" }))
      )
      assert.match(refused.message, /plain\.safetensors: it contains no state of a gradient-based searcher/)
      assert.strictEqual(yield* disk.size("/runs/refused/config.yaml"), undefined)
      const after = ways["on the trained supernet"] as Way
      const learnedHere = yield* on(after, disk, begin({ config: from("/plain.safetensors"), folder: "/runs/after" }))
      assert.strictEqual(learnedHere._tag, "Done")
    })
  )
})

it.live("a warning of the criterion is reported once per epoch", () =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const way = ways["on the trained supernet"] as Way
    const program = Effect.updateService(
      begin({ config: { ...config, stopAfter: "supernetTraining" } }),
      Criterion,
      (it) => ({
        ...it,
        warning: () => "odd"
      })
    )
    yield* on(way, MemoryDisk.make().disk, program, (event) => {
      if (event._tag === "CriterionWarning") heard.push(`${event.phase} ${event.epoch}.${event.step} ${event.warning}`)
    })
    // Two epochs of two steps. A checkpoint after every step makes each one a piece, which must not repeat the warning.
    assert.deepStrictEqual(heard, ["supernetTraining 1.1 odd", "supernetTraining 2.1 odd"])
  })
)

describe("components that do not go together", () => {
  const refused = Effect.fnUntraced(function* (way: Way, pattern: RegExp) {
    const { disk } = MemoryDisk.make()
    const error = yield* Effect.flip(on(way, disk, begin()))
    assert.strictEqual(error._tag, "CompatibilityError")
    assert.match(error.message, pattern)
    assert.strictEqual(yield* disk.size(`${folder}/config.yaml`), undefined, "something was written")
  })
  it.live("a searcher that learns during supernet training, with a sampler of single paths", () =>
    refused(
      { training: "uniform", search: searcher("softmax", {}), steps: 0 },
      /trainingStrategy uniform and searchStrategy softmax-differentiable do not go together: .*expected trainingStrategy differentiable, or searchStrategy with learn: searching/
    )
  )
  it.live("a sampler that follows the searcher, with a searcher that learns later or not at all", () =>
    Effect.gen(function* () {
      yield* refused(
        { training: "differentiable", search: searcher("softmax", { learn: "searching" }), steps: 0 },
        /trainingStrategy differentiable and searchStrategy softmax-differentiable .*learns only after the supernet is trained.*expected trainingStrategy uniform or fair/
      )
      const { gradient: _, ...nothing } = searcher("softmax", {})
      yield* refused(
        { training: "differentiable", search: { ...nothing, name: "evolution" }, steps: 0 },
        /searchStrategy evolution do not go together: .*is not gradient-based/
      )
    })
  )
  it.live("batches that the validation split cannot fill", () =>
    refused(
      { training: "differentiable", search: searcher("softmax", { batchSize: 13 }), steps: 0 },
      /batches of 13 images of the validation split, which has 12; expected searchStrategy.batchSize of at most 12/
    )
  )
})
