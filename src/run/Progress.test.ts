import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import type { Line } from "./Journal.ts"
import * as Progress from "./Progress.ts"
import type { RunEvent } from "./RunEvents.ts"

/** Reports to arrays, over a journal whose every line takes 100 ms. */
const makeProgress = () => {
  const published: Array<RunEvent> = []
  const lines: Array<Line> = []
  const synced: Array<boolean> = []
  const progress = Progress.make(
    {
      publish: (event) =>
        Effect.sync(() => {
          published.push(event)
          return { time: published.length, event }
        })
    },
    {
      append: (line, options) =>
        Effect.andThen(
          TestClock.adjust(100),
          Effect.sync(() => {
            lines.push(line)
            synced.push(options?.sync === true)
          })
        )
    }
  )
  return { progress, published, lines, synced }
}

const paused: RunEvent = { _tag: "RunPaused", resume: "osnas resume runs/a" }

describe("Progress", () => {
  it.effect("publishes every event, journals all but those for progress bars, syncs on request", () =>
    Effect.gen(function* () {
      const { lines, progress, published, synced } = makeProgress()
      yield* progress.emit(paused, { journal: false })
      yield* progress.emit(paused)
      yield* progress.emit(paused, { sync: true })
      assert.lengthOf(published, 3)
      assert.deepStrictEqual(lines, [
        { time: 2, ...paused },
        { time: 3, ...paused }
      ])
      assert.deepStrictEqual(synced, [false, true])
    })
  )

  it.effect("opens a phase once; a stopped phase reports its progress, a completed one does not", () =>
    Effect.gen(function* () {
      const { progress, published } = makeProgress()
      yield* progress.openPhase("searching", 2, 8)
      yield* progress.openPhase("searching", 3, 8)
      progress.reach({ unit: "candidate", done: 4, total: 8 })
      yield* progress.closePhase("paused")
      yield* progress.closePhase()
      yield* progress.openPhase("searching", 4, 8)
      progress.reach({ unit: "candidate", done: 8, total: 8 })
      yield* progress.closePhase()
      yield* progress.openPhase("retraining", 0, 10)
      yield* progress.closePhase("failed")
      const ends = published.filter((event) => event._tag === "PhaseEnded")
      assert.deepStrictEqual(
        published.map(({ _tag }) => _tag),
        ["PhaseStarted", "PhaseEnded", "PhaseStarted", "PhaseEnded", "PhaseStarted", "PhaseEnded"]
      )
      assert.deepStrictEqual(
        ends.map(({ reached, stopped }) => [stopped, reached?.done]),
        [
          ["paused", 4],
          [undefined, undefined],
          ["failed", undefined]
        ]
      )
    })
  )

  it.effect("measures persistence: nested effects once, the lines of the journal along with them", () =>
    Effect.gen(function* () {
      const { progress, published } = makeProgress()
      yield* progress.openPhase("retraining", 0, 10)
      yield* progress.saving(Effect.andThen(TestClock.adjust(1000), progress.saving(TestClock.adjust(500))))
      yield* Effect.ignore(progress.saving(Effect.andThen(TestClock.adjust(250), Effect.fail("no space"))))
      yield* TestClock.adjust(4000)
      yield* progress.closePhase()
      yield* progress.openPhase("evaluating", 0, null)
      yield* progress.closePhase()
      const ends = published.filter((event) => event._tag === "PhaseEnded")
      assert.deepStrictEqual(
        ends.map(({ savingSeconds, seconds }) => [seconds, savingSeconds]),
        [
          [5.85, 1.85],
          [0.1, 0.2]
        ]
      )
    })
  )
})
