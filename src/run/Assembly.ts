/**
 * Builds the components of a run as far as possible and reports everything that is wrong at once: a missing data set does
 * not hide a search space whose options do not fit together.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Finding from "../component/Finding.ts"
import { CostModel } from "../cost/CostModel.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import type { SearchBudget } from "../cost/SearchBudget.ts"
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
import type { ComponentFailure, NeedsOf } from "./BoundComponent.ts"
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
  | SearchBudget
  | TrainingStrategy
  | SearchStrategy
  | PerformanceEstimator

/** The components, and what was found. */
export interface Assembled {
  /** None: there is an error among the findings. */
  readonly components: Option.Option<Context.Context<Components>>
  readonly findings: ReadonlyArray<Finding.Finding>
}

/** What {@link assemble} takes. */
export interface AssemblyOptions {
  readonly config: RunConfig
  readonly chosen: ChosenComponents
  readonly engine: Layer.Layer<Engine, ComponentFailure>
  readonly table: RunLayers.TableSource
  readonly machine: Preflight.Machine
}

/** Builds a Layer on what is there already; a failure becomes a finding about `key`. */
type Build = <A, R>(
  key: string,
  layer: Layer.Layer<A, ComponentFailure, R>,
  over: Context.Context<R>
) => Effect.Effect<Option.Option<Context.Context<A>>, never, Scope>

const isPreflightError = Schema.is(Finding.PreflightError)

const builder =
  (findings: Array<Finding.Finding>): Build =>
  (key, layer, over) =>
    Effect.map(Effect.result(Layer.build(Layer.provide(layer, Layer.succeedContext(over)))), (built) => {
      if (Result.isSuccess(built)) return Option.some(built.success)
      const { failure } = built
      findings.push(...(isPreflightError(failure) ? failure.findings : [Finding.error(key, failure.message)]))
      return Option.none()
    })

/** The services of a Layer, or an empty context if it failed: the findings then have an error, and nobody uses them. */
const orEmpty = <A>(context: Option.Option<Context.Context<A>>): Context.Context<A> =>
  Option.getOrElse(context, () => Context.empty() as Context.Context<A>)

/** Examines the components that are there. */
const examiner =
  (
    { config, machine }: AssemblyOptions,
    dataflow: Context.Context<Dataflow>,
    engine: Option.Option<Context.Context<Engine>>
  ) =>
  (context: Context.Context<never>): ReadonlyArray<Finding.Finding> =>
    Preflight.examine({
      config,
      machine,
      dataflow: Context.get(dataflow, Dataflow),
      engine: Option.getOrUndefined(Option.map(engine, Context.get(Engine))),
      space: Option.getOrUndefined(Context.getOption(context, SearchSpace)),
      costs: Option.getOrUndefined(Context.getOption(context, CostModel)),
      trainingStrategy: Option.getOrUndefined(Context.getOption(context, TrainingStrategy)),
      searchStrategy: Option.getOrUndefined(Context.getOption(context, SearchStrategy)),
      estimator: Option.getOrUndefined(Context.getOption(context, PerformanceEstimator))
    })

/** Builds what depends on the costs: budget, estimator and searcher. */
const buildSearch = Effect.fnUntraced(function* <R>(
  build: Build,
  { chosen, config }: AssemblyOptions,
  priced: Context.Context<R | NeedsOf["estimator"] | NeedsOf["trainingStrategy"] | CostModel>
) {
  const budget = yield* build("budget", RunLayers.budget(config.budget), priced)
  const estimator = yield* build("estimator", chosen.estimator.layer, priced)
  const bounded = Context.merge(priced, orEmpty(budget))
  const searcher = Option.isNone(budget)
    ? Option.none<Context.Context<SearchStrategy>>()
    : yield* build("searchStrategy", chosen.searchStrategy.layer, bounded)
  return Context.mergeAll(bounded, orEmpty(searcher), orEmpty(estimator))
})

/**
 * Builds the components of a run and examines them. Nothing is written; latency is measured only if nothing else is wrong.
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
export const assemble = Effect.fn("Assembly.assemble")(function* (options: AssemblyOptions) {
  const { chosen, config, table } = options
  const findings: Array<Finding.Finding> = []
  const build = builder(findings)
  const failed = () => findings.some(({ severity }) => severity === "error")
  const none: Assembled["components"] = Option.none()

  const key = yield* Layer.build(RunLayers.runKey(config))
  const engine = yield* build("engine.name", options.engine, Context.empty())
  const dataflow = yield* build("dataflow", chosen.dataflow.layer, key)
  const criterion = yield* build("criterion", chosen.criterion.layer, key)
  const agent = yield* build("trainingAgent", chosen.trainingAgent.layer, key)
  if (Option.isNone(dataflow)) return { components: none, findings } satisfies Assembled
  const examine = examiner(options, dataflow.value, engine)
  /** All findings. Those of the examination replace a finding of a Layer that failed for the same reason. */
  const ended = (context: Context.Context<never>, components = none): Assembled => {
    const found = examine(context)
    const messages = new Set(found.map(({ message }) => message))
    return { components, findings: [...findings.filter(({ message }) => !messages.has(message)), ...found] }
  }
  if (Option.isNone(agent)) return ended(Context.empty())

  const task = Context.merge(dataflow.value, agent.value)
  const head = yield* Layer.build(Layer.provide(RunLayers.taskInterface, Layer.succeedContext(task)))
  const space = yield* build("searchSpace", chosen.searchSpace.layer, Context.merge(key, head))
  if (Option.isNone(space)) return ended(Context.empty())
  const shape = Context.get(space.value, SearchSpace)
  const counted = LookupTable.costModel(shape, LookupTable.fromSpace(shape))
  const isCounted = config.budget.metric !== "latency"
  // Measuring latency takes time: first see that nothing else is wrong.
  const early = isCounted ? Context.add(space.value, CostModel, counted) : space.value
  const isRefused = examine(early).some(({ severity }) => severity === "error")
  if (Option.isNone(engine) || Option.isNone(criterion) || (!isCounted && (isRefused || failed()))) return ended(early)

  const base = Context.mergeAll(key, engine.value, task, criterion.value, space.value)
  const disk = Context.make(Disk, yield* Disk)
  const costs = yield* build(
    "budget.lookupTable",
    RunLayers.costs(config.budget.metric, table),
    Context.merge(base, disk)
  )
  const sampler = yield* build("trainingStrategy", chosen.trainingStrategy.layer, Context.add(base, CostModel, counted))
  if (Option.isNone(costs)) return ended(early)
  const search = yield* buildSearch(build, options, Context.merge(base, costs.value))
  const all = Context.merge(search, orEmpty(sampler))
  const { findings: found } = ended(all)
  const isRight = found.every(({ severity }) => severity !== "error")
  return { components: isRight ? Option.some(all) : none, findings: found } satisfies Assembled
})
