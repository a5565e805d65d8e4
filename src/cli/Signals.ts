/**
 * Requests to stop a command: Ctrl-C (SIGINT), SIGTERM, a closed terminal (SIGHUP), or standard output that nothing reads. A
 * command that does not handle them is interrupted.
 */
import { readFileSync, readlinkSync } from "node:fs"
import { basename } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"

/** Signals that ask a command to stop. */
export const asking = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Why a command should pause: a signal, or standard output that cannot be written. */
export type Reason = (typeof asking)[number] | "output"

/** The contract. */
export interface SignalsShape {
  /** Asks the running command to pause. False: it has no handler. */
  readonly pause: (reason: Reason) => boolean
  /** Sets the handler of requests to pause while the scope is open. */
  readonly onPause: (answer: (reason: Reason) => void) => Effect.Effect<void, never, Scope>
}

/**
 * Two signals within this many milliseconds are one request: a shell and `npx` forward what the terminal has already sent to
 * every process.
 */
export const sameRequestMillis = 500

const make = (): SignalsShape => {
  let current: ((reason: Reason) => void) | undefined
  return {
    pause: (reason) => {
      const answer = current
      answer?.(reason)
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

const linesOf = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

/** Whether a process's status says that it ignores SIGHUP (bit 0). */
const ignores = (status: string): boolean => {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return mask !== undefined && Number.parseInt(mask.slice(-1), 16) % 2 === 1
}

/**
 * Whether the command should survive a closed terminal, as under `nohup`. nohup ignores SIGHUP before it starts the command, but
 * Node resets the signal, so this looks for its traces: the environment (bash, zsh and ksh put the started command in `_`), a
 * parent that ignores SIGHUP, and standard input, which nohup replaces by /dev/null opened for writing. The last two work only
 * on Linux.
 */
export const isHangupIgnored = (): boolean => {
  if (basename(process.env["_"] ?? "") === "nohup") return true
  if (process.platform !== "linux") return false
  if (ignores(linesOf("/proc/self/status")) || ignores(linesOf(`/proc/${process.ppid}/status`))) return true
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(linesOf("/proc/self/fdinfo/0"))?.[1] ?? "0"
    return readlinkSync("/proc/self/fd/0") === "/dev/null" && Number.parseInt(flags, 8) % 4 === 1
  } catch {
    return false
  }
}

/** Requests to stop the process that runs the command. */
export const Signals = Object.assign(
  Context.Reference<SignalsShape>("osnas/cli/Signals", { defaultValue: () => make() }),
  { make }
)
