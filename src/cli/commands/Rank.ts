/** `osnas rank`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NonNegativeInt } from "../../support/Numbers.ts"
import * as Flags from "../Flags.ts"

const flags = {
  run: Argument.String("run").pipe(
    Argument.withDescription("Folder of a run whose supernet is trained, or with --supernet a configuration (YAML)")
  ),
  supernet: Flag.String("supernet").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Rank with these weights (safetensors) in the configuration's search space"),
    Flag.optional
  ),
  table: Flags.table(
    "Truth: a tabular benchmark; default where the search space is one. nas-bench-201 is read from --file"
  ).pipe(Flag.optional),
  file: Flags.tableFile,
  dataSet: Flags.dataSet,
  truth: Flag.String("truth").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Truth: a CSV file with columns architecture and accuracy (in percent)"),
    Flag.optional
  ),
  train: Flag.Int("train").pipe(
    Flag.withMetavar("N"),
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(1))),
    Flag.withDescription("Truth: train N architectures alone, as the configuration's retraining says"),
    Flag.optional
  ),
  epochs: Flags.count(
    "epochs",
    "With --train: epochs of each training; default: those of the configuration's retraining"
  ).pipe(Flag.optional),
  sample: Flag.Int("sample").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(1))),
    Flag.withDescription("Number of architectures to rank, drawn uniformly from the search space"),
    Flag.withDefault(100)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(NonNegativeInt),
    Flag.withDescription("Seed of the draw and of the bootstrap"),
    Flag.withDefault(1)
  ),
  picture: Flag.String("picture").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Draw true accuracy over score (SVG)"),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(
    Flag.withDescription("Where scores, trained networks and ranking.json are kept; default: RUN/ranking"),
    Flag.optional
  ),
  set: Flags.set("Override a value of the configuration: --set estimator.batches=2 (again for more)"),
  threads: Flags.threads,
  json: Flags.json("Print the ranking as one JSON object")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas rank`. */
export const rank = Command.make("rank", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Rank.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Measure how well a trained supernet ranks: score many architectures with it, compare the order with their true accuracy, and with predictions that cost nothing (layers, multiply-accumulates, parameters). Scores are kept: if you stop the command, run it again to continue."
  ),
  Command.withShortDescription("How well a supernet ranks architectures"),
  Command.withExamples([
    {
      command: "osnas rank runs/macro --table nas-bench-macro --sample 300",
      description: "Against the published accuracies of NAS-Bench-Macro"
    },
    {
      command: "osnas rank runs/mine --train 20 --epochs 10 --picture ranking.svg",
      description: "Against 20 networks trained alone, with a picture"
    },
    {
      command: "osnas rank search.yaml --supernet supernet.safetensors --truth accuracies.csv",
      description: "Weights and accuracies of your own"
    }
  ])
)
