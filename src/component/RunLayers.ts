/**
 * The Layers of a run from its configuration, each provided with what stands before it: the key; data, criterion and
 * task; the space for that task; its costs; the budget; the strategies and the estimator; the engine below all of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type CostMetric, CostModel } from "../cost/CostModel.ts"
import * as Latency from "../cost/Latency.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import * as SearchBudget from "../cost/SearchBudget.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as HeldSupernet from "../run/HeldSupernet.ts"
import type { RunConfig } from "../run/RunConfig.ts"
import { SearchSpace, type SearchSpaceShape, TaskInterface } from "../search-space/SearchSpace.ts"
import { Disk, readText } from "../support/Disk.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import type { ChosenComponents } from "./Load.ts"

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
  /** A table that must be used as it is: that of a run which goes on. */
  readonly given?: string | undefined
  /** A file to be used where it fits and made where it does not. */
  readonly file?: string | undefined
}

/**
 * The table and the cost model of a run's space. Latency is measured, on the run's engine, only where the budget is one of
 * latency; a run that goes on keeps what it measured when it began.
 */
export const costs = (
  metric: CostMetric,
  source: TableSource
): Layer.Layer<RunTable | CostModel, LookupTable.LookupTableFailure, SearchSpace | Engine | Disk> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const table = yield* obtainTable(metric, source, space)
      return Context.make(RunTable, table).pipe(Context.add(CostModel, LookupTable.costModel(space, table)))
    })
  )

const obtainTable = Effect.fnUntraced(function* (metric: CostMetric, source: TableSource, space: SearchSpaceShape) {
  const engine = yield* Engine
  const disk = yield* Disk
  if (source.given !== undefined) {
    const text = yield* readText(disk, source.given)
    if (text !== undefined) {
      const table = yield* Effect.fromResult(LookupTable.decode(text, source.given))
      if (LookupTable.fits(table, space) && (metric !== "latency" || table.latency !== null)) return table
      return yield* new LookupTable.LookupTableError({
        file: source.given,
        reason: "it is that of another search space"
      })
    }
  }
  const latency = metric === "latency" ? Latency.measurement(space, engine) : undefined
  if (source.file !== undefined) return (yield* LookupTable.obtain(source.file, space, latency)).table
  const counted = LookupTable.fromSpace(space)
  return latency === undefined ? counted : yield* latency.measure(counted)
})

/** Everything of a run but its events and its disk. */
export const layers = <E>(
  config: Pick<RunConfig, "budget" | "seed">,
  components: ChosenComponents,
  engine: Layer.Layer<Engine, E>,
  table: TableSource
) =>
  Layer.mergeAll(components.trainingStrategy.layer, components.searchStrategy.layer, components.estimator.layer).pipe(
    Layer.provideMerge(SearchBudget.layer(config.budget)),
    Layer.provideMerge(costs(config.budget.metric, table)),
    Layer.provideMerge(taskLayers(config, components)),
    Layer.provideMerge(HeldSupernet.layer),
    Layer.provideMerge(engine)
  )
