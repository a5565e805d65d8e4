/**
 * Decodes a part of a configuration and explains what is wrong in the terms of the file: key, value found, what would be
 * right, and a suggestion for a misspelt key or an almost right value.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { isRecord } from "../support/Records.ts"
import { closest } from "../support/Suggestion.ts"
import { type ConfigIssue, type ConfigPath, type ConfigSource, show } from "./ConfigSource.ts"

const at = (value: unknown, path: ConfigPath): unknown =>
  path.reduce<unknown>(
    (inner, key) => (isRecord(inner) || Array.isArray(inner) ? Reflect.get(inner, key) : undefined),
    value
  )

/** The keys of a struct, from its syntax tree; empty for any other Schema. */
const keysOf = (ast: unknown): ReadonlyArray<string> => {
  const signatures = isRecord(ast) ? ast["propertySignatures"] : undefined
  return Array.isArray(signatures) ? signatures.map((s: { readonly name: PropertyKey }) => String(s.name)) : []
}

const affirmatives: ReadonlySet<string> = new Set(["true", "yes", "on", "y", "1"])
const negatives: ReadonlySet<string> = new Set(["false", "no", "off", "n", "0"])

/** A number written as in `27M`, `1_000`, `1,000`, `50%` or `"1e6"`, in the form of YAML 1.2. */
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

/** How to write a value that is almost right. */
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

/** The message about an unknown key: a near one, or the known keys. */
export const unknownKey = (key: string, known: ReadonlyArray<string>): string => {
  const guess = closest(key, known)
  return `unknown key; ${guess === undefined ? `known here: ${known.join(", ") || "no keys"}` : `did you mean ${guess}?`}`
}

/**
 * The issues of a failed decoding, at most one per value.
 *
 * `prefix` is where the decoded value is in the configuration. `describe` gives what a key is for, which is added to the
 * message.
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
      // NaN is neither finite nor positive: report a value once, by the first check that it fails.
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
        // A member of the union that failed inside says more than the list of all members.
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

/** The library's text for one issue, without its path. */
const leafText = (node: SchemaIssue.Issue): string =>
  expectedText(formatter(node).issues[0]?.message ?? "another value")

/** Decodes a part of a configuration: reports all issues at once and refuses unknown keys. */
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
