/** `osnas run`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { NonNegativeInt } from "../../support/Numbers.ts"
import { help as exitCodes } from "../Exit.ts"
import * as Flags from "../Flags.ts"

const flags = {
  config: Argument.String("config").pipe(
    Argument.withDescription("Configuration (YAML); default: the shipped quickstart"),
    Argument.optional
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(NonNegativeInt),
    Flag.withDescription("Root of all randomness; the same seed gives the same bits"),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(Flag.withDescription("Run folder; default: runs/<name>"), Flag.optional),
  name: Flag.String("name").pipe(Flag.withDescription("Name of the run, in place of the file's"), Flag.optional),
  set: Flags.set("Override a value of the file: --set budget.max=27e6 (repeatable)"),
  threads: Flags.threads,
  mode: Flags.mode,
  engine: Flags.engine("Tensor engine, in place of the file's").pipe(Flag.optional),
  quick: Flags.given("quick", "A few steps of every phase, as a smoke test"),
  maxMinutes: Flags.maxMinutes,
  maxEvaluations: Flags.count(
    "max-evaluations",
    "Number of architectures the search may score, in place of the file's searchStrategy.evaluations"
  ).pipe(Flag.optional),
  overwrite: Flags.given("overwrite", "Replace an existing run in the folder"),
  json: Flags.json("Print events as JSON lines")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas run`. */
export const run = Command.make("run", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Run.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    `Train a supernet, search it under the budget, retrain the found architecture and evaluate it. The run writes everything to its folder. Ctrl-C finishes the current step and saves; a second one stops at once. ${exitCodes}`
  ),
  Command.withShortDescription("Supernet training, search, retraining, evaluation"),
  Command.withExamples([
    { command: "osnas run", description: "The quickstart, on images that ship with osnas" },
    {
      command: "osnas run examples/quickstart.yaml --seed 7 --dir runs/seven",
      description: "A configuration of your own"
    },
    {
      command: "osnas run search.yaml --set budget.max=20e6 --set searchSpace.stemStride=1",
      description: "With other values"
    },
    { command: "osnas run search.yaml --quick", description: "A smoke test" }
  ])
)
