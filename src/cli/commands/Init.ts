/** `osnas init`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { kindNames } from "../../../generators/Kinds.ts"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("A new or empty folder")),
  kind: Flag.Literals("with", kindNames).pipe(
    Flag.withDescription("The kind of component that the project defines"),
    Flag.withDefault("search-space")
  ),
  install: Flag.Boolean("install").pipe(
    Flag.withDescription("Run npm install (--no-install: leave that to you)"),
    Flag.withDefault(true)
  ),
  force: Flags.force("Write into a folder that is not empty, and overwrite files of the same names")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas init`. */
export const init = Command.make("init", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Init.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Create a small project: a configuration, one component of your own with its tests, types and a README."
  ),
  Command.withShortDescription("Create a project"),
  Command.withExamples([
    { command: "osnas init demo --with search-space", description: "A space of your own" },
    { command: "osnas init demo --with criterion --no-install", description: "Only the files" }
  ])
)
