/** `osnas engines`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = { json: Flags.json("Print JSON") }

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas engines`. */
export const engines = Command.make("engines", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Engines.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("List the tensor engines with versions and a short self-test of each."),
  Command.withShortDescription("Tensor engines that are present"),
  Command.withExamples([{ command: "osnas engines", description: "What is here, and does it work?" }])
)
