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
  /** Standard deviation of that metric if the same network is trained again; undefined: the table does not say. */
  readonly noise?: number | undefined
  /** SHA-256 of the file's text, hex. */
  readonly digest: string
}

/** The mean of numbers; NaN of none. */
export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * Standard deviation of the mean of `n` measurements, pooled over groups of `n` measurements each; 0 for single ones.
 *
 * **Example** (Two networks, each trained twice)
 *
 * ```ts
 * import * as Table from "./Table.ts"
 *
 * Table.noiseOfMeans([[90, 92], [80, 82]]) // => 1
 * ```
 */
export const noiseOfMeans = (groups: ReadonlyArray<ReadonlyArray<number>>): number => {
  const variances = groups.flatMap((values) => {
    if (values.length < 2) return []
    const center = mean(values)
    return [values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1) / values.length]
  })
  return variances.length === 0 ? 0 : Math.sqrt(mean(variances))
}
