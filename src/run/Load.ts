/**
 * From a configuration to a run's components: names are looked up in the registry, paths are loaded as modules of the
 * user's own, options are decoded by the component's Schema, and every mistake of the whole file is told at once.
 */
import { hash } from "node:crypto"
import { existsSync, readFileSync, statSync } from "node:fs"
import { dirname, isAbsolute, relative, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Yaml from "yaml"
import type { Component } from "../component/Component.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as Threads from "../engine/Threads.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import { EngineConfig, RunConfig } from "../run/RunConfig.ts"
import * as DataFolders from "../support/DataFolders.ts"
import { isRecord } from "../support/Records.ts"
import { closest } from "../support/Suggestion.ts"
import {
  type AnyKind,
  type BoundComponent,
  bind,
  type Chosen,
  type Kind,
  kinds,
  optionNames,
  type ServiceOf
} from "./BoundComponent.ts"
import * as CrossChecks from "./CrossChecks.ts"
import * as Registry from "./Registry.ts"
import * as Versions from "./Versions.ts"

/** A component that could not be loaded: which one, and why. */
export class ComponentLoadError extends Schema.TaggedError<ComponentLoadError>()("ComponentLoadError", {
  kind: Schema.String,
  name: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** The components of a run, options decoded. */
export type ChosenComponents = { readonly [K in Kind]: Chosen<K> }

/** A module of the user's own that a component is loaded from. */
export interface Module {
  /** Absolute. */
  readonly file: string
  /** SHA-256 of its text, hex; what it imports is not part of it. */
  readonly digest: string
}

/** A configuration that is right as a whole. */
export interface LoadedRun {
  /** Every default filled in, those of the components' options too. */
  readonly config: RunConfig
  readonly components: ChosenComponents
  /** The kinds of all options, by their path in the configuration. */
  readonly kinds: OptionKind.OptionKinds
  /** The modules of the user's own, by section: where they are, and SHA-256 of their text. */
  readonly modules: Readonly<Record<string, Module>>
  /** Where the value at a path came from, for messages. */
  readonly origin: ConfigFile.ConfigSource["origin"]
  /** The configuration's file, and the folder that paths in it are relative to. */
  readonly file: string
  readonly folder: string
  /** What of the configuration has no effect although it was written, in the order of the file; nothing is refused for it. */
  readonly warnings: ReadonlyArray<ConfigFile.ConfigIssue>
}

/** Whether a component's name is a path of a module. */
export const isModulePath = (name: string): boolean =>
  /^(\.{1,2}[\\/]|[\\/]|[A-Za-z]:[\\/]|file:)/.test(name) || /\.[cm]?[jt]s$/.test(name)

/** The absolute path of a module named in a configuration. */
export const modulePath = (name: string, folder: string): string =>
  name.startsWith("file:") ? fileURLToPath(name) : resolve(folder, name)

/** What a module of the user's own must export, in one line. */
const example = (kind: AnyKind): string =>
  `a module exports \`const component = define({ kind: "${kind}", name, description, options, layer })\``

const checkComponent = (value: unknown, kind: AnyKind): string | undefined => {
  if (!Predicate.hasProperty(value, "kind") || typeof value.kind !== "string") {
    return `its export \`component\` is not a component definition; ${example(kind)}`
  }
  if (value.kind !== kind) return `its component is a ${value.kind}, and a ${kind} belongs here`
  if (!Predicate.hasProperty(value, "options") || !Schema.isSchema(value.options)) {
    return `its component has no Schema as \`options\`; ${example(kind)}`
  }
  if (!Predicate.hasProperty(value, "layer") || typeof value.layer !== "function") {
    return `its component has no function \`layer\`; ${example(kind)}`
  }
  return undefined
}

/** Loads a component of the user's own from a module. */
export const fromModule = Effect.fn("Load.fromModule")(function* <K extends AnyKind>(
  kind: K,
  name: string,
  folder: string
) {
  const path = modulePath(name, folder)
  const fail = (reason: string) => new ComponentLoadError({ kind, name, reason })
  if (!existsSync(path)) {
    return yield* fail(
      `the module ${name} does not exist (looked for ${path}; paths are relative to the configuration)`
    )
  }
  if (!statSync(path).isFile()) return yield* fail(`${name} is a folder, and a module's file belongs here`)
  const module = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(path).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (error) => {
      const message = error instanceof Error ? error.message : String(error)
      const advice = Versions.advice(path, message)
      return fail(`the module ${name} cannot be loaded: ${message}${advice === undefined ? "" : `; ${advice}`}`)
    }
  })
  if (!Object.hasOwn(module, "component")) {
    const exported = Object.keys(module)
    const has = exported.length === 0 ? "nothing" : exported.join(", ")
    return yield* fail(`the module ${name} exports no \`component\` (it exports ${has}); ${example(kind)}`)
  }
  const wrong = checkComponent(module["component"], kind)
  if (wrong !== undefined) {
    const advice = Versions.advice(path, "")
    return yield* fail(`the module ${name}: ${wrong}${advice === undefined ? "" : `; ${advice}`}`)
  }
  // Its kind was checked above; the types of a module loaded by path cannot be.
  return bind(module["component"] as Component<K, ServiceOf[K], unknown>) as BoundComponent<K>
})

/** `searchSpace` as people write it. */
const kindWords = (kind: Kind): string => kind.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** The component of a name: a shipped one, or a module of the user's own. */
export const component = Effect.fn("Load.component")(function* <K extends Kind>(kind: K, name: string, folder: string) {
  if (isModulePath(name)) return yield* fromModule(kind, name, folder)
  const found = yield* Registry.find(kind, name)
  if (found !== undefined) return found
  const known = Registry.names(kind)
  const guess = closest(name, known)
  return yield* new ComponentLoadError({
    kind,
    name,
    reason: `no ${kindWords(kind)} is called ${JSON.stringify(name)}${guess === undefined ? "" : `; did you mean ${guess}?`} (there are ${known.join(", ")}; or the path of a module, ./mine.ts)`
  })
})

interface Part {
  readonly chosen: Partial<{ [K in Kind]: Chosen<K> }>
  readonly issues: ReadonlyArray<ConfigFile.ConfigIssue>
}

/** What is wrong at a place of a configuration. */
const issueAt = (
  source: ConfigFile.ConfigSource,
  path: ReadonlyArray<string>,
  message: string
): ConfigFile.ConfigIssue => ({ path: path.join("."), ...source.origin(path), message })

/** A section with every path in it, by the kinds of its options, changed. */
const mapPaths = (
  value: unknown,
  at: string,
  optionKinds: OptionKind.OptionKinds,
  change: (path: string) => string
): unknown => {
  if (typeof value === "string") {
    const kind = OptionKind.at(optionKinds, at)
    return kind.kind === "place" && kind.isPath ? change(value) : value
  }
  const inside = (inner: unknown, key: string | number) =>
    mapPaths(inner, at === "" ? String(key) : `${at}.${key}`, optionKinds, change)
  if (Array.isArray(value)) return value.map(inside)
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inside(inner, key)]))
}

/** Decodes one component section. A section that is no mapping with a name is left to the decoding of the whole. */
const choose = Effect.fnUntraced(function* <K extends Kind>(
  kind: K,
  section: unknown,
  source: ConfigFile.ConfigSource,
  folder: string
) {
  const none: Part = { chosen: {}, issues: [] }
  if (!isRecord(section) || typeof section["name"] !== "string") return none
  const { name, ...options } = section
  const loaded = yield* Effect.result(component(kind, name as string, folder))
  if (Result.isFailure(loaded)) {
    const issues = [issueAt(source, [kind, "name"], loaded.failure.message)]
    return { chosen: {}, issues } satisfies Part
  }
  const chosen = loaded.success.choose(
    // A search path for data; other paths are where the configuration says.
    kind === "dataflow"
      ? mapPaths(options, "", OptionKind.of(loaded.success.options.ast), (path) => DataFolders.find(path))
      : options
  )
  return Result.isSuccess(chosen)
    ? ({ chosen: { [kind]: { ...chosen.success, name } }, issues: [] } as Part)
    : ({ chosen: {}, issues: ConfigFile.issuesOf(chosen.failure.issue, source, [kind]) } as Part)
})

/**
 * The options of an engine's section for a module of the user's own: all its keys but the name. What every engine has,
 * `mode` and `threads`, is left out where the module has no such option.
 */
export const engineOptions = (
  section: Readonly<Record<string, unknown>>,
  engine: BoundComponent<"engine">
): unknown => {
  const known = optionNames(engine.options.ast)
  const shared = Object.keys(EngineConfig.fields).filter((key) => key === "name" || !known.includes(key))
  return Object.fromEntries(Object.entries(section).filter(([key]) => !shared.includes(key)))
}

/** Decodes the keys of the engine's section that are not every engine's: a module's options, or mistakes. */
const chooseEngine = Effect.fnUntraced(function* (source: ConfigFile.ConfigSource, folder: string) {
  const section = source.value["engine"]
  const none = { options: {}, issues: [] as ReadonlyArray<ConfigFile.ConfigIssue> }
  if (!isRecord(section)) return none
  const { name } = section
  if (typeof name !== "string" || !isModulePath(name)) {
    const known = Object.keys(EngineConfig.fields)
    const issues = Object.keys(section)
      .filter((key) => !known.includes(key))
      .map((key) => issueAt(source, ["engine", key], ConfigFile.unknownKey(key, known)))
    return { options: {}, issues }
  }
  const loaded = yield* Effect.result(fromModule("engine", name, folder))
  if (Result.isFailure(loaded)) {
    return { options: {}, issues: [issueAt(source, ["engine", "name"], loaded.failure.message)] }
  }
  const chosen = loaded.success.choose(engineOptions(section, loaded.success))
  return Result.isSuccess(chosen)
    ? { options: chosen.success.options, issues: [] }
    : { options: {}, issues: ConfigFile.issuesOf(chosen.failure.issue, source, ["engine"]) }
})

/** What this machine cannot do. */
const machineChecks = (config: RunConfig, source: ConfigFile.ConfigSource): ReadonlyArray<ConfigFile.ConfigIssue> => {
  const { dataflow, engine } = config
  const counts = [
    [["engine", "threads"], engine.threads],
    [["dataflow", "workers"], Object.hasOwn(dataflow, "workers") ? dataflow["workers"] : 0]
  ] as const
  return counts.flatMap(([path, count]) => {
    const refusal = typeof count === "number" ? Threads.refusal(count) : undefined
    return refusal === undefined ? [] : [issueAt(source, path, refusal)]
  })
}

const byLine = (a: ConfigFile.ConfigIssue, b: ConfigFile.ConfigIssue): number =>
  (a.line ?? Number.MAX_SAFE_INTEGER) - (b.line ?? Number.MAX_SAFE_INTEGER)

/** The components that a configuration need not name. */
export const defaultNames: Partial<Readonly<Record<Kind, string>>> = {
  criterion: "cross-entropy",
  trainingAgent: "classification",
  trainingStrategy: "uniform",
  searchStrategy: "evolution",
  estimator: "supernet"
}

/** Names the components of sections that are left out, or hold options alone. */
const withDefaultNames = (source: ConfigFile.ConfigSource): ConfigFile.ConfigSource => {
  const sections = Object.entries(defaultNames).flatMap(([kind, name]) => {
    const section = source.value[kind] ?? {}
    return isRecord(section) && !Object.hasOwn(section, "name") ? [[kind, { name, ...section }] as const] : []
  })
  return { ...source, value: { ...source.value, ...Object.fromEntries(sections) } }
}

/** The digests of a configuration's modules, by section. */
export const moduleDigests = ({ modules }: Pick<LoadedRun, "modules">): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(modules).map(([kind, { digest }]) => [kind, digest]))

/** The modules among the components of a configuration. */
const modulesOf = (config: RunConfig, folder: string): LoadedRun["modules"] =>
  Object.fromEntries(
    kinds.flatMap((kind) => {
      const { name } = config[kind]
      if (!isModulePath(name)) return []
      const file = modulePath(name, folder)
      return [[kind, { file, digest: hash("sha256", readFileSync(file)) }] as const]
    })
  )

const sectionKinds = OptionKind.of(RunConfig.ast)

/** The kinds of all options of a configuration with these components, by their path in it. */
export const kindsOf = (components: ChosenComponents): OptionKind.OptionKinds => {
  const all = new Map(sectionKinds)
  for (const kind of kinds) {
    // The name stands for the section: its options belong to the same phase unless they say otherwise.
    for (const [option, of] of OptionKind.of(
      components[kind].schema.ast,
      OptionKind.at(sectionKinds, `${kind}.name`)
    )) {
      all.set(`${kind}.${option}`, of)
    }
    // Where a module is says nothing of what it does; its digest does.
    if (isModulePath(components[kind].name)) all.set(`${kind}.name`, { kind: "place", isPath: false })
  }
  return all
}

/**
 * Decodes a configuration and its components; paths in it are relative to `folder`. One that is only read, as that of a run
 * on a larger machine, is not checked against this machine (`isToRun` false).
 */
export const decode = Effect.fn("Load.decode")(function* (
  given: ConfigFile.ConfigSource,
  folder: string,
  { isToRun = true }: { readonly isToRun?: boolean | undefined } = {}
) {
  const source = withDefaultNames(given)
  const issues: Array<ConfigFile.ConfigIssue> = []
  const whole = ConfigFile.decodePart(RunConfig as Schema.Codec<RunConfig, unknown>, source.value, source, [])
  const warnings: Array<ConfigFile.ConfigIssue> = []
  const add = (findings: CrossChecks.Findings): void => {
    issues.push(...findings.mistakes)
    warnings.push(...findings.warnings)
  }
  issues.push(...CrossChecks.missingSections(source))
  if (Result.isFailure(whole)) issues.push(...whole.failure)
  else {
    add(CrossChecks.ofRun(whole.success, source))
    if (isToRun) issues.push(...machineChecks(whole.success, source))
  }
  let chosen: Part["chosen"] = {}
  for (const kind of kinds) {
    const part = yield* choose(kind, source.value[kind], source, folder)
    chosen = { ...chosen, ...part.chosen }
    issues.push(...part.issues)
    const options = part.chosen[kind]?.options
    if (options !== undefined && Result.isSuccess(whole)) {
      add(CrossChecks.ofComponent(kind, part.chosen[kind]?.name ?? "", options, whole.success, source))
    }
  }
  const engine = yield* chooseEngine(source, folder)
  issues.push(...engine.issues)
  if (Result.isFailure(whole) || issues.length > 0) {
    return yield* new ConfigFile.ConfigError({ file: source.file, issues: [...issues].sort(byLine) })
  }
  const components = chosen as ChosenComponents
  const filled = Object.fromEntries(
    kinds.map((kind) => [kind, { name: components[kind].name, ...components[kind].options }])
  )
  const config: RunConfig = { ...whole.success, ...filled, engine: { ...whole.success.engine, ...engine.options } }
  const loaded: LoadedRun = {
    config,
    components,
    kinds: kindsOf(components),
    modules: modulesOf(config, folder),
    origin: source.origin,
    file: source.file,
    folder,
    warnings: [...warnings].sort(byLine)
  }
  return loaded
})

/** What may be laid over a configuration's file. */
export interface Overrides {
  /** `key.path=value`, in order. */
  readonly set?: ReadonlyArray<string> | undefined
  /** Values by path, each with the flag that gave it. */
  readonly flags?: ReadonlyArray<readonly [path: ReadonlyArray<string>, value: unknown, flag: string]> | undefined
}

/** Reads a configuration's file, lays overrides over it, and decodes it. */
export const file = Effect.fn("Load.file")(function* (path: string, overrides: Overrides = {}) {
  const parsed = yield* Effect.fromResult(ConfigFile.read(path))
  const withSets = yield* Effect.fromResult(ConfigFile.override(parsed, overrides.set ?? []))
  const source = (overrides.flags ?? []).reduce(
    (inner, [at, value, flag]) => ConfigFile.assign(inner, at, value, flag),
    withSets
  )
  return yield* decode(source, dirname(resolve(path)))
})

/** A path as seen from another folder; slashes everywhere, so that a file reads the same on every system. */
const pathFrom = (folder: string, path: string): string => {
  const seen = relative(folder, path).replaceAll("\\", "/")
  return isAbsolute(seen) || seen.startsWith(".") ? seen : `./${seen}`
}

/**
 * The same configuration for a file in another folder, as that of a run: paths in it lead to the same files from there.
 */
export const relocate = (loaded: LoadedRun, file: string): LoadedRun => {
  const folder = dirname(resolve(file))
  const move = (path: string | null): string | null =>
    path === null ? null : pathFrom(folder, resolve(loaded.folder, path))
  const sections = kinds.map((kind) => {
    const section = loaded.config[kind]
    const name = isModulePath(section.name) ? pathFrom(folder, modulePath(section.name, loaded.folder)) : section.name
    // Options that are paths are relative to the working folder, so that elsewhere only an absolute path leads there.
    const options = mapPaths(section, kind, loaded.kinds, (path) => resolve(path)) as RunConfig[Kind]
    return [kind, { ...options, name }] as const
  })
  const { budget, engine, start } = loaded.config
  const config: RunConfig = {
    ...loaded.config,
    ...Object.fromEntries(sections),
    engine: { ...engine, name: isModulePath(engine.name) ? (move(engine.name) ?? engine.name) : engine.name },
    budget: { ...budget, lookupTable: move(budget.lookupTable) },
    start: { ...start, supernet: move(start.supernet), network: move(start.network) }
  }
  return { ...loaded, config, file, folder }
}

/** The configuration as YAML, every default filled in. */
export const toYaml = (loaded: LoadedRun): string => Yaml.stringify(loaded.config)
