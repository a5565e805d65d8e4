/** `osnas lookup-table`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  config: Argument.String("config").pipe(Argument.withDescription("Configuration (YAML) with the search space")),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where to write the table (JSON)")
  ),
  latency: Flags.given("latency", "Measure latency too, on this machine and the configuration's engine"),
  editable: Flags.given(
    "editable",
    "Omit the digest and put a latency into every entry, for you to replace with what you measured on a device"
  ),
  set: Flags.set("Override a value of the file: --set engine.threads=1 (repeatable)"),
  force: Flags.force("Overwrite an existing file"),
  json: Flags.json("Print a summary as JSON")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas lookup-table`. */
export const lookupTable = Command.make("lookup-table", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../LookupTables.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Write the costs of every option of every layer of a search space: multiply-accumulates and parameters, and latency on request. Name the file as budget.lookupTable to search with it."
  ),
  Command.withShortDescription("Write the costs of a search space"),
  Command.withExamples([
    { command: "osnas lookup-table search.yaml --latency --out desk.json", description: "Measured on this machine" },
    { command: "osnas lookup-table search.yaml --editable --out phone.json", description: "For you to fill in" }
  ])
)
