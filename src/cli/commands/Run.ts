/** `osnas run`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { NonNegativeInt } from "../../support/Numbers.ts"
import { help as exitCodes } from "../Exit.ts"
import * as Flags from "../Flags.ts"

const flags = {
  config: Argument.String("config").pipe(
    Argument.withDescription("Configuration (YAML); none: the shipped quickstart"),
    Argument.optional
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(NonNegativeInt),
    Flag.withDescription("Root of all randomness; the same seed gives the same bits"),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(Flag.withDescription("Folder of the run; default runs/<name>"), Flag.optional),
  name: Flag.String("name").pipe(Flag.withDescription("Name of the run, in place of the file's"), Flag.optional),
  set: Flags.set("Override a value of the file: --set budget.max=27e6 (again for more)"),
  threads: Flags.threads,
  mode: Flags.mode,
  engine: Flags.engine("Tensor engine, in place of the file's").pipe(Flag.optional),
  quick: Flags.given("quick", "A few steps of every phase, to see that all fits together"),
  maxMinutes: Flags.maxMinutes,
  maxEvaluations: Flags.count(
    "max-evaluations",
    "Number of architectures the search may score, in place of the file's searchStrategy.evaluations"
  ).pipe(Flag.optional),
  overwrite: Flags.given("overwrite", "Replace a run that is in the folder already"),
  json: Flags.json("Print events as JSON lines")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas run`. */
export const run = Command.make("run", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Run.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    `Train a supernet, search it under the budget, retrain the winner and evaluate it. Everything the run makes lands in its folder. Ctrl-C finishes the current step and saves; a second one stops at once. ${exitCodes}`
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
      description: "Other values"
    },
    { command: "osnas run search.yaml --quick", description: "Does it all fit together?" }
  ])
)
