/**
 * How a run reports: every event goes to the subscribers and, unless it only animates a progress bar, into the journal.
 * Also measures what `PhaseEnded` reports: how long the open phase took, how far it came, and how much of that time went
 * into persistence.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Phase } from "../../machines/RunState.ts"
import type { DiskError } from "../support/Disk.ts"
import type { Journal } from "./Journal.ts"
import type { RunEvent, RunEventsShape } from "./RunEvents.ts"

/** How far a phase has come, as `PhaseEnded` reports it where a phase ended early. */
export type Reached = NonNullable<Extract<RunEvent, { readonly _tag: "PhaseEnded" }>["reached"]>

/** How an event is reported. */
export interface EmitOptions {
  /** Whether the event is journalled; default true. */
  readonly journal?: boolean | undefined
  /** Whether to return only when the line is on the medium; default false. */
  readonly sync?: boolean | undefined
}

/** The reports of a run. */
export interface Progress {
  readonly emit: (event: RunEvent, options?: EmitOptions) => Effect.Effect<void, DiskError>
  /** Opens a phase, unless it is open already; `done` of `total` units of work were done before. */
  readonly openPhase: (phase: Phase, done: number, total: number | null) => Effect.Effect<void, DiskError>
  /** Closes the open phase, if there is one; `stopped`: before its end. */
  readonly closePhase: (stopped?: "paused" | "failed") => Effect.Effect<void, DiskError>
  /** Notes how far the open phase has come. */
  readonly reach: (reached: Reached) => void
  /** Measures an effect as persistence: journals, checkpoints, snapshots and their digests. Nested calls count once. */
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

/** The reports of a run to these subscribers and into this journal. */
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
