/**
 * Counts exactly how many choices of one item per layer have integer costs with a sum in a band, and maps a rank below that
 * count to the choice of that rank. So sampling under a budget is uniform, without rejection.
 *
 * The number of completions of a partial choice depends only on its residual: what the remaining layers may cost. Residuals
 * are collected from the first layer on; distinct sums of suffixes, with cumulative counts, from the last layer back. The
 * two meet where both are fewest: a space of 10^20 architectures with costs of nine digits needs some hundred thousand
 * entries. A count is split into limbs, each an exact integer below 2^53 in a double; nothing is rounded.
 */

/** Choices of one item per layer whose costs have a sum in a band. */
export interface Counting {
  /** The number of choices. */
  readonly count: bigint
  /** The choice of a rank in [0, count), layer by layer ordered by cost, then by the item's index. */
  readonly at: (rank: bigint) => Array<number>
}

/** Items of a layer, grouped by equal cost. */
interface Groups {
  readonly costs: Float64Array
  readonly sizes: Float64Array
  /** The items of every group. */
  readonly members: ReadonlyArray<ReadonlyArray<number>>
}

/** Sorted keys, and for each the limbs of a count: that of `keys[i]` in slot `i + 1`. Slot 0 is zero. */
interface Entries {
  readonly keys: Float64Array
  readonly limbs: ReadonlyArray<Float64Array>
}

const group = (costs: ReadonlyArray<number>): Groups => {
  const distinct = [...new Set(costs)].sort((a, b) => a - b)
  const position = new Map(distinct.map((cost, index) => [cost, index]))
  const members: Array<Array<number>> = distinct.map(() => [])
  costs.forEach((cost, item) => {
    members[position.get(cost)!]!.push(item)
  })
  return { costs: Float64Array.from(distinct), sizes: Float64Array.from(members, (items) => items.length), members }
}

/** The greatest common divisor of two non-negative integers. */
export const greatestCommonDivisor = (a: number, b: number): number => {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** The common case of mutations: only one layer has a choice. */
const single = (costs: ReadonlyArray<number>, min: number, max: number): Counting => {
  const inside: Array<number> = []
  for (let item = 0; item < costs.length; item += 1) {
    if (costs[item]! >= min && costs[item]! <= max) inside.push(item)
  }
  inside.sort((a, b) => costs[a]! - costs[b]! || a - b)
  return {
    count: BigInt(inside.length),
    at: (rank) => {
      const item = rank < 0n ? undefined : inside[Number(rank)]
      if (item === undefined) throw new RangeError(`Counting.at: rank ${rank} is not in [0, ${inside.length})`)
      return [item]
    }
  }
}

/** Largest bitmap; beyond this size, sorting is cheaper. */
const bitmapCells = 1 << 26

/** Sorted distinct values of `key + sign * cost` within [low, high]; integers all of them. */
export const shifted = (
  keys: Float64Array,
  costs: Float64Array,
  sign: 1 | -1,
  low: number,
  high: number
): Float64Array => {
  if (high - low < bitmapCells && high - low < 64 * keys.length * costs.length) {
    const seen = new Uint8Array(high - low + 1)
    let count = 0
    for (const cost of costs) {
      for (let i = 0; i < keys.length; i += 1) {
        const value = keys[i]! + sign * cost
        if (value >= low && value <= high && seen[value - low] === 0) {
          seen[value - low] = 1
          count += 1
        }
      }
    }
    const out = new Float64Array(count)
    let next = 0
    for (let cell = 0; cell < seen.length; cell += 1) {
      if (seen[cell] === 1) {
        out[next] = cell + low
        next += 1
      }
    }
    return out
  }
  const all = new Float64Array(keys.length * costs.length)
  let size = 0
  for (const cost of costs) {
    for (let i = 0; i < keys.length; i += 1) {
      const value = keys[i]! + sign * cost
      if (value >= low && value <= high) {
        all[size] = value
        size += 1
      }
    }
  }
  const sorted = all.subarray(0, size).sort()
  let distinct = 0
  for (let i = 0; i < size; i += 1) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) {
      sorted[distinct] = sorted[i]!
      distinct += 1
    }
  }
  return sorted.slice(0, distinct)
}

/** Slot of the largest key not above `value`; 0 if there is none. */
const floorSlot = (keys: Float64Array, value: number): number => {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}

/** A counting problem: costs of each layer relative to its cheapest item, in units of their greatest common divisor. */
interface Problem {
  readonly groups: ReadonlyArray<Groups>
  readonly relative: ReadonlyArray<Float64Array>
  /** The largest sum of the layers from each one on. */
  readonly largest: Float64Array
  /** The most that all layers together may cost. */
  readonly high: number
  /** Length of the band. */
  readonly width: number
}

/** The problem of finding sums in [min, max]; undefined if no sum is in the band. */
const problemOf = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number): Problem | undefined => {
  const total = layers.length
  const groups = layers.map(group)
  const least = groups.reduce((sum, g) => sum + g.costs[0]!, 0)
  const differences = groups.map((g) => g.costs.map((cost) => cost - g.costs[0]!))
  const unit = Math.max(1, differences.flatMap((costs) => [...costs]).reduce(greatestCommonDivisor, 0))
  const relative = differences.map((costs) => costs.map((cost) => cost / unit))
  const largest = new Float64Array(total + 1)
  for (let l = total - 1; l >= 0; l -= 1) largest[l] = largest[l + 1]! + relative[l]!.at(-1)!
  const high = Math.min(Math.floor((max - least) / unit), largest[0]!)
  const low = Math.max(Math.ceil((min - least) / unit), 0)
  return low <= high ? { groups, relative, largest, high, width: high - low } : undefined
}

/** How counts are split into limbs. */
interface LimbFormat {
  readonly bits: number
  /** Limbs for counts of the layers from each one on, with a bit to spare. */
  readonly counts: ReadonlyArray<number>
}

const limbFormatOf = (layers: ReadonlyArray<ReadonlyArray<number>>): LimbFormat => {
  const total = layers.length
  const items = layers.reduce((most, layer) => Math.max(most, layer.length), 1)
  const bitsOfLimb = 51 - Math.ceil(Math.log2(items + 1))
  const counts = new Array<number>(total + 1).fill(1)
  let bits = 1
  for (let l = total - 1; l >= 0; l -= 1) {
    bits += Math.log2(layers[l]!.length)
    counts[l] = Math.max(1, Math.ceil(bits / bitsOfLimb))
  }
  return { bits: bitsOfLimb, counts }
}

/** Normalises limbs: each becomes less than the base, and the rest moves to the limb above. */
const carry = ({ bits }: LimbFormat, limbs: ReadonlyArray<Float64Array>): void => {
  const base = 2 ** bits
  for (let k = 0; k + 1 < limbs.length; k += 1) {
    const here = limbs[k]!
    const above = limbs[k + 1]!
    for (let i = 0; i < here.length; i += 1) {
      const over = Math.floor(here[i]! / base)
      here[i]! -= over * base
      above[i]! += over
    }
  }
}

const zeros = ({ counts }: LimbFormat, l: number, size: number): ReadonlyArray<Float64Array> =>
  Array.from({ length: counts[l]! }, () => new Float64Array(size + 1))

const toBigInt = ({ bits }: LimbFormat, limbs: ReadonlyArray<Float64Array>, slot: number): bigint => {
  let out = BigInt(limbs[limbs.length - 1]![slot]!)
  for (let k = limbs.length - 2; k >= 0; k -= 1) out = (out << BigInt(bits)) + BigInt(limbs[k]![slot]!)
  return out
}

/** Sums the counts of the layers below over the groups of layer `l`; `locate` finds the slot of each key there. */
const combine = (
  { groups, relative }: Problem,
  format: LimbFormat,
  l: number,
  keys: Float64Array,
  below: Entries,
  locate: (slots: Int32Array, cost: number) => void
): Entries => {
  const limbs = zeros(format, l, keys.length)
  const slots = new Int32Array(keys.length)
  for (let g = 0; g < relative[l]!.length; g += 1) {
    const size = groups[l]!.sizes[g]!
    locate(slots, relative[l]![g]!)
    for (const [k, from] of below.limbs.entries()) {
      const to = limbs[k]!
      for (let i = 0; i < slots.length; i += 1) to[i + 1]! += size * from[slots[i]!]!
    }
  }
  carry(format, limbs)
  return { keys, limbs }
}

/** Residuals from the first layer on, suffix sums from the last layer back, and the layer where they meet. */
interface Frontiers {
  readonly fronts: ReadonlyArray<Float64Array>
  readonly backs: ReadonlyArray<Float64Array>
  readonly meeting: number
}

/** Lets the smaller frontier advance until the two meet, so that the entries are few. */
const frontiersOf = ({ high, largest, relative, width }: Problem): Frontiers => {
  const total = relative.length
  const fronts: Array<Float64Array> = [Float64Array.of(high)]
  const backs: Array<Float64Array> = new Array(total + 1)
  backs[total] = Float64Array.of(0)
  let first = 0
  let last = total
  while (first < last) {
    const front = fronts[first]!
    const back = backs[last]!
    if (front.length <= back.length) {
      // A residual that exceeds all that the remaining layers can cost by more than the band's width cannot be completed.
      fronts.push(shifted(front, relative[first]!, -1, 0, largest[first + 1]! + width))
      first += 1
    } else {
      last -= 1
      backs[last] = shifted(back, relative[last]!, 1, 0, Math.min(high, largest[last]!))
    }
  }
  return { fronts, backs, meeting: first }
}

/** Cumulative counts of suffix sums, from the last layer back to the meeting. */
const suffixesOf = (problem: Problem, format: LimbFormat, { backs, meeting }: Frontiers): ReadonlyArray<Entries> => {
  const total = problem.relative.length
  const suffixes: Array<Entries> = new Array(total + 1)
  suffixes[total] = { keys: backs[total]!, limbs: [Float64Array.of(0, 1)] }
  for (let l = total - 1; l >= meeting; l -= 1) {
    const keys = backs[l]!
    const below = suffixes[l + 1]!
    suffixes[l] = combine(problem, format, l, keys, below, (slots, cost) => {
      let slot = 0
      for (let i = 0; i < keys.length; i += 1) {
        const wanted = keys[i]! - cost
        while (slot < below.keys.length && below.keys[slot]! <= wanted) slot += 1
        slots[i] = slot
      }
    })
  }
  return suffixes
}

/** Counts of completions for every residual, from the meeting back to the first layer. */
const prefixesOf = (
  problem: Problem,
  format: LimbFormat,
  { fronts, meeting }: Frontiers,
  suffixes: ReadonlyArray<Entries>
): ReadonlyArray<Entries> => {
  const prefixes: Array<Entries> = new Array(meeting + 1)
  const met = fronts[meeting]!
  const { keys: sums, limbs: counts } = suffixes[meeting]!
  const limbs = zeros(format, meeting, met.length)
  for (let i = 0; i < met.length; i += 1) {
    const upper = floorSlot(sums, met[i]!)
    const lower = floorSlot(sums, met[i]! - problem.width - 1)
    for (const [k, count] of counts.entries()) limbs[k]![i + 1] = count[upper]! - count[lower]!
  }
  // Differences of limbs may be negative: floor in `carry` borrows from the limb above.
  carry(format, limbs)
  prefixes[meeting] = { keys: met, limbs }
  for (let l = meeting - 1; l >= 0; l -= 1) {
    const keys = fronts[l]!
    const below = prefixes[l + 1]!
    prefixes[l] = combine(problem, format, l, keys, below, (slots, cost) => {
      let from = 0
      for (let i = 0; i < keys.length; i += 1) {
        const wanted = keys[i]! - cost
        while (from < below.keys.length && below.keys[from]! < wanted) from += 1
        slots[i] = below.keys[from] === wanted ? from + 1 : 0
      }
    })
  }
  return prefixes
}

/**
 * Counts choices whose sum is in [min, max]. Costs are non-negative safe integers; every layer has an item.
 *
 * **Example** (Two dice)
 *
 * ```ts
 * import * as Counting from "./Counting.ts"
 *
 * const die = [1, 2, 3, 4, 5, 6]
 * const dice = Counting.make([die, die], 11, 12)
 * dice.count // => 3n
 * dice.at(0n) // => [4, 5]
 * dice.at(2n) // => [5, 5]
 * ```
 */
export const make = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number): Counting => {
  for (const layer of layers) {
    if (layer.length === 0 || !layer.every((cost) => Number.isSafeInteger(cost) && cost >= 0)) {
      throw new RangeError(`Counting.make: a layer needs costs that are integers from 0 to 2^53, got [${layer}]`)
    }
  }
  const [only] = layers
  if (only !== undefined && layers.length === 1) return single(only, min, max)
  const problem = problemOf(layers, min, max)
  if (problem === undefined) {
    return {
      count: 0n,
      at: (rank) => {
        throw new RangeError(`Counting.at: rank ${rank} of an empty set`)
      }
    }
  }
  const { groups, high, relative, width } = problem
  const format = limbFormatOf(layers)
  const frontiers = frontiersOf(problem)
  const suffixes = suffixesOf(problem, format, frontiers)
  const prefixes = prefixesOf(problem, format, frontiers, suffixes)

  /** How many completions the layers from `l` on have for a residual. */
  const completions = (l: number, residual: number): bigint => {
    if (residual < 0) return 0n
    if (l <= frontiers.meeting) {
      const { keys, limbs } = prefixes[l]!
      const slot = floorSlot(keys, residual)
      return slot > 0 && keys[slot - 1] === residual ? toBigInt(format, limbs, slot) : 0n
    }
    const { keys, limbs } = suffixes[l]!
    return (
      toBigInt(format, limbs, floorSlot(keys, residual)) -
      toBigInt(format, limbs, floorSlot(keys, residual - width - 1))
    )
  }
  const count = completions(0, high)
  return {
    count,
    at: (rank) => {
      if (rank < 0n || rank >= count) throw new RangeError(`Counting.at: rank ${rank} is not in [0, ${count})`)
      let left = rank
      let residual = high
      const choice = new Array<number>(groups.length)
      for (let l = 0; l < groups.length; l += 1) {
        const { members } = groups[l]!
        const costs = relative[l]!
        for (let g = 0; g < costs.length; g += 1) {
          const ways = completions(l + 1, residual - costs[g]!)
          const here = ways * BigInt(members[g]!.length)
          if (left < here) {
            choice[l] = members[g]![Number(left / ways)]!
            residual -= costs[g]!
            left %= ways
            break
          }
          left -= here
        }
      }
      return choice
    }
  }
}
