import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Engines from "../engine/Engines.ts"
import { Disk } from "../support/Disk.ts"
import * as ConfigFile from "./ConfigFile.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Load from "./Load.ts"
import type { RunOutcome } from "./MachineHost.ts"
import type { RunError } from "./RunError.ts"
import { RunEvents } from "./RunEvents.ts"
import * as RunLayers from "./RunLayers.ts"
import type { RunServices } from "./RunServices.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as Trials from "./testing/Trials.ts"

const training = (epochs: number) => ({ epochs, batchSize: 16, optimizer: { learningRate: 0.05 } })

/** Shipped components of every kind, on a few of the shipped images. */
const source = ConfigFile.fromValue("integration", {
  name: "small",
  seed: 11,
  dataflow: { name: "fashion-mnist", trainLimit: 60, testLimit: 30, crop: 2 },
  searchSpace: { name: "tiny", stemStride: 2 },
  budget: { metric: "flops", max: 1.5e6 },
  criterion: { name: "cross-entropy", labelSmoothing: 0.1 },
  trainingStrategy: { name: "fair" },
  searchStrategy: { name: "evolution", evaluations: 6, initial: 3, offspring: 3, parents: 2 },
  estimator: { name: "supernet", recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 12 },
  supernetTraining: { ...training(1), accumulate: 2 },
  retraining: training(2),
  checkpoint: { everySteps: 1 }
})

const layersOf = (loaded: Load.LoadedRun, threads: number) =>
  RunLayers.layers(loaded.config, loaded.components, Engines.layer("simd", { mode: "strict", threads }), {})

type Program = (
  config: Load.LoadedRun["config"],
  pause: Effect.Effect<void>
) => Effect.Effect<RunOutcome, RunError, RunServices>

/** Runs until the `count`-th event, then pauses or interrupts; with 0, runs to the end. */
const life = Effect.fnUntraced(function* (
  memory: MemoryDisk.MemoryDisk,
  program: Program,
  threads: number,
  count = 0,
  how: "pause" | "interrupt" = "pause"
) {
  const loaded = yield* Load.decode(source, ".")
  const reached = yield* Deferred.make<void>()
  let seen = 0
  const fiber = yield* program(loaded.config, Deferred.await(reached)).pipe(
    Effect.updateService(RunEvents, (events) => ({
      ...events,
      publish: (event) =>
        Effect.tap(events.publish(event), () => (++seen === count ? Deferred.succeed(reached, undefined) : Effect.void))
    })),
    Effect.provide(layersOf(loaded, threads)),
    Effect.provide(Layer.merge(RunEvents.layer, Layer.succeed(Disk, memory.disk))),
    Effect.forkChild
  )
  if (how === "interrupt") {
    yield* Effect.raceFirst(Deferred.await(reached), Fiber.await(fiber))
    yield* Fiber.interrupt(fiber)
  }
  return yield* Fiber.await(fiber)
})

const begin: Program = (config, pause) => Lifecycle.run({ config, folder: Trials.folder, pause })
const resume: Program = (config, pause) => Lifecycle.resume({ config, folder: Trials.folder, pause })

describe("a run of shipped components on shipped images", () => {
  it.live(
    "stopped at any step, with any number of threads, it ends like an undisturbed one",
    () =>
      Effect.gen(function* () {
        const untouched = MemoryDisk.make()
        const whole = yield* life(untouched, begin, 1)
        assert.isTrue(Exit.isSuccess(whole), String(whole))
        const expected = Trials.outcome(untouched)
        for (const [count, how, threads] of [
          [6, "pause", 2],
          [14, "interrupt", 2],
          [25, "interrupt", 1]
        ] as const) {
          const memory = MemoryDisk.make()
          yield* life(memory, begin, threads, count, how)
          const exit = yield* life(memory, resume, threads)
          assert.isTrue(Trials.isDone(exit), String(exit))
          assert.deepStrictEqual(Trials.outcome(memory), expected, `${how} after event ${count}, ${threads} threads`)
        }
      }),
    180_000
  )
})
