/**
 * From a configuration to the components of a run: names are looked up in the registry, paths are loaded as modules, and
 * options are decoded by the component's Schema. All mistakes in the file are reported at once.
 */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { dirname, isAbsolute, relative, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Yaml from "yaml"
import * as OptionKind from "../component/OptionKind.ts"
import * as Threads from "../engine/Threads.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import { EngineConfig, RunConfig } from "../run/RunConfig.ts"
import * as DataFolders from "../support/DataFolders.ts"
import { isRecord } from "../support/Records.ts"
import { closest } from "../support/Suggestion.ts"
import { type BoundComponent, type Chosen, type Kind, kinds, optionNames } from "./BoundComponent.ts"
import * as ComponentChecks from "./ComponentChecks.ts"
import * as CrossChecks from "./CrossChecks.ts"
import * as Registry from "./Registry.ts"
import * as UserModule from "./UserModule.ts"

/** The components of a run, with decoded options. */
export type ChosenComponents = { readonly [K in Kind]: Chosen<K> }

/** A module that a component is loaded from. */
export interface Module {
  /** Absolute. */
  readonly file: string
  /** SHA-256 of its text, hex; not of what it imports. */
  readonly digest: string
}

/** A configuration without mistakes. */
export interface LoadedRun {
  /** With all defaults, also those of the components' options. */
  readonly config: RunConfig
  readonly components: ChosenComponents
  /** The kinds of all options, by path in the configuration. */
  readonly kinds: OptionKind.OptionKinds
  /** The modules that components are loaded from, by section. */
  readonly modules: Readonly<Record<string, Module>>
  /** Where the value at a path came from, for messages. */
  readonly origin: ConfigFile.ConfigSource["origin"]
  /** The configuration's file. */
  readonly file: string
  /** What paths in the configuration are relative to. */
  readonly folder: string
  /** Values that were given and have no effect, in the order of the file. */
  readonly warnings: ReadonlyArray<ConfigFile.ConfigIssue>
}

/** `searchSpace` in words: search space. */
const kindWords = (kind: Kind): string => kind.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** The component of a name: one that ships, or a module's. */
export const component = Effect.fn("Load.component")(function* <K extends Kind>(kind: K, name: string, folder: string) {
  if (UserModule.isPath(name)) return yield* UserModule.load(kind, name, folder)
  const found = yield* Registry.find(kind, name)
  if (found !== undefined) return found
  const known = Registry.names(kind)
  const guess = closest(name, known)
  return yield* new UserModule.ComponentLoadError({
    kind,
    name,
    reason: `no ${kindWords(kind)} is called ${JSON.stringify(name)}${guess === undefined ? "" : `; did you mean ${guess}?`} (there are ${known.join(", ")}; or give the path of a module, ./mine.ts)`
  })
})

interface Part {
  readonly chosen: Partial<{ [K in Kind]: Chosen<K> }>
  readonly issues: ReadonlyArray<ConfigFile.ConfigIssue>
}

/** An issue at a path of a configuration. */
const issueAt = (
  source: ConfigFile.ConfigSource,
  path: ReadonlyArray<string>,
  message: string
): ConfigFile.ConfigIssue => ({ path: path.join("."), ...source.origin(path), message })

/** Changes every option of a section that is a path, according to the kinds of its options. */
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

/** Decodes a component's section. One without a name is reported by the decoding of the whole configuration. */
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
    // Only data are searched for in several folders.
    kind === "dataflow"
      ? mapPaths(options, "", OptionKind.of(loaded.success.options.ast), (path) => DataFolders.find(path))
      : options
  )
  return Result.isSuccess(chosen)
    ? ({ chosen: { [kind]: { ...chosen.success, name } }, issues: [] } as Part)
    : ({ chosen: {}, issues: ConfigFile.issuesOf(chosen.failure.issue, source, [kind]) } as Part)
})

/**
 * The options for an engine from a module: all keys of its section but the name. `mode` and `threads`, which every engine's
 * section has, are left out if the module has no such option.
 */
export const engineOptions = (
  section: Readonly<Record<string, unknown>>,
  engine: BoundComponent<"engine">
): unknown => {
  const known = optionNames(engine.options.ast)
  const shared = Object.keys(EngineConfig.fields).filter((key) => key === "name" || !known.includes(key))
  return Object.fromEntries(Object.entries(section).filter(([key]) => !shared.includes(key)))
}

/** Decodes the keys of the engine's section that only some engines have: a module's options, or mistakes. */
const chooseEngine = Effect.fnUntraced(function* (source: ConfigFile.ConfigSource, folder: string) {
  const section = source.value["engine"]
  const none = { options: {}, issues: [] as ReadonlyArray<ConfigFile.ConfigIssue> }
  if (!isRecord(section)) return none
  const { name } = section
  if (typeof name !== "string" || !UserModule.isPath(name)) {
    const known = Object.keys(EngineConfig.fields)
    const issues = Object.keys(section)
      .filter((key) => !known.includes(key))
      .map((key) => issueAt(source, ["engine", key], ConfigFile.unknownKey(key, known)))
    return { options: {}, issues }
  }
  const loaded = yield* Effect.result(UserModule.load("engine", name, folder))
  if (Result.isFailure(loaded)) {
    return { options: {}, issues: [issueAt(source, ["engine", "name"], loaded.failure.message)] }
  }
  const chosen = loaded.success.choose(engineOptions(section, loaded.success))
  return Result.isSuccess(chosen)
    ? { options: chosen.success.options, issues: [] }
    : { options: {}, issues: ConfigFile.issuesOf(chosen.failure.issue, source, ["engine"]) }
})

/** Values that are too large for this machine. */
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

/** The components of sections that a configuration may leave out. */
export const defaultNames: Partial<Readonly<Record<Kind, string>>> = {
  criterion: "cross-entropy",
  trainingAgent: "classification",
  trainingStrategy: "uniform",
  searchStrategy: "evolution",
  estimator: "supernet"
}

/** Adds the default name to sections that are left out or contain options only. */
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
      if (!UserModule.isPath(name)) return []
      const file = UserModule.pathOf(name, folder)
      return [[kind, { file, digest: hash("sha256", readFileSync(file)) }] as const]
    })
  )

const sectionKinds = OptionKind.of(RunConfig.ast)

/** The kinds of all options of a configuration with these components, by path. */
export const kindsOf = (components: ChosenComponents): OptionKind.OptionKinds => {
  const all = new Map(sectionKinds)
  for (const kind of kinds) {
    // Options belong to the phase of their section's name unless they are annotated otherwise.
    for (const [option, of] of OptionKind.of(
      components[kind].schema.ast,
      OptionKind.at(sectionKinds, `${kind}.name`)
    )) {
      all.set(`${kind}.${option}`, of)
    }
    // A module is identified by its digest, not by its path.
    if (UserModule.isPath(components[kind].name)) all.set(`${kind}.name`, { kind: "place", isPath: false })
  }
  return all
}

/**
 * Decodes a configuration and its components; paths in it are relative to `folder`. Set `isToRun` to false to read a
 * configuration without checking it against this machine: the run may be from a larger one.
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
      add(ComponentChecks.ofComponent(kind, part.chosen[kind]?.name ?? "", options, whole.success, source))
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

/** Values that override those of the file. */
export interface Overrides {
  /** `key.path=value`, in order. */
  readonly set?: ReadonlyArray<string> | undefined
  /** Values by path, each with the flag it comes from. */
  readonly flags?: ReadonlyArray<readonly [path: ReadonlyArray<string>, value: unknown, flag: string]> | undefined
}

/** Reads a configuration's file, applies the overrides, and decodes it. */
export const file = Effect.fn("Load.file")(function* (path: string, overrides: Overrides = {}) {
  const parsed = yield* Effect.fromResult(ConfigFile.read(path))
  const withSets = yield* Effect.fromResult(ConfigFile.override(parsed, overrides.set ?? []))
  const source = (overrides.flags ?? []).reduce(
    (inner, [at, value, flag]) => ConfigFile.assign(inner, at, value, flag),
    withSets
  )
  return yield* decode(source, dirname(resolve(path)))
})

/** A path relative to another folder, with slashes, so that a file is the same on every system. */
const pathFrom = (folder: string, path: string): string => {
  const seen = relative(folder, path).replaceAll("\\", "/")
  return isAbsolute(seen) || seen.startsWith(".") ? seen : `./${seen}`
}

/** The same configuration for a file in another folder, such as the run's: its paths lead to the same files from there. */
export const relocate = (loaded: LoadedRun, file: string): LoadedRun => {
  const folder = dirname(resolve(file))
  const move = (path: string | null): string | null =>
    path === null ? null : pathFrom(folder, resolve(loaded.folder, path))
  const sections = kinds.map((kind) => {
    const section = loaded.config[kind]
    const name = UserModule.isPath(section.name)
      ? pathFrom(folder, UserModule.pathOf(section.name, loaded.folder))
      : section.name
    // Options that are paths are relative to the working folder, which will be another one: make them absolute.
    const options = mapPaths(section, kind, loaded.kinds, (path) => resolve(path)) as RunConfig[Kind]
    return [kind, { ...options, name }] as const
  })
  const { budget, engine, start } = loaded.config
  const config: RunConfig = {
    ...loaded.config,
    ...Object.fromEntries(sections),
    engine: { ...engine, name: UserModule.isPath(engine.name) ? (move(engine.name) ?? engine.name) : engine.name },
    budget: { ...budget, lookupTable: move(budget.lookupTable) },
    start: { ...start, supernet: move(start.supernet), network: move(start.network) }
  }
  return { ...loaded, config, file, folder }
}

/** The configuration as YAML, with all defaults. */
export const toYaml = (loaded: LoadedRun): string => Yaml.stringify(loaded.config)
