/** `osnas generate`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { kindNames } from "../../../generators/Kinds.ts"
import * as Flags from "../Flags.ts"

const flags = {
  kind: Argument.Literals("kind", kindNames).pipe(Argument.withDescription("What is to be made"), Argument.optional),
  name: Flag.String("name").pipe(
    Flag.withDescription("Its name in configurations, and its file's: my-searcher"),
    Flag.optional
  ),
  identifier: Flag.String("class").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("The namespace its tests import it as; default: the name in one word, MySearcher"),
    Flag.optional
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("SHIPPED"),
    Flag.withDescription("Start from a shipped component (see --list) instead of a minimal one"),
    Flag.optional
  ),
  dir: Flag.String("dir").pipe(Flag.withDescription("Folder of the files"), Flag.withDefault("src")),
  list: Flags.given("list", "List the kinds, and what each can start from"),
  dryRun: Flags.given("dry-run", "Print the files instead of writing them"),
  force: Flags.force("Overwrite files that are there already")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas generate`. */
export const generate = Command.make("generate", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Generate.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Write a component of your own: a module that works as it is, a unit test, a test of the laws of its kind. Nothing is written where anything is in the way."
  ),
  Command.withShortDescription("A component of your own, with its tests"),
  Command.withExamples([
    { command: "osnas generate search-space --name mynas --class MyNAS", description: "src/mynas.ts and its tests" },
    {
      command: "osnas generate search-space --name mynas --from proxylessnas",
      description: "Start from a shipped one"
    },
    { command: "osnas generate --list", description: "What can be made" }
  ])
)
