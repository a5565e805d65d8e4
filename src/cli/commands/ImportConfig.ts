/** `osnas import-config`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("A configuration of OSNASLib (.yml)")),
  evaluate: Flag.String("evaluate").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("OSNASLib's configuration for the evaluation: its training becomes the retraining"),
    Flag.optional
  ),
  arch: Flag.String("arch").pipe(
    Flag.withMetavar("A,B,..."),
    Flag.withDescription(
      "The architecture an evaluation begins with: digits, a published network's name, or OSNASLib's .npy file"
    ),
    Flag.optional
  ),
  name: Flag.String("name").pipe(Flag.withDescription("Name of the run; default: the file's"), Flag.optional),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where to write it; default: printed"),
    Flag.optional
  ),
  force: Flags.force("Overwrite a file that is there already"),
  json: Flags.json("Print configuration and notes as JSON")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas import-config`. */
export const importConfig = Command.make("import-config", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../ImportConfig.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Convert a configuration of OSNASLib into one of osnas. Keys without an equivalent are named with the reason, as are unknown ones and defaults that differ; docs/from-osnaslib.md lists every key."
  ),
  Command.withShortDescription("A configuration of OSNASLib, converted"),
  Command.withExamples([
    { command: "osnas import-config uniform_evolution.yml --out search.yaml", description: "A search" },
    {
      command: "osnas import-config uniform_evolution.yml --evaluate evaluate_classification.yml --out run.yaml",
      description: "Search and training of what it finds, in one file"
    },
    {
      command: "osnas import-config evaluate_classification.yml --arch searched_model_architecture.npy",
      description: "Training of an architecture found before"
    }
  ])
)
