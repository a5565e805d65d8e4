import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import {
  EstimationError,
  oneByOne,
  type PerformanceEstimatorShape,
  type ScoreArchitectures
} from "../src/estimator/PerformanceEstimator.ts"
import * as EstimatorLaws from "./EstimatorLaws.ts"

const genotypes = [
  [0, 1],
  [2, 0],
  [1, 1]
]
const sum: PerformanceEstimatorShape = {
  name: "sum",
  score: oneByOne((genotype) => {
    if (genotype.length !== 2) {
      return Effect.fail(
        new EstimationError({ estimator: "sum", genotype: genotype.join(), reason: "expected two digits" })
      )
    }
    const objective = genotype.reduce((total, digit) => total + digit, 0)
    return Effect.succeed({ objective, metrics: { objective } })
  })
}

it("a sum of digits obeys the laws", () => EstimatorLaws.check(sum, genotypes, { refused: [[1]] }))

describe("wrong twins are caught", () => {
  it("one that remembers", () => {
    let asked = 0
    const score: ScoreArchitectures = (genotypes, options) =>
      Effect.map(sum.score(genotypes, options), (scores) =>
        scores.map((scored) => {
          asked += 1
          return { ...scored, objective: scored.objective + asked }
        })
      )
    return expect(EstimatorLaws.check({ ...sum, score }, genotypes)).rejects.toThrow("always scores the same")
  })
  it("one that is not a number", () =>
    expect(
      EstimatorLaws.check(
        { ...sum, score: oneByOne(() => Effect.succeed({ objective: Number.NaN, metrics: {} })) },
        genotypes
      )
    ).rejects.toThrow("finite number"))
  it("one that scores anything", () =>
    expect(
      EstimatorLaws.check({ ...sum, score: oneByOne(() => Effect.succeed({ objective: 1, metrics: {} })) }, genotypes, {
        refused: [[1]]
      })
    ).rejects.toThrow("cannot be scored is refused"))
  it("one that gives the scores of a list in an order of its own", () => {
    const score: ScoreArchitectures = (genotypes, options) =>
      Effect.map(sum.score(genotypes, options), (scores) => [...scores].reverse())
    return expect(EstimatorLaws.check({ ...sum, score }, genotypes)).rejects.toThrow("in its order")
  })
  it("one that leaves an architecture out", () => {
    const score: ScoreArchitectures = (genotypes, options) => sum.score(genotypes.slice(0, 2), options)
    return expect(EstimatorLaws.check({ ...sum, score }, genotypes)).rejects.toThrow("a score for every architecture")
  })
  it("one that reports no score on the way", () => {
    const score: ScoreArchitectures = (genotypes) => sum.score(genotypes)
    return expect(EstimatorLaws.check({ ...sum, score }, genotypes)).rejects.toThrow("reported once")
  })
})
