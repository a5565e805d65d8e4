/** `osnas verify`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  dir: Argument.String("dir").pipe(Argument.withDescription("Run folder")),
  from: Flag.String("from").pipe(
    Flag.withMetavar("CHECKPOINT"),
    Flag.withDescription(
      "Repeat only a part: train from this checkpoint of the folder (checkpoints/retraining-000000312.safetensors)"
    ),
    Flag.optional
  ),
  steps: Flags.count("steps", "With --from: training steps to repeat; default: to the end of the phase").pipe(
    Flag.optional
  ),
  threads: Flags.threads,
  json: Flags.json("Print events and the outcome as JSON lines")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas verify`. */
export const verify = Command.make("verify", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Verify.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Repeat a run in a temporary folder and compare weights, search and metrics bit for bit. Prints the digests if they are equal, else the first difference, with exit code 1. First checks the folder and names damaged files. The folder is not changed."
  ),
  Command.withShortDescription("Repeat a run and compare it bit for bit"),
  Command.withExamples([
    { command: "osnas verify runs/quickstart", description: "Repeat the whole run" },
    {
      command: "osnas verify runs/quickstart --from checkpoints/retraining-000000312.safetensors --steps 156",
      description: "156 steps of its retraining"
    }
  ])
)
