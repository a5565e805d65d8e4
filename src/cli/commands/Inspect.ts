/** `osnas inspect`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  space: Argument.String("space").pipe(
    Argument.withDescription("A search space or published architecture (see `osnas list`), or the path of a module")
  ),
  arch: Flag.String("arch").pipe(
    Flag.withMetavar("A,B,..."),
    Flag.withDescription("An architecture: one digit per layer, or the name of one published in this space"),
    Flag.optional
  ),
  archs: Flag.String("archs").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "A file of architectures or published names, one per line (- for standard input); prints one JSON line each"
    ),
    Flag.optional
  ),
  size: Flags.size("Side of the images in pixels; default 32, or that of the published network").pipe(Flag.optional),
  classes: Flags.classes("Classes of the classifier; default 100, or those of the published network").pipe(
    Flag.optional
  ),
  channels: Flags.channels().pipe(Flag.withDefault(3)),
  embedding: Flags.count("embedding", "End in an embedding of this length instead of a classifier").pipe(Flag.optional),
  stemStride: Flags.stemStride,
  set: Flags.set("An option of the space (repeatable)"),
  json: Flags.json("Print JSON")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas inspect`. */
export const inspect = Command.make("inspect", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Inspect.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Show a search space, or one architecture block by block with its multiply-accumulates and parameters."
  ),
  Command.withShortDescription("Show a search space or an architecture"),
  Command.withExamples([
    { command: "osnas inspect proxylessnas", description: "Its layers, choices and size" },
    {
      command: "osnas inspect tiny --arch 0,1,2,3,4,5 --size 28 --channels 1 --classes 10",
      description: "One architecture"
    },
    {
      command: "osnas inspect proxylessnas --archs list.txt",
      description: "One JSON line per architecture in the file"
    }
  ])
)
