/** `osnas resume`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { help as exitCodes } from "../Exit.ts"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Run folder")),
  set: Flags.set("Change an option that nothing recorded has used yet, or a path (repeatable)"),
  threads: Flags.threads,
  maxMinutes: Flags.maxMinutes,
  json: Flags.json("Print events as JSON lines")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas resume`. */
export const resume = Command.make("resume", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Run.ts")),
    (module) => module.resume(input)
  )
).pipe(
  Command.withDescription(
    `Resume a run that was paused, interrupted or killed. It ends in the same bits as if it had never stopped. With --set you can change options of a phase that has not begun (recorded in manifest.json) and paths of data that have moved. ${exitCodes}`
  ),
  Command.withShortDescription("Resume a run"),
  Command.withExamples([
    { command: "osnas resume runs/quickstart", description: "Continue where it stopped" },
    {
      command: "osnas resume runs/quickstart --set retraining.epochs=60",
      description: "More epochs, before retraining begins"
    },
    { command: "osnas resume runs/faces --set dataflow.folder=/data/faces", description: "The data has moved" }
  ])
)
