/**
 * The Layers of a run from its configuration. Each builds on those before it: the engine; the key; data, criterion and task;
 * the search space for that task; its costs; the budget; the strategies and the estimator.
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

/** Input and head of a network, as data and task require them. */
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

/** Data, criterion, task and search space. */
export const taskLayers = (config: Pick<RunConfig, "seed">, components: ChosenComponents) => {
  const data = Layer.mergeAll(components.dataflow.layer, components.criterion.layer, components.trainingAgent.layer)
  return components.searchSpace.layer.pipe(
    Layer.provide(taskInterface),
    Layer.provideMerge(data),
    Layer.provideMerge(runKey(config))
  )
}

/** The lookup table of a run's costs. */
export class RunTable extends Context.Service<RunTable, LookupTable.LookupTable>()("osnas/component/RunTable") {}

/** Where a lookup table comes from. */
export interface TableSource {
  /** The table in a run's folder. If it is missing, counted costs are counted again, and a missing latency is refused. */
  readonly given?: string | undefined
  /** A file that the configuration names: read if it fits, created if it does not exist, refused otherwise. */
  readonly file?: string | undefined
}

/**
 * The table and the cost model of a run's space. Latency is measured, on the run's engine, only for a budget of latency; a
 * resumed run keeps what it measured when it began.
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

/** The table that a run began with. It is never changed. */
export const ofRun = Effect.fnUntraced(function* (metric: CostMetric, file: string, space: SearchSpaceShape) {
  const isMeasured = metric === "latency"
  const advice = isMeasured
    ? "a new measurement would change the search: put a good copy in its place, or begin a new run"
    : "delete it to count it again from the search space"
  const damaged = (reason: string) => new SnapshotError({ file, reason: `${reason}; ${advice}` })
  const text = yield* readText(yield* Disk, file)
  if (text === undefined) {
    // Counted costs follow from the search space, which the configuration has.
    if (!isMeasured) return LookupTable.fromSpace(space)
    return yield* damaged("it is missing, with the latencies that the run began with")
  }
  const table = yield* Effect.fromResult(LookupTable.decode(text, file)).pipe(
    Effect.mapError(({ reason }) => damaged(reason))
  )
  const why = LookupTable.misfit(table, space)
  if (why !== undefined) return yield* damaged(`it does not fit the run: ${why}`)
  if (isMeasured && table.latency === null) {
    return yield* damaged("it has no latency, and the budget of the run is one of latency")
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

/** Notes for the manifest: the machine that measured the latency of the budget, if it is not this one. */
export const latencyNotes = Effect.fnUntraced(function* (metric: CostMetric) {
  const machine = LookupTable.otherMachine(yield* RunTable, Latency.machine(yield* Engine))
  const notes: { readonly latency?: string } = metric !== "latency" || machine === undefined ? {} : { latency: machine }
  return notes
})

/** The budget of a run. If no architecture meets it, the error names the key to change and the feasible values. */
export const budget = (
  config: RunConfig["budget"]
): Layer.Layer<SearchBudget.SearchBudget, PreflightError, SearchSpace | CostModel> =>
  Layer.catchTag(SearchBudget.layer(config), "BudgetInfeasible", (error) =>
    Layer.effect(SearchBudget.SearchBudget, Effect.fail(new PreflightError({ findings: [Preflight.ofBudget(error)] })))
  )

/** All Layers of a run but its events and its disk. */
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
