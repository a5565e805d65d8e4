/** `osnas generate-architectures`: architectures for more budgets, from the generator that a run has trained. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Budget, CostMetric } from "../cost/CostModel.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import { Engine } from "../engine/Engine.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import { cost, si } from "../report/Format.ts"
import * as TextTable from "../report/TextTable.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import * as Learner from "../run/Learner.ts"
import * as Load from "../run/Load.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { ofRun, runKey } from "../run/RunLayers.ts"
import { SearchSpace, TaskInterface } from "../search-space/SearchSpace.ts"
import * as ArchitectureGenerator from "../search-strategy/ArchitectureGenerator.ts"
import { Disk } from "../support/Disk.ts"
import type { Input } from "./commands/GenerateArchitectures.ts"
import { UsageError } from "./Exit.ts"

const factors: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }

const amount = String.raw`(\d+(?:\.\d+)?(?:e\+?\d+)?)([kMGT]?)`
const band = new RegExp(`^(?:${amount}-)?${amount}$`)

/**
 * Reads budgets: `5M`, `4.5M-5M`, `2.5e6`, separated by commas.
 *
 * **Example** (An upper end, and a band)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { parseBudgets } from "./GenerateArchitectures.ts"
 *
 * const [first, second] = Result.getOrThrow(parseBudgets("5M, 800k-1.5e6", "flops"))
 * first // => { metric: "flops", min: 0, max: 5000000 }
 * second // => { metric: "flops", min: 800000, max: 1500000 }
 * ```
 */
export const parseBudgets = (text: string, metric: CostMetric): Result.Result<ReadonlyArray<Budget>, UsageError> =>
  Result.all(
    text.split(",").map((one) => {
      const [, low, lowUnit = "", high, highUnit = ""] = band.exec(one.trim()) ?? []
      const min = low === undefined ? 0 : Number(low) * factors[lowUnit]!
      const max = Number(high) * factors[highUnit]!
      return high !== undefined && min <= max
        ? Result.succeed({ metric, min, max })
        : Result.fail(
            new UsageError({
              reason: `--budgets ${text}: ${JSON.stringify(one.trim())} is not a budget; expected an upper end like 5M or 2.5e6, or both ends like 4.5M-5M, separated by commas`
            })
          )
    })
  )

const decodeOptions = Schema.decodeUnknownSync(ArchitectureGenerator.Options)

/** The state of the run's trained generator; the scope owns its tensors. */
const trainedIn = Effect.fnUntraced(function* (dir: string) {
  const folder = resolve(dir)
  const disk = yield* Disk
  const file = join(folder, RunFolder.files.searcher)
  if (!existsSync(file)) {
    return yield* new UsageError({
      reason: `${dir} has no trained generator yet (${RunFolder.files.searcher}); train it: osnas resume ${dir}`
    })
  }
  const checkpoint = yield* Checkpoint.read(disk, file)
  yield* Engine
  const state = yield* Effect.acquireRelease(Learner.fromCheckpoint(file, checkpoint), ({ tensors }) =>
    Effect.sync(() => Parameters.disposeUnsafe(tensors))
  )
  return { file, state, folder }
})

/** Runs the command. */
export const run = Effect.fn("GenerateArchitectures.run")(function* (input: Input) {
  const file = join(resolve(input.dir), RunFolder.files.config)
  if (!existsSync(file)) {
    return yield* new UsageError({ reason: `${input.dir} is not a run folder: it has no ${RunFolder.files.config}` })
  }
  const flags: Load.Overrides["flags"] = Option.isSome(input.threads)
    ? [[["engine", "threads"], input.threads.value, "--threads"]]
    : []
  const loaded = yield* Load.file(file, { flags })
  const { config, components } = loaded
  if (components.searchStrategy.name !== ArchitectureGenerator.component.name) {
    return yield* new UsageError({
      reason: `${input.dir} was searched by ${components.searchStrategy.name}, which has no generator; expected a run with searchStrategy ${ArchitectureGenerator.component.name}`
    })
  }
  const { metric } = config.budget
  const budgets = yield* Effect.fromResult(parseBudgets(input.budgets, metric))
  const program = Effect.gen(function* () {
    const { file, folder, state } = yield* trainedIn(input.dir)
    const [trained, task] = yield* Effect.try({
      try: () => [ArchitectureGenerator.trainedOf(state), ArchitectureGenerator.interfaceOf(state)] as const,
      catch: () =>
        new Checkpoint.CheckpointError({ file, tensor: null, reason: "it does not contain a trained generator" })
    })
    const space = yield* SearchSpace.pipe(
      Effect.provide(
        Layer.provide(components.searchSpace.layer, Layer.merge(Layer.succeed(TaskInterface, task), runKey(config)))
      )
    )
    const tableFile = join(folder, RunFolder.files.lookupTable)
    const table = yield* ofRun(metric, tableFile, space)
    const costs = LookupTable.costModel(space, table)
    const entries = costs.entries(metric)
    const options = decodeOptions(components.searchStrategy.options)
    const on = yield* Effect.fromResult(ArchitectureGenerator.generatorContext(space, entries, metric, options))
    // A budget that no architecture meets is refused before the first architecture is drawn.
    const feasibleSets = yield* Effect.fromResult(
      Result.all(budgets.map((budget) => FeasibleSet.make(space, entries, budget)))
    )
    const rows: Array<ReadonlyArray<string>> = [["budget", "cost", "MACs", "parameters", "architecture"]]
    for (const feasible of feasibleSets) {
      const { cost: produced, drawn, genotype, target } = ArchitectureGenerator.generate(on, trained, feasible)
      const [macs, params] = [costs.cost("flops", genotype), costs.cost("params", genotype)]
      const architecture = space.format(genotype)
      if (input.json) {
        yield* Console.log(
          JSON.stringify({
            _tag: "GeneratedArchitecture",
            budget: feasible.budget,
            target,
            drawn,
            architecture,
            cost: produced,
            macs,
            params
          })
        )
      } else {
        const { max, min } = feasible.budget
        rows.push([
          `${min > 0 ? `${si(min)} to ` : ""}${cost(metric, max)}`,
          cost(metric, produced),
          si(macs),
          si(params),
          architecture
        ])
      }
    }
    if (input.json) return
    yield* Console.log(TextTable.format(rows, { align: rows[0]!.map(() => "left") }))
  })
  yield* Effect.scoped(program).pipe(Effect.provide(Layer.merge(EngineLayer.layer(config, loaded.folder), Disk.layer)))
})
