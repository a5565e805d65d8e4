/**
 * Reports the events of a run to its subscribers and, except for those that only animate a progress bar, to the journal.
 * Also measures what `PhaseEnded` reports: duration and progress of the open phase, and the time spent on persistence.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Phase } from "../../machines/RunState.ts"
import type { DiskError } from "../support/Disk.ts"
import type { Journal } from "./Journal.ts"
import type { RunEvent, RunEventsShape } from "./RunEvents.ts"

/** Progress of a phase, as `PhaseEnded` reports it for a phase that ended early. */
export type Reached = NonNullable<Extract<RunEvent, { readonly _tag: "PhaseEnded" }>["reached"]>

/** Options of `emit`. */
export interface EmitOptions {
  /** Whether the event is journalled; default true. */
  readonly journal?: boolean | undefined
  /** Whether to return only when the line is on the medium; default false. */
  readonly sync?: boolean | undefined
}

/** Reports the events of a run. */
export interface Progress {
  readonly emit: (event: RunEvent, options?: EmitOptions) => Effect.Effect<void, DiskError>
  /** Opens a phase, unless it is already open; `done` of `total` units of work were done before. */
  readonly openPhase: (phase: Phase, done: number, total: number | null) => Effect.Effect<void, DiskError>
  /** Closes the open phase, if any; `stopped` says why it ends early. */
  readonly closePhase: (stopped?: "paused" | "failed") => Effect.Effect<void, DiskError>
  /** Records the progress of the open phase. */
  readonly reach: (reached: Reached) => void
  /** Measures the time of an effect as spent on persistence. Nested calls count once. */
  readonly saving: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

interface Stopwatch {
  readonly saving: Progress["saving"]
  /** Seconds measured since the last call. */
  readonly takeSeconds: () => number
}

const makeStopwatch = (): Stopwatch => {
  let nanoseconds = 0n
  let isRunning = false
  const start = Effect.map(Clock.monotonicTimeNanos, (began) => {
    isRunning = true
    return began
  })
  const stop = (began: bigint) =>
    Effect.map(Clock.monotonicTimeNanos, (ended) => {
      isRunning = false
      nanoseconds += ended - began
    })
  return {
    saving: (effect) =>
      Effect.suspend(() => (isRunning ? effect : Effect.acquireUseRelease(start, () => effect, stop))),
    takeSeconds: () => {
      const seconds = Number(nanoseconds) / 1e9
      nanoseconds = 0n
      return seconds
    }
  }
}

/** Reports to these subscribers and this journal. */
export const make = (events: Pick<RunEventsShape, "publish">, journal: Pick<Journal, "append">): Progress => {
  const { saving, takeSeconds } = makeStopwatch()
  let open: { readonly phase: Phase; readonly since: number; reached?: Reached } | undefined

  const emit = Effect.fnUntraced(function* (event: RunEvent, options: EmitOptions = {}) {
    const { time } = yield* events.publish(event)
    if (options.journal !== false) yield* saving(journal.append({ time, ...event }, { sync: options.sync === true }))
  })

  const openPhase = Effect.fnUntraced(function* (phase: Phase, done: number, total: number | null) {
    if (open?.phase === phase) return
    open = { phase, since: yield* Clock.currentTimeMillis }
    yield* emit({ _tag: "PhaseStarted", phase, done, total })
  })

  const closePhase = Effect.fnUntraced(function* (stopped?: "paused" | "failed") {
    if (open === undefined) return
    const { phase, reached, since } = open
    open = undefined
    const savingSeconds = takeSeconds()
    const seconds = ((yield* Clock.currentTimeMillis) - since) / 1000
    const early = stopped === undefined ? {} : { stopped, ...(reached === undefined ? {} : { reached }) }
    yield* emit({ _tag: "PhaseEnded", phase, ...early, seconds, savingSeconds })
  })

  const reach = (reached: Reached): void => {
    if (open !== undefined) open.reached = reached
  }

  return { emit, openPhase, closePhase, reach, saving }
}
