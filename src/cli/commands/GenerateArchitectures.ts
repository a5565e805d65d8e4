/** `osnas generate-architectures`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(
    Argument.withDescription("Folder of a run with searchStrategy architecture-generator")
  ),
  budgets: Flag.String("budgets").pipe(
    Flag.withMetavar("MAX,MIN-MAX,..."),
    Flag.withDescription("Budgets in the run's metric, each its upper end (5M) or both ends (4.5M-5M)")
  ),
  threads: Flags.threads,
  json: Flags.json("Print one JSON line for each budget")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas generate-architectures`. */
export const generateArchitectures = Command.make("generate-architectures", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../GenerateArchitectures.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Draw an architecture for each budget by the generator that a run has trained: nothing is trained again, no data is read. Every architecture lies within its budget; a budget that none meets is refused before anything is drawn. The folder itself is not changed."
  ),
  Command.withShortDescription("Architectures for further budgets, by a run's trained generator"),
  Command.withExamples([
    {
      command: "osnas generate-architectures runs/architecture-generator --budgets 1M,2M,3M,5M",
      description: "Four budgets"
    },
    {
      command: "osnas generate-architectures runs/architecture-generator --budgets 1.9M-2M --json",
      description: "A band, as JSON"
    }
  ])
)
