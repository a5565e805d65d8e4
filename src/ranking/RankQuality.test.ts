import { describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import * as RankQuality from "./RankQuality.ts"

const key = Key.make(1)
/** A hundred accuracies, and predictions that are them plus noise of a given size. */
const truth = Array.from({ length: 100 }, (_, index) => 80 + 10 * Key.uniform(Key.derive(key, "truth", index)))
const noisy = (size: number) =>
  truth.map((value, index) => value + size * (Key.uniform(Key.derive(key, "noise", index)) - 0.5))

describe("the quality of a ranking", () => {
  const options = { noise: 0.2, resamples: 200, key }

  it("is perfect for the truth itself, its intervals too", () => {
    const quality = RankQuality.judge(truth, options).quality(truth)
    expect(quality.tau).toEqual({ value: 1, low: 1, high: 1 })
    expect(quality.spearman.value).toBeCloseTo(1, 12)
    expect(quality.precision5.value).toBe(1)
    expect(quality.regret1).toEqual({ value: 0, low: 0, high: 0 })
    // Rounded truths are tied where the prediction is not.
    expect(quality.tauRounded.value).toBeLessThan(1)
  })

  it("falls with noise, and its intervals contain it", () => {
    const [good, bad] = [
      RankQuality.judge(truth, options).quality(noisy(2)),
      RankQuality.judge(truth, options).quality(noisy(20))
    ]
    expect(bad.tau.value).toBeLessThan(good.tau.value ?? 0)
    expect(bad.tauTopHalf.value).toBeLessThan(bad.tau.value ?? 0)
    expect(bad.regret1.value).toBeGreaterThanOrEqual(bad.regret5.value ?? 0)
    expect(bad.regret5.value).toBeGreaterThanOrEqual(bad.regret10.value ?? 0)
    for (const name of ["tau", "tauTopHalf", "tauRounded", "spearman"] as const) {
      const { high, low, value } = bad[name]
      expect([low, value, high]).toEqual([low, value, high].toSorted((a, b) => (a ?? 0) - (b ?? 0)))
    }
  })

  it("is the same for the same key", () => {
    expect(RankQuality.judge(truth, options).quality(noisy(9))).toEqual(
      RankQuality.judge(truth, options).quality(noisy(9))
    )
  })

  it("has no tau for a constant prediction", () => {
    const quality = RankQuality.judge(truth, options).quality(truth.map(() => 1))
    expect(quality.tau).toEqual({ value: null, low: null, high: null })
  })

  it("refuses lists of different lengths", () => {
    expect(() => RankQuality.judge(truth, options).quality([1])).toThrow(/got 1 scores of 100/)
  })
})

describe("the difference of two rankings", () => {
  it("is clear of zero for a much better one, and 0 for the same one", () => {
    const options = { noise: 0, resamples: 200, key }
    expect(RankQuality.judge(truth, options).tauDifference(noisy(2), noisy(30)).low).toBeGreaterThan(0)
    expect(RankQuality.judge(truth, options).tauDifference(noisy(5), noisy(5))).toEqual({ value: 0, low: 0, high: 0 })
  })
})

describe("the regret of random draws", () => {
  it("equals the mean over all draws of three of six", () => {
    const values = [3, 9, 4, 1, 9, 2]
    let [sum, draws] = [0, 0]
    for (let a = 0; a < 6; a += 1) {
      for (let b = 0; b < a; b += 1) {
        for (let c = 0; c < b; c += 1) {
          sum += 9 - Math.max(values[a]!, values[b]!, values[c]!)
          draws += 1
        }
      }
    }
    expect(RankQuality.randomRegret(values, 3)).toBeCloseTo(sum / draws, 12)
  })
})
