/** `osnas reproduce`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { tableNames } from "../../reproduce/Tables.ts"
import * as Flags from "../Flags.ts"

const flags = {
  table: Argument.Literals("table", tableNames).pipe(
    Argument.withDescription(
      "table-2: search spaces; table-3: search strategies, both on CIFAR-100 under 27M FLOPs; table-4: faces under 300M"
    )
  ),
  row: Flag.String("row").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Only this row (again for more); --list names them"),
    Flag.between(0, 100)
  ),
  seeds: Flags.count("seeds", "Runs per row, with seeds 1, 2, …; default 3, with --quick 1").pipe(Flag.optional),
  data: Flag.String("data").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription(
      "Where the data lie. CIFAR-100: its binary files (default data/cifar100). Faces: train/CASIA-WebFace, test/LFW and test/LFW/pairs.txt (default data/face); with --quick also one folder a person"
    ),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(
    Flag.withDescription("Where the runs land, a folder each"),
    Flag.withDefault("runs/reproduce")
  ),
  set: Flags.set("Change a value of every row's configuration (again for more); the table says so"),
  quick: Flags.given("quick", "A few steps on a few images, to see that all runs; the figures mean nothing"),
  list: Flags.given("list", "List the rows and how far their runs are; runs nothing"),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas reproduce`. */
export const reproduce = Command.make("reproduce", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Reproduce.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Run a comparison of OSNASLib's paper by its protocol and print its columns, mean and deviation over seeds: 80 % of the training images train the supernet, 20 % score candidates, the winner is trained anew on all of them and tested once. Full size is meant for a GPU. Every row and seed is a run's folder; one that is done is not run again, one that was stopped goes on. Ctrl-C saves; the same command goes on."
  ),
  Command.withShortDescription("The paper's comparisons"),
  Command.withExamples([
    { command: "osnas reproduce table-3 --quick", description: "Does every row run?" },
    { command: "osnas reproduce table-2 --row spos --data data/cifar100", description: "One row at full size" },
    { command: "osnas reproduce table-3 --list", description: "Rows, and how far they are" }
  ])
)
