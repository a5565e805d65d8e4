/** `osnas lookup-table`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  config: Argument.String("config").pipe(Argument.withDescription("Configuration (YAML) whose search space it is of")),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where to write the table (JSON)")
  ),
  latency: Flags.given("latency", "Measure latency too, on this machine and the configuration's engine"),
  editable: Flags.given(
    "editable",
    "Leave the digest out and put a latency into every entry, for you to replace with what you measured on a device"
  ),
  set: Flags.set("Override a value of the file: --set engine.threads=1 (again for more)"),
  force: Flags.force("Overwrite a file that is there already"),
  json: Flags.json("Print what was written as JSON")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas lookup-table`. */
export const lookupTable = Command.make("lookup-table", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../LookupTables.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Write the costs of every option of every layer of a search space: multiply-accumulates and parameters, and latency where you ask for it. Name the file as budget.lookupTable to search with it."
  ),
  Command.withShortDescription("The costs of a search space, measured here or to be filled in"),
  Command.withExamples([
    { command: "osnas lookup-table search.yaml --latency --out desk.json", description: "Measured on this machine" },
    { command: "osnas lookup-table search.yaml --editable --out phone.json", description: "To be filled in by hand" }
  ])
)
