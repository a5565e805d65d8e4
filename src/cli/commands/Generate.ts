/** `osnas generate`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { kindNames } from "../../../generators/Kinds.ts"
import * as Flags from "../Flags.ts"

const flags = {
  kind: Argument.Literals("kind", kindNames).pipe(Argument.withDescription("Kind of component"), Argument.optional),
  name: Flag.String("name").pipe(
    Flag.withDescription("Its name in configurations and its file name: my-searcher"),
    Flag.optional
  ),
  identifier: Flag.String("class").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("The namespace under which its tests import it; default: from the name, MySearcher"),
    Flag.optional
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("SHIPPED"),
    Flag.withDescription("Start from a shipped component (see --list) instead of a minimal one"),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(Flag.withDescription("Folder to write the files to"), Flag.withDefault("src")),
  list: Flags.given("list", "List the kinds, and what each can start from"),
  dryRun: Flags.given("dry-run", "Print the files instead of writing them"),
  force: Flags.force("Overwrite existing files")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas generate`. */
export const generate = Command.make("generate", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Generate.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Write a component of your own: a working module, a unit test, and a test of the laws of its kind. Writes nothing if one of the files exists."
  ),
  Command.withShortDescription("Generate a component with its tests"),
  Command.withExamples([
    { command: "osnas generate search-space --name mynas --class MyNAS", description: "src/mynas.ts and its tests" },
    {
      command: "osnas generate search-space --name mynas --from proxylessnas",
      description: "Start from a shipped one"
    },
    { command: "osnas generate --list", description: "Kinds and starting points" }
  ])
)
