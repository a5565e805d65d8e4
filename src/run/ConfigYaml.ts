/**
 * YAML of a configuration, read within bounds: a small file must not take much memory or time, whatever it contains.
 */
import * as Result from "effect/Result"
import * as Yaml from "yaml"
import type { ConfigIssue, ConfigPath } from "./ConfigSource.ts"

/** Longest configuration that is read, in characters. */
export const maxLength = 1 << 17
/** Longest configuration that is read, in bytes: a character has at most 4. */
export const maxBytes = 4 * maxLength
/** Deepest nesting that is read. */
export const maxDepth = 32
/** Most keys and values that are read, so that a mistake in each of them is still reported quickly. */
export const maxNodes = 10_000
/** Most aliases that are read: nested aliases expand a few lines to gigabytes. */
export const maxAliases = 100

/** An issue at a line of the file. */
export const issueAtLine = (path: string, line: number | null, message: string): ConfigIssue => ({
  path,
  line,
  origin: line === null ? "" : `line ${line}`,
  message
})

/** Whether a key is YAML's merge key, an unquoted `<<`. The library represents it as a symbol. */
const isMerge = (pair: Yaml.Pair): boolean => Yaml.isScalar(pair.key) && typeof pair.key.value === "symbol"

const keyOf = (pair: Yaml.Pair): string => {
  if (isMerge(pair)) return "<<"
  return String(Yaml.isScalar(pair.key) ? pair.key.value : pair.key)
}

const resolved = (node: unknown, document: Yaml.Document): unknown =>
  Yaml.isAlias(node) ? node.resolve(document) : node

/** The pair of a key: the mapping's own, or else the first in the mappings merged into it, in the order of their list. */
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
export const lineOf = (document: Yaml.Document, lines: Yaml.LineCounter, path: ConfigPath): number | null => {
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
 * How many keys a mapping has after all merges. A mapping that is merged several times counts several times; one that is
 * merged into itself counts as infinite. The library merges without a bound.
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

/** The path of a key in the mapping that is being visited. */
const placeOf = (ancestors: ReadonlyArray<unknown>, key: string): string =>
  [...ancestors.flatMap((ancestor) => (Yaml.isPair(ancestor) ? [keyOf(ancestor)] : [])), key].join(".")

const tooDeep = issueAtLine("", null, `nested deeper than ${maxDepth} levels`)

const faultText = (fault: Yaml.YAMLParseError | Yaml.YAMLWarning): string => {
  if (fault.code === "MULTIPLE_DOCS") return "several documents in one file; expected one"
  return fault.code === "TAB_AS_INDENT" ? "a tab as indentation; indent with spaces" : fault.message
}

/** Whether the value of `<<` can be merged: a mapping, or a list of mappings. */
const merges = (value: unknown, document: Yaml.Document): boolean => {
  const found = resolved(value, document)
  return Yaml.isSeq(found) ? found.items.every((item) => Yaml.isMap(resolved(item, document))) : Yaml.isMap(found)
}

/** A key that a mapping has twice, or a merge key whose value cannot be merged. */
const keyFault = (
  map: Yaml.YAMLMap,
  document: Yaml.Document,
  ancestors: ReadonlyArray<unknown>,
  lineAt: (node: Yaml.Node) => number | null
): ConfigIssue | undefined => {
  const seen = new Set<string>()
  for (const pair of map.items) {
    const { key } = pair
    if (!Yaml.isScalar(key)) continue
    // Keys of an object are strings: 1 and "1" are the same key.
    const name = isMerge(pair) ? "<<" : String(key.value)
    const wrong = (message: string) => issueAtLine(placeOf(ancestors, name), lineAt(key), message)
    if (seen.has(name)) {
      const advice = isMerge(pair) ? "; merge several mappings with one list: `<<: [*a, *b]`" : ""
      const first = map.items.find((other) => keyOf(other) === name)?.key
      const where = Yaml.isScalar(first) ? ` (first in line ${lineAt(first)})` : ""
      return wrong(`duplicate key${where}${advice}`)
    }
    seen.add(name)
    if (isMerge(pair) && !merges(pair.value, document)) {
      return wrong("expected a mapping, an alias of one, or a list of these to merge")
    }
  }
  return undefined
}

/** Checks in one pass what the library does not bound: depth, number of nodes, aliases and merged keys; duplicate keys. */
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
      const stopHere = (message: string) => stop(issueAtLine("", lineAt(node), message))
      nodes += 1
      if (nodes > maxNodes) return stopHere(`more than ${maxNodes} keys and values`)
      if (Yaml.isAlias(node)) {
        aliases += 1
        if (aliases > maxAliases) return stopHere(`more than ${maxAliases} aliases`)
      }
      if (Yaml.isCollection(node) && path.filter((ancestor) => Yaml.isCollection(ancestor)).length >= maxDepth) {
        return stop({ ...tooDeep, line: lineAt(node) })
      }
      if (!Yaml.isMap(node)) return undefined
      const fault = keyFault(node, document, path, lineAt)
      if (fault !== undefined) return stop(fault)
      if (node.items.some(isMerge)) merged += mergedKeys(node, document, known)
      if (merged <= maxNodes) return undefined
      return stopHere(
        Number.isFinite(merged)
          ? `merge keys that add more than ${maxNodes} keys`
          : "a mapping that is merged into itself"
      )
    }
  })
  return found
}

/** YAML as read: its nodes, the lines they are in, and the whole as plain data. */
export interface ReadYaml {
  readonly document: Yaml.Document
  readonly lines: Yaml.LineCounter
  readonly value: unknown
}

/** Reads YAML; refuses text that exceeds a bound. */
export const readYaml = (text: string): Result.Result<ReadYaml, ReadonlyArray<ConfigIssue>> => {
  if (text.length > maxLength) {
    return Result.fail([issueAtLine("", null, `the file has ${text.length} characters; at most ${maxLength} are read`)])
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
          faults.map((fault) =>
            issueAtLine("", lines.linePos(fault.pos[0]).line, `not valid YAML: ${faultText(fault)}`)
          )
        )
      }
      const beyond = boundsOf(document, lines)
      if (beyond !== undefined) return Result.fail([beyond])
      return Result.succeed({ document, lines, value: document.toJS({ maxAliasCount: maxAliases }) as unknown })
    },
    catch: (error) =>
      error instanceof RangeError
        ? tooDeep
        : issueAtLine("", null, `not valid YAML: ${error instanceof Error ? error.message : String(error)}`)
  })
  return Result.isFailure(parsed) ? Result.fail([parsed.failure]) : parsed.success
}
