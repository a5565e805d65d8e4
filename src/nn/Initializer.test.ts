import "@tensorflow/tfjs-backend-cpu"
import { describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import * as Block from "../search-space/blocks/Block.ts"
import { blockParameterSpecs } from "../search-space/Network.ts"
import * as Initializer from "./Initializer.ts"
import type { ParameterSpec } from "./Parameter.ts"

const specsOf = (block: Block.Block): ReadonlyArray<ParameterSpec> => blockParameterSpecs({ name: "b", block })

const named = (specs: ReadonlyArray<ParameterSpec>, name: string): ParameterSpec => {
  const spec = specs.find((one) => one.name === name)
  if (spec === undefined) throw new Error(`no ${name} in ${specs.map((one) => one.name).join(", ")}`)
  return spec
}

const values = (spec: ParameterSpec, key: Key.Key): Float32Array => Initializer.start(spec, key).dataSync<"float32">()

const deviation = (values: Float32Array): number => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

const mobile = specsOf(Block.place(Block.mobile({ kernel: 5, expansion: 6, activation: "prelu" }), 32, 64, 1))
const linear = named(specsOf(Block.place(Block.classifier, 500, 100, 1)), "b.linear.weight")

describe("initialisers", () => {
  it("draw convolutions with standard deviation sqrt(2 / (area * outputs)), groups or not", () => {
    for (const [name, expected] of [
      ["b.expand.weight", Math.sqrt(2 / 192)],
      ["b.depthwise.weight", Math.sqrt(2 / (25 * 192))],
      ["b.project.weight", Math.sqrt(2 / 64)]
    ] as const) {
      const found = deviation(values(named(mobile, name), Key.make(1)))
      expect(found / expected).toBeGreaterThan(0.96)
      expect(found / expected).toBeLessThan(1.04)
    }
  })

  it("draw linear weights with 0.01", () => {
    expect(deviation(values(linear, Key.make(2)))).toBeCloseTo(0.01, 3)
  })

  it("start normalisations, slopes and biases at their constants", () => {
    const start = (name: string) => values(named(mobile, name), Key.make(1))
    expect(start("b.expand.norm.gamma").every((value) => value === 1)).toBe(true)
    expect(start("b.expand.norm.beta").every((value) => value === 0)).toBe(true)
    expect(start("b.expand.norm.mean").every((value) => value === 0)).toBe(true)
    expect(start("b.expand.norm.variance").every((value) => value === 1)).toBe(true)
    expect(start("b.expand.slope").every((value) => value === 0.25)).toBe(true)
  })

  it("draw the same for the same key, and something else for another", () => {
    const draw = (seed: number) => values(linear, Key.make(seed))
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })
})
