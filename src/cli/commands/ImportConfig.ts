/** `osnas import-config`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
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
      "The architecture to evaluate: digits, the name of a published network, or OSNASLib's .npy file"
    ),
    Flag.optional
  ),
  name: Flag.String("name").pipe(Flag.withDescription("Name of the run; default: the file name"), Flag.optional),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("File to write; default: standard output"),
    Flag.optional
  ),
  force: Flags.force("Overwrite an existing file"),
  json: Flags.json("Print the configuration and notes as JSON")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas import-config`. */
export const importConfig = Command.make("import-config", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../ImportConfig.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Convert a configuration of OSNASLib. Lists keys without an equivalent with the reason, unknown keys, and defaults that differ; docs/from-osnaslib.md explains every key."
  ),
  Command.withShortDescription("Convert a configuration of OSNASLib"),
  Command.withExamples([
    { command: "osnas import-config uniform_evolution.yml --out search.yaml", description: "A search" },
    {
      command: "osnas import-config uniform_evolution.yml --evaluate evaluate_classification.yml --out run.yaml",
      description: "Search and retraining in one file"
    },
    {
      command: "osnas import-config evaluate_classification.yml --arch searched_model_architecture.npy",
      description: "Training of a given architecture"
    }
  ])
)
