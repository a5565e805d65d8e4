/** Draws the events of a run while it works: {@link Progress} says how, this writes it. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RunEvents } from "../run/RunEvents.ts"
import * as Progress from "./Progress.ts"

const columns = (): number | undefined => (process.stderr.isTTY === true ? (process.stderr.columns ?? 80) : undefined)

/** The events shown when a label marks one of many runs. */
const brief: ReadonlySet<string> = new Set(["StepDone", "CandidateScored"])

/**
 * The event stream, drawn on stderr as progress, or printed on stdout as JSON lines. With a label, every line begins with it
 * and only progress is drawn.
 */
export const layer = (json: boolean, label = ""): Layer.Layer<RunEvents> =>
  Layer.effect(
    RunEvents,
    Effect.gen(function* () {
      const inner = yield* RunEvents
      let state = Progress.initial
      let bar = ""
      const clear = (): void => {
        if (bar !== "") process.stderr.write(Progress.ansi({ state, lines: [], bar: undefined }, ""))
        bar = ""
      }
      yield* Effect.addFinalizer(() => Effect.sync(clear))
      return RunEvents.of({
        subscribe: inner.subscribe,
        publish: (event) =>
          Effect.tap(inner.publish(event), (stamped) => {
            if (json) return Console.log(Progress.json(stamped))
            return Effect.sync(() => {
              const width = columns()
              const full = Progress.fold(state, stamped, width === undefined ? width : width - label.length)
              state = full.state
              const drawn = label === "" || brief.has(stamped.event._tag) ? full : { ...full, lines: [] }
              if (width === undefined) {
                for (const line of drawn.lines) process.stderr.write(`${label}${line}\n`)
                return
              }
              if (drawn.lines.length === 0 && drawn.bar === undefined) return
              bar = drawn.bar === undefined ? "" : `${label}${drawn.bar}`
              process.stderr.write(Progress.ansi(drawn, bar))
            })
          })
      })
    })
  ).pipe(Layer.provide(RunEvents.layer))
