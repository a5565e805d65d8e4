/**
 * The loop over steps that supernet training, retraining, the learning of a searcher and a replay share. It does one piece
 * of work, which ends at a boundary (an epoch, a pass over the validation split), at a pause, or when a checkpoint is due.
 * The clock decides only when to report and when to save, never what is computed.
 *
 * **Example** (A boundary after every second step)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as PieceLoop from "./PieceLoop.ts"
 *
 * const piece: PieceLoop.Piece<{ readonly step: number }, number, never, never> = {
 *   from: { step: 3 },
 *   steps: 8,
 *   step: ({ step }) => Effect.succeed([{ step: step + 1 }, step + 1]),
 *   isBoundary: (report) => report % 2 === 0,
 *   show: () => Effect.void,
 *   ...PieceLoop.uninterrupted
 * }
 * await Effect.runPromise(PieceLoop.run(piece)) // => { step: 4 }
 * await Effect.runPromise(PieceLoop.run({ ...piece, from: { step: 4 } })) // => { step: 6 }
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds between two reports of a piece, and between two that are journalled. */
const progressInterval = 250
const journalInterval = 2000

/** Gives timers, signals and messages of worker threads a turn of the event loop. */
export const breathe: Effect.Effect<void> = Effect.callback((resume) => {
  const id = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(id))
})

/** When a piece ends before its boundary. */
export interface Cadence {
  /** Ends a piece at every N-th step of the phase, so that a checkpoint is written; 0: never. */
  readonly everySteps: number
  /** Minutes after which a piece ends; 0: never. */
  readonly everyMinutes: number
}

/** A report that is due. */
export interface Moment {
  /** Whether the report is journalled; false: for progress bars alone. */
  readonly journal: boolean
  /** Mean duration of a step of this piece so far, at least a fraction of a millisecond. */
  readonly millisecondsPerStep: number
}

/** One piece of work. `State` counts the steps of the whole phase; `Report` is the result of one step. */
export interface Piece<State extends { readonly step: number }, Report, StepError, ShowError> {
  readonly from: State
  /** The last step of the phase. */
  readonly steps: number
  readonly step: (state: State) => Effect.Effect<readonly [state: State, report: Report], StepError>
  /** Whether the step ends an epoch or a pass. Such a step is always reported, and ends the piece. */
  readonly isBoundary: (report: Report) => boolean
  readonly show: (state: State, report: Report, moment: Moment) => Effect.Effect<void, ShowError>
  readonly cadence: Cadence
  readonly pausing: () => boolean
}

/** A piece that only its boundary ends. */
export const uninterrupted: Pick<Piece<never, never, never, never>, "cadence" | "pausing"> = {
  cadence: { everySteps: 0, everyMinutes: 0 },
  pausing: () => false
}

/** Runs a piece, and gives its last state. */
export const run = Effect.fnUntraced(function* <State extends { readonly step: number }, Report, StepError, ShowError>(
  piece: Piece<State, Report, StepError, ShowError>
) {
  const { everyMinutes, everySteps } = piece.cadence
  const began = yield* Clock.currentTimeMillis
  let state = piece.from
  let shown = Number.NEGATIVE_INFINITY
  let journalled = Number.NEGATIVE_INFINITY
  while (state.step < piece.steps) {
    const [next, report] = yield* piece.step(state)
    state = next
    const now = yield* Clock.currentTimeMillis
    const isBoundary = piece.isBoundary(report)
    if (now - shown >= progressInterval || isBoundary) {
      shown = now
      const journal = now - journalled >= journalInterval || isBoundary
      if (journal) journalled = now
      const millisecondsPerStep = Math.max(now - began, 1) / (state.step - piece.from.step)
      yield* piece.show(state, report, { journal, millisecondsPerStep })
    }
    yield* breathe
    const isCheckpointDue =
      (everySteps > 0 && state.step % everySteps === 0) || (everyMinutes > 0 && now - began >= everyMinutes * 60_000)
    if (isBoundary || isCheckpointDue || piece.pausing()) break
  }
  return state
})
