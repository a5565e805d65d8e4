/**
 * A tabular benchmark: published results of every architecture of a space, with which search strategies are compared exactly
 * and in seconds.
 */
import * as Schema from "effect/Schema"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"

/** A table that cannot be read: file, line, and what would be right. */
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
  /** Score of an architecture; undefined if the table does not have it. A search may only use the objective. */
  readonly score: (genotype: Genotype) => Score | undefined
  /** The metric by which a search is judged: test accuracy in percent, larger is better. */
  readonly judged: string
  /** SHA-256 of the file's text, hex. */
  readonly digest: string
}
