/** `osnas verify`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Folder of the run")),
  from: Flag.String("from").pipe(
    Flag.withMetavar("CHECKPOINT"),
    Flag.withDescription(
      "Only a part: train again from this checkpoint of the folder (checkpoints/retraining-000000312.safetensors)"
    ),
    Flag.optional
  ),
  steps: Flags.count("steps", "With --from: training steps to repeat; default: to the end of the phase").pipe(
    Flag.optional
  ),
  threads: Flags.threads,
  json: Flags.json("Print events and the outcome as JSON lines")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas verify`. */
export const verify = Command.make("verify", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Verify.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Do a run again in a temporary folder and compare weights, search and metrics bit for bit: prints the digests where they are equal, the first difference and exit code 1 where not. Damaged files are found first, and named. The folder itself is not changed."
  ),
  Command.withShortDescription("Does a run come again, bit for bit?"),
  Command.withExamples([
    { command: "osnas verify runs/quickstart", description: "The whole run again" },
    {
      command: "osnas verify runs/quickstart --from checkpoints/retraining-000000312.safetensors --steps 156",
      description: "156 steps of its training"
    }
  ])
)
