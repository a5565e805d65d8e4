import { expect, test } from "vitest"
import * as Key from "../random/Key.ts"
import * as MostValuable from "./MostValuable.ts"

type Rows = ReadonlyArray<ReadonlyArray<number>>

const sum = (rows: Rows, choice: ReadonlyArray<number>): number =>
  choice.reduce((total, item, layer) => total + rows[layer]![item]!, 0)

/** The most value in the band and the least cost that has it, by looking at everything. */
const enumerated = (costs: Rows, values: Rows, min: number, max: number) => {
  let best = { value: Number.NEGATIVE_INFINITY, cost: Number.POSITIVE_INFINITY }
  const visit = (layer: number, cost: number, value: number): void => {
    if (layer < costs.length) {
      for (const [item, more] of costs[layer]!.entries()) {
        visit(layer + 1, cost + more, value + values[layer]![item]!)
      }
    } else if (cost >= min && cost <= max) {
      const gain = value - best.value
      if (gain > 1e-12 || (gain >= -1e-12 && cost < best.cost)) best = { value, cost }
    }
  }
  visit(0, 0, 0)
  return best
}

test("finds what enumeration finds, in bands wide, narrow and empty", () => {
  let empty = 0
  for (let index = 0; index < 600; index += 1) {
    const key = Key.derive(Key.make(1), index)
    const integer = (bound: number, ...at: ReadonlyArray<number>) => Key.integer(Key.derive(key, ...at), bound)
    const costs = Array.from({ length: 1 + integer(5, 0) }, (_, layer) =>
      Array.from({ length: 1 + integer(4, 1, layer) }, (__, item) => integer(index % 2 ? 12 : 1000, 2, layer, item))
    )
    // Every third time values with many ties, among which the cheapest wins.
    const ties = index % 3 === 0
    const values = costs.map((row, layer) =>
      row.map((_, item) => (ties ? -integer(4, 3, layer, item) : -5 * Key.uniform(Key.derive(key, 4, layer, item))))
    )
    const span = costs.reduce((total, row) => total + Math.max(...row), 0)
    const min = integer(span + 2, 5)
    const max = min + integer(Math.ceil(span / 4) + 1, 6)
    const expected = enumerated(costs, values, min, max)
    const found = MostValuable.find(costs, values, min, max)
    if (found === undefined) {
      empty += 1
      expect(expected.cost).toBe(Number.POSITIVE_INFINITY)
      continue
    }
    expect(sum(costs, found)).toBeGreaterThanOrEqual(min)
    expect(sum(costs, found)).toBeLessThanOrEqual(max)
    expect(sum(values, found)).toBeCloseTo(expected.value, 9)
    if (ties) expect(sum(costs, found)).toBe(expected.cost)
  }
  expect(empty).toBeGreaterThan(20)
})

/** For every cost that some choice has the most value there is, layer by layer. */
const tabled = (costs: Rows, values: Rows): ReadonlyMap<number, number> =>
  costs.reduce<ReadonlyMap<number, number>>(
    (known, row, layer) => {
      const next = new Map<number, number>()
      for (const [cost, value] of known) {
        for (const [item, more] of row.entries()) {
          const total = value + values[layer]![item]!
          const there = next.get(cost + more)
          if (there === undefined || total > there) next.set(cost + more, total)
        }
      }
      return next
    },
    new Map([[0, 0]])
  )

test("finds what a table of all costs finds, in more layers, with values that tie, spread, or are impossible", () => {
  const seen = { impossible: 0, narrow: 0 }
  for (let index = 0; index < 120; index += 1) {
    const key = Key.derive(Key.make(2), index)
    const integer = (bound: number, ...at: ReadonlyArray<number>) => Key.integer(Key.derive(key, ...at), bound)
    const costs = Array.from({ length: 6 + integer(5, 0) }, (_, layer) =>
      Array.from({ length: 1 + integer(9, 1, layer) }, (__, item) => integer(60, 2, layer, item))
    )
    // Multiples of a power of two, so that sums are exact in any order: a few values, or thousands.
    const steps = [1, 3, 40, 1 << 14][index % 4]!
    const forbidden = index % 5 === 0 ? 3 : 0
    const values = costs.map((row, layer) =>
      row.map((_, item) =>
        integer(10, 4, layer, item) < forbidden ? Number.NEGATIVE_INFINITY : -integer(steps, 3, layer, item) / 1024
      )
    )
    const table = [...tabled(costs, values)]
    const dearest = Math.max(...table.map(([cost]) => cost))
    for (const width of [0, 1, 9, 100, dearest]) {
      const min = integer(dearest + 1, 5, width)
      const inside = table.filter(([cost]) => cost >= min && cost <= min + width)
      const value = Math.max(...inside.map(([, one]) => one))
      const cost = Math.min(...inside.flatMap(([at, one]) => (one === value ? [at] : [])))
      const found = MostValuable.find(costs, values, min, min + width)
      if (inside.length === 0) expect(found).toBeUndefined()
      else {
        expect([sum(values, found!), sum(costs, found!)]).toEqual([value, cost])
        if (value === Number.NEGATIVE_INFINITY) seen.impossible += 1
        if (width === 0) seen.narrow += 1
      }
    }
  }
  expect(seen.impossible).toBeGreaterThan(10)
  expect(seen.narrow).toBeGreaterThan(50)
})

test("a value for every option, or it is refused", () => {
  expect(() => MostValuable.find([[1, 2]], [[0]], 0, 9)).toThrow(/a value for every option/)
})
