/** A process of a small run: begins or resumes it. Prints `phase NAME` when a phase begins. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lifecycle from "../../src/run/Lifecycle.ts"
import { RunEvents } from "../../src/run/RunEvents.ts"
import * as SmallRun from "../../src/run/testing/SmallRun.ts"
import { Disk } from "../../src/support/Disk.ts"

const [folder = "", seed = "0"] = process.argv.slice(2)
const config = SmallRun.config({ seed: Number.parseInt(seed, 10), checkpoint: { everySteps: 2, keep: 1 } })

const program = Effect.catchTag(Lifecycle.resume({ config, folder }), "RunFolderError", () =>
  Lifecycle.run({ config, folder })
).pipe(
  Effect.updateService(RunEvents, (events) => ({
    ...events,
    publish: (event) =>
      Effect.tap(events.publish(event), () =>
        Effect.sync(() => {
          if (event._tag === "PhaseStarted") process.stdout.write(`phase ${event.phase}\n`)
        })
      )
  })),
  Effect.provide(Layer.merge(SmallRun.layer(config.seed, { generations: 8, candidates: 5 }), Disk.layer))
)

await Effect.runPromise(program)
