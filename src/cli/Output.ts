/**
 * Standard output carries only the results of the command, or JSON lines. What a library, a log or a module of the user's own
 * writes there goes to standard error. If standard output cannot be written, because a disk is full or its reader has left, the
 * caller is notified once and the exit code shows it.
 */
import { inspect } from "node:util"
import * as Console from "effect/Console"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

/** Why standard output cannot be written. */
export interface Lost {
  /** The reader has left: the other end of a pipe, as `head` does, or a terminal. */
  readonly hasReaderLeft: boolean
  readonly reason: string
}

/** Standard output, owned by the command. */
export interface Output {
  readonly layer: Layer.Layer<never>
  /** Why output was lost; undefined: everything so far was delivered. */
  readonly lost: () => Lost | undefined
  /** Calls back when everything is delivered or lost. */
  readonly flush: (done: () => void) => void
}

const textOf = (args: ReadonlyArray<unknown>): string =>
  args.map((arg) => (typeof arg === "string" ? arg : inspect(arg))).join(" ")

/**
 * Takes over the standard output of the process; call it once, at the edge of a command. `onLost` is called when a write first
 * fails; nothing is written afterwards.
 */
export const take = (onLost: (lost: Lost) => void): Output => {
  const { stderr, stdout } = process
  const write = stdout.write.bind(stdout)
  let lost: Lost | undefined
  const lose = (error: unknown): void => {
    if (lost !== undefined) return
    const code = error instanceof Error && "code" in error ? error.code : undefined
    lost = {
      hasReaderLeft: code === "EPIPE" || (code === "EIO" && stdout.isTTY === true),
      reason: error instanceof Error ? error.message : String(error)
    }
    onLost(lost)
  }
  const say = (text: string, done: () => void = () => {}): void => {
    if (lost !== undefined) {
      done()
      return
    }
    try {
      write(text, (error) => {
        if (error != null) lose(error)
        done()
      })
    } catch (error) {
      lose(error)
      done()
    }
  }
  stdout.on("error", lose)
  // A closed terminal does not stop the command.
  stderr.on("error", () => {})
  stdout.write = ((...args: Parameters<typeof stderr.write>) => stderr.write(...args)) as typeof stdout.write

  const own: Console.Console = Object.assign(Object.create(console), {
    log: (...args: ReadonlyArray<unknown>) => say(`${textOf(args)}\n`)
  })
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const words = textOf(Array.isArray(message) ? message : [message])
    // Clear a progress bar on this line; it is redrawn below.
    const line = stderr.isTTY === true ? "\r\u001b[2K" : ""
    stderr.write(
      `${line}${logLevel === "Info" ? "" : `${logLevel.toLowerCase().replace("warn", "warning")}: `}${words}\n`
    )
  })
  return {
    layer: Layer.merge(Layer.succeed(Console.Console, own), Logger.layer([logger])),
    lost: () => lost,
    flush: (done) => say("", done)
  }
}
