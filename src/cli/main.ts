/** The edge: runs the command line, maps its result to an exit code, owns standard output, and handles signals. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { version } from "../Package.ts"
import { osnas } from "./Commands.ts"
import * as ExitCode from "./Exit.ts"
import * as Flags from "./Flags.ts"
import * as Output from "./Output.ts"
import { asking, isHangupIgnored, Signals, sameRequestMillis } from "./Signals.ts"

/** Prints wrong usage on stderr with a pointer to the help; prints the whole help only on request. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function* () {
          const formatter = yield* CliOutput.Formatter
          yield* Console.error(Flags.plainErrors(formatter.formatErrors(event.errors).trim()))
          yield* Console.error(`\nSee: ${event.commandPath.join(" ")} --help`)
        })
      : CliOutput.defaultPresenter.present(event)
})

/** Runs the command line on given arguments. */
export const run = Command.runWith(osnas, { version })

/** Commands that only print: they end when their reader leaves. */
const printing: ReadonlySet<string> = new Set(["list", "config", "inspect", "bench"])

const start = (args: ReadonlyArray<string>): void => {
  const signals = Signals.make()
  const complain = (line: string): void => void process.stderr.write(`${line}\n`)
  const output = Output.take(() => {
    // Other commands continue or pause, and their exit code shows the result.
    if (printing.has(args[0] ?? "")) leave(ExitCode.ok, undefined)
    else signals.pause("output")
  })

  let isLeaving = false
  /** Ends the process after all output has reached its pipe. */
  const leave = (code: number, message: string | undefined): void => {
    if (isLeaving) return
    isLeaving = true
    output.flush(() => {
      const lost = output.lost()
      if (message !== undefined) complain(message)
      const isUndelivered = lost !== undefined && !lost.hasReaderLeft
      if (isUndelivered) complain(`standard output could not be written: ${lost.reason}`)
      const isGood = code === ExitCode.ok || code === ExitCode.interrupted
      process.stderr.write("", () => process.exit(isUndelivered && isGood ? ExitCode.failed : code))
    })
  }

  const fiber = Effect.runFork(
    run(args).pipe(
      Effect.provide(Layer.mergeAll(NodeServices.layer, presenter)),
      Effect.provide(output.layer),
      Effect.provideService(Signals, signals)
    )
  )
  let asked: { readonly at: number; readonly signal: keyof typeof ExitCode.bySignal } | undefined
  for (const signal of asking) {
    if (signal === "SIGHUP" && isHangupIgnored()) {
      process.on(signal, () => {})
      continue
    }
    process.on(signal, () => {
      const now = performance.now()
      // The first signal asks the command to pause; the second ends it at once, and what was saved remains valid.
      if (asked !== undefined && now - asked.at > sameRequestMillis) process.exit(ExitCode.bySignal[signal])
      if (asked !== undefined) return
      asked = { at: now, signal }
      if (!signals.pause(signal)) fiber.interruptUnsafe()
    })
  }
  // The event loop is empty but the command has not ended: a module of the user's own waits forever.
  process.on("beforeExit", () => leave(ExitCode.failed, ExitCode.stuck))
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) return leave(ExitCode.ok, undefined)
    const { code, message } = ExitCode.of(exit.cause)
    const isInterrupted = Cause.hasInterruptsOnly(exit.cause) && asked !== undefined
    leave(isInterrupted ? ExitCode.bySignal[asked?.signal ?? "SIGINT"] : code, message)
  })
}

start(process.argv.slice(2))
