/**
 * A configuration before it is decoded: plain data that knows where every value came from, and the mistakes found in it.
 */
import * as Schema from "effect/Schema"

/** One mistake in a configuration. */
export const ConfigIssue = Schema.Struct({
  /** The key, `searchStrategy.parents`; empty for the file as a whole. */
  path: Schema.String,
  /** Line in the file, from 1; null if the value came from elsewhere. */
  line: Schema.NullOr(Schema.Int),
  /** Where the value came from: `line 12`, `--set`. */
  origin: Schema.String,
  /** The value found and what would be right. */
  message: Schema.String
})
/** One mistake in a configuration. */
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

/** A configuration that is read and not decoded yet. */
export interface ConfigSource {
  /** The file's name as the user gave it, for messages. */
  readonly file: string
  /** The whole configuration as plain data. */
  readonly value: Readonly<Record<string, unknown>>
  /** Where the value at a path came from; for a missing key, where its parent came from. */
  readonly origin: (path: ConfigPath) => { readonly line: number | null; readonly origin: string }
}

/** A value as messages show it: JSON of at most 60 characters. */
export const show = (value: unknown): string => {
  if (value === undefined) return "nothing"
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
