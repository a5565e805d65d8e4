/** The edge: runs the command line, maps its end to an exit code, and listens to Ctrl-C. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { version } from "../Package.ts"
import { osnas } from "./Commands.ts"
import * as ExitCode from "./Exit.ts"
import { Signals } from "./Signals.ts"

/** Mistakes first, on stderr, and where to read on; the whole help only where it is asked for. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function* () {
          const formatter = yield* CliOutput.Formatter
          yield* Console.error(formatter.formatErrors(event.errors).trim())
          yield* Console.error(`\nSee: ${event.commandPath.join(" ")} --help`)
        })
      : CliOutput.defaultPresenter.present(event)
})

/** Runs the command line on given arguments. */
export const run = Command.runWith(osnas, { version })

const leave = (code: number): void => {
  // What was written must reach a pipe before the process ends.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
}

const start = (args: ReadonlyArray<string>): void => {
  ExitCode.whenReaderLeaves()
  const signals = Signals.make()
  const fiber = Effect.runFork(
    run(args).pipe(
      Effect.provide(Layer.mergeAll(NodeServices.layer, presenter)),
      Effect.provideService(Signals, signals)
    )
  )
  let pressed = 0
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      pressed += 1
      // The first asks the command to come to a good end, the second is obeyed at once: whatever was saved is good.
      if (pressed > 1) process.exit(ExitCode.interrupted)
      if (!signals.pause()) fiber.interruptUnsafe()
    })
  }
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) return leave(ExitCode.ok)
    const { code, message } = ExitCode.of(exit.cause)
    if (message !== undefined) process.stderr.write(`${message}\n`)
    leave(code)
  })
}

start(process.argv.slice(2))
