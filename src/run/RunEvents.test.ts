import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Journal from "./Journal.ts"
import { RunEvent, RunEvents, Stamped } from "./RunEvents.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"
import * as Trials from "./testing/Trials.ts"

describe("RunEvents", () => {
  it.effect("stamps an event with the time, and sends it to the subscribers", () =>
    Effect.gen(function* () {
      const events = yield* RunEvents
      yield* events.publish({ _tag: "PhaseEnded", phase: "searching", seconds: 1 })
      const stream = yield* events.subscribe
      const heard = yield* Effect.forkChild(Stream.runCollect(Stream.take(stream, 2)))
      yield* TestClock.adjust("3 seconds")
      yield* events.publish({ _tag: "Evaluated", metrics: { top1: 0.5 } })
      yield* events.publish({ _tag: "RunPaused", resume: "osnas resume x" })
      assert.deepStrictEqual(yield* Fiber.join(heard), [
        { time: 3000, event: { _tag: "Evaluated", metrics: { top1: 0.5 } } },
        { time: 3000, event: { _tag: "RunPaused", resume: "osnas resume x" } }
      ])
    }).pipe(Effect.scoped, Effect.provide(RunEvents.layer))
  )

  it.live("the journal of a run contains its events, and they decode", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* Trials.begin(memory.disk, Trials.shortConfig)
      const lines = yield* Journal.read(memory.disk, `${Trials.folder}/events.jsonl`)
      const tags = lines.map((line) => {
        const { time, ...event } = line
        Schema.decodeUnknownSync(Stamped)({ time, event }, { onExcessProperty: "error" })
        return Schema.decodeUnknownSync(RunEvent)(event)._tag
      })
      assert.strictEqual(tags[0], "RunStarted")
      assert.strictEqual(tags.at(-1), "RunDone")
      for (const [tag, count] of [
        ["PhaseStarted", 4],
        ["PhaseEnded", 4],
        ["EpochDone", 2],
        ["CandidateScored", 6],
        ["GenerationDone", 2],
        ["Evaluated", 1]
      ] as const) {
        assert.strictEqual(tags.filter((each) => each === tag).length, count, tag)
      }
    })
  )
})
