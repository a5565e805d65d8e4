import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { unary } from "./generated/Kernels.ts"
import type { UnaryOperation } from "./Operations.ts"
import { makeRuntime, type Runtime } from "./Runtime.ts"

const COUNT = 1 << 18

let runtime: Runtime
let [input, output] = [0, 0]
beforeAll(() => {
  runtime = makeRuntime({ mode: "strict", threads: 1 })
  input = runtime.allocator.allocate(COUNT * 4)
  output = runtime.allocator.allocate(COUNT * 4)
})
afterAll(() => runtime.close())

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)
/** Distance from |value| to the next float32. */
const unitOf = (value: number): number => {
  float[0] = value
  const exponent = (bits[0]! >>> 23) & 255
  return exponent === 0 ? 2 ** -149 : 2 ** (exponent - 150)
}

const sigmoid = (x: number): number => (x > 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))
const softplus = (x: number): number => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)))

/**
 * Error bounds of the engine, in units in the last place. The first four were measured over every 31st float32; the test
 * takes every 4093rd.
 */
const bounds: ReadonlyArray<[UnaryOperation, (x: number) => number, number]> = [
  ["Exp", Math.exp, 1],
  ["Log", Math.log, 1],
  ["Tanh", Math.tanh, 1.5],
  ["Sigmoid", sigmoid, 2.5],
  ["Rsqrt", (x) => 1 / Math.sqrt(x), 1.5],
  ["Expm1", Math.expm1, 0.501],
  ["Log1p", Math.log1p, 0.501],
  ["Softplus", softplus, 0.501],
  ["Sin", Math.sin, 0.501],
  ["Cos", Math.cos, 0.501],
  ["Tan", Math.tan, 0.501],
  ["Atan", Math.atan, 0.501],
  ["Asinh", Math.asinh, 0.501],
  ["Cosh", Math.cosh, 0.501]
]

describe("errors over all of float32", () => {
  it.each(bounds)("%s", (name, reference, bound) => {
    const stride = 4093
    const xs = runtime.float32(input, COUNT)
    const ys = runtime.float32(output, COUNT)
    const words = runtime.int32(input, COUNT)
    let worst = 0
    for (let base = 0; base < 2 ** 32; base += COUNT * stride) {
      const count = Math.min(COUNT, Math.ceil((2 ** 32 - base) / stride))
      for (let i = 0; i < count; i++) words[i] = (base + i * stride) | 0
      const operands = { x: input, out: output, count, operation: name, perPiece: 16384, a: 0, b: 0 }
      unary(runtime, Math.ceil(count / operands.perPiece), operands)
      for (let i = 0; i < count; i++) {
        const exact = reference(xs[i]!)
        const rounded = Math.fround(exact)
        if (!Number.isFinite(rounded)) {
          // NaN and infinities exactly where they belong.
          if (!Object.is(rounded, ys[i]) && !(Number.isNaN(rounded) && Number.isNaN(ys[i]))) {
            expect.fail(`${name}(${xs[i]}) is ${ys[i]}, it should be ${rounded}`)
          }
          continue
        }
        const error = Math.abs(ys[i]! - exact) / unitOf(exact)
        if (!(error <= bound)) expect.fail(`${name}(${xs[i]}) is ${ys[i]}, ${error} units from ${exact}`)
        if (error > worst) worst = error
      }
    }
    expect(worst).toBeGreaterThan(0)
  })
})
