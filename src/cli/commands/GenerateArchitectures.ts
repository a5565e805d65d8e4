/** `osnas generate-architectures`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Run folder of a search with the architecture-generator")),
  budgets: Flag.String("budgets").pipe(
    Flag.withMetavar("MAX,MIN-MAX,..."),
    Flag.withDescription("Budgets in the run's metric: an upper end (5M) or both ends (4.5M-5M)")
  ),
  threads: Flags.threads,
  json: Flags.json("Print one JSON line per budget")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas generate-architectures`. */
export const generateArchitectures = Command.make("generate-architectures", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../GenerateArchitectures.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Draw an architecture for each budget from the generator that a run has trained, without training again or reading data. Every architecture is within its budget; a budget that no architecture meets is an error. The folder is not changed."
  ),
  Command.withShortDescription("Generate architectures for more budgets"),
  Command.withExamples([
    {
      command: "osnas generate-architectures runs/architecture-generator --budgets 1M,2M,3M,5M",
      description: "Four budgets"
    },
    {
      command: "osnas generate-architectures runs/architecture-generator --budgets 1.9M-2M --json",
      description: "A budget with both ends, as JSON"
    }
  ])
)
