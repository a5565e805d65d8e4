/**
 * The Layers of a run from its configuration, each provided with what stands before it: the key; data, criterion and
 * task; the space for that task; its costs; the budget; the strategies and the estimator; the engine below all of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PreflightError } from "../component/Finding.ts"
import { type CostMetric, CostModel } from "../cost/CostModel.ts"
import * as Latency from "../cost/Latency.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import * as SearchBudget from "../cost/SearchBudget.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import type { RunConfig } from "../run/RunConfig.ts"
import { SnapshotError } from "../run/RunFolder.ts"
import { SearchSpace, type SearchSpaceShape, TaskInterface } from "../search-space/SearchSpace.ts"
import { Disk, readText } from "../support/Disk.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import type { ChosenComponents } from "./Load.ts"
import * as Preflight from "./Preflight.ts"

/** What data and task ask of a network. */
export const taskInterface: Layer.Layer<TaskInterface, never, Dataflow | TrainingAgent> = Layer.effect(
  TaskInterface,
  Effect.gen(function* () {
    const dataflow = yield* Dataflow
    const agent = yield* TrainingAgent
    return { input: dataflow.image, head: agent.head(dataflow) }
  })
)

/** The root key of a configuration. */
export const runKey = (config: Pick<RunConfig, "seed">): Layer.Layer<RunKey> =>
  Layer.succeed(RunKey, Key.make(config.seed))

/** Data, criterion, task and search space: what a network is built and trained for. */
export const taskLayers = (config: Pick<RunConfig, "seed">, components: ChosenComponents) => {
  const data = Layer.mergeAll(components.dataflow.layer, components.criterion.layer, components.trainingAgent.layer)
  return components.searchSpace.layer.pipe(
    Layer.provide(taskInterface),
    Layer.provideMerge(data),
    Layer.provideMerge(runKey(config))
  )
}

/** The lookup table that a run's costs come from. */
export class RunTable extends Context.Service<RunTable, LookupTable.LookupTable>()("osnas/component/RunTable") {}

/** Where a lookup table comes from. */
export interface TableSource {
  /** A run's own table, used as it is; where it is missing, counted costs are counted again and latency is refused. */
  readonly given?: string | undefined
  /** A file that a user names: used where it fits, made where it does not exist, refused otherwise. */
  readonly file?: string | undefined
}

/**
 * The table and the cost model of a run's space. Latency is measured, on the run's engine, only where the budget is one of
 * latency; a run that goes on keeps what it measured when it began.
 */
export const costs = (
  metric: CostMetric,
  source: TableSource
): Layer.Layer<RunTable | CostModel, LookupTable.LookupTableFailure | SnapshotError, SearchSpace | Engine | Disk> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const table = yield* obtainTable(metric, source, space)
      return Context.make(RunTable, table).pipe(Context.add(CostModel, LookupTable.costModel(space, table)))
    })
  )

/** The table that a run began with, which must be used as it is. */
export const ofRun = Effect.fnUntraced(function* (metric: CostMetric, file: string, space: SearchSpaceShape) {
  const isMeasured = metric === "latency"
  const advice = isMeasured
    ? "latency measured again would be another table, and another search: put a good copy in its place, or begin a new run"
    : "delete it, and it is counted again from the search space"
  const damaged = (reason: string) => new SnapshotError({ file, reason: `${reason}; ${advice}` })
  const text = yield* readText(yield* Disk, file)
  if (text === undefined) {
    // Costs that are counted are a function of the space, which the run's configuration has.
    if (!isMeasured) return LookupTable.fromSpace(space)
    return yield* damaged("it is missing, with the latencies that the run began with")
  }
  const table = yield* Effect.fromResult(LookupTable.decode(text, file)).pipe(
    Effect.mapError(({ reason }) => damaged(reason))
  )
  const why = LookupTable.misfit(table, space)
  if (why !== undefined) return yield* damaged(`it does not fit the run: ${why}`)
  if (isMeasured && table.latency === null) {
    return yield* damaged("it has no latency, and the run's budget is one of latency")
  }
  return table
})

const obtainTable = Effect.fnUntraced(function* (metric: CostMetric, source: TableSource, space: SearchSpaceShape) {
  const engine = yield* Engine
  if (source.given !== undefined) return yield* ofRun(metric, source.given, space)
  const latency = metric === "latency" ? Latency.measurement(space, engine) : undefined
  if (source.file !== undefined) return (yield* LookupTable.obtain(source.file, space, latency)).table
  const counted = LookupTable.fromSpace(space)
  return latency === undefined ? counted : yield* latency.measure(counted)
})

/**
 * Notes for the manifest of a run that searches by the latency of another machine than this one: whose it is. Empty where
 * the budget is not one of latency, or the latency is this machine's.
 */
export const latencyNotes = (
  metric: CostMetric
): Effect.Effect<{ readonly latency?: string }, never, RunTable | Engine> =>
  Effect.gen(function* () {
    const whose = LookupTable.otherMachine(yield* RunTable, Latency.machine(yield* Engine))
    return metric !== "latency" || whose === undefined ? {} : { latency: whose }
  })

/** The budget of a run. If no architecture meets it, the error names the key to change and the feasible values. */
export const budget = (
  config: RunConfig["budget"]
): Layer.Layer<SearchBudget.SearchBudget, PreflightError, SearchSpace | CostModel> =>
  Layer.catchTag(SearchBudget.layer(config), "BudgetInfeasible", (error) =>
    Layer.effect(SearchBudget.SearchBudget, Effect.fail(new PreflightError({ findings: [Preflight.ofBudget(error)] })))
  )

/** Everything of a run but its events and its disk. */
export const layers = <E>(
  config: Pick<RunConfig, "budget" | "seed">,
  components: ChosenComponents,
  engine: Layer.Layer<Engine, E>,
  table: TableSource
) =>
  Layer.mergeAll(components.trainingStrategy.layer, components.searchStrategy.layer, components.estimator.layer).pipe(
    Layer.provideMerge(budget(config.budget)),
    Layer.provideMerge(costs(config.budget.metric, table)),
    Layer.provideMerge(taskLayers(config, components)),
    Layer.provideMerge(engine)
  )
