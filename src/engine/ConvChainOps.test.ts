import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import fc from "fast-check"
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type { Activation, ConvChainOptions, ConvStage, ConvStageParams } from "./ConvChain.ts"
import { ConvChainError, composedConvChain, convChain, isDepthwise, outputSide, weightShape } from "./ConvChainOps.ts"
import { gradientMismatch } from "./FiniteDifferences.ts"
import { registerFusedKernels, unregisterFusedKernels } from "./FusedKernels.ts"
import { sizeOf } from "./Shape.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})
let before = 0
beforeEach(() => {
  before = tf.memory().numTensors
  tf.engine().startScope()
})
afterEach(() => {
  tf.engine().endScope()
  expect(tf.memory().numTensors).toBe(before)
})

const fill = (size: number, salt: number, low = -1, high = 1): Float32Array =>
  Float32Array.from(
    { length: size },
    (_, i) => low + (((i + 1) * 0.6180339887 + salt * 0.7548776662) % 1) * (high - low)
  )

const stage = (given: Partial<ConvStage> & { inChannels: number; outChannels: number }): ConvStage => ({
  kernel: 3,
  stride: 1,
  padding: 1,
  dilation: 1,
  groups: 1,
  bias: false,
  norm: false,
  activation: "none",
  ...given
})

const paramsOf = (s: ConvStage, salt: number): ConvStageParams => {
  const shape = weightShape(s)
  const n = s.outChannels
  const vector = (offset: number, low = -1, high = 1) => tf.tensor1d(fill(n, salt + offset, low, high))
  return {
    weight: tf.tensor4d(fill(sizeOf(shape), salt, -0.7, 0.7), shape),
    bias: s.bias ? vector(1) : undefined,
    gamma: s.norm ? vector(2, 0.5, 1.5) : undefined,
    beta: s.norm ? vector(3) : undefined,
    slope: s.activation === "prelu" ? vector(4, 0.1, 0.4) : undefined,
    mean: s.norm ? vector(5, -0.3, 0.3) : undefined,
    variance: s.norm ? vector(6, 0.5, 1.5) : undefined
  }
}

/** The definition as loops in double precision; shares no code with the tested functions. */
const reference = (
  x: Float32Array,
  [n, h, w]: readonly [number, number, number],
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): {
  output: Float64Array
  statistics: Array<{ mean: Float64Array; variance: Float64Array; count: number } | undefined>
} => {
  let [height, width] = [h, w]
  let data = Float64Array.from(x)
  const statistics: Array<{ mean: Float64Array; variance: Float64Array; count: number } | undefined> = []
  stages.forEach((s, at) => {
    const p = params[at]!
    const get = (t: tf.Tensor | undefined, i: number, otherwise: number): number => (t ? t.dataSync()[i]! : otherwise)
    const weight = p.weight.dataSync()
    const [oh, ow] = [outputSide(s, height), outputSide(s, width)]
    const out = new Float64Array(n * oh * ow * s.outChannels)
    const [ipg, opg] = [s.inChannels / s.groups, s.outChannels / s.groups]
    for (let b = 0; b < n; b++)
      for (let y = 0; y < oh; y++)
        for (let z = 0; z < ow; z++)
          for (let o = 0; o < s.outChannels; o++) {
            let sum = get(p.bias, o, 0)
            const group = Math.floor(o / opg)
            for (let ky = 0; ky < s.kernel; ky++)
              for (let kx = 0; kx < s.kernel; kx++) {
                const iy = y * s.stride - s.padding + ky * s.dilation
                const ix = z * s.stride - s.padding + kx * s.dilation
                if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue
                for (let i = 0; i < ipg; i++) {
                  const weightAt = isDepthwise(s)
                    ? (ky * s.kernel + kx) * s.outChannels + o
                    : ((ky * s.kernel + kx) * ipg + i) * s.outChannels + o
                  sum += data[((b * height + iy) * width + ix) * s.inChannels + group * ipg + i]! * weight[weightAt]!
                }
              }
            out[((b * oh + y) * ow + z) * s.outChannels + o] = sum
          }
    const count = n * oh * ow
    const found = { mean: new Float64Array(s.outChannels), variance: new Float64Array(s.outChannels), count }
    for (let i = 0; i < out.length; i++) found.mean[i % s.outChannels]! += out[i]! / count
    for (let i = 0; i < out.length; i++) {
      found.variance[i % s.outChannels]! += (out[i]! - found.mean[i % s.outChannels]!) ** 2 / count
    }
    statistics.push(s.norm && options.mode === "train" ? found : undefined)
    for (let i = 0; i < out.length; i++) {
      const c = i % s.outChannels
      let v = out[i]!
      if (s.norm) {
        const [m, d] =
          options.mode === "train" ? [found.mean[c]!, found.variance[c]!] : [get(p.mean, c, 0), get(p.variance, c, 1)]
        v = ((v - m) / Math.sqrt(d + options.epsilon)) * get(p.gamma, c, 1) + get(p.beta, c, 0)
      }
      if (s.activation === "relu") v = Math.max(v, 0)
      if (s.activation === "relu6") v = Math.min(Math.max(v, 0), 6)
      if (s.activation === "hswish") v = (v * Math.min(Math.max(v + 3, 0), 6)) / 6
      if (s.activation === "prelu") v = v > 0 ? v : v * get(p.slope, c, 0)
      out[i] = v
    }
    data = out
    ;[height, width] = [oh, ow]
  })
  return { output: options.residual ? data.map((v, i) => v + x[i]!) : data, statistics }
}

const stages = fc
  .record({
    kernel: fc.constantFrom(1, 2, 3, 5),
    stride: fc.constantFrom(1, 2, 3),
    dilation: fc.constantFrom(1, 1, 2, 3),
    padding: fc.constantFrom(0, 1, 2),
    kind: fc.constantFrom("dense", "depthwise", "grouped", "multiplied"),
    channels: fc.constantFrom(1, 2, 3, 5),
    bias: fc.boolean(),
    norm: fc.boolean(),
    activation: fc.constantFrom<Activation>("none", "relu", "relu6", "hswish", "prelu")
  })
  .map(({ kind, channels, ...rest }) => (inChannels: number): ConvStage => {
    const groups = kind === "dense" ? 1 : kind === "grouped" ? (inChannels % 2 === 0 ? 2 : 1) : inChannels
    const outChannels = kind === "depthwise" ? inChannels : kind === "multiplied" ? inChannels * 2 : channels * groups
    return { ...rest, groups, inChannels, outChannels }
  })

const chains = fc
  .record({
    batch: fc.constantFrom(1, 2, 3),
    height: fc.integer({ min: 3, max: 9 }),
    width: fc.integer({ min: 3, max: 9 }),
    channels: fc.constantFrom(1, 2, 3, 4, 6),
    stages: fc.array(stages, { minLength: 1, maxLength: 3 }),
    mode: fc.constantFrom<"train" | "eval">("train", "eval"),
    residual: fc.boolean()
  })
  .map((drawn) => {
    let channels: number = drawn.channels
    let [h, w] = [drawn.height, drawn.width]
    const list: Array<ConvStage> = []
    for (const make of drawn.stages) {
      const s = make(channels)
      if (outputSide(s, h) < 1 || outputSide(s, w) < 1) continue
      list.push(s)
      ;[channels, h, w] = [s.outChannels, outputSide(s, h), outputSide(s, w)]
    }
    if (list.length === 0) list.push(stage({ kernel: 1, padding: 0, inChannels: drawn.channels, outChannels: 2 }))
    const last = list[list.length - 1]!
    const fits = last.outChannels === drawn.channels && h === drawn.height && w === drawn.width
    const shape: [number, number, number, number] = [drawn.batch, drawn.height, drawn.width, drawn.channels]
    return { shape, stages: list, mode: drawn.mode, residual: drawn.residual && fits && list.length > 0 }
  })

describe("composed chain", () => {
  it("agrees with the definition", () => {
    fc.assert(
      fc.property(chains, ({ shape, stages, mode, residual }) => {
        tf.tidy(() => {
          const options = { mode, residual, epsilon: 1e-5 }
          const x = fill(sizeOf(shape), 0.3, -1.5, 1.5)
          const params = stages.map((s, i) => paramsOf(s, i * 10))
          const got = convChain(tf.tensor4d(x, shape), stages, params, options)
          const want = reference(x, [shape[0], shape[1], shape[2]], stages, params, options)
          const output = got.output.dataSync()
          expect(output.length).toBe(want.output.length)
          // A variance close to 0 (one position per channel) multiplies rounding by up to 1 / sqrt(epsilon).
          const least = Math.min(1, ...want.statistics.flatMap((s) => (s ? [...s.variance] : [])))
          const tolerance = 2e-5 / Math.sqrt(least + 1e-5)
          const scale = Math.max(1, ...want.output.map(Math.abs))
          const near = (got: ArrayLike<number>, wanted: ArrayLike<number>, limit: number): void => {
            for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i]! - wanted[i]!)).toBeLessThan(limit)
          }
          near(output, want.output, tolerance * scale)
          got.statistics.forEach((found, i) => {
            const wanted = want.statistics[i]
            expect(found === undefined).toBe(wanted === undefined)
            if (found === undefined || wanted === undefined) return
            expect(found.count).toBe(wanted.count)
            near(found.mean.dataSync(), wanted.mean, tolerance * 20)
            near(found.variance.dataSync(), wanted.variance, tolerance * 50)
          })
        })
      }),
      { seed: 11, numRuns: 150 }
    )
  })

  const cases: Record<string, ReadonlyArray<ConvStage>> = {
    dense: [stage({ inChannels: 3, outChannels: 4, stride: 2, bias: true })],
    "even input, stride 2, no padding": [stage({ inChannels: 2, outChannels: 3, stride: 2, padding: 0 })],
    dilated: [stage({ inChannels: 2, outChannels: 3, dilation: 2, padding: 2 })],
    depthwise: [stage({ inChannels: 4, outChannels: 4, groups: 4, kernel: 5, padding: 2, stride: 2 })],
    "dilated depthwise": [stage({ inChannels: 3, outChannels: 3, groups: 3, dilation: 2, padding: 2 })],
    "grouped pointwise": [stage({ inChannels: 6, outChannels: 4, groups: 2, kernel: 1, padding: 0 })],
    multiplied: [stage({ inChannels: 2, outChannels: 6, groups: 2 })],
    "norm and relu6": [stage({ inChannels: 3, outChannels: 4, norm: true, activation: "relu6" })],
    "norm, hswish": [stage({ inChannels: 3, outChannels: 4, norm: true, activation: "hswish" })],
    "norm, prelu": [stage({ inChannels: 3, outChannels: 4, norm: true, activation: "prelu" })],
    "inverted residual": [
      stage({ inChannels: 3, outChannels: 6, kernel: 1, padding: 0, norm: true, activation: "relu6" }),
      stage({ inChannels: 6, outChannels: 6, groups: 6, norm: true, activation: "relu6" }),
      stage({ inChannels: 6, outChannels: 3, kernel: 1, padding: 0, norm: true })
    ]
  }
  for (const mode of ["train", "eval"] as const) {
    it.each(Object.keys(cases))(`gradients of %s, ${mode}`, (name) => {
      const list = cases[name]!
      const params = list.map((s, i) => paramsOf(s, i * 10 + 1))
      const names = ["weight", "bias", "gamma", "beta", "slope"] as const
      const flat = params.flatMap((p, i) =>
        names.flatMap((key) => (p[key] === undefined ? [] : [{ i, key, tensor: p[key] as tf.Tensor }]))
      )
      const x = tf.tensor4d(fill(2 * 6 * 6 * list[0]!.inChannels, 0.1, -1.5, 1.5), [2, 6, 6, list[0]!.inChannels])
      const residual = name === "inverted residual"
      const f = (...inputs: Array<tf.Tensor>): tf.Tensor => {
        const own = params.map((p) => ({ ...p }) as Record<string, tf.Tensor | undefined>)
        flat.forEach((entry, k) => {
          own[entry.i]![entry.key] = inputs[k + 1]!
        })
        const given = own as unknown as Array<ConvStageParams>
        return convChain(inputs[0] as tf.Tensor4D, list, given, { mode, epsilon: 1e-2, residual }).output
      }
      const found = gradientMismatch(f, [x, ...flat.map((entry) => entry.tensor)], { step: 2e-3, entries: 16 })
      expect(found, JSON.stringify(found)).toSatisfy((m: typeof found) => m.error < 2e-2)
    })
  }

  it("statistics carry no gradient", () => {
    const list = [stage({ inChannels: 2, outChannels: 2, norm: true })]
    const params = list.map((s) => paramsOf(s, 3))
    const f = (x: tf.Tensor) =>
      convChain(x as tf.Tensor4D, list, params, { mode: "train", epsilon: 1e-5, residual: false }).statistics[0]!.mean
    const g = tf.grad(f)(tf.tensor4d(fill(50, 1), [1, 5, 5, 2]))
    expect(g.dataSync().every((v) => v === 0)).toBe(true)
  })

  it("NaN and infinity propagate", () => {
    const list = [stage({ inChannels: 1, outChannels: 1, activation: "relu6" })]
    const params = [{ weight: tf.ones([3, 3, 1, 1]) as tf.Tensor4D }]
    const data = new Float32Array(49)
    data[0] = Number.NaN
    data[48] = Number.POSITIVE_INFINITY
    const out = convChain(tf.tensor4d(data, [1, 7, 7, 1]), list, params, {
      mode: "eval",
      epsilon: 1e-5,
      residual: true
    })
    const got = out.output.dataSync()
    expect(got[0]).toBeNaN()
    expect(got[8]).toBeNaN()
    expect(got[40]).toBe(6)
    expect(got[48]).toBe(Number.POSITIVE_INFINITY)
  })

  it("gives the same bytes twice", () => {
    const list = cases["inverted residual"]!
    const once = () => {
      const x = tf.tensor4d(fill(2 * 36 * 3, 5), [2, 6, 6, 3])
      const params = list.map((s, i) => paramsOf(s, i))
      return composedConvChain(x, list, params, { mode: "train", epsilon: 1e-5, residual: true }).output.dataSync()
    }
    expect(once()).toEqual(once())
  })
})

describe("convChain", () => {
  const x = () => tf.zeros([1, 6, 6, 4]) as tf.Tensor4D
  const options: ConvChainOptions = { mode: "train", epsilon: 1e-5, residual: false }
  const wrong: Record<string, [() => unknown, RegExp]> = {
    "no stage": [() => convChain(x(), [], [], options), /at least one stage/],
    "a missing tensor set": [
      () => convChain(x(), [stage({ inChannels: 4, outChannels: 4 })], [], options),
      /1 stages, but tensors for 0/
    ],
    "other channels": [
      () => {
        const s = stage({ inChannels: 3, outChannels: 4 })
        return convChain(x(), [s], [paramsOf(s, 0)], options)
      },
      /inChannels is 3, the input has 4/
    ],
    "a weight of another shape": [
      () => {
        const s = stage({ inChannels: 4, outChannels: 4, groups: 4 })
        return convChain(x(), [s], [{ weight: tf.zeros([3, 3, 4, 4]) }], options)
      },
      /it should be \[3,3,4,1\]/
    ],
    "groups that do not divide": [
      () => {
        const s = stage({ inChannels: 4, outChannels: 5, groups: 2 })
        return convChain(x(), [s], [{ weight: tf.zeros([3, 3, 2, 5]) }], options)
      },
      /groups 2 must divide/
    ],
    "no running statistics": [
      () => {
        const s = stage({ inChannels: 4, outChannels: 4, norm: true })
        return convChain(x(), [s], [{ weight: tf.zeros([3, 3, 4, 4]) }], { ...options, mode: "eval" })
      },
      /mean is missing/
    ],
    "a residual of another shape": [
      () => {
        const s = stage({ inChannels: 4, outChannels: 4, stride: 2 })
        return convChain(x(), [s], [paramsOf(s, 0)], { ...options, residual: true })
      },
      /residual needs equal shapes of input and output/
    ],
    "a kernel that does not fit": [
      () => {
        const s = stage({ inChannels: 4, outChannels: 4, kernel: 7, padding: 0 })
        return convChain(x(), [s], [paramsOf(s, 0)], options)
      },
      /does not fit/
    ]
  }
  it.each(Object.keys(wrong))("refuses %s", (name) => {
    const [run, message] = wrong[name]!
    expect(run).toThrow(ConvChainError)
    expect(run).toThrow(message)
  })

  it("uses the fused kernel of the current backend only", () => {
    const s = stage({ inChannels: 4, outChannels: 4 })
    const marker = tf.zeros([1, 1, 1, 1]) as tf.Tensor4D
    registerFusedKernels("another", { convChain: () => ({ output: marker, statistics: [] }) })
    expect(convChain(x(), [s], [paramsOf(s, 0)], options).output).not.toBe(marker)
    registerFusedKernels("cpu", { convChain: () => ({ output: marker, statistics: [] }) })
    try {
      expect(convChain(x(), [s], [paramsOf(s, 0)], options).output).toBe(marker)
    } finally {
      unregisterFusedKernels("cpu")
      unregisterFusedKernels("another")
    }
  })
})
