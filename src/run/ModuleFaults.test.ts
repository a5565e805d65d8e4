import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Disk } from "../support/Disk.ts"
import * as Classification from "../training-agent/Classification.ts"
import { TrainingAgent, type TrainingAgentShape } from "../training-agent/TrainingAgent.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as SmallRun from "./testing/SmallRun.ts"
import * as Trials from "./testing/Trials.ts"

const config = Trials.shortConfig

/** The failure of a run whose training agent evaluates test images with `evaluate`, and whether the run can be resumed. */
const failing = (evaluate: TrainingAgentShape["evaluate"]) =>
  Effect.gen(function* () {
    const memory = MemoryDisk.make()
    const agent: TrainingAgentShape = {
      ...Classification.agent,
      evaluate: (input) => (input.split === "test" ? evaluate(input) : Classification.agent.evaluate(input))
    }
    const services = Layer.mergeAll(
      SmallRun.layer(config.seed),
      Layer.succeed(TrainingAgent, agent),
      Layer.succeed(Disk, memory.disk)
    )
    const failure = yield* Effect.flip(Effect.provide(Lifecycle.run({ config, folder: Trials.folder }), services))
    const outcome = yield* Trials.resume(memory.disk, config)
    return [failure.message, outcome._tag]
  })

describe("a user's training agent that fails in the last phase", () => {
  it.live("with a metric that is not a finite number: it is named, and the run resumes with a corrected agent", () =>
    Effect.gen(function* () {
      for (const [value, shown] of [
        ["0.5", '"0.5"'],
        [Number.NaN, "NaN"],
        [undefined, "undefined"]
      ] as const) {
        const metrics = { loss: 1, top1: value } as unknown as Readonly<Record<string, number>>
        assert.deepStrictEqual(yield* failing(() => Effect.succeed(metrics)), [
          `the metric top1 that the training agent classification gives for the test images must be a finite number, is ${shown}`,
          "Done"
        ])
      }
    })
  )

  it.live("with an exception: the message has the module, the line and how to continue", () =>
    Effect.gen(function* () {
      const error = new Error("no labels")
      error.stack = `${error}\n    at evaluate (file:///home/me/agent.ts:7:3)`
      const found = yield* failing(() => {
        throw error
      })
      assert.deepStrictEqual(found, [
        `no labels (thrown in /home/me/agent.ts:7); correct it, then resume with: osnas resume ${Trials.folder}`,
        "Done"
      ])
    })
  )
})
