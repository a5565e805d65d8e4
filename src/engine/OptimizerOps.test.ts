import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import { beforeAll, describe, expect, it } from "vitest"
import { adamStep, rmspropStep, sgdStep } from "./OptimizerOps.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const start = [1, -0.5, 2]
const gradients = [
  [0.1, -0.2, 0.3],
  [0.4, 0.1, -0.2],
  [-0.3, 0.2, 0.05]
]
const run = <State>(step: (param: tf.Tensor, gradient: tf.Tensor, state: State | undefined) => [tf.Tensor, State]) => {
  let param: tf.Tensor = tf.tensor1d(start)
  let state: State | undefined
  for (const gradient of gradients) [param, state] = step(param, tf.tensor1d(gradient), state)
  return [...param.dataSync()]
}
const close = (got: ReadonlyArray<number>, want: ReadonlyArray<number>): void => {
  expect(got.length).toBe(want.length)
  got.forEach((v, i) => {
    expect(v).toBeCloseTo(want[i]!, 6)
  })
}

/** One entry of a parameter in double precision, by the published formulas. */
const scalarRun = (step: (p: number, g: number, state: { m: number; v: number; t: number }) => number) =>
  start.map((p0, i) => {
    const state = { m: 0, v: 0, t: 0 }
    let p = p0
    for (const g of gradients) {
      state.t += 1
      p = step(p, g[i]!, state)
    }
    return p
  })

describe("sgdStep", () => {
  const base = { learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0.01, decoupled: false }
  const step = (options: typeof base) =>
    run<tf.Tensor | undefined>((param, gradient, velocity) => {
      const next = sgdStep({ param, gradient, velocity }, options)
      return [next.param, next.velocity]
    })
  it("momentum and L2", () => {
    close(
      step(base),
      scalarRun((p, g, s) => {
        s.m = 0.9 * s.m + g + 0.01 * p
        return p - 0.1 * s.m
      })
    )
  })
  it("Nesterov", () => {
    close(
      step({ ...base, nesterov: true }),
      scalarRun((p, g, s) => {
        const d = g + 0.01 * p
        s.m = 0.9 * s.m + d
        return p - 0.1 * (d + 0.9 * s.m)
      })
    )
  })
  it("decoupled decay", () => {
    close(
      step({ ...base, decoupled: true }),
      scalarRun((p, g, s) => {
        s.m = 0.9 * s.m + g
        return p * (1 - 0.001) - 0.1 * s.m
      })
    )
  })
  it("without momentum there is no velocity", () => {
    const next = sgdStep(
      { param: tf.tensor1d([1]), gradient: tf.tensor1d([2]), velocity: undefined },
      { ...base, momentum: 0, weightDecay: 0 }
    )
    expect(next.velocity).toBeUndefined()
    expect(next.param.dataSync()[0]).toBeCloseTo(0.8, 6)
  })
})

describe("adamStep", () => {
  const base = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, decoupled: false }
  it.each([false, true])("against the formula, decoupled %s", (decoupled) => {
    let count = 0
    const got = run<{ first: tf.Tensor; second: tf.Tensor }>((param, gradient, state) => {
      count += 1
      const next = adamStep(
        { param, gradient, first: state?.first, second: state?.second, count },
        { ...base, decoupled }
      )
      return [next.param, next]
    })
    close(
      got,
      scalarRun((p, g0, s) => {
        const g = decoupled ? g0 : g0 + 0.01 * p
        s.m = 0.9 * s.m + 0.1 * g
        s.v = 0.999 * s.v + 0.001 * g * g
        const [m, v] = [s.m / (1 - 0.9 ** s.t), s.v / (1 - 0.999 ** s.t)]
        return (decoupled ? p * (1 - 0.1 * 0.01) : p) - (0.1 * m) / (Math.sqrt(v) + 1e-8)
      })
    )
  })
  it("counts from 1", () => {
    const one = tf.tensor1d([1])
    expect(() => adamStep({ param: one, gradient: one, first: undefined, second: undefined, count: 0 }, base)).toThrow(
      /counted from 1/
    )
  })
})

describe("rmspropStep", () => {
  it.each([0, 0.9])("against the formula, momentum %s", (momentum) => {
    const options = { learningRate: 0.01, alpha: 0.9, epsilon: 1e-8, momentum, weightDecay: 0.01, decoupled: false }
    const got = run<{ square: tf.Tensor; velocity: tf.Tensor | undefined }>((param, gradient, state) => {
      const next = rmspropStep({ param, gradient, square: state?.square, velocity: state?.velocity }, options)
      expect(next.velocity === undefined).toBe(momentum === 0)
      return [next.param, next]
    })
    close(
      got,
      scalarRun((p, g0, s) => {
        const g = g0 + 0.01 * p
        s.v = 0.9 * s.v + 0.1 * g * g
        s.m = momentum * s.m + g / (Math.sqrt(s.v) + 1e-8)
        return p - 0.01 * s.m
      })
    )
  })
})

it("keeps its inputs, and leaves only its results", () => {
  const [param, gradient] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])]
  const before = tf.memory().numTensors
  const next = adamStep(
    { param, gradient, first: undefined, second: undefined, count: 1 },
    { learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, decoupled: true }
  )
  expect(tf.memory().numTensors).toBe(before + 3)
  tf.dispose(next as unknown as tf.TensorContainer)
  expect(tf.memory().numTensors).toBe(before)
  expect([...param.dataSync(), ...gradient.dataSync()]).toEqual([1, 2, 3, 4])
})
