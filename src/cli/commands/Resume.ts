/** `osnas resume`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { help as exitCodes } from "../Exit.ts"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Folder of the run")),
  set: Flags.set("Change an option that nothing recorded has used yet, or where something is (again for more)"),
  threads: Flags.threads,
  maxMinutes: Flags.maxMinutes,
  json: Flags.json("Print events as JSON lines")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas resume`. */
export const resume = Command.make("resume", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Run.ts")),
    (module) => module.resume(input)
  )
).pipe(
  Command.withDescription(
    `Resume a run that was paused, interrupted or killed. It ends in the same bits as if it had never stopped. With --set, options of a phase that has not begun may change (recorded in manifest.json), and data may be elsewhere. ${exitCodes}`
  ),
  Command.withShortDescription("Resume a run"),
  Command.withExamples([
    { command: "osnas resume runs/quickstart", description: "Resume where it stopped" },
    {
      command: "osnas resume runs/quickstart --set retraining.epochs=60",
      description: "More epochs, before retraining begins"
    },
    { command: "osnas resume runs/faces --set dataflow.folder=/data/faces", description: "The data has moved" }
  ])
)
