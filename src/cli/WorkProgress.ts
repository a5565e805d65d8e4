/** Progress of work that is not a run, on standard error: a bar on a terminal, a line every five seconds elsewhere. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { duration, grouped } from "../report/Format.ts"
import * as Progress from "./Progress.ts"

/** Shows progress. */
export interface WorkProgress {
  /**
   * Shows that `done` of `total` units of a stage are done, once the stage has taken two seconds. `before` units were done
   * when it began, and say nothing of its speed.
   */
  readonly report: (stage: string, done: number, total: number, before?: number) => Effect.Effect<void>
  /** Removes the bar. */
  readonly clear: () => void
}

/** Progress of stages, one after the other. */
export const make: Effect.Effect<WorkProgress> = Effect.sync(() => {
  let stage = ""
  let since = 0
  let shownAt = 0
  let drawn = false
  const isTerminal = process.stderr.isTTY === true
  const clear = () => {
    if (drawn) process.stderr.write("\r\u001b[2K")
    drawn = false
  }
  const report: WorkProgress["report"] = (name, done, total, before = 0) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (name !== stage) {
        clear()
        stage = name
        since = now
        shownAt = now
      }
      if (now - since < 2000 || now - shownAt < (isTerminal ? 100 : 5000) || done <= before) return
      shownAt = now
      const left = duration((((now - since) / (done - before)) * (total - done)) / 1000)
      const words = `${name}  ${grouped(String(done))} of ${grouped(String(total))}  ${left} left`
      if (isTerminal) {
        process.stderr.write(`\r\u001b[2K${Progress.bar(done / total, 20)}  ${words}`)
        drawn = true
      } else process.stderr.write(`${words}\n`)
    })
  return { report, clear }
})
