import { describe, expect, it } from "vitest"
import * as Schedule from "./Schedule.ts"

const config = { name: "cosine", warmupEpochs: 0, finalFraction: 0, stepEpochs: 30, decay: 0.1 } as const
const length = { epochs: 10, stepsPerEpoch: 4 }

describe("schedules", () => {
  it("cosine falls from 1 to its end", () => {
    const multiplier = Schedule.fromConfig(config, length)
    expect(multiplier(0)).toBe(1)
    expect(multiplier(10)).toBeCloseTo((1 + Math.SQRT1_2) / 2, 12)
    expect(multiplier(20)).toBeCloseTo(0.5, 12)
    expect(multiplier(40)).toBeCloseTo(0, 12)
    expect(multiplier(99)).toBeCloseTo(0, 12)
    const ends = Schedule.fromConfig({ ...config, finalFraction: 0.2 }, length)
    expect(ends(40)).toBeCloseTo(0.2, 12)
    for (let step = 1; step <= 40; step++) expect(multiplier(step)).toBeLessThan(multiplier(step - 1))
  })

  it("step decays every N-th epoch", () => {
    const multiplier = Schedule.fromConfig({ ...config, name: "step", stepEpochs: 3, decay: 0.5 }, length)
    expect([0, 11, 12, 23, 24].map(multiplier)).toEqual([1, 1, 0.5, 0.5, 0.25])
  })

  it("constant stays", () => {
    const multiplier = Schedule.fromConfig({ ...config, name: "constant" }, length)
    expect([0, 1, 39].map(multiplier)).toEqual([1, 1, 1])
  })

  it("warm-up rises in equal steps to the peak, then the schedule has the rest", () => {
    const multiplier = Schedule.fromConfig({ ...config, warmupEpochs: 2 }, length)
    expect([0, 3, 7].map(multiplier)).toEqual([0.125, 0.5, 1])
    expect(multiplier(8)).toBe(1)
    expect(multiplier(24)).toBeCloseTo(0.5, 12)
    expect(multiplier(40)).toBeCloseTo(0, 12)
  })

  it("warm-up of part of an epoch, and one longer than the phase", () => {
    expect(Schedule.fromConfig({ ...config, warmupEpochs: 0.5 }, length)(0)).toBe(0.5)
    const long = Schedule.fromConfig({ ...config, warmupEpochs: 99 }, length)
    expect(long(0)).toBe(1 / 40)
    expect(long(39)).toBe(1)
  })
})
