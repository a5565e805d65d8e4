/** `osnas list`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = { json: Flags.json("Print JSON") }

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas list`. */
export const list = Command.make("list", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../List.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("List the components that ship, with their options, and the published architectures."),
  Command.withShortDescription("List components and published architectures"),
  Command.withExamples([{ command: "osnas list", description: "Everything a configuration can name" }])
)
