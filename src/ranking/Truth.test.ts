import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import * as NasBenchMacroTable from "../estimator/NasBenchMacroTable.ts"
import * as Truth from "./Truth.ts"

const space = NasBenchMacroTable.space()
const read = (text: string) => Truth.ofCsv(text, "mine.csv", space)
const reason = (text: string) => {
  const truth = read(text)
  return Result.isFailure(truth) ? truth.failure.message : "read"
}

describe("the truth of a CSV file", () => {
  it("is the mean of the trainings, of any genotype of the same network", () => {
    const truth = Result.getOrThrow(read('architecture,accuracy1,other,accuracy2\r\n"0,1,0,1,1,0,0,2",90,x,92\r\n'))
    expect(truth.accuracy([0, 1, 0, 1, 1, 0, 0, 2])).toBe(91)
    // An identity within a stage may be anywhere: the same network.
    expect(truth.accuracy([0, 1, 0, 1, 1, 0, 2, 0])).toBe(91)
    expect(truth.accuracy([1, 1, 0, 1, 1, 0, 0, 2])).toBeUndefined()
    expect(truth.noise).toBeCloseTo(1, 12)
  })

  it("names line, column or architecture that is wrong", () => {
    expect(reason("architecture,score\n")).toContain("no column `accuracy`")
    expect(reason("name,accuracy\nx,1\n")).toContain("no column architecture")
    expect(reason("architecture,accuracy\n000,90\n")).toContain("architecture 000")
    expect(reason("architecture,accuracy\n00000000,best\n")).toContain('line 2: accuracy is "best"')
    expect(reason('architecture,accuracy\n"0,0,1,0,0,0,0,0",90\n"0,0,1,0,0,0,0,0",91\n')).toContain("duplicate")
    expect(reason('architecture,accuracy\n"0,0,0,0,0,0,1,0",90\n"0,0,0,0,0,0,0,1",91\n')).toContain("the same network")
    expect(reason("architecture,accuracy\n00000000,0.9\n")).toContain("give them in percent")
  })
})

describe("the truth of NAS-Bench-Macro", () => {
  it("is its test accuracy, and knows its noise", () => {
    const truth = Truth.ofTable(Result.getOrThrow(NasBenchMacroTable.load()))
    expect(truth.accuracy([2, 2, 2, 2, 2, 2, 2, 2])).toBeGreaterThan(92)
    expect(truth.noise).toBeGreaterThan(0.05)
    expect(truth.noise).toBeLessThan(0.3)
  })
})
