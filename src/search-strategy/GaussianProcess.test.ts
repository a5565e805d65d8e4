import { describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import * as GaussianProcess from "./GaussianProcess.ts"

const digits = (key: Key.Key, width: number) => Array.from({ length: width }, (_, at) => Key.integer(key, 3, at))

/** Genotypes of eight digits, of which only the first four count, each by its own amount. */
const truth = (genotype: ReadonlyArray<number>): number =>
  genotype.slice(0, 4).reduce((sum, digit, at) => sum + digit * (4 - at), 0)

const sample = (count: number, name: string) =>
  Array.from({ length: count }, (_, index) => digits(Key.derive(Key.make(5), name, index), 8))

describe("a Gaussian process over genotypes", () => {
  it("predicts genotypes that it has not seen, much better than their mean", () => {
    const known = sample(80, "known")
    const process = GaussianProcess.make(known, known.map(truth))
    const unknown = sample(200, "unknown")
    const error = (predicted: ReadonlyArray<number>) =>
      Math.sqrt(predicted.reduce((sum, value, i) => sum + (value - truth(unknown[i]!)) ** 2, 0) / unknown.length)
    const mean = known.reduce((sum, one) => sum + truth(one), 0) / known.length
    expect(error(process.predict(unknown).map((one) => one.mean))).toBeLessThan(0.25 * error(unknown.map(() => mean)))
  })

  it("is surer where it knows more: four of five truths are within two deviations, and scores pull its mean", () => {
    const known = sample(60, "known")
    const process = GaussianProcess.make(known, known.map(truth))
    const unknown = sample(200, "unknown")
    const within = process
      .predict(unknown)
      .filter(({ deviation, mean }, i) => Math.abs(mean - truth(unknown[i]!)) <= 2 * deviation + 1e-9)
    expect(within.length).toBeGreaterThan(160)
    for (const [i, { mean }] of process.predict(known).entries()) {
      expect(Math.abs(mean - truth(known[i]!))).toBeLessThan(1.5)
    }
  })

  it("takes equal scores, one architecture, and the same architecture twice", () => {
    expect(GaussianProcess.make([[0, 1]], [3]).predict([[0, 1]])[0]?.mean).toBe(3)
    const equal = GaussianProcess.make(sample(10, "equal"), new Array<number>(10).fill(2))
    for (const { mean } of equal.predict(sample(5, "other"))) expect(mean).toBeCloseTo(2, 12)
    const twice = GaussianProcess.make(
      [
        [0, 0],
        [0, 0],
        [1, 1]
      ],
      [1, 2, 5]
    )
    expect(twice.predict([[0, 0]])[0]?.mean).toBeLessThan(3)
  })

  it("refuses nothing to learn from, and scores that are not numbers", () => {
    expect(() => GaussianProcess.make([], [])).toThrow(/0 genotypes and 0 scores/)
    expect(() => GaussianProcess.make([[0], [1]], [Number.NaN, 1])).toThrow(/not finite numbers/)
  })
})
