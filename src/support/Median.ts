/**
 * Medians of numbers.
 *
 * **Example** (An even number of values)
 *
 * ```ts
 * import * as Median from "./Median.ts"
 *
 * Median.median([4, 1, 3, 2]) // => 2.5
 * Median.upperMedian([4, 1, 3, 2]) // => 3
 * Median.range([4, 1, 3, 2]) // => [1, 3, 4]
 * ```
 */

const ascending = (values: ReadonlyArray<number>): ReadonlyArray<number> => [...values].sort((a, b) => a - b)

/** The middle value, or the mean of the two middle ones; NaN without values. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = ascending(values)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The middle value, or the larger of the two middle ones, so always one of the values; 0 without values. */
export const upperMedian = (values: ReadonlyArray<number>): number => ascending(values)[values.length >> 1] ?? 0

/** Smallest value, {@link upperMedian} and largest value; zeros without values. */
export const range = (values: ReadonlyArray<number>): readonly [least: number, median: number, most: number] => {
  const sorted = ascending(values)
  return [sorted[0] ?? 0, sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0]
}
