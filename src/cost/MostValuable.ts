/**
 * One item a layer, such that the integer costs sum to a band and the values to the most there can be: a knapsack with a
 * choice in every layer, solved exactly.
 *
 * How: of all prefixes with the same cost only the most valuable matters, and likewise of suffixes. The two grow layer by
 * layer, always the one with fewer sums, until they meet; then every prefix looks for the most valuable suffix that
 * brings it into the band, by a maximum over a window that slides. A first solution, by Lagrange multipliers, spares
 * whatever cannot reach its value any more.
 */
import { greatestCommonDivisor, shifted } from "./Counting.ts"

type Layers = ReadonlyArray<ReadonlyArray<number>>

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

const take = (front: Front, slots: Int32Array): Front => ({
  keys: Float64Array.from(slots, (slot) => front.keys[slot]!),
  values: Float64Array.from(slots, (slot) => front.values[slot]!),
  items: Int32Array.from(slots, (slot) => front.items[slot]!),
  links: Int32Array.from(slots, (slot) => front.links[slot]!)
})

/** A front with one more layer; sums above `high`, below `low` and values below `least` are left out. */
const grow = (
  front: Front,
  costs: ReadonlyArray<number>,
  values: ReadonlyArray<number>,
  low: number,
  high: number,
  least: number
): Front => {
  const keys = shifted(front.keys, Float64Array.from(costs), 1, Math.max(0, low), high)
  const best = new Float64Array(keys.length).fill(Number.NEGATIVE_INFINITY)
  const items = new Int32Array(keys.length).fill(-1)
  const links = new Int32Array(keys.length)
  costs.forEach((cost, item) => {
    const gain = values[item]!
    let slot = 0
    for (let i = 0; i < front.keys.length; i += 1) {
      const key = front.keys[i]! + cost
      while (slot < keys.length && keys[slot]! < key) slot += 1
      if (slot === keys.length) break
      if (keys[slot] !== key) continue
      const value = front.values[i]! + gain
      if (items[slot] === -1 || value > best[slot]!) {
        best[slot] = value
        items[slot] = item
        links[slot] = i
      }
    }
  })
  const kept = Int32Array.from(keys.keys()).filter((slot) => items[slot] !== -1 && best[slot]! >= least)
  return take({ keys, values: best, items, links }, kept)
}

const largestOf = (row: ReadonlyArray<number>): number => row.reduce((most, value) => Math.max(most, value))

/** Sums of what stands before every index, and of everything. */
const before = (row: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sums = [0]
  for (const value of row) sums.push(sums.at(-1)! + value)
  return sums
}

/** The choice that maximises value minus `price` times cost. */
const atPrice = (costs: Layers, values: Layers, price: number): ReadonlyArray<number> =>
  costs.map((row, layer) => {
    const worth = row.map((cost, item) => values[layer]![item]! - price * cost)
    return worth.indexOf(largestOf(worth))
  })

const sumAt = (rows: Layers, choice: ReadonlyArray<number>): number =>
  choice.reduce((sum, item, layer) => sum + rows[layer]![item]!, 0)

/** The value of a good choice in the band, found by bisecting the price of cost; minus infinity where none was met. */
const firstValue = (costs: Layers, values: Layers, low: number, high: number): number => {
  let best = Number.NEGATIVE_INFINITY
  const look = (price: number): number => {
    const choice = atPrice(costs, values, price)
    const cost = sumAt(costs, choice)
    if (cost >= low && cost <= high) best = Math.max(best, sumAt(values, choice))
    return cost
  }
  const free = look(0)
  const spread = values.reduce((most, row) => Math.max(most, ...row.filter(Number.isFinite).map(Math.abs)), 1)
  let [cheap, dear] = free > high ? [0, 2 * spread + 1] : [-2 * spread - 1, 0]
  for (let round = 0; round < 64; round += 1) {
    const middle = (cheap + dear) / 2
    if (look(middle) > high) cheap = middle
    else dear = middle
  }
  return best
}

/**
 * The choice of most value whose costs sum into [min, max]; among equal values one of lower cost; undefined where there
 * is none. Costs are non-negative safe integers; values anything but NaN and positive infinity.
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
  const floor = cheapest.reduce((sum, cost) => sum + cost, 0)
  const differences = layers.map((row, layer) => row.map((cost) => cost - cheapest[layer]!))
  const unit = Math.max(1, differences.flat().reduce(greatestCommonDivisor, 0))
  const costs = differences.map((row) => row.map((cost) => cost / unit))
  const total = costs.length
  const dearest = costs.map(largestOf)
  const span = dearest.reduce((sum, cost) => sum + cost, 0)
  const low = Math.max(0, Math.ceil((min - floor) / unit))
  const high = Math.min(span, Math.floor((max - floor) / unit))
  if (!(low <= high)) return undefined
  const [costBefore, valueBefore] = [before(dearest), before(values.map(largestOf))]
  const valueAll = valueBefore[total]!
  const known = firstValue(costs, values, low, high)
  // A hair below: sums in another order may differ in the last digits.
  const needed = known - 1e-9 * (1 + Math.abs(known))

  const prefixes: Array<Front> = [origin]
  const suffixes: Array<Front> = [origin]
  let [first, last] = [0, total]
  while (first < last) {
    const [prefix, suffix] = [prefixes.at(-1)!, suffixes.at(-1)!]
    if (prefix.keys.length <= suffix.keys.length) {
      const rest = span - costBefore[first + 1]!
      prefixes.push(
        grow(prefix, costs[first]!, values[first]!, low - rest, high, needed - (valueAll - valueBefore[first + 1]!))
      )
      first += 1
    } else {
      last -= 1
      suffixes.push(
        grow(suffix, costs[last]!, values[last]!, low - costBefore[last]!, high, needed - valueBefore[last]!)
      )
    }
  }

  const [heads, tails] = [prefixes.at(-1)!, suffixes.at(-1)!]
  let best: { readonly value: number; readonly head: number; readonly tail: number } | undefined
  // As heads get dearer the window of tails moves down: slots enter on the left and leave on the right. The queue holds
  // the window's maxima, the best first; a cheaper slot of the same value is better.
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
  return choice
}
