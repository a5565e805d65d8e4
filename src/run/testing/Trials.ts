/** Small runs on a disk in memory: begun, stopped somewhere, taken up again, compared. */
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

/** Folder of every trial. */
export const folder = "/runs/small"

/** One epoch a phase of two or three steps: a third of the small run. */
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

/** Takes a run up. */
export const resume = (
  disk: DiskShape,
  config: RunConfig = SmallRun.config(),
  options: Partial<Lifecycle.ResumeOptions> = {}
): Effect.Effect<RunOutcome, RunError | Layer.Error<ReturnType<typeof SmallRun.layer>>> =>
  Lifecycle.resume({ config, folder, ...options }).pipe(provide(config.seed, disk))

/** Takes a run up, or begins it where nothing of it is on the disk. */
export const resumeOrBegin = (disk: DiskShape, config: RunConfig = SmallRun.config()) =>
  Effect.catchTag(resume(disk, config), "RunFolderError", () => begin(disk, config))

/** Runs until the `count`-th event, then does what is asked: a pause, or an interruption. */
export const until = (
  count: number,
  how: "pause" | "interrupt",
  program: (pause: Effect.Effect<void>) => Effect.Effect<RunOutcome, RunError, RunServices>,
  config: RunConfig,
  disk: DiskShape
) =>
  Effect.gen(function* () {
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

/** What must be the same however a run came to its end: file by file, text or bytes as base64. */
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

/** A process id that no process can have. */
const nobody = 2 ** 31 - 2

/** Lets locks on the disk be those of a process that is dead, as after a crash. */
export const buryOwner = (memory: MemoryDisk): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const [file, bytes] of memory.files()) {
      if (!file.includes("run.lock")) continue
      const text = new TextDecoder().decode(bytes).replace(`"pid": ${process.pid}`, `"pid": ${nobody}`)
      const handle = yield* Effect.orDie(memory.disk.open(file, "create"))
      yield* Effect.orDie(memory.disk.write(handle, new TextEncoder().encode(text)))
      yield* memory.disk.close(handle)
    }
  })

/** Whether a run came to its end. */
export const isDone = (exit: Exit.Exit<RunOutcome, unknown>): boolean =>
  Exit.isSuccess(exit) && exit.value._tag === "Done"
