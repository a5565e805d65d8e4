/**
 * The commands of `osnas`: their arguments, flags and help. What a command does is loaded when it is chosen, so that
 * help and completion stay quick.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { compareRuns } from "./CompareRunsCommand.ts"
import { compareSearchers } from "./CompareSearchersCommand.ts"
import { generate, init } from "./ComponentCommands.ts"
import { help as exitCodes } from "./Exit.ts"
import * as Flags from "./Flags.ts"
import { generateArchitectures } from "./GenerateArchitecturesCommand.ts"
import { importConfig } from "./ImportConfigCommand.ts"
import { inspectData } from "./InspectDataCommand.ts"
import { lookupTable } from "./LookupTableCommand.ts"
import { reproduce } from "./ReproduceCommand.ts"
import { exportWeights, importWeights } from "./WeightsCommands.ts"

const NonNegativeInt = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const threads = Flag.Int("threads").pipe(
  Flag.withSchema(NonNegativeInt),
  Flag.withDescription("Threads of the engine; 0: all cores; at most 16, or 4 for each core if that is more"),
  Flag.optional
)
const mode = Flag.Literals("mode", ["strict", "relaxed"]).pipe(
  Flag.withDescription("strict: the same bits on every machine; relaxed: faster, reproducible on one machine"),
  Flag.optional
)

const maxMinutes = Flag.Finite("max-minutes").pipe(
  Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
  Flag.withDescription("Pause after so many minutes, as Ctrl-C does; osnas resume goes on"),
  Flag.optional
)

const run = Command.make(
  "run",
  {
    config: Argument.String("config").pipe(
      Argument.withDescription("Configuration (YAML); none: the shipped quickstart"),
      Argument.optional
    ),
    seed: Flag.Int("seed").pipe(
      Flag.withSchema(NonNegativeInt),
      Flag.withDescription("Root of all randomness; the same seed gives the same bits"),
      Flag.optional
    ),
    dir: Flag.String("dir").pipe(Flag.withDescription("Folder of the run; default runs/<name>"), Flag.optional),
    name: Flag.String("name").pipe(Flag.withDescription("Name of the run, in place of the file's"), Flag.optional),
    set: Flags.set("Override a value of the file: --set budget.max=27e6 (again for more)"),
    threads,
    mode,
    engine: Flag.Literals("engine", ["auto", "simd", "cpu", "tensorflow", "tensorflow-gpu"]).pipe(
      Flag.withDescription("Tensor engine, in place of the file's"),
      Flag.optional
    ),
    quick: Flags.given("quick", "A few steps of every phase, to see that all fits together"),
    maxMinutes,
    maxEvaluations: Flag.Int("max-evaluations").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("Candidates the search may score, in place of the file's searchStrategy.evaluations"),
      Flag.optional
    ),
    overwrite: Flags.given("overwrite", "Replace a run that is in the folder already"),
    json: Flags.json("Print events as JSON lines")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Run.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription(
    `Train a supernet, search it under the budget, retrain the winner and evaluate it. Everything the run makes lands in its folder. Ctrl-C finishes the current step and saves; a second one stops at once. ${exitCodes}`
  ),
  Command.withShortDescription("Supernet training, search, retraining, evaluation"),
  Command.withExamples([
    { command: "osnas run", description: "The quickstart, on images that ship with osnas" },
    {
      command: "osnas run examples/quickstart.yaml --seed 7 --dir runs/seven",
      description: "A configuration of your own"
    },
    {
      command: "osnas run search.yaml --set budget.max=20e6 --set searchSpace.stemStride=1",
      description: "Other values"
    },
    { command: "osnas run search.yaml --quick", description: "Does it all fit together?" }
  ])
)

const resume = Command.make(
  "resume",
  {
    dir: Argument.String("dir").pipe(Argument.withDescription("Folder of the run")),
    set: Flags.set("Change an option that nothing recorded has used yet, or where something is (again for more)"),
    threads,
    maxMinutes,
    json: Flags.json("Print events as JSON lines")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Run.ts")),
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

const verify = Command.make(
  "verify",
  {
    dir: Argument.String("dir").pipe(Argument.withDescription("Folder of the run")),
    from: Flag.String("from").pipe(
      Flag.withMetavar("CHECKPOINT"),
      Flag.withDescription(
        "Only a part: train again from this checkpoint of the folder (checkpoints/retraining-000000312.safetensors)"
      ),
      Flag.optional
    ),
    steps: Flag.Int("steps").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("With --from: training steps to do again; default: to the end of the phase"),
      Flag.optional
    ),
    threads,
    json: Flags.json("Print events and the outcome as JSON lines")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Verify.ts")),
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
      description: "A hundred steps of its training"
    }
  ])
)

const inspect = Command.make(
  "inspect",
  {
    space: Argument.String("space").pipe(
      Argument.withDescription("A search space or published architecture (see `osnas list`), or a module's path")
    ),
    arch: Flag.String("arch").pipe(
      Flag.withMetavar("A,B,..."),
      Flag.withDescription("An architecture: one digit a layer, or the name of one published in this space"),
      Flag.optional
    ),
    archs: Flag.String("archs").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        "A file of architectures or published names, one a line (- for standard input); prints one JSON line each"
      ),
      Flag.optional
    ),
    size: Flag.Int("size").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("Side of the images in pixels; default 32"),
      Flag.optional
    ),
    classes: Flag.Int("classes").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("Classes of the classifier; default 100"),
      Flag.optional
    ),
    channels: Flag.Int("channels").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("Channels of the images"),
      Flag.withDefault(3)
    ),
    embedding: Flag.Int("embedding").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("End in an embedding of this length instead of a classifier"),
      Flag.optional
    ),
    stemStride: Flag.Int("stem-stride").pipe(
      Flag.withSchema(Flags.PositiveInt),
      Flag.withDescription("Stride of the first convolution, where the space has that option"),
      Flag.optional
    ),
    set: Flags.set("An option of the space (again for more)"),
    json: Flags.json("Print JSON")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Inspect.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription(
    "Show a search space, or one architecture block by block with its multiply-accumulates and parameters."
  ),
  Command.withShortDescription("A search space, or what an architecture costs"),
  Command.withExamples([
    { command: "osnas inspect proxylessnas", description: "Its layers, choices and size" },
    {
      command: "osnas inspect tiny --arch 0,1,2,3,4,5 --size 28 --channels 1 --classes 10",
      description: "One architecture"
    },
    { command: "osnas inspect proxylessnas --archs list.txt", description: "One JSON line for each line of the file" }
  ])
)

const list = Command.make("list", { json: Flags.json("Print JSON") }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./List.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("List the components that ship, with their options, and the published architectures."),
  Command.withShortDescription("Components and published architectures"),
  Command.withExamples([{ command: "osnas list", description: "Everything a configuration can name" }])
)

const config = Command.make(
  "config",
  {
    file: Argument.String("config").pipe(
      Argument.withDescription("Check this configuration and print it with every default filled in"),
      Argument.optional
    ),
    check: Flags.given(
      "check",
      "Examine all that a run would meet before its first step: data, batches, budget, memory, disk space"
    ),
    schema: Flags.given("schema", "Print the JSON Schema (draft 2020-12), for editors"),
    set: Flags.set("Override a value of the file (again for more)"),
    json: Flags.json("Print JSON instead of YAML")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Config.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription(
    "Without a file: print a configuration with every key, its default and what it means. With one: print it with its defaults, or examine it against the data and the machine (--check). Exit code 2 where it is wrong."
  ),
  Command.withShortDescription("Defaults, checks and the schema of configurations"),
  Command.withExamples([
    { command: "osnas config > search.yaml", description: "Begin with all defaults" },
    { command: "osnas config search.yaml", description: "Print it with every default filled in" },
    { command: "osnas config search.yaml --check", description: "Would it run? All findings, nothing written" },
    { command: "osnas config --schema > osnas.schema.json", description: "For completion in editors" }
  ])
)

const report = Command.make(
  "report",
  {
    dir: Argument.String("dir").pipe(Argument.withDescription("Folder of a run, ended or not")),
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withDescription("Where to write the page; default report.html in the folder"),
      Flag.optional
    ),
    json: Flags.json("Print what the report is made of as JSON; writes no page")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Report.ts")),
      (module) => module.run(input)
    )
).pipe(
  Command.withDescription(
    "Print the report of a run as text and write it as a page (report.html) that needs no network."
  ),
  Command.withShortDescription("Report of a run, also of one in progress"),
  Command.withExamples([{ command: "osnas report runs/quickstart", description: "Text here, a page in the folder" }])
)

const engines = Command.make("engines", { json: Flags.json("Print JSON") }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./Engines.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription("List the tensor engines with versions and a short self-test of each."),
  Command.withShortDescription("Tensor engines that are present"),
  Command.withExamples([{ command: "osnas engines", description: "What is here, and does it work?" }])
)

const bench = Command.make(
  "bench",
  {
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
    threads,
    mode,
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
      Flag.withDescription("The peer's throughput.py; default ../shared/peer/throughput.py beside the repository"),
      Flag.optional
    ),
    json: Flags.json("Print JSON lines")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./Bench.ts")),
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

/** The whole command line. */
export const osnas = Command.make("osnas").pipe(
  Command.withDescription(
    `One-shot neural architecture search: one configuration in, an evaluated network and its whole history out. ${exitCodes}`
  ),
  Command.withExamples([
    { command: "osnas run", description: "A whole search in minutes, on images that ship with osnas" },
    { command: "osnas config > search.yaml && osnas run search.yaml", description: "A search of your own" }
  ]),
  Command.withSubcommands([
    run,
    resume,
    verify,
    inspect,
    inspectData,
    list,
    config,
    report,
    engines,
    bench,
    compareSearchers,
    importConfig,
    importWeights,
    exportWeights,
    compareRuns,
    reproduce,
    generateArchitectures,
    lookupTable,
    init,
    generate
  ])
)
