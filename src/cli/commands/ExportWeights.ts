/** `osnas export-weights`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { weightFlags } from "./WeightFlags.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("A run folder, or a .safetensors file of osnas")),
  space: Flag.String("space").pipe(
    Flag.withDescription("The search space; default: the one the file names"),
    Flag.optional
  ),
  ...weightFlags
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas export-weights`. */
export const exportWeights = Command.make("export-weights", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Weights.ts")),
    (module) => module.exportWeights(input)
  )
).pipe(
  Command.withDescription(
    "Write the weights of a supernet or a network with PyTorch's names and layouts, so that OSNASLib's classes can load them. Imported weights are exported unchanged, bit for bit."
  ),
  Command.withShortDescription("Export weights to PyTorch"),
  Command.withExamples([
    { command: "osnas export-weights runs/cifar100 --out network.safetensors", description: "The network of a run" },
    {
      command: "osnas export-weights runs/cifar100 --supernet --out supernet.safetensors",
      description: "Its supernet"
    }
  ])
)
