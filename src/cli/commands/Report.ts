/** `osnas report`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Run folder, finished or not")),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withDescription("File of the page; default: report.html in the folder"),
    Flag.optional
  ),
  json: Flags.json("Print the data of the report as JSON, and write no page")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas report`. */
export const report = Command.make("report", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Report.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("Print the report of a run as text and write it as a page (report.html) that works offline."),
  Command.withShortDescription("Report of a run, even in progress"),
  Command.withExamples([
    { command: "osnas report runs/quickstart", description: "Prints text, and writes a page in the folder" }
  ])
)
