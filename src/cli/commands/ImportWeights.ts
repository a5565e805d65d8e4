/** `osnas import-weights`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { weightFlags } from "./WeightFlags.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("A .safetensors file with OSNASLib's PyTorch names")),
  space: Flag.String("space").pipe(Flag.withDescription("The search space, or a published network (see `osnas list`)")),
  ...weightFlags
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas import-weights`. */
export const importWeights = Command.make("import-weights", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Weights.ts")),
    (module) => module.importWeights(input)
  )
).pipe(
  Command.withDescription(
    "Convert the weights of a supernet or a network trained with PyTorch (OSNASLib's names and layouts). Name the written file as start.supernet or start.network in a configuration to search or evaluate it. If a tensor is missing, unexpected or of another shape, the command names it and writes nothing."
  ),
  Command.withShortDescription("Import weights from PyTorch"),
  Command.withExamples([
    {
      command: "osnas import-weights supernet.safetensors --space proxylessnas --supernet --out imported.safetensors",
      description: "A trained supernet to search"
    },
    {
      command:
        "osnas import-weights net.safetensors --space spos --arch 2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3 --out net-osnas.safetensors",
      description: "One network"
    }
  ])
)
