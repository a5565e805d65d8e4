/**
 * The file of a configuration: YAML read with the line of every key, and overrides from the command line. Each value
 * remembers where it came from, so that a message can say it.
 *
 * The components are not known here: `Load.ts` decodes the configuration with the registry.
 */
import * as Result from "effect/Result"
import { isRecord } from "../support/Records.ts"
import { decodeText, readText } from "../support/TextFile.ts"
import { ConfigError, type ConfigIssue, type ConfigPath, type ConfigSource, show } from "./ConfigSource.ts"
import { issueAtLine, lineOf, maxBytes, readYaml } from "./ConfigYaml.ts"

export { decodePart, issuesOf, unknownKey } from "./ConfigDecoding.ts"
export { ConfigError, ConfigIssue, type ConfigPath, type ConfigSource, issueText, show } from "./ConfigSource.ts"
export { maxBytes, maxLength } from "./ConfigYaml.ts"

/**
 * Reads a configuration from YAML or JSON.
 *
 * **Details**
 *
 * It refuses a text that exceeds a bound of `ConfigYaml.ts`, a duplicate key, several documents in one file, and anything
 * but a mapping. Merge keys (`<<: *defaults`) are read; a mapping's own keys take precedence over merged ones.
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
    const what = value === null || value === undefined ? "the file is empty" : `the file contains ${show(value)}`
    return fail(issueAtLine("", null, `${what}; expected a mapping of keys, as \`osnas config\` prints it`))
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
 * Reads a configuration from a file's bytes: UTF-8, or UTF-16 with a byte order mark.
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
    : Result.fail(new ConfigError({ file, issues: [issueAtLine("", null, text.failure)] }))

/**
 * Reads a configuration from a file: UTF-8, or UTF-16 with a byte order mark.
 *
 * **Example** (A file that does not exist)
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

/** A configuration that comes from a program instead of a file. */
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

/** Sets the value at a path. `by` says where it came from: `--seed`. */
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
 * Applies assignments of the form `key.path=value`; values are read as YAML.
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
