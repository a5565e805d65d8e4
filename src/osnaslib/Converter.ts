/** Converts configurations of OSNASLib, with notes on keys without an equivalent and on differences. */
import { differences, keys } from "./Keys.ts"
import { asNumber, isMapping, type KeyRow, type Mapping, type Old, type Purpose, type Reading } from "./Readings.ts"

const byKey: ReadonlyMap<string, KeyRow> = new Map(keys.map((row) => [row.key, row]))

/** A note on a converted configuration. */
export interface Note {
  readonly kind: "nothing here" | "remark" | "unknown" | "conflict" | "different default"
  readonly key: string
  readonly text: string
}

/** A converted configuration with notes. */
export interface Conversion {
  readonly config: Mapping
  readonly notes: ReadonlyArray<Note>
}

const order = [
  "name",
  "seed",
  "engine",
  "dataflow",
  "searchSpace",
  "budget",
  "criterion",
  "trainingAgent",
  "trainingStrategy",
  "supernetTraining",
  "searchStrategy",
  "estimator",
  "retraining",
  "start",
  "stopAfter"
]

const place = (into: Record<string, unknown>, path: string, value: unknown): void => {
  const [head = "", ...rest] = path.split(".")
  if (rest.length === 0) {
    into[head] = value
    return
  }
  const inner = into[head]
  const next: Record<string, unknown> = isMapping(inner) ? { ...inner } : {}
  place(next, rest.join("."), value)
  into[head] = next
}

/** All values by key: `section.key`, or `key` at the top level. */
const leaves = (config: Mapping): ReadonlyArray<readonly [key: string, value: unknown]> =>
  Object.entries(config).flatMap(
    ([section, value]): ReadonlyArray<readonly [string, unknown]> =>
      isMapping(value)
        ? Object.entries(value).map(([key, inner]) => [`${section}.${key}`, inner] as const)
        : value === null
          ? []
          : [[section, value] as const]
  )

const isGiven = (value: unknown): boolean => value !== null && value !== undefined && value !== ""

/** Whether a file is for a search or an evaluation, by its main agent. */
export const purposeOf = (config: Mapping): Purpose => {
  const agent = isMapping(config["agent"]) ? config["agent"]["main_agent"] : undefined
  return /Evaluate/.test(String(agent)) ? "evaluate" : "search"
}

/** Whether a mapping is a configuration of OSNASLib: it names a main agent. */
export const isOsnaslib = (config: Mapping): boolean =>
  isMapping(config["agent"]) && typeof config["agent"]["main_agent"] === "string"

/** Placeholder for a missing architecture; a run refuses it. */
export const architectureMissing = "fill in the digits, like 2,0,6"

interface Read {
  readonly values: ReadonlyMap<string, unknown>
  readonly notes: ReadonlyArray<Note>
}

const readFile = (config: Mapping): Read => {
  const given = new Map(leaves(config))
  const get = (key: string): unknown => (isGiven(given.get(key)) ? given.get(key) : undefined)
  const old: Old = {
    purpose: purposeOf(config),
    get,
    number: (key) => asNumber(get(key)),
    isFace: String(get("agent.main_agent")).startsWith("FR"),
    searcher: String(get("agent.search_strategy_agent") ?? "")
  }
  const values = new Map<string, unknown>()
  const notes: Array<Note> = []
  // In the order of the table, not of the file, so that values that depend on several keys are always the same.
  for (const { about, here, key, read } of keys) {
    const value = get(key)
    if (value === undefined) continue
    if (here.length === 0) {
      notes.push({ kind: "nothing here", key, text: about })
      continue
    }
    const plain = (): Reading => ({ set: here.map((path) => [path, value] as const) })
    const { say, set = [] } = read === undefined ? plain() : read(value, old)
    for (const [path, converted] of set) values.set(path, converted)
    if (say !== undefined) notes.push({ kind: set.length === 0 ? "nothing here" : "remark", key, text: say })
  }
  for (const [key, value] of given) {
    if (!byKey.has(key) && isGiven(value))
      notes.push({ kind: "unknown", key, text: "OSNASLib does not know this key either" })
  }
  return { values, notes }
}

/** What a conversion needs besides the old file. */
export interface ConvertOptions {
  /** Name of the run. */
  readonly name: string
  /** OSNASLib's file for the evaluation: its training becomes the retraining. */
  readonly evaluate?: Mapping | undefined
  /** Digits of the architecture to evaluate. */
  readonly architecture?: string | undefined
}

/**
 * Converts a configuration of OSNASLib.
 *
 * **Example** (A budget)
 * ```ts
 * import { convert } from "./Converter.ts"
 * const old = { agent: { main_agent: "CFSearchAgent", search_space_agent: "FBNetS" }, search_utility: { target_hc: 27 } }
 * convert(old, { name: "old" }).config["budget"] // => { max: 27000000 }
 * ```
 */
export const convert = (old: Mapping, options: ConvertOptions): Conversion => {
  const search = readFile(old)
  const values = new Map(search.values)
  const notes = [...search.notes]
  const purpose = purposeOf(old)
  if (options.evaluate !== undefined) {
    const second = readFile(options.evaluate)
    for (const [path, value] of second.values) {
      const known = values.get(path)
      if (path.startsWith("retraining.") || known === undefined) values.set(path, value)
      else if (JSON.stringify(known) !== JSON.stringify(value)) {
        const text = `${JSON.stringify(value)} in the file for evaluation; kept ${JSON.stringify(known)} of the search`
        notes.push({ kind: "conflict", key: path, text })
      }
    }
    const seen = new Set(notes.map(({ key, text }) => `${key} ${text}`))
    const obsolete = "experiment_path.searched_model_path"
    notes.push(...second.notes.filter(({ key, text }) => key !== obsolete && !seen.has(`${key} ${text}`)))
    values.delete("stopAfter")
  } else if (purpose === "search") {
    const text = "copied from supernet training; OSNASLib has a separate file for it: add it with --evaluate"
    notes.push({ kind: "remark", key: "retraining", text })
  }
  if (purpose === "evaluate") {
    values.set("start.architecture", options.architecture ?? architectureMissing)
    if (!values.has("budget.max")) values.set("budget.max", 1e12)
    if (!values.has("supernetTraining.epochs")) values.set("supernetTraining.epochs", 1)
    notes.push({
      kind: "remark",
      key: "budget",
      text: "an evaluation has no budget, but the key is required; no architecture is above 1e12"
    })
  }
  // Keys without a default here that OSNASLib's file may lack.
  for (const [path, value] of [
    ["budget.max", 1e12],
    ["supernetTraining.epochs", 1],
    ["retraining.epochs", 1]
  ] as const) {
    if (values.has(path)) continue
    values.set(path, value)
    notes.push({ kind: "remark", key: path, text: `missing in the old file; set to ${value}` })
  }

  const config: Record<string, unknown> = { name: options.name }
  const rank = (path: string): number => {
    const at = order.indexOf(path.split(".")[0]!)
    return at < 0 ? order.length : at
  }
  const isName = (path: string): number => (path.endsWith(".name") && path.split(".").length === 2 ? 0 : 1)
  for (const [path, value] of [...values].sort(([a], [b]) => rank(a) - rank(b) || isName(a) - isName(b))) {
    place(config, path, value)
  }
  const evolves = isMapping(config["searchStrategy"]) && config["searchStrategy"]["name"] === "evolution"
  for (const { here, path, there } of differences) {
    if (values.has(path) || (path === "searchStrategy.crossover" && !evolves)) continue
    notes.push({ kind: "different default", key: path, text: `${JSON.stringify(here)} here; in OSNASLib ${there}` })
  }
  return { config, notes }
}
