/** `osnas config`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
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
    "Check everything that a run needs before its first step: data, batches, budget, memory, disk space"
  ),
  schema: Flags.given("schema", "Print the JSON Schema (draft 2020-12), for editors"),
  set: Flags.set("Override a value of the file (repeatable)"),
  json: Flags.json("Print JSON instead of YAML")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas config`. */
export const config = Command.make("config", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Config.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Without a file: print a configuration with every key, its default and its meaning. With a file: print it with its defaults, or check it against the data and the machine (--check). Exit code 2 if it is wrong."
  ),
  Command.withShortDescription("Print, check and describe configurations"),
  Command.withExamples([
    { command: "osnas config > search.yaml", description: "Start from all defaults" },
    { command: "osnas config search.yaml", description: "Print it with every default filled in" },
    { command: "osnas config search.yaml --check", description: "Would it run? Writes nothing" },
    { command: "osnas config --schema > osnas.schema.json", description: "For completion in editors" }
  ])
)
