/** `osnas bench`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  space: Flag.String("space").pipe(Flag.withDescription("Search space"), Flag.withDefault("proxylessnas")),
  size: Flags.size().pipe(Flag.withDefault(32)),
  classes: Flags.classes().pipe(Flag.withDefault(100)),
  channels: Flags.channels().pipe(Flag.withDefault(3)),
  batch: Flags.count("batch", "Images per step").pipe(Flag.withDefault(64)),
  steps: Flags.count("steps", "Steps to time; the median is reported").pipe(Flag.withDefault(12)),
  stemStride: Flags.stemStride,
  threads: Flags.threads,
  mode: Flags.mode,
  engine: Flags.engine("Tensor engine").pipe(Flag.withDefault("auto")),
  kernels: Flags.given(
    "kernels",
    "Measure single kernels instead: GFLOPS, GB/s, share of this machine's measured peak"
  ),
  compare: Flag.String("compare").pipe(
    Flag.withMetavar("PYTHON"),
    Flag.withDescription("Alternate with a PyTorch peer, run by this Python interpreter, and print the ratios"),
    Flag.optional
  ),
  peer: Flag.String("peer").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The peer's throughput.py; default: in the folder that OSNAS_PEER names"),
    Flag.optional
  ),
  json: Flags.json("Print JSON lines")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas bench`. */
export const bench = Command.make("bench", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Bench.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Measure images/s of supernet training and of the evaluation of architectures, on uniform paths without skips."
  ),
  Command.withShortDescription("Measure throughput of training and evaluation"),
  Command.withExamples([
    { command: "osnas bench --space proxylessnas --size 32 --batch 64 --threads 2 --json", description: "JSON lines" },
    { command: "osnas bench --kernels", description: "Kernel by kernel" }
  ])
)
