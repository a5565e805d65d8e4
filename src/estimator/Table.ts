/**
 * A tabular benchmark: results of every architecture of a space, trained once by others, so that search strategies are
 * compared in seconds and exactly.
 */
import * as Schema from "effect/Schema"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"

/** A table that cannot be read: which file, which line, what would be right. */
export class TableError extends Schema.TaggedError<TableError>()("TableError", {
  table: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `table ${this.table}: ${this.file}: ${this.reason}`
  }
}

/** A tabular benchmark. */
export interface Table {
  readonly name: string
  readonly space: SearchSpaceShape
  /** Score of an architecture; undefined where the table has none. What a search may see is the objective alone. */
  readonly score: (genotype: Genotype) => Score | undefined
  /** The metric a search is judged by in the end: test accuracy in percent, larger is better. */
  readonly judged: string
  /** SHA-256 of the file's text, hex. */
  readonly digest: string
}
