/**
 * Rank correlation of two lists: Kendall's tau-b and Spearman's rho, with the usual treatment of ties. Null if one of the
 * lists is constant.
 */

const checkLengths = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): void => {
  if (a.length !== b.length) throw new RangeError(`rank correlation of ${a.length} numbers with ${b.length}`)
}

/** Number of pairs of equal values among sorted ones. */
const tiedPairs = (count: number, isTied: (at: number) => boolean): number => {
  let pairs = 0
  let run = 1
  for (let at = 1; at <= count; at += 1) {
    if (at < count && isTied(at)) {
      run += 1
      continue
    }
    pairs += (run * (run - 1)) / 2
    run = 1
  }
  return pairs
}

/** Sorts in place by merging; gives the number of pairs that were the wrong way round. */
const sortCountingExchanges = (values: Float64Array<ArrayBuffer>): number => {
  let from = values
  let to = new Float64Array(values.length)
  let exchanges = 0
  for (let width = 1; width < values.length; width *= 2) {
    for (let start = 0; start < values.length; start += 2 * width) {
      const middle = Math.min(start + width, values.length)
      const end = Math.min(start + 2 * width, values.length)
      let [left, right] = [start, middle]
      for (let at = start; at < end; at += 1) {
        if (left < middle && (right >= end || from[left]! <= from[right]!)) to[at] = from[left++]!
        else {
          exchanges += middle - left
          to[at] = from[right++]!
        }
      }
    }
    ;[from, to] = [to, from]
  }
  values.set(from)
  return exchanges
}

/**
 * Kendall's tau-b (Kendall 1945): concordant pairs less discordant ones, over the geometric mean of the pairs that each
 * list distinguishes. Counted in O(n log n) (Knight 1966).
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
  const { length } = a
  const order = a.map((_, index) => index).sort((i, j) => a[i]! - a[j]! || b[i]! - b[j]!)
  const sameA = (at: number) => a[order[at]!] === a[order[at - 1]!]
  const tiedInA = tiedPairs(length, sameA)
  const tiedInBoth = tiedPairs(length, (at) => sameA(at) && b[order[at]!] === b[order[at - 1]!])
  const sorted = Float64Array.from(order, (index) => b[index]!)
  const discordant = sortCountingExchanges(sorted)
  const tiedInB = tiedPairs(length, (at) => sorted[at] === sorted[at - 1])
  const pairs = (length * (length - 1)) / 2
  const [orderedByA, orderedByB] = [pairs - tiedInA, pairs - tiedInB]
  if (orderedByA === 0 || orderedByB === 0) return null
  const agreement = pairs - tiedInA - tiedInB + tiedInBoth - 2 * discordant
  return agreement / Math.sqrt(orderedByA * orderedByB)
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
