/** `osnas reproduce`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
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
    Flag.withDescription("Only this row (repeatable); --list names them"),
    Flag.between(0, 100)
  ),
  seeds: Flags.count("seeds", "Runs per row, with seeds 1, 2, …; default 3, with --quick 1").pipe(Flag.optional),
  data: Flag.String("data").pipe(
    Flag.withMetavar("FOLDER"),
    Flag.withDescription(
      "Folder of the data. CIFAR-100: its binary files (default data/cifar100). Faces: train/CASIA-WebFace, test/LFW and test/LFW/pairs.txt (default data/face); with --quick also one folder per person"
    ),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(
    Flag.withDescription("Where to write the run folders"),
    Flag.withDefault("runs/reproduce")
  ),
  set: Flags.set("Change a value of every row's configuration (repeatable); the table records it"),
  quick: Flags.given("quick", "A few steps on a few images, to see that every row runs; its figures mean nothing"),
  list: Flags.given("list", "List the rows and the state of their runs, and run nothing"),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas reproduce`. */
export const reproduce = Command.make("reproduce", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Reproduce.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Run a comparison of OSNASLib's paper by its protocol and print its columns, mean and deviation over seeds: 80 % of the training images train the supernet, 20 % score architectures, and the found architecture is retrained on all of them and tested once. Full size is meant for a GPU. Every row and seed has its own run folder; a finished run is not repeated, a stopped one is resumed. Ctrl-C pauses and saves; repeat the command to continue."
  ),
  Command.withShortDescription("Reproduce the paper's comparisons"),
  Command.withExamples([
    { command: "osnas reproduce table-3 --quick", description: "Does every row run?" },
    { command: "osnas reproduce table-2 --row spos --data data/cifar100", description: "One row at full size" },
    { command: "osnas reproduce table-3 --list", description: "Rows and the state of their runs" }
  ])
)
