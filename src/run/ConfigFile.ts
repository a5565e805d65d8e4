/**
 * The file of a configuration: YAML read with the line of every key kept, overrides from the command line, and the
 * failures of decoding told in the words of the file. All faults are told at once, each with the key's path, the value
 * given, what would be right, and the line it stands in.
 *
 * Which components there are is not known here: `Load.ts` joins this with the registry.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Yaml from "yaml"
import { isRecord } from "../support/Records.ts"
import { closest } from "../support/Suggestion.ts"
import { decodeText, readText } from "../support/TextFile.ts"

/** One fault of a configuration. */
export const ConfigIssue = Schema.Struct({
  /** `searchStrategy.population`; empty for the file as a whole. */
  path: Schema.String,
  /** Line in the file, from 1; null where the value came from elsewhere. */
  line: Schema.NullOr(Schema.Int),
  /** Where the value came from: `line 12`, `--set`. */
  origin: Schema.String,
  /** The value given and what would be right. */
  message: Schema.String
})
/** One fault of a configuration. */
export type ConfigIssue = typeof ConfigIssue.Type

/** An issue as one line: where, which key, what. */
export const issueText = ({ message, origin, path }: ConfigIssue): string =>
  [origin, path, message].filter((part) => part !== "").join(": ")

/** Everything that is wrong with a configuration, in the order of the file. */
export class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  file: Schema.String,
  issues: Schema.Array(ConfigIssue)
}) {
  override get message(): string {
    const count = this.issues.length === 1 ? "1 mistake" : `${this.issues.length} mistakes`
    const lines = this.issues.map((issue) => `  ${issueText(issue)}`)
    return [`${this.file}: ${count} in the configuration`, ...lines].join("\n")
  }
}

/** A path into a configuration: keys of mappings, indices of sequences. */
export type ConfigPath = ReadonlyArray<string | number>

/** A configuration as read, not decoded yet. */
export interface ConfigSource {
  /** For messages: the file's name as the user gave it. */
  readonly file: string
  /** The whole as plain data. */
  readonly value: Readonly<Record<string, unknown>>
  /** Where the value at a path came from; for a key that is not there, where its parent did. */
  readonly origin: (path: ConfigPath) => { readonly line: number | null; readonly origin: string }
}

/** Longest configuration that is read, in characters. */
export const maxLength = 1 << 17
/** Longest configuration that is read, in bytes: a character has at most four. */
export const maxBytes = 4 * maxLength
/** Deepest nesting that is read. */
export const maxDepth = 32
/** Most keys and values that are read: what a mistake in every one of them costs stays small. */
export const maxNodes = 10_000
/** How many nodes aliases may stand for (a file of a few lines can otherwise stand for gigabytes). */
export const maxAliases = 100

const issue = (path: string, line: number | null, message: string): ConfigIssue => ({
  path,
  line,
  origin: line === null ? "" : `line ${line}`,
  message
})

/** Whether a key is YAML's `<<`, unquoted: what it names is merged into the mapping. The library makes it a symbol. */
const isMerge = (pair: Yaml.Pair): boolean => Yaml.isScalar(pair.key) && typeof pair.key.value === "symbol"

const keyOf = (pair: Yaml.Pair): string => {
  if (isMerge(pair)) return "<<"
  return String(Yaml.isScalar(pair.key) ? pair.key.value : pair.key)
}

const resolved = (node: unknown, document: Yaml.Document): unknown =>
  Yaml.isAlias(node) ? node.resolve(document) : node

/** The pair of a key: the mapping's own, else that of what is merged into it, the first named first. */
const pairOf = (map: Yaml.YAMLMap, key: string, document: Yaml.Document, depth = 0): Yaml.Pair | undefined => {
  const own = map.items.find((item) => keyOf(item) === key && !isMerge(item))
  if (own !== undefined || depth > maxDepth) return own
  for (const item of map.items.filter(isMerge)) {
    const value = resolved(item.value, document)
    for (const source of Yaml.isSeq(value) ? value.items : [value]) {
      const merged = resolved(source, document)
      const found = Yaml.isMap(merged) ? pairOf(merged, key, document, depth + 1) : undefined
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** Line of the key at `path`, or of the deepest part of the path that the file has. */
const lineOf = (document: Yaml.Document, lines: Yaml.LineCounter, path: ConfigPath): number | null => {
  let line: number | null = null
  let node: unknown = document.contents
  const mark = (candidate: unknown): void => {
    if (Yaml.isNode(candidate) && candidate.range) line = lines.linePos(candidate.range[0]).line
  }
  for (const segment of path) {
    if (Yaml.isAlias(node)) node = node.resolve(document)
    if (Yaml.isMap(node)) {
      const pair = pairOf(node, `${segment}`, document)
      if (pair === undefined) break
      mark(pair.key)
      node = pair.value
    } else if (Yaml.isSeq(node)) {
      const item = node.items[Number(segment)]
      if (item === undefined) break
      mark(item)
      node = item
    } else break
  }
  return line
}

/**
 * How many keys a mapping has once everything is merged into it, each merged mapping counted as often as it is named;
 * infinite for one that is merged into itself. The library merges without any bound of its own.
 */
const mergedKeys = (map: Yaml.YAMLMap, document: Yaml.Document, known: Map<Yaml.YAMLMap, number>): number => {
  const before = known.get(map)
  if (before !== undefined) return before
  known.set(map, Number.POSITIVE_INFINITY)
  let keys = map.items.length
  for (const { value } of map.items.filter(isMerge)) {
    const found = resolved(value, document)
    for (const item of Yaml.isSeq(found) ? found.items : [found]) {
      const source = resolved(item, document)
      if (Yaml.isMap(source)) keys += mergedKeys(source, document, known)
    }
  }
  known.set(map, keys)
  return keys
}

/** The path of a key in the mapping that a visit is at. */
const placeOf = (ancestors: ReadonlyArray<unknown>, key: string): string =>
  [...ancestors.flatMap((ancestor) => (Yaml.isPair(ancestor) ? [keyOf(ancestor)] : [])), key].join(".")

const tooDeep = issue("", null, `nested deeper than ${maxDepth} levels`)

const faultText = (fault: Yaml.YAMLParseError | Yaml.YAMLWarning): string => {
  if (fault.code === "MULTIPLE_DOCS") return "several documents in one file; expected one"
  return fault.code === "TAB_AS_INDENT" ? "a tab as indentation; indent with spaces" : fault.message
}

/** Whether what `<<` names can be merged: a mapping, or a list of mappings. */
const merges = (value: unknown, document: Yaml.Document): boolean => {
  const found = resolved(value, document)
  return Yaml.isSeq(found) ? found.items.every((item) => Yaml.isMap(resolved(item, document))) : Yaml.isMap(found)
}

/**
 * What the library would not bound by itself, in one pass: depth, the number of nodes and of aliases, and keys given twice
 * (which it compares each with each).
 */
const boundsOf = (document: Yaml.Document, lines: Yaml.LineCounter): ConfigIssue | undefined => {
  let found: ConfigIssue | undefined
  let [nodes, aliases, merged] = [0, 0, 0]
  const known = new Map<Yaml.YAMLMap, number>()
  const stop = (why: ConfigIssue): symbol => {
    found = why
    return Yaml.visit.BREAK
  }
  const lineAt = (node: Yaml.Node): number | null => (node.range ? lines.linePos(node.range[0]).line : null)
  Yaml.visit(document, {
    Node: (_, node, path) => {
      nodes += 1
      if (nodes > maxNodes) return stop(issue("", lineAt(node), `more than ${maxNodes} keys and values`))
      if (Yaml.isAlias(node)) {
        aliases += 1
        if (aliases > maxAliases) return stop(issue("", lineAt(node), `more than ${maxAliases} aliases`))
      }
      if (Yaml.isCollection(node) && path.filter((ancestor) => Yaml.isCollection(ancestor)).length >= maxDepth) {
        return stop({ ...tooDeep, line: lineAt(node) })
      }
      if (Yaml.isMap(node)) {
        const seen = new Set<unknown>()
        for (const pair of node.items) {
          const { key } = pair
          if (!Yaml.isScalar(key)) continue
          // As keys of an object they are texts: 1 and "1" are one key.
          const name = isMerge(pair) ? "<<" : String(key.value)
          if (seen.has(name)) {
            const again = isMerge(pair) ? "; merge several mappings with one list: `<<: [*a, *b]`" : ""
            const first = node.items.find((other) => keyOf(other) === name)?.key
            const where = Yaml.isScalar(first) ? ` (first in line ${lineAt(first)})` : ""
            return stop(issue(placeOf(path, name), lineAt(key), `duplicate key${where}${again}`))
          }
          seen.add(name)
          if (isMerge(pair) && !merges(pair.value, document)) {
            return stop(
              issue(
                placeOf(path, name),
                lineAt(key),
                "expected a mapping, an alias of one, or a list of these to merge"
              )
            )
          }
        }
        if (node.items.some(isMerge)) merged += mergedKeys(node, document, known)
        if (merged > maxNodes) {
          const reason = Number.isFinite(merged)
            ? `merge keys that stand for more than ${maxNodes} keys`
            : "a mapping that is merged into itself"
          return stop(issue("", lineAt(node), reason))
        }
      }
      return undefined
    }
  })
  return found
}

interface ReadYaml {
  readonly document: Yaml.Document
  readonly lines: Yaml.LineCounter
  readonly value: unknown
}

/** YAML within all bounds, or what is wrong with it. */
const readYaml = (text: string): Result.Result<ReadYaml, ReadonlyArray<ConfigIssue>> => {
  if (text.length > maxLength) {
    return Result.fail([issue("", null, `the file has ${text.length} characters; at most ${maxLength} are read`)])
  }
  const lines = new Yaml.LineCounter()
  const parsed = Result.try({
    try: (): Result.Result<ReadYaml, ReadonlyArray<ConfigIssue>> => {
      const document = Yaml.parseDocument(text, {
        lineCounter: lines,
        prettyErrors: false,
        uniqueKeys: false,
        merge: true
      })
      const faults = [...document.errors, ...document.warnings].slice(0, 20)
      if (faults.some((fault) => fault.message.includes("call stack"))) return Result.fail([tooDeep])
      if (faults.length > 0) {
        return Result.fail(
          faults.map((fault) => issue("", lines.linePos(fault.pos[0]).line, `not valid YAML: ${faultText(fault)}`))
        )
      }
      const beyond = boundsOf(document, lines)
      if (beyond !== undefined) return Result.fail([beyond])
      return Result.succeed({ document, lines, value: document.toJS({ maxAliasCount: maxAliases }) as unknown })
    },
    catch: (error) =>
      error instanceof RangeError
        ? tooDeep
        : issue("", null, `not valid YAML: ${error instanceof Error ? error.message : String(error)}`)
  })
  return Result.isFailure(parsed) ? Result.fail([parsed.failure]) : parsed.success
}

/**
 * Reads YAML (of which JSON is a part).
 *
 * **Details**
 *
 * Refused: text over {@link maxLength}, nesting over {@link maxDepth}, nodes over {@link maxNodes}, aliases over
 * {@link maxAliases}, a key given twice, several documents in one file, and anything but a mapping. Merge keys
 * (`<<: *defaults`) are read; a mapping's own keys win over merged ones.
 *
 * **Example** (Where a value came from)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { parse } from "./ConfigFile.ts"
 *
 * const source = Result.getOrThrow(parse("run.yaml", "seed: 7\nbudget:\n  max: 27e6\n"))
 * source.value // => { seed: 7, budget: { max: 27000000 } }
 * source.origin(["budget", "max"]) // => { line: 3, origin: "line 3" }
 * ```
 */
export const parse = (file: string, text: string): Result.Result<ConfigSource, ConfigError> => {
  const fail = (...issues: ReadonlyArray<ConfigIssue>) => Result.fail(new ConfigError({ file, issues }))
  const read = readYaml(text)
  if (Result.isFailure(read)) return fail(...read.failure)
  const { document, lines, value } = read.success
  if (!isRecord(value)) {
    const what = value === null || value === undefined ? "the file is empty" : `the file holds ${show(value)}`
    return fail(issue("", null, `${what}; expected a mapping of keys, as \`osnas config\` prints one`))
  }
  return Result.succeed({
    file,
    value,
    origin: (path) => {
      const line = lineOf(document, lines, path)
      return { line, origin: line === null ? "" : `line ${line}` }
    }
  })
}

/**
 * A configuration from a file's bytes: UTF-8, or UTF-16 that begins with its byte order mark.
 *
 * **Example** (UTF-16, as PowerShell's `>` writes it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { fromBytes } from "./ConfigFile.ts"
 *
 * const bytes = Buffer.concat([Uint8Array.of(0xff, 0xfe), Buffer.from("seed: 7", "utf16le")])
 * Result.getOrThrow(fromBytes("run.yaml", bytes)).value // => { seed: 7 }
 * ```
 */
export const fromBytes = (file: string, bytes: Uint8Array): Result.Result<ConfigSource, ConfigError> =>
  fromText(file, decodeText(bytes))

const fromText = (file: string, text: Result.Result<string, string>): Result.Result<ConfigSource, ConfigError> =>
  Result.isSuccess(text)
    ? parse(file, text.success)
    : Result.fail(new ConfigError({ file, issues: [issue("", null, text.failure)] }))

/**
 * Reads a configuration's file: UTF-8, or UTF-16 that begins with its byte order mark.
 *
 * **Example** (A file that is not there)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { read } from "./ConfigFile.ts"
 *
 * const none = read("/no/such/run.yaml")
 * Result.isFailure(none) && none.failure.issues.map((issue) => issue.message) // => ["the file does not exist"]
 * ```
 */
export const read = (file: string): Result.Result<ConfigSource, ConfigError> =>
  fromText(file, readText(file, "a configuration's file", maxBytes))

/** A configuration that came from a program instead of a file. */
export const fromValue = (file: string, value: Readonly<Record<string, unknown>>): ConfigSource => ({
  file,
  value,
  origin: () => ({ line: null, origin: "" })
})

const setIn = (value: unknown, path: ConfigPath, to: unknown): unknown => {
  const [head, ...rest] = path
  if (head === undefined) return to
  if (Array.isArray(value) && /^\d+$/.test(String(head))) {
    const copy = [...value]
    copy[Number(head)] = setIn(copy[Number(head)], rest, to)
    return copy
  }
  const record = isRecord(value) ? value : {}
  return { ...record, [head]: setIn(Object.hasOwn(record, head) ? record[head] : undefined, rest, to) }
}

/** Puts a value at a path, over whatever the file says. `by` is where it came from: `--seed`. */
export const assign = (source: ConfigSource, path: ConfigPath, to: unknown, by: string): ConfigSource => {
  const key = path.join(".")
  return {
    file: source.file,
    value: setIn(source.value, path, to) as Readonly<Record<string, unknown>>,
    origin: (at) => {
      const here = at.join(".")
      return here === key || here.startsWith(`${key}.`) ? { line: null, origin: by } : source.origin(at)
    }
  }
}

/**
 * Applies `key.path=value` assignments, the values read as YAML.
 *
 * **Example** (Overriding two values)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { fromValue, override } from "./ConfigFile.ts"
 *
 * const source = fromValue("run.yaml", { seed: 1, budget: { max: 5 } })
 * Result.getOrThrow(override(source, ["seed=7", "budget.max=27e6"])).value // => { seed: 7, budget: { max: 27000000 } }
 * ```
 */
export const override = (
  source: ConfigSource,
  assignments: ReadonlyArray<string>
): Result.Result<ConfigSource, ConfigError> => {
  const issues: Array<ConfigIssue> = []
  let out = source
  for (const assignment of assignments) {
    const at = assignment.indexOf("=")
    const key = at < 0 ? assignment : assignment.slice(0, at)
    const wrong = (message: string) =>
      issues.push({
        path: "",
        line: null,
        origin: `--set ${assignment.length > 60 ? `${assignment.slice(0, 57)}...` : assignment}`,
        message
      })
    if (at <= 0 || !/^[\w-]+(\.[\w-]+)*$/.test(key)) {
      wrong("expected key.path=value, as in --set budget.max=27e6")
      continue
    }
    const read = readYaml(assignment.slice(at + 1))
    if (Result.isFailure(read)) wrong(`the value cannot be read: ${read.failure[0]?.message ?? "not valid YAML"}`)
    else out = assign(out, key.split("."), read.success.value, `--set ${key}`)
  }
  return issues.length === 0 ? Result.succeed(out) : Result.fail(new ConfigError({ file: source.file, issues }))
}

/** A value as a message shows it: JSON, cut to a line. */
export const show = (value: unknown): string => {
  if (value === undefined) return "nothing"
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

const at = (value: unknown, path: ConfigPath): unknown =>
  path.reduce<unknown>(
    (inner, key) => (isRecord(inner) || Array.isArray(inner) ? Reflect.get(inner, key) : undefined),
    value
  )

/** Keys that a struct's syntax tree knows, where it is one. */
const keysOf = (ast: unknown): ReadonlyArray<string> => {
  const signatures = isRecord(ast) ? ast["propertySignatures"] : undefined
  return Array.isArray(signatures) ? signatures.map((s: { readonly name: PropertyKey }) => String(s.name)) : []
}

const affirmatives: ReadonlySet<string> = new Set(["true", "yes", "on", "y", "1"])
const negatives: ReadonlySet<string> = new Set(["false", "no", "off", "n", "0"])

/** A text that means a number, as YAML 1.2 writes it: from `27M`, `1_000`, `1,000`, `50%`, `"1e6"`. */
const asNumber = (text: string): string | undefined => {
  const scaled = /^([\d.]+)\s*([kMG])$/i.exec(text)
  if (scaled !== null) {
    const exponent = { k: 3, m: 6, g: 9 }[scaled[2]!.toLowerCase() as "k" | "m" | "g"]
    return `${scaled[1]}e${exponent}`
  }
  const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(text)
  if (percent !== null) return String(Number(percent[1]) / 100)
  if (/^[+-]?\d{1,3}(?:[_, ']\d{3})+(?:\.\d+)?$/.test(text) || /^[+-]?\d+(?:_\d+)+$/.test(text)) {
    return text.replaceAll(/[_, ']/g, "")
  }
  const isPlain = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)
  return isPlain ? `${text} without quotes` : undefined
}

/** How a value that is nearly right is written. */
const valueHint = (value: unknown, expected: string): string => {
  const write = (text: string | undefined): string => (text === undefined ? "" : ` (write ${text})`)
  if (/\btrue or false\b/.test(expected)) {
    const word = String(value).toLowerCase()
    return write(affirmatives.has(word) ? "true" : negatives.has(word) ? "false" : undefined)
  }
  if (/^a text\b/.test(expected)) {
    const isPlain = typeof value === "number" || typeof value === "boolean"
    return write(isPlain ? `${JSON.stringify(String(value))} in quotes` : undefined)
  }
  const isNumeric = typeof value === "string" && /number|integer|value/.test(expected)
  return write(isNumeric ? asNumber(value) : undefined)
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  object: "a mapping of keys",
  array: "a list"
}

const expectedText = (text: string): string =>
  text
    .replace(/^Expected /, "")
    .split(" | ")
    .map((word) => typeWords[word] ?? word)
    .join(" or ")

/** What is said of a key that is not known where it stands. */
export const unknownKey = (key: string, known: ReadonlyArray<string>): string => {
  const guess = closest(key, known)
  return `unknown key; ${guess === undefined ? `known here: ${known.join(", ") || "no keys"}` : `did you mean ${guess}?`}`
}

/**
 * The faults of a failed decoding, one for each key.
 *
 * `prefix` is where the decoded value stands in the configuration; `elsewhere` are keys known at other places, so that
 * a key put in the wrong place is told where it belongs.
 */
export const issuesOf = (
  root: SchemaIssue.Issue,
  source: ConfigSource,
  prefix: ConfigPath,
  describe: (path: ConfigPath) => string | undefined = () => undefined
): ReadonlyArray<ConfigIssue> => {
  const out: Array<ConfigIssue> = []
  const refused = new Set<string>()
  const add = (path: ConfigPath, message: string): void => {
    const full = [...prefix, ...path]
    out.push({ path: full.join("."), ...source.origin(full), message })
  }
  const walk = (node: SchemaIssue.Issue, path: ConfigPath): void => {
    const wrong = (expected: string): void => {
      const value = at(source.value, [...prefix, ...path])
      const about = describe(path)
      const purpose = about === undefined ? "" : ` - ${about}`
      const key = JSON.stringify(path)
      // NaN is neither finite nor positive: one value is one fault, whichever check is named.
      if (refused.has(key)) return
      refused.add(key)
      add(path, `got ${show(value)}; expected ${expected}${valueHint(value, expected)}${purpose}`)
    }
    switch (node._tag) {
      case "Pointer":
        walk(node.issue, [...path, ...node.path.map((key) => (typeof key === "number" ? key : String(key)))])
        break
      case "Encoding":
        walk(node.issue, path)
        break
      case "Composite":
        for (const inner of node.issues) walk(inner, path)
        break
      case "AnyOf": {
        // A member that went deeper than the type itself says more than the list of all members.
        const deeper = node.issues.filter((inner) => !isTypeMismatch(inner))
        if (deeper.length === 1) walk(deeper[0]!, path)
        else wrong(leafText(node))
        break
      }
      case "UnexpectedKey": {
        add(path, unknownKey(String(path.at(-1) ?? ""), keysOf(node.ast)))
        break
      }
      case "MissingKey": {
        const about = describe(path)
        add(path, `missing, but required${about === undefined ? "" : ` - ${about}`}`)
        break
      }
      default:
        wrong(leafText(node))
    }
  }
  walk(root, [])
  return out
}

const isTypeMismatch = (node: SchemaIssue.Issue): boolean =>
  node._tag === "InvalidType" || (node._tag === "Encoding" && isTypeMismatch(node.issue))

const formatter = SchemaIssue.makeFormatterStandardSchemaV1()

/** The library's own text for one issue, without its path. */
const leafText = (node: SchemaIssue.Issue): string =>
  expectedText(formatter(node).issues[0]?.message ?? "another value")

/** Decodes a part of a configuration: every fault at once, unknown keys refused. */
export const decodePart = <A>(
  schema: Schema.Codec<A, unknown>,
  value: unknown,
  source: ConfigSource,
  prefix: ConfigPath,
  describe?: (path: ConfigPath) => string | undefined
): Result.Result<A, ReadonlyArray<ConfigIssue>> =>
  Result.mapError(Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(value), (error) =>
    issuesOf(error.issue, source, prefix, describe)
  )
