/** Small runs on a disk in memory: begun, stopped, resumed, compared. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Disk, type DiskShape } from "../../support/Disk.ts"
import * as Lifecycle from "../Lifecycle.ts"
import type { RunOutcome } from "../MachineHost.ts"
import type { RunConfig } from "../RunConfig.ts"
import type { RunError } from "../RunError.ts"
import { RunEvents } from "../RunEvents.ts"
import type { RunServices } from "../RunServices.ts"
import type { MemoryDisk } from "./MemoryDisk.ts"
import * as SmallRun from "./SmallRun.ts"

/** The folder of the run. */
export const folder = "/runs/small"

/** One epoch per phase, of two or three steps: a third of the small run. */
export const shortConfig = SmallRun.config({
  supernetTraining: { epochs: 1, batchSize: 12, optimizer: { learningRate: 0.1 } },
  retraining: { epochs: 1, batchSize: 12, optimizer: { learningRate: 0.1 } },
  checkpoint: { everySteps: 1, keep: 1 }
})

const provide = (seed: number, disk: DiskShape) =>
  Effect.provide(Layer.merge(SmallRun.layer(seed), Layer.succeed(Disk, disk)))

/** Begins a run. */
export const begin = (
  disk: DiskShape,
  config: RunConfig = SmallRun.config(),
  options: Partial<Lifecycle.StartOptions> = {}
): Effect.Effect<RunOutcome, RunError | Layer.Error<ReturnType<typeof SmallRun.layer>>> =>
  Lifecycle.run({ config, folder, ...options }).pipe(provide(config.seed, disk))

/** Resumes a run. */
export const resume = (
  disk: DiskShape,
  config: RunConfig = SmallRun.config(),
  options: Partial<Lifecycle.ResumeOptions> = {}
): Effect.Effect<RunOutcome, RunError | Layer.Error<ReturnType<typeof SmallRun.layer>>> =>
  Lifecycle.resume({ config, folder, ...options }).pipe(provide(config.seed, disk))

/** Resumes a run, or begins it if it is not on the disk. */
export const resumeOrBegin = (disk: DiskShape, config: RunConfig = SmallRun.config()) =>
  Effect.catchTag(resume(disk, config), "RunFolderError", () => begin(disk, config))

/** Runs until event number `count`, then pauses or interrupts. */
export const until = Effect.fnUntraced(function* (
  count: number,
  how: "pause" | "interrupt",
  program: (pause: Effect.Effect<void>) => Effect.Effect<RunOutcome, RunError, RunServices>,
  config: RunConfig,
  disk: DiskShape
) {
  const reached = yield* Deferred.make<void>()
  let seen = 0
  const counted = Effect.updateService(program(Deferred.await(reached)), RunEvents, (events) => ({
    ...events,
    publish: (event) =>
      Effect.tap(events.publish(event), () => (++seen === count ? Deferred.succeed(reached, undefined) : Effect.void))
  }))
  const fiber = yield* Effect.forkChild(counted.pipe(provide(config.seed, disk)))
  if (how === "interrupt") {
    yield* Effect.raceFirst(Deferred.await(reached), Fiber.await(fiber))
    yield* Fiber.interrupt(fiber)
  }
  return yield* Fiber.await(fiber)
})

/** The results of a run, file by file as base64: they are equal however the run was stopped and resumed. */
export const outcome = (memory: MemoryDisk): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [
      "metrics.json",
      "architecture.json",
      "search.jsonl",
      "network.safetensors",
      "checkpoints/supernet.safetensors"
    ].map((name) => [name, Buffer.from(memory.files().get(`${folder}/${name}`) ?? []).toString("base64")])
  )

/** A process number that no process can have. */
const nobody = 2 ** 31 - 2

/** Makes the locks on the disk those of a dead process, as after a crash. */
export const buryOwner = Effect.fnUntraced(function* (memory: MemoryDisk) {
  for (const [file, bytes] of memory.files()) {
    if (!file.includes("run.lock")) continue
    const text = new TextDecoder().decode(bytes).replace(`"pid": ${process.pid}`, `"pid": ${nobody}`)
    const handle = yield* Effect.orDie(memory.disk.open(file, "create"))
    yield* Effect.orDie(memory.disk.write(handle, new TextEncoder().encode(text)))
    yield* memory.disk.close(handle)
  }
})

/** Whether a run is done. */
export const isDone = (exit: Exit.Exit<RunOutcome, unknown>): boolean =>
  Exit.isSuccess(exit) && exit.value._tag === "Done"
