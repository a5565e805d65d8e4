/**
 * One item per layer, such that the sum of the integer costs is in a band and the sum of the values is largest: a
 * multiple-choice knapsack, solved exactly.
 *
 * With a price on cost (a Lagrange multiplier), the best choice at that price bounds the value of every choice. The loss of an
 * item is how much less it is worth at that price than the best item of its layer. The distance of a choice from the bound
 * is at least the sum of its losses. So a search may skip all choices whose losses exceed an allowance. If the best choice
 * found is within the allowance of the bound, it is optimal; otherwise the search is repeated with a larger allowance, and
 * finally without one. At the price of the tightest bound few choices have small losses.
 *
 * A search: of all prefixes with the same cost only the most valuable matters, and likewise of suffixes. Prefixes and
 * suffixes grow layer by layer, always the smaller set, until they meet. Then each prefix takes the most valuable suffix
 * that brings it into the band: a maximum over a sliding window.
 */
import { greatestCommonDivisor, shifted } from "./Counting.ts"

type Layers = ReadonlyArray<ReadonlyArray<number>>

/** The items of a layer, cheapest first; of items with the same cost only the most valuable. */
interface Items {
  readonly costs: Float64Array
  readonly values: Float64Array
  /** Their positions in the layer. */
  readonly places: Int32Array
}

/** The distinct sums of some layers, ascending; for each the most valuable choice that has it, as links back. */
interface Front {
  readonly keys: Float64Array
  readonly values: Float64Array
  /** Item taken in the layer added last, and the slot in the front before. */
  readonly items: Int32Array
  readonly links: Int32Array
}

const origin: Front = {
  keys: Float64Array.of(0),
  values: Float64Array.of(0),
  items: new Int32Array(1),
  links: new Int32Array(1)
}

/** What a sum must be to be kept: its cost in [low, high], and its value at least `least` plus `price` times its cost. */
interface Window {
  readonly low: number
  readonly high: number
  readonly least: number
  readonly price: number
}

const take = (front: Front, slots: Int32Array): Front => ({
  keys: Float64Array.from(slots, (slot) => front.keys[slot]!),
  values: Float64Array.from(slots, (slot) => front.values[slot]!),
  items: Int32Array.from(slots, (slot) => front.items[slot]!),
  links: Int32Array.from(slots, (slot) => front.links[slot]!)
})

/** A front with one more layer. */
const grow = (front: Front, { costs, places, values }: Items, { high, least, low, price }: Window): Front => {
  const keys = shifted(front.keys, costs, 1, Math.max(0, low), high)
  const best = new Float64Array(keys.length)
  const items = new Int32Array(keys.length).fill(-1)
  const links = new Int32Array(keys.length)
  for (let item = 0; item < costs.length; item += 1) {
    const cost = costs[item]!
    const gain = values[item]!
    let slot = 0
    for (let i = 0; i < front.keys.length; i += 1) {
      const key = front.keys[i]! + cost
      while (slot < keys.length && keys[slot]! < key) slot += 1
      if (slot === keys.length) break
      const value = front.values[i]! + gain
      // Without a bound nothing is dropped: minus infinity minus itself is NaN, and comparisons with NaN are false.
      if (keys[slot] !== key || value - price * key < least) continue
      if (items[slot] === -1 || value > best[slot]!) {
        best[slot] = value
        items[slot] = places[item]!
        links[slot] = i
      }
    }
  }
  const grown = { keys, values: best, items, links }
  const kept = Int32Array.from(keys.keys()).filter((slot) => items[slot] !== -1)
  return kept.length === keys.length ? grown : take(grown, kept)
}

const largestOf = (row: ReadonlyArray<number>): number => row.reduce((most, value) => Math.max(most, value))

/** Sums of the elements before every index, and of all of them. */
const before = (row: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sums = [0]
  for (const value of row) sums.push(sums.at(-1)! + value)
  return sums
}

const sum = (row: ReadonlyArray<number>): number => row.reduce((total, value) => total + value, 0)

const sumAt = (rows: Layers, choice: ReadonlyArray<number>): number =>
  choice.reduce((total, item, layer) => total + rows[layer]![item]!, 0)

/** The worth of items at a price of cost: value minus price times cost. */
const worthAt = (costs: Layers, values: Layers, price: number): Layers =>
  costs.map((row, layer) => row.map((cost, item) => values[layer]![item]! - price * cost))

/** A bound of the value of every choice in the band, its price, and the best value that was found on the way. */
interface Bound {
  readonly price: number
  readonly bound: number
  readonly known: number
}

/** The tightest bound, found by bisecting the price of cost. */
const boundOf = (costs: Layers, values: Layers, low: number, high: number): Bound => {
  let found: Bound = { price: 0, bound: Number.POSITIVE_INFINITY, known: Number.NEGATIVE_INFINITY }
  const look = (price: number): number => {
    const worth = worthAt(costs, values, price)
    const choice = worth.map((row) => row.indexOf(largestOf(row)))
    const cost = sumAt(costs, choice)
    // In the band, cost is at most `high` (for a positive price) and at least `low` (for a negative one).
    const bound = sumAt(worth, choice) + price * (price > 0 ? high : low)
    const known = cost >= low && cost <= high ? Math.max(found.known, sumAt(values, choice)) : found.known
    found = bound < found.bound ? { price, bound, known } : { ...found, known }
    return cost
  }
  const free = look(0)
  const spread = values.reduce((most, row) => Math.max(most, ...row.filter(Number.isFinite).map(Math.abs)), 1)
  let [lowPrice, highPrice] = free > high ? [0, 2 * spread + 1] : [-2 * spread - 1, 0]
  for (let round = 0; round < 64 && found.known < found.bound; round += 1) {
    const middle = (lowPrice + highPrice) / 2
    if (look(middle) > high) lowPrice = middle
    else highPrice = middle
  }
  return found
}

/** The items of every layer whose loss is within the allowance. */
const itemsOf = (costs: Layers, values: Layers, worth: Layers, tops: ReadonlyArray<number>, allowance: number) =>
  costs.map((row, layer): Items => {
    const own = values[layer]!
    const near = [...row.keys()].filter((item) => !(tops[layer]! - worth[layer]![item]! > allowance))
    near.sort((a, b) => row[a]! - row[b]! || own[b]! - own[a]! || a - b)
    const kept = near.filter((item, i) => i === 0 || row[item] !== row[near[i - 1]!])
    return {
      costs: Float64Array.from(kept, (item) => row[item]!),
      values: Float64Array.from(kept, (item) => own[item]!),
      places: Int32Array.from(kept)
    }
  })

/** What a search found. */
interface Found {
  readonly value: number
  readonly choice: ReadonlyArray<number>
}

/** The best choice in the band whose losses are within `allowance`; `tops` is the largest worth of each layer. */
const search = (
  layers: ReadonlyArray<Items>,
  tops: ReadonlyArray<number>,
  { high, low, price }: Omit<Window, "least">,
  allowance: number
): Found | undefined => {
  const total = layers.length
  const cheapest = before(layers.map((items) => items.costs[0]!))
  const mostExpensive = before(layers.map((items) => items.costs.at(-1)!))
  if (cheapest[total]! > high || mostExpensive[total]! < low) return undefined
  const worthBefore = before(tops)
  const rest = (sums: ReadonlyArray<number>, layer: number) => sums[total]! - sums[layer]!
  const prefixes: Array<Front> = [origin]
  const suffixes: Array<Front> = [origin]
  let [first, last] = [0, total]
  while (first < last) {
    const [prefix, suffix] = [prefixes.at(-1)!, suffixes.at(-1)!]
    if (prefix.keys.length <= suffix.keys.length) {
      const items = layers[first]!
      first += 1
      const window = { low: low - rest(mostExpensive, first), high: high - rest(cheapest, first) }
      prefixes.push(grow(prefix, items, { ...window, price, least: worthBefore[first]! - allowance }))
    } else {
      last -= 1
      const window = { low: low - mostExpensive[last]!, high: high - cheapest[last]! }
      const least = rest(worthBefore, last) - allowance
      suffixes.push(grow(suffix, layers[last]!, { ...window, price, least }))
    }
  }

  const [heads, tails] = [prefixes.at(-1)!, suffixes.at(-1)!]
  let best: { readonly value: number; readonly head: number; readonly tail: number } | undefined
  // As heads get more expensive, the window of tails moves down: slots enter on the left and leave on the right. The queue
  // has the maxima of the window, best first; of equal values the cheaper slot is better.
  const queue: Array<number> = []
  let start = 0
  let left = tails.keys.length
  for (let head = 0; head < heads.keys.length; head += 1) {
    const spent = heads.keys[head]!
    while (left > 0 && spent + tails.keys[left - 1]! >= low) {
      left -= 1
      while (queue.length > start && tails.values[queue.at(-1)!]! <= tails.values[left]!) queue.pop()
      queue.push(left)
    }
    while (start < queue.length && spent + tails.keys[queue[start]!]! > high) start += 1
    const tail = queue[start]
    if (tail === undefined) continue
    const value = heads.values[head]! + tails.values[tail]!
    const cheaper = () => spent + tails.keys[tail]! < heads.keys[best!.head]! + tails.keys[best!.tail]!
    if (best === undefined || value > best.value || (value === best.value && cheaper())) best = { value, head, tail }
  }
  if (best === undefined) return undefined
  const choice = new Array<number>(total)
  for (let layer = first - 1, slot = best.head; layer >= 0; layer -= 1) {
    const front = prefixes[layer + 1]!
    choice[layer] = front.items[slot]!
    slot = front.links[slot]!
  }
  for (let layer = first, slot = best.tail; layer < total; layer += 1) {
    const front = suffixes[total - layer]!
    choice[layer] = front.items[slot]!
    slot = front.links[slot]!
  }
  return { value: best.value, choice }
}

/**
 * The most valuable choice with a cost in [min, max]; of equal values the one of lower cost; undefined if there is none.
 * Costs are non-negative safe integers. Values must not be NaN or positive infinity.
 *
 * **Example** (At most 4)
 *
 * ```ts
 * import * as MostValuable from "./MostValuable.ts"
 *
 * const costs = [[1, 3], [1, 3]]
 * MostValuable.find(costs, [[0, 2], [0, 3]], 0, 4) // => [0, 1]
 * MostValuable.find(costs, [[0, 2], [0, 3]], 7, 9) // => undefined
 * ```
 */
export const find = (layers: Layers, values: Layers, min: number, max: number): ReadonlyArray<number> | undefined => {
  if (values.some((row, layer) => row.length !== layers[layer]?.length) || values.length !== layers.length) {
    throw new RangeError("MostValuable.find: there must be a value for every option of every layer")
  }
  const cheapest = layers.map((row) => Math.min(...row))
  const floor = sum(cheapest)
  const differences = layers.map((row, layer) => row.map((cost) => cost - cheapest[layer]!))
  const unit = Math.max(1, differences.flat().reduce(greatestCommonDivisor, 0))
  const costs = differences.map((row) => row.map((cost) => cost / unit))
  const low = Math.max(0, Math.ceil((min - floor) / unit))
  const high = Math.min(sum(costs.map(largestOf)), Math.floor((max - floor) / unit))
  if (!(low <= high)) return undefined

  const { bound, known, price } = boundOf(costs, values, low, high)
  const worth = worthAt(costs, values, price)
  const tops = worth.map(largestOf)
  // Sums in another order may differ in the last digits.
  const tolerance = 1e-9 * (1 + Math.abs(bound) + Math.abs(price) * high)
  const searched = (allowance: number) => {
    const near = itemsOf(costs, values, worth, tops, allowance + tolerance)
    return search(near, tops, { low, high, price }, allowance + tolerance)
  }
  const lost = worth.map((row, layer) => row.map((one) => tops[layer]! - one).filter(Number.isFinite))
  const most = sum(lost.map((row) => Math.max(0, ...row)))
  const losses = lost.flat().sort((a, b) => a - b)
  // At first two items per layer are within the allowance on average.
  let allowance = losses[Math.min(2 * layers.length, losses.length - 1)] ?? Number.POSITIVE_INFINITY
  let distance = bound - known
  while (allowance < most) {
    allowance = Math.min(allowance, distance)
    const found = searched(allowance)
    if (found !== undefined) distance = Math.min(distance, bound - found.value)
    if (found !== undefined && distance <= allowance) return found.choice
    allowance = Math.max(2 * allowance, tolerance)
  }
  const found = searched(Number.POSITIVE_INFINITY)
  // If every choice in the band is worth minus infinity, take the cheapest.
  return found?.value === Number.NEGATIVE_INFINITY
    ? find(
        layers,
        layers.map((row) => row.map(() => 0)),
        min,
        max
      )
    : found?.choice
}
