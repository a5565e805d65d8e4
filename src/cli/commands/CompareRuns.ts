/** `osnas compare-runs`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  runs: Argument.String("run").pipe(
    Argument.withDescription("Folders of runs; a folder of such folders stands for all of them"),
    Argument.between(1, 10_000)
  ),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write it as a page with a picture (FILE.html) or as Markdown (FILE.md), too"),
    Flag.optional
  ),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas compare-runs`. */
export const compareRuns = Command.make("compare-runs", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../CompareRuns.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Set runs side by side: FLOPs, parameters, test figure, search time and size of the space, mean and deviation over the seeds of runs that are otherwise alike. What makes the comparison unfair - other data, epochs, budgets, seeds - is named."
  ),
  Command.withShortDescription("Runs side by side, seeds averaged"),
  Command.withExamples([
    { command: "osnas compare-runs runs", description: "Every run of a folder" },
    { command: "osnas compare-runs runs -o comparison.html", description: "As a page, too" }
  ])
)
