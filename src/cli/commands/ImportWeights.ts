/** `osnas import-weights`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { weightFlags } from "./WeightFlags.ts"

const flags = {
  file: Argument.String("file").pipe(
    Argument.withDescription("A .safetensors file with PyTorch's names, as OSNASLib has them")
  ),
  space: Flag.String("space").pipe(Flag.withDescription("The search space, or a published network (see `osnas list`)")),
  ...weightFlags
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas import-weights`. */
export const importWeights = Command.make("import-weights", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Weights.ts")),
    (module) => module.importWeights(input)
  )
).pipe(
  Command.withDescription(
    "Read the weights of a supernet or a network that was trained with PyTorch (OSNASLib's names and layouts), so that it is searched or evaluated here: a configuration takes the written file as start.supernet or start.network. Every tensor that is missing, too many or of another shape is named, and nothing is written then."
  ),
  Command.withShortDescription("Weights from PyTorch"),
  Command.withExamples([
    {
      command: "osnas import-weights supernet.safetensors --space proxylessnas --supernet --out imported.safetensors",
      description: "A trained supernet, to be searched"
    },
    {
      command:
        "osnas import-weights net.safetensors --space spos --arch 2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3 --out net-osnas.safetensors",
      description: "One network"
    }
  ])
)
