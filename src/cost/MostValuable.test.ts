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

test("a value for every option, or it is refused", () => {
  expect(() => MostValuable.find([[1, 2]], [[0]], 0, 9)).toThrow(/a value for every option/)
})
