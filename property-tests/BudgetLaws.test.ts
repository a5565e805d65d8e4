import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { expect, test } from "vitest"
import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
import * as Key from "../src/random/Key.ts"
import * as BudgetLaws from "./BudgetLaws.ts"
import { chiSquareQuantile } from "./ChiSquare.ts"
import { fakeSpace } from "./testing/FakeSpace.ts"

const setting = (counts: ReadonlyArray<number>, min: number, max: number, measured = false) => {
  const space = fakeSpace({ name: "fake", layers: [...counts] })
  const layers = counts.map((count, l) =>
    Array.from({ length: count }, (_, option) =>
      measured ? Math.sqrt(2 + option * (l + 1)) : option * (l + 3) + (l % 2)
    )
  )
  const entries = { base: 7, layers }
  const budget = { metric: measured ? ("latency" as const) : ("flops" as const), min: min + 7, max: max + 7 }
  return { space, entries, budget, feasible: Result.getOrThrow(FeasibleSet.make(space, entries, budget)) }
}

test.each([
  ["all of it", [3, 4, 2, 5], 0, 1000],
  ["a band", [3, 4, 2, 5, 6], 20, 30],
  ["a handful", [3, 4, 2, 5], 0, 12],
  ["one", [3, 4, 2, 5], 0, 2],
  ["many", Array.from({ length: 20 }, () => 7), 500, 700]
] as const)("sampling under a budget is lawful: %s", (_, counts, min, max) => {
  const { feasible, ...rest } = setting(counts, min, max)
  BudgetLaws.check(feasible, rest)
})

test("sampling under a latency budget is lawful", () => {
  const { feasible, ...rest } = setting([3, 4, 2, 5, 6], 9, 11, true)
  BudgetLaws.check(feasible, rest)
})

test("caught: a feasible set whose draws favour block 0", () => {
  const { feasible, ...rest } = setting([3, 4, 2, 5], 0, 1000)
  const favouring = {
    ...feasible,
    sample: (key: Key.Key) => feasible.sample(key).map((digit, layer) => (layer === 1 && digit === 3 ? 0 : digit))
  }
  expect(() => BudgetLaws.check(favouring, rest)).toThrow(
    /drawn with the same probability: layer 1: option 0 \d+ times/
  )
})

test("caught: layer by layer instead of uniformly over the band, out of the band, a wrong count", () => {
  const { feasible, ...rest } = setting([3, 4, 2, 5], 8, 20)
  // Each layer uniform among the options that can still reach the band: in the band, but not uniform over it.
  const greedy = {
    ...feasible,
    sample: (key: Key.Key) => {
      const chosen: Array<number> = []
      for (const [layer, count] of feasible.options.counts.entries()) {
        const possible = Array.from({ length: count }, (_, option) => option).filter((option) =>
          Option.isSome(
            feasible.restrict(
              [...chosen, option]
                .map((digit) => [digit])
                .concat(feasible.options.counts.slice(layer + 1).map((n) => Array.from({ length: n }, (_, i) => i)))
            )
          )
        )
        chosen.push(Key.choice(Key.derive(key, layer), possible))
      }
      return chosen
    }
  }
  expect(() => BudgetLaws.check(greedy, { ...rest, draws: 600 })).toThrow(/drawn with the same probability/)
  const wide = setting([3, 4, 2, 5], 0, 1000).feasible
  expect(() => BudgetLaws.check(wide, rest)).toThrow(/every draw is within the band: draw \d+: .* costs \d+/)
  expect(() => BudgetLaws.check({ ...feasible, count: feasible.count - 1n }, rest)).toThrow(/the count is exact/)
})

test("the chi-square quantile against tables", () => {
  expect(Math.abs(chiSquareQuantile(1, 0.05) - 3.84)).toBeLessThan(0.1)
  expect(chiSquareQuantile(10, 0.01)).toBeCloseTo(23.21, 1)
  expect(chiSquareQuantile(5, 1e-6)).toBeGreaterThan(34)
  expect(chiSquareQuantile(5, 1e-6)).toBeLessThan(38)
})
