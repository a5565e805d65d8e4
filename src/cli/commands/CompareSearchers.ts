/** `osnas compare-searchers`: flags, input type and help. Loads the work only when the command runs, so that help is fast. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const flags = {
  table: Flags.table("The benchmark: nas-bench-macro ships, nas-bench-201 is read from --file").pipe(
    Flag.withDefault("nas-bench-macro")
  ),
  file: Flags.tableFile,
  dataSet: Flags.dataSet,
  strategy: Flag.String("strategy").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("A search strategy, or the path of a module (repeatable); default: random and evolution"),
    Flag.between(0, 100)
  ),
  evaluations: Flag.String("evaluations").pipe(
    Flag.withMetavar("N,N,..."),
    Flag.withDescription("Numbers of architectures that a search may score; each number is a separate search"),
    Flag.withDefault("10,50,100,300")
  ),
  seeds: Flags.count("seeds", "Searches per strategy and number of evaluations").pipe(Flag.withDefault(100)),
  maxFlops: Flag.Finite("max-flops").pipe(
    Flag.withDescription("nas-bench-macro: only architectures of at most this many FLOPs, like 50e6"),
    Flag.optional
  ),
  json: Flags.json("Print one JSON object")
}

/** The arguments and flags of the command. */
export type Input = Command.Command.Config.Infer<typeof flags>

/** `osnas compare-searchers`. */
export const compareSearchers = Command.make("compare-searchers", flags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("../CompareSearchers.ts")),
    (module) => module.run(input)
  )
).pipe(
  Command.withDescription(
    "Compare search strategies on a tabular benchmark, in seconds: the mean test accuracy of what each finds, next to the exact expectation of random search without replacement."
  ),
  Command.withShortDescription("Compare search strategies on a tabular benchmark"),
  Command.withExamples([
    {
      command: "osnas compare-searchers --table nas-bench-macro --evaluations 10,50,100,300 --seeds 100",
      description: "Random search and evolution"
    },
    {
      command: "osnas compare-searchers --strategy evolution --strategy ./my-searcher.ts",
      description: "With your own"
    },
    { command: "osnas compare-searchers --max-flops 50e6 --evaluations 200", description: "Under a budget" }
  ])
)
