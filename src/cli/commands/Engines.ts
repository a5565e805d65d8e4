/** `osnas engines`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = { json: Flags.json("Print JSON") }

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas engines`. */
export const engines = Command.make("engines", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Engines.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("List the installed tensor engines with their versions and the result of a short self-test."),
  Command.withShortDescription("Installed tensor engines"),
  Command.withExamples([{ command: "osnas engines", description: "What is installed, and does it work?" }])
)
