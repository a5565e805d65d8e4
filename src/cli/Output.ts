/**
 * Standard output belongs to the command: results, or JSON lines. Whatever else in the process writes there, a module of the
 * user's own, a library, a log, is sent to standard error. And it may be lost, when a disk is full or a reader leaves: that is
 * noticed, once, and what was not delivered shows in the exit code.
 */
import { inspect } from "node:util"
import * as Console from "effect/Console"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

/** Why standard output cannot be written. */
export interface Lost {
  /** Whoever read it has left, as `head` does: a pipe's other end, a terminal. */
  readonly hasReaderLeft: boolean
  readonly reason: string
}

/** Standard output, owned. */
export interface Output {
  readonly layer: Layer.Layer<never>
  /** Undefined: everything so far was delivered. */
  readonly lost: () => Lost | undefined
  /** Calls back when all is delivered, or lost. */
  readonly flush: (done: () => void) => void
}

const textOf = (args: ReadonlyArray<unknown>): string =>
  args.map((arg) => (typeof arg === "string" ? arg : inspect(arg))).join(" ")

/**
 * Takes the process's standard output; for the edge of a command, once. `onLost` is called when it first cannot be written;
 * nothing is written there any more.
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
  // What nobody can read, a terminal that is closed, is no reason to stop.
  stderr.on("error", () => {})
  stdout.write = ((...args: Parameters<typeof stderr.write>) => stderr.write(...args)) as typeof stdout.write

  const own: Console.Console = Object.assign(Object.create(console), {
    log: (...args: ReadonlyArray<unknown>) => say(`${textOf(args)}\n`)
  })
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const words = textOf(Array.isArray(message) ? message : [message])
    // A bar of progress may be on the line; it is drawn again below.
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
