/**
 * The file of a configuration: YAML read with the line of every key kept, overrides from the command line, and the
 * failures of decoding told in the words of the file. All faults are told at once, each with the key's path, the value
 * given, what would be right, and the line it stands in.
 *
 * Which components there are is not known here: `component/Load.ts` joins this with the registry.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Yaml from "yaml"
import { closest } from "../support/Suggestion.ts"

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

/** Everything that is wrong with a configuration, in the order of the file. */
export class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  file: Schema.String,
  issues: Schema.Array(ConfigIssue)
}) {
  override get message(): string {
    const count = this.issues.length === 1 ? "1 mistake" : `${this.issues.length} mistakes`
    const lines = this.issues.map((issue) => {
      const at = issue.origin === "" ? "" : `${issue.origin}: `
      const key = issue.path === "" ? "" : `${issue.path}: `
      return `  ${at}${key}${issue.message}`
    })
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

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

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
      const pair = node.items.find(
        (item) => String(Yaml.isScalar(item.key) ? item.key.value : item.key) === `${segment}`
      )
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

const tooDeep = issue("", null, `nested deeper than ${maxDepth} levels`)

const faultText = (fault: Yaml.YAMLParseError | Yaml.YAMLWarning): string =>
  fault.code === "MULTIPLE_DOCS" ? "several documents in one file; expected one" : fault.message

/**
 * What the library would not bound by itself, in one pass: depth, the number of nodes and of aliases, and keys given twice
 * (which it compares each with each).
 */
const boundsOf = (document: Yaml.Document, lines: Yaml.LineCounter): ConfigIssue | undefined => {
  let found: ConfigIssue | undefined
  let [nodes, aliases] = [0, 0]
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
        for (const { key } of node.items) {
          if (!Yaml.isScalar(key)) continue
          if (seen.has(key.value)) return stop(issue("", lineAt(key), "not valid YAML: Map keys must be unique"))
          seen.add(key.value)
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
      const document = Yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false })
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
 * {@link maxAliases}, a key given twice, several documents in one file, and anything but a mapping.
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

/** `27M` written where a number belongs. */
const numberHint = (value: unknown, expected: string): string => {
  const match =
    typeof value === "string" && /number|integer|value/.test(expected) ? /^([\d.]+)\s*([kMG])$/i.exec(value) : null
  if (match === null) return ""
  const exponent = { k: 3, m: 6, g: 9 }[match[2]!.toLowerCase() as "k" | "m" | "g"]
  return ` (write ${match[1]}e${exponent})`
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
  const add = (path: ConfigPath, message: string): void => {
    const full = [...prefix, ...path]
    out.push({ path: full.join("."), ...source.origin(full), message })
  }
  const walk = (node: SchemaIssue.Issue, path: ConfigPath): void => {
    const wrong = (expected: string): void => {
      const value = at(source.value, [...prefix, ...path])
      const about = describe(path)
      const purpose = about === undefined ? "" : ` - ${about}`
      add(path, `got ${show(value)}; expected ${expected}${numberHint(value, expected)}${purpose}`)
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
