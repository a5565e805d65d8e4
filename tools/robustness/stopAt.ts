/**
 * Preloaded into the command (`node --import`): stops it at an exact instant of its run. Counts the command's events (`--json`)
 * as they are written and sends signals to its own process, so that it hits even a phase of milliseconds. A separate thread
 * waits for the delay, so that the signal can arrive in the middle of a computation.
 */
import { isMainThread, Worker } from "node:worker_threads"

/** When to stop a process. */
export interface StopAt {
  readonly phase: string
  /** Number of events of the phase after which to stop: 0 is its beginning. The end of the phase stops it at the latest. */
  readonly event: number
  /** Milliseconds after that event. */
  readonly delay: number
  readonly signals: ReadonlyArray<NodeJS.Signals>
}

/** The environment variable with a {@link StopAt}. */
export const variable = "OSNAS_STOP_AT"

const waiter = `
const { workerData: { shared, signals } } = require("node:worker_threads")
const cells = new Int32Array(shared)
Atomics.wait(cells, 0, 0)
Atomics.wait(cells, 2, 0, cells[1] / 1000)
if (Atomics.compareExchange(cells, 0, 1, 2) === 1) for (const signal of signals) process.kill(process.pid, signal)
`

const watch = ({ delay, event, phase, signals }: StopAt): void => {
  const shared = new SharedArrayBuffer(12)
  /** State (0: waiting, 1: the delay runs, 2: over), microseconds to wait, and the cell that the delay waits on. */
  const cells = new Int32Array(shared)
  if (delay > 0) new Worker(waiter, { eval: true, workerData: { shared, signals }, execArgv: [] }).unref()
  let seen = -1
  const stop = (): void => {
    if (Atomics.exchange(cells, 0, 2) === 2) return
    for (const signal of signals) process.kill(process.pid, signal)
  }
  const hear = (line: string): void => {
    if (!line.startsWith("{")) return
    const written = JSON.parse(line) as { readonly _tag?: string; readonly phase?: string }
    if (written._tag === "PhaseStarted") seen = written.phase === phase ? 0 : -1
    else if (seen >= 0) seen += 1
    if (seen < 0) return
    if (written._tag === "PhaseEnded" || (seen === event && delay === 0)) {
      stop()
      return
    }
    if (seen !== event) return
    cells[1] = Math.ceil(delay * 1000)
    if (Atomics.compareExchange(cells, 0, 0, 1) === 0) Atomics.notify(cells, 0)
  }
  const write = process.stdout.write.bind(process.stdout) as (...args: ReadonlyArray<unknown>) => boolean
  process.stdout.write = ((chunk: unknown, ...rest: ReadonlyArray<unknown>) => {
    const done = write(chunk, ...rest)
    for (const line of String(chunk).split("\n")) hear(line)
    return done
  }) as typeof process.stdout.write
}

const given = process.env[variable]
if (given !== undefined && isMainThread) watch(JSON.parse(given) as StopAt)
