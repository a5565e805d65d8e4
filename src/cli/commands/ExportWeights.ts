/** `osnas export-weights`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { weightFlags } from "./WeightFlags.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("A run's folder, or a .safetensors file of osnas")),
  space: Flag.String("space").pipe(
    Flag.withDescription("The search space; default: the one the file names"),
    Flag.optional
  ),
  ...weightFlags
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas export-weights`. */
export const exportWeights = Command.make("export-weights", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Weights.ts")),
    (module) => module.exportWeights(input)
  )
).pipe(
  Command.withDescription(
    "Write the weights of a supernet or a network under PyTorch's names and in its layouts, for OSNASLib's classes to load. What was imported comes back bit for bit."
  ),
  Command.withShortDescription("Weights for PyTorch"),
  Command.withExamples([
    { command: "osnas export-weights runs/cifar100 --out network.safetensors", description: "The network of a run" },
    {
      command: "osnas export-weights runs/cifar100 --supernet --out supernet.safetensors",
      description: "Its supernet"
    }
  ])
)
