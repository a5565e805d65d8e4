/** `osnas config`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  file: Argument.String("config").pipe(
    Argument.withDescription("Check this configuration and print it with every default filled in"),
    Argument.optional
  ),
  check: Flags.given(
    "check",
    "Examine all that a run would meet before its first step: data, batches, budget, memory, disk space"
  ),
  schema: Flags.given("schema", "Print the JSON Schema (draft 2020-12), for editors"),
  set: Flags.set("Override a value of the file (again for more)"),
  json: Flags.json("Print JSON instead of YAML")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas config`. */
export const config = Command.make("config", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Config.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Without a file: print a configuration with every key, its default and what it means. With one: print it with its defaults, or examine it against the data and the machine (--check). Exit code 2 where it is wrong."
  ),
  Command.withShortDescription("Defaults, checks and the schema of configurations"),
  Command.withExamples([
    { command: "osnas config > search.yaml", description: "Begin with all defaults" },
    { command: "osnas config search.yaml", description: "Print it with every default filled in" },
    { command: "osnas config search.yaml --check", description: "Would it run? All findings, nothing written" },
    { command: "osnas config --schema > osnas.schema.json", description: "For completion in editors" }
  ])
)
