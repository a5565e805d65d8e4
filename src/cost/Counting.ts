/**
 * Counts, exactly, the ways to choose one item per layer so that the integer costs sum to a band, and turns a rank below
 * that count into the choice with that rank. This is what makes sampling under a budget uniform and free of rejection.
 *
 * How: the number of completions of a partial choice depends only on what it has left to spend. From the first layer
 * on, the residuals that can be reached at all are collected; from the last layer back, the distinct sums of suffixes
 * with their cumulative counts. The two meet where both are fewest, which keeps a space of 10^20 architectures with
 * costs of nine digits to some hundred thousand entries. Counts are held in limbs of a few floating-point numbers, each
 * an exact integer below 2^53, and are never rounded.
 */

/** Choices of one item per layer whose costs sum into a band. */
export interface Counting {
  /** How many there are. */
  readonly count: bigint
  /** The choice of a rank in [0, count), layer by layer ordered by cost, then by the item's index. */
  readonly at: (rank: bigint) => Array<number>
}

/** Items of a layer with equal cost count as one group. */
interface Groups {
  readonly costs: Float64Array
  readonly sizes: Float64Array
  /** The items of every group. */
  readonly members: ReadonlyArray<ReadonlyArray<number>>
}

/** Sorted keys, and for each the limbs of a count: that of `keys[i]` in slot `i + 1`. Slot 0 contains a count of none. */
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

/** Of two non-negative integers. */
export const greatestCommonDivisor = (a: number, b: number): number => {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** One layer alone, which is what most mutations come to. */
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

/** Above this many cells a bitmap costs more than sorting. */
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

/** Slot of the largest key not above `value`; 0 where there is none. */
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
  const total = layers.length
  for (const layer of layers) {
    if (layer.length === 0 || !layer.every((cost) => Number.isSafeInteger(cost) && cost >= 0)) {
      throw new RangeError(`Counting.make: a layer needs costs that are integers from 0 to 2^53, got [${layer}]`)
    }
  }
  const [only] = layers
  if (only !== undefined && total === 1) return single(only, min, max)
  const groups = layers.map(group)
  const least = groups.reduce((sum, g) => sum + g.costs[0]!, 0)
  // Residuals are what may still be spent above the least that the remaining layers cost.
  const differences = groups.map((g) => g.costs.map((cost) => cost - g.costs[0]!))
  const unit = Math.max(1, differences.flatMap((costs) => [...costs]).reduce(greatestCommonDivisor, 0))
  const relative = differences.map((costs) => costs.map((cost) => cost / unit))
  const largest = new Float64Array(total + 1)
  for (let l = total - 1; l >= 0; l -= 1) largest[l] = largest[l + 1]! + relative[l]!.at(-1)!
  const high = Math.min(Math.floor((max - least) / unit), largest[0]!)
  const low = Math.max(Math.ceil((min - least) / unit), 0)
  if (!(low <= high)) {
    return {
      count: 0n,
      at: (rank) => {
        throw new RangeError(`Counting.at: rank ${rank} of an empty set`)
      }
    }
  }
  const width = high - low

  const items = layers.reduce((most, layer) => Math.max(most, layer.length), 1)
  const limbBits = 51 - Math.ceil(Math.log2(items + 1))
  const limbBase = 2 ** limbBits
  // A count of layers `l` and after fits in this many limbs, with a bit to spare.
  const limbCounts = new Array<number>(total + 1).fill(1)
  let bits = 1
  for (let l = total - 1; l >= 0; l -= 1) {
    bits += Math.log2(layers[l]!.length)
    limbCounts[l] = Math.max(1, Math.ceil(bits / limbBits))
  }
  const carry = (limbs: ReadonlyArray<Float64Array>) => {
    for (let k = 0; k + 1 < limbs.length; k += 1) {
      const here = limbs[k]!
      const above = limbs[k + 1]!
      for (let i = 0; i < here.length; i += 1) {
        const over = Math.floor(here[i]! / limbBase)
        here[i]! -= over * limbBase
        above[i]! += over
      }
    }
  }
  const zeros = (l: number, size: number) => Array.from({ length: limbCounts[l]! }, () => new Float64Array(size + 1))
  /** Sums, over the groups of layer `l`, the counts of the layers below; `locate` finds each entry's slot there. */
  const combine = (
    l: number,
    keys: Float64Array,
    below: Entries,
    locate: (slots: Int32Array, cost: number) => void
  ): Entries => {
    const limbs = zeros(l, keys.length)
    const slots = new Int32Array(keys.length)
    for (let g = 0; g < relative[l]!.length; g += 1) {
      const size = groups[l]!.sizes[g]!
      locate(slots, relative[l]![g]!)
      for (const [k, from] of below.limbs.entries()) {
        const to = limbs[k]!
        for (let i = 0; i < slots.length; i += 1) to[i + 1]! += size * from[slots[i]!]!
      }
    }
    carry(limbs)
    return { keys, limbs }
  }

  // Fewest entries: the smaller frontier advances until the two meet.
  const fronts: Array<Float64Array> = [Float64Array.of(high)]
  const backs: Array<Float64Array> = new Array(total + 1)
  backs[total] = Float64Array.of(0)
  let first = 0
  let last = total
  while (first < last) {
    const front = fronts[first]!
    const back = backs[last]!
    if (front.length <= back.length) {
      // A residual above everything the rest can reach by more than the band is wide leads nowhere.
      fronts.push(shifted(front, relative[first]!, -1, 0, largest[first + 1]! + width))
      first += 1
    } else {
      last -= 1
      backs[last] = shifted(back, relative[last]!, 1, 0, Math.min(high, largest[last]!))
    }
  }
  const meeting = first

  // Cumulative counts of suffix sums, from the last layer back to the meeting.
  const suffixes: Array<Entries> = new Array(total + 1)
  suffixes[total] = { keys: backs[total]!, limbs: [Float64Array.of(0, 1)] }
  for (let l = total - 1; l >= meeting; l -= 1) {
    const keys = backs[l]!
    const below = suffixes[l + 1]!
    suffixes[l] = combine(l, keys, below, (slots, cost) => {
      let slot = 0
      for (let i = 0; i < keys.length; i += 1) {
        const wanted = keys[i]! - cost
        while (slot < below.keys.length && below.keys[slot]! <= wanted) slot += 1
        slots[i] = slot
      }
    })
  }

  const toBigInt = (limbs: ReadonlyArray<Float64Array>, slot: number): bigint => {
    let out = BigInt(limbs[limbs.length - 1]![slot]!)
    for (let k = limbs.length - 2; k >= 0; k -= 1) out = (out << BigInt(limbBits)) + BigInt(limbs[k]![slot]!)
    return out
  }

  // Counts of completions for every residual reached, from the meeting back to the first layer.
  const prefixes: Array<Entries> = new Array(meeting + 1)
  {
    const keys = fronts[meeting]!
    const { keys: sums, limbs: counts } = suffixes[meeting]!
    const limbs = zeros(meeting, keys.length)
    for (let i = 0; i < keys.length; i += 1) {
      const upper = floorSlot(sums, keys[i]!)
      const lower = floorSlot(sums, keys[i]! - width - 1)
      for (const [k, count] of counts.entries()) limbs[k]![i + 1] = count[upper]! - count[lower]!
    }
    // Differences of limbs may be negative: floor in `carry` borrows from the limb above.
    carry(limbs)
    prefixes[meeting] = { keys, limbs }
  }
  for (let l = meeting - 1; l >= 0; l -= 1) {
    const keys = fronts[l]!
    const below = prefixes[l + 1]!
    prefixes[l] = combine(l, keys, below, (slots, cost) => {
      let from = 0
      for (let i = 0; i < keys.length; i += 1) {
        const wanted = keys[i]! - cost
        while (from < below.keys.length && below.keys[from]! < wanted) from += 1
        slots[i] = below.keys[from] === wanted ? from + 1 : 0
      }
    })
  }

  /** How many completions layers `l` and after have with this residual. */
  const completions = (l: number, residual: number): bigint => {
    if (residual < 0) return 0n
    if (l <= meeting) {
      const { keys, limbs } = prefixes[l]!
      const slot = floorSlot(keys, residual)
      return slot > 0 && keys[slot - 1] === residual ? toBigInt(limbs, slot) : 0n
    }
    const { keys, limbs } = suffixes[l]!
    return toBigInt(limbs, floorSlot(keys, residual)) - toBigInt(limbs, floorSlot(keys, residual - width - 1))
  }
  const count = completions(0, high)
  return {
    count,
    at: (rank) => {
      if (rank < 0n || rank >= count) throw new RangeError(`Counting.at: rank ${rank} is not in [0, ${count})`)
      let left = rank
      let residual = high
      const choice = new Array<number>(total)
      for (let l = 0; l < total; l += 1) {
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
