/**
 * The main agent for programs: a configuration, in which a Layer of your own may replace any component. `osnas run` is
 * {@link fromFile} and {@link run}. With your Layers, too, a run has its folder and its events, and can be resumed.
 */
import { join, resolve as resolvePath } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { InspectionEvent } from "xstate"
import * as LookupTable from "./cost/LookupTable.ts"
import { Dataflow } from "./dataflow/Dataflow.ts"
import type { Engine } from "./engine/Engine.ts"
import * as DataSummary from "./report/DataSummary.ts"
import {
  type Chosen,
  type ComponentFailure,
  type Kind,
  kinds,
  type NeedsOf,
  type ServiceOf
} from "./run/BoundComponent.ts"
import * as ConfigFile from "./run/ConfigFile.ts"
import * as EngineLayer from "./run/EngineLayer.ts"
import * as Lifecycle from "./run/Lifecycle.ts"
import * as Load from "./run/Load.ts"
import type { RunOutcome } from "./run/MachineHost.ts"
import type { RunConfig } from "./run/RunConfig.ts"
import type { RunError } from "./run/RunError.ts"
import { RunEvents, type Stamped } from "./run/RunEvents.ts"
import * as RunFolder from "./run/RunFolder.ts"
import * as RunLayers from "./run/RunLayers.ts"
import { Disk } from "./support/Disk.ts"

/** A configuration as a value, with the keys of the YAML file. Omitted keys have their defaults. */
export type Config = typeof RunConfig.Encoded

/** Layers that replace components of the configuration. Each may require the services that a run builds before it. */
export type Layers = {
  readonly [K in Kind]?: Layer.Layer<ServiceOf[K], ComponentFailure, NeedsOf[K]> | undefined
} & { readonly engine?: Layer.Layer<Engine, ComponentFailure> | undefined }

/** A main agent: its configuration with all defaults, and the Layers of its components. */
export interface MainAgent {
  readonly config: RunConfig
  readonly components: Load.ChosenComponents
  readonly engine: Layer.Layer<Engine, ComponentFailure>
  /** The folder that paths of the configuration are relative to. */
  readonly folder: string
}

/** Name of a component that is a Layer of the program. Only this program can resume such a run. */
const givenName = "(a Layer of the program)"

/** Components that replace those given as Layers while the configuration is checked. */
const standIns: { readonly [K in Kind]: string } = {
  dataflow: "fashion-mnist",
  searchSpace: "tiny",
  criterion: "cross-entropy",
  trainingAgent: "classification",
  trainingStrategy: "uniform",
  searchStrategy: "random",
  estimator: "supernet"
}

const chosen = <K extends Kind>(kind: K, layer: NonNullable<Layers[K]>): Chosen<K> => ({
  kind,
  name: givenName,
  options: {},
  schema: Schema.Struct({}),
  layer: layer as Chosen<K>["layer"]
})

const assembled = (loaded: Pick<Load.LoadedRun, "components" | "config" | "folder">, layers: Layers): MainAgent => {
  const given = kinds.filter((kind) => layers[kind] !== undefined)
  const sections = Object.fromEntries(given.map((kind) => [kind, { name: givenName }]))
  const components = Object.fromEntries(given.map((kind) => [kind, chosen(kind, layers[kind] as never)]))
  return {
    config: { ...loaded.config, ...sections },
    components: { ...loaded.components, ...components },
    engine: layers.engine ?? EngineLayer.layer(loaded.config, loaded.folder),
    folder: loaded.folder
  }
}

/**
 * Makes a main agent from a configuration in the program. You may omit the sections of components that you give as Layers.
 * Fails with a `ConfigError` that reports all mistakes at once.
 *
 * **Example** (A configuration with defaults)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as MainAgent from "./MainAgent.ts"
 *
 * const agent = await Effect.runPromise(
 *   MainAgent.make({
 *     name: "mine",
 *     dataflow: { name: "fashion-mnist" },
 *     searchSpace: { name: "tiny" },
 *     budget: { max: 2.5e6 },
 *     supernetTraining: { epochs: 4 },
 *     retraining: { epochs: 4 }
 *   })
 * )
 * agent.config.searchStrategy.name // => "evolution"
 * ```
 */
export const make = (
  config: Omit<Config, Kind> & Partial<Pick<Config, Kind>>,
  layers: Layers = {},
  folder = "."
): Effect.Effect<MainAgent, ConfigFile.ConfigError> => {
  const sections = kinds.flatMap((kind) => (layers[kind] === undefined ? [] : [[kind, { name: standIns[kind] }]]))
  const source = ConfigFile.fromValue("(the program's configuration)", { ...config, ...Object.fromEntries(sections) })
  return Effect.map(Load.decode(source, resolvePath(folder)), (loaded) => assembled(loaded, layers))
}

/** Makes a main agent from a configuration file. Fails with a `ConfigError` that reports all mistakes at once. */
export const fromFile = (file: string, layers: Layers = {}): Effect.Effect<MainAgent, ConfigFile.ConfigError> => {
  const flags = kinds.flatMap((kind) =>
    layers[kind] === undefined ? [] : [[[kind], { name: standIns[kind] }, "the program"] as const]
  )
  return Effect.map(Load.file(file, { flags }), (loaded) => assembled(loaded, layers))
}

/** The same agent with some components replaced by Layers. */
export const replace = (agent: MainAgent, layers: Layers): MainAgent => {
  const { components, config, folder } = agent
  const replaced = assembled({ components, config, folder }, layers)
  return { ...replaced, engine: layers.engine ?? agent.engine }
}

/** All services of a run but its events, as one Layer, for programs that use parts of a run. */
export const layer = (agent: MainAgent, table: RunLayers.TableSource = {}) =>
  RunLayers.layers(agent.config, agent.components, agent.engine, table).pipe(Layer.provide(Disk.layer))

/** Options of both run and resume. */
export interface Options {
  /** The run's folder; default `runs/<name>`. */
  readonly folder?: string | undefined
  /** Receives every event, before the run continues. */
  readonly onEvent?: ((stamped: Stamped) => Effect.Effect<void>) | undefined
  /** Completes to request a pause: the run finishes and saves the current step, and ends as `Paused`. */
  readonly pause?: Effect.Effect<void> | undefined
  /** Receives the inspection events of the state machines (XState). */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined
}

/** What a new run takes. */
export interface StartOptions extends Options {
  /** Replaces a run that is in the folder already; default false. */
  readonly overwrite?: boolean | undefined
}

const events = ({ onEvent }: Options): Layer.Layer<RunEvents> =>
  onEvent === undefined
    ? RunEvents.layer
    : Layer.effect(
        RunEvents,
        Effect.map(RunEvents, (inner) =>
          RunEvents.of({
            subscribe: inner.subscribe,
            publish: (event) => Effect.tap(inner.publish(event), onEvent)
          })
        )
      ).pipe(Layer.provide(RunEvents.layer))

const surroundings = (options: Options) => Layer.merge(events(options), Disk.layer)

const folderOf = (agent: MainAgent, options: Options): string => options.folder ?? join("runs", agent.config.name)

const begin = Effect.fnUntraced(function* (agent: MainAgent, options: StartOptions) {
  const table = yield* RunLayers.RunTable
  const notes = yield* RunLayers.latencyNotes(agent.config.budget.metric)
  return yield* Lifecycle.run({
    config: agent.config,
    kinds: Load.kindsOf(agent.components),
    folder: folderOf(agent, options),
    baseFolder: agent.folder,
    pause: options.pause,
    inspect: options.inspect,
    overwrite: options.overwrite,
    notes,
    files: {
      [RunFolder.files.lookupTable]: LookupTable.encode(table),
      [RunFolder.files.data]: DataSummary.encode(DataSummary.of(yield* Dataflow))
    }
  })
})

/** All errors of a run. */
export type MainAgentError = RunError | ComponentFailure

/**
 * Begins a run in a new folder and goes through its phases, to the end or to a pause.
 *
 * **Example** (A search that stops after the supernet and is resumed)
 *
 * ```ts
 * import * as fs from "node:fs"
 * import * as os from "node:os"
 * import * as path from "node:path"
 * import * as Effect from "effect/Effect"
 * import * as Random from "./search-strategy/Random.ts"
 * import { SearchStrategy } from "./search-strategy/SearchStrategy.ts"
 * import * as MainAgent from "./MainAgent.ts"
 *
 * const folder = fs.mkdtempSync(path.join(os.tmpdir(), "agent-"))
 * const config = {
 *   name: "example",
 *   dataflow: { name: "fashion-mnist", trainLimit: 60, testLimit: 20, prefetch: 0 },
 *   searchSpace: { name: "tiny" },
 *   estimator: { name: "supernet", recalibration: 1, recalibrationBatchSize: 16 },
 *   budget: { max: 2.5e6 },
 *   supernetTraining: { epochs: 1, batchSize: 16 },
 *   retraining: { epochs: 1, batchSize: 16 },
 *   engine: { threads: 1 }
 * }
 * fs.writeFileSync(path.join(folder, "search.yaml"), JSON.stringify(config))
 * const agent = await Effect.runPromise(MainAgent.fromFile(path.join(folder, "search.yaml")))
 * const searchStrategy = Random.component.layer({ evaluations: 2, generation: 2 })
 * const mine = MainAgent.replace(agent, { searchStrategy })
 * const strategy = Effect.map(SearchStrategy, ({ name }) => name)
 * const first = await MainAgent.make({ ...config, stopAfter: "supernetTraining" }, { searchStrategy }).pipe(Effect.runPromise)
 * await Effect.runPromise(Effect.provide(strategy, MainAgent.layer(first))) // => "random"
 * const runs = { folder: path.join(folder, "run") }
 * ;(await Effect.runPromise(MainAgent.run(first, runs)))._tag // => "Done"
 * const second = await MainAgent.make(config, { searchStrategy }).pipe(Effect.runPromise)
 * const outcome = await Effect.runPromise(MainAgent.resume(second, runs))
 * fs.rmSync(folder, { recursive: true })
 * outcome.results.search?.evaluations // => 2
 * mine.config.searchStrategy.name // => second.config.searchStrategy.name
 * ```
 */
export const run = (agent: MainAgent, options: StartOptions = {}): Effect.Effect<RunOutcome, MainAgentError> =>
  begin(agent, options).pipe(Effect.provide(layer(agent)), Effect.provide(surroundings(options)))

/** Resumes the run in a folder. Make the agent as that which began the run. */
export const resume = (agent: MainAgent, options: Options = {}): Effect.Effect<RunOutcome, MainAgentError> => {
  const folder = folderOf(agent, options)
  const { inspect, pause } = options
  return Lifecycle.resume({ config: agent.config, kinds: Load.kindsOf(agent.components), folder, pause, inspect }).pipe(
    Effect.provide(layer(agent, { given: join(folder, RunFolder.files.lookupTable) })),
    Effect.provide(surroundings(options))
  )
}
