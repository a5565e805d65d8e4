/** `osnas report`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Folder of a run, ended or not")),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withDescription("Where to write the page; default report.html in the folder"),
    Flag.optional
  ),
  json: Flags.json("Print what the report is made of as JSON; writes no page")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas report`. */
export const report = Command.make("report", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Report.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Print the report of a run as text and write it as a page (report.html) that needs no network."
  ),
  Command.withShortDescription("Report of a run, also of one in progress"),
  Command.withExamples([{ command: "osnas report runs/quickstart", description: "Text here, a page in the folder" }])
)
