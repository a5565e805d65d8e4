/**
 * The components of a run, made one after the other as far as they can be, with everything that is wrong told at once: a
 * data set that is missing does not hide a search space whose options do not fit together.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Scope } from "effect/Scope"
import * as Finding from "../component/Finding.ts"
import { CostModel } from "../cost/CostModel.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import * as SearchBudget from "../cost/SearchBudget.ts"
import type { Criterion } from "../criterion/Criterion.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import { PerformanceEstimator } from "../estimator/PerformanceEstimator.ts"
import type { RunKey } from "../random/RunKey.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { SearchStrategy } from "../search-strategy/SearchStrategy.ts"
import { Disk } from "../support/Disk.ts"
import type { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { TrainingStrategy } from "../training-strategy/TrainingStrategy.ts"
import type { ComponentFailure } from "./BoundComponent.ts"
import type { ChosenComponents } from "./Load.ts"
import * as Preflight from "./Preflight.ts"
import type { RunConfig } from "./RunConfig.ts"
import * as RunLayers from "./RunLayers.ts"

/** All components of a run, its engine, key, costs and budget. */
export type Components =
  | RunKey
  | Engine
  | Dataflow
  | Criterion
  | TrainingAgent
  | SearchSpace
  | RunLayers.RunTable
  | CostModel
  | SearchBudget.SearchBudget
  | TrainingStrategy
  | SearchStrategy
  | PerformanceEstimator

/** What came of it. */
export interface Assembled {
  /** None: an error is among the findings. */
  readonly components: Option.Option<Context.Context<Components>>
  readonly findings: ReadonlyArray<Finding.Finding>
}

/** What an assembly is made from. */
export interface AssemblyOptions {
  readonly config: RunConfig
  readonly chosen: ChosenComponents
  readonly engine: Layer.Layer<Engine, ComponentFailure>
  readonly table: RunLayers.TableSource
  readonly machine: Preflight.Machine
}

/**
 * Makes the components of a run and examines them. Nothing is written; latency is measured only where all else is right.
 *
 * **Example** (Two mistakes in two components)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as EngineLayer from "./EngineLayer.ts"
 * import * as Load from "./Load.ts"
 * import * as Assembly from "./Assembly.ts"
 * import { Disk } from "../support/Disk.ts"
 *
 * const set = ["dataflow.folder=nowhere", "searchStrategy={ name: random, evaluations: 1 }", "budget.max=5"]
 * const loaded = await Effect.runPromise(Load.file("examples/quickstart.yaml", { set }))
 * const assemble = Assembly.assemble({
 *   config: loaded.config,
 *   chosen: loaded.components,
 *   engine: EngineLayer.layer(loaded.config, loaded.folder),
 *   table: {},
 *   machine: { freeBytes: undefined, memoryBytes: undefined }
 * })
 * const { findings } = await Effect.runPromise(Effect.scoped(Effect.provide(assemble, Disk.layer)))
 * findings.map(({ key }) => key) // => ["dataflow"]
 * ```
 */
export const assemble = (options: AssemblyOptions): Effect.Effect<Assembled, never, Disk | Scope> =>
  Effect.gen(function* () {
    const { chosen, config, machine, table } = options
    const findings: Array<Finding.Finding> = []
    const disk = Context.make(Disk, yield* Disk)
    /** Builds a Layer over what is there; a failure becomes a finding. */
    const build = <A, R>(key: string, layer: Layer.Layer<A, ComponentFailure, R>, over: Context.Context<R>) =>
      Effect.map(Effect.result(Layer.build(Layer.provide(layer, Layer.succeedContext(over)))), (built) => {
        if (Result.isSuccess(built)) return Option.some(built.success)
        findings.push(Finding.error(key, built.failure.message))
        return Option.none<Context.Context<A>>()
      })
    const ended = (): Assembled => ({ components: Option.none(), findings })
    const failed = () => findings.some(({ severity }) => severity === "error")

    const none = Context.empty()
    const key = yield* Layer.build(RunLayers.runKey(config))
    const engine = yield* build("engine.name", options.engine, none)
    const dataflow = yield* build("dataflow", chosen.dataflow.layer, key)
    const criterion = yield* build("criterion", chosen.criterion.layer, key)
    const agent = yield* build("trainingAgent", chosen.trainingAgent.layer, key)
    if (Option.isNone(dataflow)) return ended()
    const examined = (context: Context.Context<never>): Preflight.Examined => ({
      config,
      machine,
      dataflow: Context.get(dataflow.value, Dataflow),
      engine: Option.getOrUndefined(Option.map(engine, Context.get(Engine))),
      space: Option.getOrUndefined(Context.getOption(context, SearchSpace)),
      costs: Option.getOrUndefined(Context.getOption(context, CostModel)),
      trainingStrategy: Option.getOrUndefined(Context.getOption(context, TrainingStrategy)),
      searchStrategy: Option.getOrUndefined(Context.getOption(context, SearchStrategy)),
      estimator: Option.getOrUndefined(Context.getOption(context, PerformanceEstimator))
    })
    /** Adds what is found, in place of what a Layer that failed for the same reason has reported. */
    const examineAll = (context: Context.Context<never>): void => {
      const found = Preflight.examine(examined(context))
      const messages = new Set(found.map(({ message }) => message))
      findings.splice(0, findings.length, ...findings.filter(({ message }) => !messages.has(message)), ...found)
    }
    if (Option.isNone(agent)) {
      examineAll(none)
      return ended()
    }
    const task = Context.merge(dataflow.value, agent.value)
    const head = yield* Layer.build(Layer.provide(RunLayers.taskInterface, Layer.succeedContext(task)))
    const space = yield* build("searchSpace", chosen.searchSpace.layer, Context.merge(key, head))
    if (Option.isNone(space)) {
      examineAll(none)
      return ended()
    }
    const counted = LookupTable.fromSpace(Context.get(space.value, SearchSpace))
    const isCounted = config.budget.metric !== "latency"
    // Latency is measured, which takes its time: not before all else is right.
    const early = isCounted
      ? Context.add(space.value, CostModel, LookupTable.costModel(Context.get(space.value, SearchSpace), counted))
      : space.value
    const isRefused = Preflight.examine(examined(early)).some(({ severity }) => severity === "error")
    if (Option.isNone(engine) || Option.isNone(criterion) || (!isCounted && (isRefused || failed()))) {
      examineAll(early)
      return ended()
    }

    const base = Context.mergeAll(key, engine.value, task, criterion.value, space.value)
    const costs = yield* build(
      "budget.lookupTable",
      RunLayers.costs(config.budget.metric, table),
      Context.merge(base, disk)
    )
    const costModel = LookupTable.costModel(Context.get(space.value, SearchSpace), counted)
    const sampler = yield* build(
      "trainingStrategy",
      chosen.trainingStrategy.layer,
      Context.add(base, CostModel, costModel)
    )
    if (Option.isNone(costs)) {
      examineAll(early)
      return ended()
    }
    const priced = Context.merge(base, costs.value)
    const budget = yield* build("budget", SearchBudget.layer(config.budget), priced)
    const estimator = yield* build("estimator", chosen.estimator.layer, priced)
    const bounded = Context.merge(
      priced,
      Option.getOrElse(budget, () => none as Context.Context<SearchBudget.SearchBudget>)
    )
    const searcher = Option.isNone(budget)
      ? Option.none<Context.Context<SearchStrategy>>()
      : yield* build("searchStrategy", chosen.searchStrategy.layer, bounded)
    const made = Context.mergeAll(
      bounded,
      Option.getOrElse(sampler, () => none as Context.Context<TrainingStrategy>),
      Option.getOrElse(searcher, () => none as Context.Context<SearchStrategy>),
      Option.getOrElse(estimator, () => none as Context.Context<PerformanceEstimator>)
    )
    examineAll(made)
    return { components: failed() ? Option.none() : Option.some(made), findings }
  })
