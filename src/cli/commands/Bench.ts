/** `osnas bench`: its flags, their types and its help. Loads the work when the command runs, so that help stays quick. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  space: Flag.String("space").pipe(Flag.withDescription("Search space"), Flag.withDefault("proxylessnas")),
  size: Flag.Int("size").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Side of the images"),
    Flag.withDefault(32)
  ),
  classes: Flag.Int("classes").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Classes"),
    Flag.withDefault(100)
  ),
  channels: Flag.Int("channels").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Channels"),
    Flag.withDefault(3)
  ),
  batch: Flag.Int("batch").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Images a step"),
    Flag.withDefault(64)
  ),
  steps: Flag.Int("steps").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Timed steps; their median counts"),
    Flag.withDefault(12)
  ),
  stemStride: Flag.Int("stem-stride").pipe(
    Flag.withSchema(Flags.PositiveInt),
    Flag.withDescription("Stride of the first convolution, where the space has that option"),
    Flag.optional
  ),
  threads: Flags.threads,
  mode: Flags.mode,
  engine: Flag.Literals("engine", ["auto", "simd", "cpu", "tensorflow", "tensorflow-gpu"]).pipe(
    Flag.withDescription("Tensor engine"),
    Flag.withDefault("auto")
  ),
  kernels: Flags.given("kernels", "Single kernels instead: GFLOPS, GB/s, share of this machine's measured peak"),
  compare: Flag.String("compare").pipe(
    Flag.withMetavar("PYTHON"),
    Flag.withDescription("Alternate with the PyTorch peer run by this interpreter, and print the ratios"),
    Flag.optional
  ),
  peer: Flag.String("peer").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The peer's throughput.py; default: the one in the folder that OSNAS_PEER names"),
    Flag.optional
  ),
  json: Flags.json("Print JSON lines")
}

/** The arguments and flags of the command, as the work gets them. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas bench`. */
export const bench = Command.make("bench", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../Bench.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Measure images/s of supernet training and of candidate evaluation, on uniform paths without skips."
  ),
  Command.withShortDescription("Throughput of training and evaluation"),
  Command.withExamples([
    { command: "osnas bench --space proxylessnas --size 32 --batch 64 --threads 2 --json", description: "JSON lines" },
    { command: "osnas bench --kernels", description: "Kernel by kernel" }
  ])
)
