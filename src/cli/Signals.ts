/** What a command does on the first Ctrl-C; without an answer of its own it is interrupted. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"

/** The contract. */
export interface SignalsShape {
  /** Asks the running command to pause. False: nobody answers. */
  readonly pause: () => boolean
  /** Answers the first Ctrl-C while the scope is open. */
  readonly onPause: (answer: () => void) => Effect.Effect<void, never, Scope>
}

const make = (): SignalsShape => {
  let current: (() => void) | undefined
  return {
    pause: () => {
      const answer = current
      answer?.()
      return answer !== undefined
    },
    onPause: (answer) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => {
            current = answer
          }),
          () =>
            Effect.sync(() => {
              current = undefined
            })
        )
      )
  }
}

/** Ctrl-C of the process that runs the command. */
export const Signals = Object.assign(
  Context.Reference<SignalsShape>("osnas/cli/Signals", { defaultValue: () => make() }),
  { make }
)
