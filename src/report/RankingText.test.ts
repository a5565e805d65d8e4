import { describe, expect, it } from "vitest"
import * as Ranking from "../ranking/Ranking.ts"
import * as RankingText from "./RankingText.ts"

/** A ranking of twenty architectures by losses and layer counts that follow the truth or not. */
const ranked = (loss: (i: number) => number, layers: (i: number) => number, truth = (i: number) => 80 + i / 2) =>
  Ranking.make({
    name: "mine",
    space: "tiny",
    size: "117649",
    supernet: "0123456789abcdef",
    truth: { name: "mine.csv", noise: 0.25, digest: "" },
    seed: 1,
    predictions: ["loss"],
    zeroCost: [],
    resamples: 100,
    rows: Array.from({ length: 20 }, (_, i) => ({
      architecture: String(i),
      truth: truth(i),
      baselines: { layers: layers(i), flops: (i * 7) % 20, params: 1 },
      scores: { loss: loss(i) }
    }))
  })
const rising = (i: number) => i
const mixed = (i: number) => (i * 7) % 20

describe("a ranking as text", () => {
  it("has a row per prediction, with intervals, and says how many architectures of what", () => {
    const text = RankingText.text(ranked(rising, mixed))
    expect(text).toContain("mine: 20 of 117,649 architectures of tiny, supernet 0123456789ab")
    expect(text).toContain("Truth: mine.csv, noise 0.25 points")
    expect(text).toMatch(/^loss +1\.00 \[1\.00, 1\.00\]/m)
    expect(text).toMatch(/^params +- /m)
    expect(text).toMatch(/^random .*\d\.\d\d$/m)
  })

  it("says whether the supernet beats what costs nothing", () => {
    expect(RankingText.verdictText(ranked(rising, mixed))).toMatch(/^The supernet's loss ranks better than /)
    expect(RankingText.verdictText(ranked(mixed, rising))).toMatch(
      /^Warning: .* ranks worse than layers \(tau .* Do not/
    )
    expect(RankingText.verdictText(ranked(rising, rising))).toContain("does not rank clearly better than layers")
    expect(RankingText.verdictText(ranked(rising, rising, () => 10))).toContain("all true accuracies are equal")
  })
})
