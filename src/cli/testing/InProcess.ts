/** Command lines run in the process of a test. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { osnas } from "../Commands.ts"
import * as ExitCode from "../Exit.ts"

/** Runs a command line: `invoke("run", "search.yaml")`. */
export const invoke = (...args: ReadonlyArray<string>) =>
  Command.runWith(osnas, { version: "0.0.0" })(args).pipe(Effect.provide(NodeServices.layer))

const captured = (args: ReadonlyArray<string>, withErrors: boolean) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const collect = (...texts: ReadonlyArray<unknown>) => void lines.push(texts.join(" "))
    const outer = yield* Console.Console
    const own = { ...outer, log: collect, error: withErrors ? collect : outer.error }
    yield* invoke(...args).pipe(Effect.provideService(Console.Console, own))
    return lines
  })

/** Runs a command line and returns what it prints on standard output, a text per call of the console. */
export const printedLines = (...args: ReadonlyArray<string>) => captured(args, false)

/** Runs a command line and returns what it prints on standard output. */
export const printed = (...args: ReadonlyArray<string>) =>
  Effect.map(captured(args, false), (lines) => lines.join("\n"))

/** Runs a command line and returns what it prints on standard output and standard error. */
export const output = (...args: ReadonlyArray<string>) => Effect.map(captured(args, true), (lines) => lines.join("\n"))

/** Exit code and message of a command line that fails. */
export const failure = (...args: ReadonlyArray<string>) =>
  invoke(...args).pipe(Effect.sandbox, Effect.flip, Effect.map(ExitCode.of))
