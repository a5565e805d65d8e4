/** `osnas compare-runs`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  runs: Argument.String("run").pipe(
    Argument.withDescription("Run folders, or folders that contain run folders"),
    Argument.between(1, 10_000)
  ),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Also write it as a page with a plot (FILE.html) or as Markdown (FILE.md)"),
    Flag.optional
  ),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas compare-runs`. */
export const compareRuns = Command.make("compare-runs", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../CompareRuns.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Compare runs: FLOPs, parameters, test metric, search time and size of the space, as mean and deviation over runs that differ only in their seed. Warns of what makes the comparison unfair: different data, epochs, budgets or seeds."
  ),
  Command.withShortDescription("Compare runs, averaged over seeds"),
  Command.withExamples([
    { command: "osnas compare-runs runs", description: "Every run of a folder" },
    { command: "osnas compare-runs runs -o comparison.html", description: "Also as a page" }
  ])
)
