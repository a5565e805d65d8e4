/**
 * Rank correlation of two lists: Kendall's tau-b and Spearman's rho, with the usual treatment of ties. Null if one of the
 * lists is constant.
 */

/** Order of two numbers: rising (+1), falling (-1) or equal (0). */
const order = (a: number, b: number): number => (a < b ? 1 : a > b ? -1 : 0)

const checkLengths = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): void => {
  if (a.length !== b.length) throw new RangeError(`rank correlation of ${a.length} numbers with ${b.length}`)
}

/**
 * Kendall's tau-b (Kendall 1945): concordant pairs less discordant ones, over the geometric mean of the pairs that each
 * list distinguishes. Looks at every pair, so it is meant for lists of up to some thousand numbers.
 *
 * **Example** (One discordant pair of six)
 *
 * ```ts
 * import { kendall } from "./RankCorrelation.ts"
 *
 * kendall([1, 2, 3, 4], [10, 30, 20, 40])?.toFixed(4) // => "0.6667"
 * kendall([1, 2], [5, 5]) // => null
 * ```
 */
export const kendall = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number | null => {
  checkLengths(a, b)
  let agreement = 0
  let ordered = 0
  let orderedToo = 0
  for (let i = 0; i < a.length; i += 1) {
    for (let j = i + 1; j < a.length; j += 1) {
      const one = order(a[i]!, a[j]!)
      const other = order(b[i]!, b[j]!)
      agreement += one * other
      ordered += Math.abs(one)
      orderedToo += Math.abs(other)
    }
  }
  return ordered === 0 || orderedToo === 0 ? null : agreement / Math.sqrt(ordered * orderedToo)
}

/** Ranks from 1; equal numbers share their mean rank. */
const ranks = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sorted = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!)
  const out = new Array<number>(values.length)
  for (let from = 0; from < sorted.length; ) {
    let to = from
    while (to < sorted.length && values[sorted[to]!] === values[sorted[from]!]) to += 1
    for (let at = from; at < to; at += 1) out[sorted[at]!] = (from + 1 + to) / 2
    from = to
  }
  return out
}

/**
 * Spearman's rho: the linear correlation of the ranks.
 *
 * **Example** (Any rising function keeps the order)
 *
 * ```ts
 * import { spearman } from "./RankCorrelation.ts"
 *
 * spearman([1, 2, 3], [1, 4, 9]) // => 1
 * ```
 */
export const spearman = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number | null => {
  checkLengths(a, b)
  const mean = (a.length + 1) / 2
  const one = ranks(a).map((rank) => rank - mean)
  const other = ranks(b).map((rank) => rank - mean)
  const dot = (x: ReadonlyArray<number>, y: ReadonlyArray<number>) => x.reduce((sum, v, i) => sum + v * y[i]!, 0)
  const scale = Math.sqrt(dot(one, one) * dot(other, other))
  return scale === 0 ? null : dot(one, other) / scale
}
