/** `osnas inspect-data`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  config: Argument.String("config").pipe(Argument.withDescription("Configuration (YAML)")),
  set: Flags.set("Override a value of the file: --set dataflow.folder=data/flowers (repeatable)"),
  sample: Flags.count(
    "sample",
    "Images to decode for sizes, formats, mean and deviation; default 2,000, or up to 200,000 if they are in memory"
  ).pipe(Flag.withMetavar("N"), Flag.optional),
  sheet: Flag.String("sheet").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Contact sheet of augmented training images (PNG); default <name>-data-sheet.png in the current folder"
    ),
    Flag.optional
  ),
  noSheet: Flags.given("no-sheet", "Do not write a contact sheet"),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas inspect-data`. */
export const inspectData = Command.make("inspect-data", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../InspectData.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Examine the images of a configuration: images per class and split, sizes and formats of the files, skipped or broken files, images that are both in training and test, measured mean and deviation next to the configured ones, batches per second, and a contact sheet of augmented images. Does not train, and writes only the sheet."
  ),
  Command.withShortDescription("Examine the data before a run"),
  Command.withExamples([
    { command: "osnas inspect-data search.yaml", description: "The data of a configuration" },
    {
      command: "osnas inspect-data search.yaml --set dataflow.crop=4 --sheet crop4.png",
      description: "Images with another augmentation"
    },
    { command: "osnas inspect-data search.yaml --sample 20000 --json", description: "More images, as JSON" }
  ])
)
