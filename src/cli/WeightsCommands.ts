/** The commands that take weights from PyTorch and give them back: their arguments, flags and help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "./Flags.ts"

const flags = {
  arch: Flag.String("arch").pipe(
    Flag.withMetavar("A,B,..."),
    Flag.withDescription("One architecture's network: one digit a layer, or the name of one published in the space"),
    Flag.optional
  ),
  supernet: Flags.given("supernet", "The whole supernet, all options of every layer"),
  size: Flag.Int("size").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription(
      "Side of the images; only MobileFaceNet's weights depend on it. Default 32, MobileFaceNet 112"
    ),
    Flag.optional
  ),
  channels: Flag.Int("channels").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Channels of the images; default: as many as the file's first weights take"),
    Flag.optional
  ),
  classes: Flag.Int("classes").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Classes, or length of the embedding; default: as many as the file has"),
    Flag.optional
  ),
  set: Flags.set("An option of the space (again for more)"),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("The .safetensors file to write")
  ),
  force: Flags.force("Overwrite a file that is there already"),
  json: Flags.json("Print JSON")
}

const load = Effect.promise(() => import("./Weights.ts"))

/** `osnas import-weights`. */
export const importWeights = Command.make(
  "import-weights",
  {
    file: Argument.String("file").pipe(
      Argument.withDescription("A .safetensors file with PyTorch's names, as OSNASLib has them")
    ),
    space: Flag.String("space").pipe(
      Flag.withDescription("The search space, or a published network (see `osnas list`)")
    ),
    ...flags
  },
  (input) => Effect.flatMap(load, (module) => module.importWeights(input))
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

/** `osnas export-weights`. */
export const exportWeights = Command.make(
  "export-weights",
  {
    file: Argument.String("file").pipe(Argument.withDescription("A run's folder, or a .safetensors file of osnas")),
    space: Flag.String("space").pipe(
      Flag.withDescription("The search space; default: the one the file names"),
      Flag.optional
    ),
    ...flags
  },
  (input) => Effect.flatMap(load, (module) => module.exportWeights(input))
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
