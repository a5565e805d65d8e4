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

/** Tau-b by looking at every pair. */
const everyPair = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number | null => {
  let [agreement, inA, inB] = [0, 0, 0]
  for (let i = 0; i < a.length; i += 1) {
    for (let j = 0; j < i; j += 1) {
      const [one, other] = [Math.sign(a[i]! - a[j]!), Math.sign(b[i]! - b[j]!)]
      agreement += one * other
      inA += Math.abs(one)
      inB += Math.abs(other)
    }
  }
  return inA === 0 || inB === 0 ? null : agreement / Math.sqrt(inA * inB)
}

it("equals the count of every pair to the last bit, ties and all", () => {
  const number = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0, -0, 0.1, 1e-300))
  fc.assert(
    fc.property(fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 40 }), (pairs) => {
      const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)]
      expect((kendall(a, b) ?? 7) + 0).toBe((everyPair(a, b) ?? 7) + 0)
    }),
    { seed: 2, numRuns: 300 }
  )
})
