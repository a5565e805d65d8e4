import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as PieceLoop from "./PieceLoop.ts"

interface Counted {
  readonly step: number
}
type Piece = PieceLoop.Piece<Counted, number, never, never>

/** A phase of 1000 steps of 100 ms each, with a boundary at every 100th; reports are collected in `shown`. */
const makePiece = (overrides: Partial<Piece> = {}) => {
  const shown: Array<readonly [step: number, journal: boolean, millisecondsPerStep: number]> = []
  const piece: Piece = {
    from: { step: 0 },
    steps: 1000,
    step: ({ step }) => Effect.as(TestClock.adjust(100), [{ step: step + 1 }, step + 1] as const),
    isBoundary: (step) => step % 100 === 0,
    show: ({ step }, _, { journal, millisecondsPerStep }) =>
      Effect.sync(() => {
        shown.push([step, journal, millisecondsPerStep])
      }),
    ...PieceLoop.uninterrupted,
    ...overrides
  }
  return { piece, shown }
}

describe("PieceLoop", () => {
  it.effect("ends at a boundary, counted from the phase's beginning, and at the phase's end", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* PieceLoop.run(makePiece().piece), { step: 100 })
      assert.deepStrictEqual(yield* PieceLoop.run(makePiece({ from: { step: 130 } }).piece), { step: 200 })
      assert.deepStrictEqual(yield* PieceLoop.run(makePiece({ from: { step: 30 }, steps: 41 }).piece), { step: 41 })
      const { piece, shown } = makePiece({ from: { step: 41 }, steps: 41 })
      assert.deepStrictEqual(yield* PieceLoop.run(piece), { step: 41 })
      assert.deepStrictEqual(shown, [])
    })
  )

  it.effect("ends where a checkpoint is due by steps or by minutes, or a pause is requested, after a whole step", () =>
    Effect.gen(function* () {
      const bySteps = makePiece({ from: { step: 20 }, cadence: { everySteps: 16, everyMinutes: 0 } })
      assert.deepStrictEqual(yield* PieceLoop.run(bySteps.piece), { step: 32 })
      const byMinutes = makePiece({ cadence: { everySteps: 0, everyMinutes: 0.1 }, isBoundary: () => false })
      assert.deepStrictEqual(yield* PieceLoop.run(byMinutes.piece), { step: 60 })
      const paused = makePiece({ from: { step: 7 }, pausing: () => true })
      assert.deepStrictEqual(yield* PieceLoop.run(paused.piece), { step: 8 })
    })
  )

  it.effect("reports the first step, then every 250 ms, journals every 2 s, and always the boundary", () =>
    Effect.gen(function* () {
      const { piece, shown } = makePiece({ isBoundary: (step) => step === 50 })
      yield* PieceLoop.run(piece)
      const every = Array.from({ length: 17 }, (_, index) => 1 + 3 * index)
      assert.deepStrictEqual(
        shown.map(([step]) => step),
        [...every, 50]
      )
      assert.deepStrictEqual(
        shown.filter(([, journal]) => journal).map(([step]) => step),
        [1, 22, 43, 50]
      )
      assert.isTrue(shown.every(([, , milliseconds]) => milliseconds === 100))
    })
  )
})
