import fc from "fast-check"
import { expect, it } from "vitest"
import { kendall, spearman } from "./RankCorrelation.ts"

const expected = { kendall: 0.8207826816681233, spearman: 0.9082951062292476 }

it("counts ties as tau-b and mean ranks do", () => {
  const a = [1, 2, 2, 3, 4, 5, 5]
  const b = [1, 3, 2, 3, 5, 4, 6]
  expect(kendall(a, b)).toBeCloseTo(expected.kendall, 7)
  expect(spearman(a, b)).toBeCloseTo(expected.spearman, 7)
})

it("is 1 for any rising function, -1 for any falling one, symmetric, and refuses lists of different lengths", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 30 }), (a) => {
      const up = a.map((x) => x ** 3 + 2)
      expect(kendall(a, up)).toBeCloseTo(1, 12)
      expect(spearman(a, up)).toBeCloseTo(1, 12)
      const down = a.map((x) => -x)
      expect(kendall(a, down)).toBeCloseTo(-1, 12)
      expect(spearman(a, down)).toBeCloseTo(-1, 12)
      const other = a.map((x) => (x * 7919) % 13)
      expect(kendall(a, other)).toBe(kendall(other, a))
    }),
    { seed: 1, numRuns: 50 }
  )
  expect(() => kendall([1], [1, 2])).toThrow(/1 numbers with 2/)
  expect(spearman([1, 2, 3], [4, 4, 4])).toBe(null)
})
