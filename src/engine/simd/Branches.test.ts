import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { ConvBranch, ConvStage, ConvStageParams } from "../ConvChain.ts"
import { composedConvBranches, convBranches, isDepthwise, weightShape } from "../ConvChainOps.ts"
import { gradientMismatch } from "../FiniteDifferences.ts"
import { registerFusedKernels } from "../FusedKernels.ts"
import { sizeOf } from "../Shape.ts"
import { registerSimdBackend } from "./Backend.ts"
import { fusedSimdKernels } from "./SimdFusedKernels.ts"
import { guardAllocator } from "./testing/GuardedAllocator.ts"

const engines = [1, 2, 3, 7].map((threads) => {
  const name = `osnas-simd-branches-${threads}`
  const backend = registerSimdBackend({ mode: "strict", threads }, name)
  registerFusedKernels(name, fusedSimdKernels)
  return { name, backend }
})
const checkGuards = guardAllocator(engines[1]!.backend.runtime)
beforeAll(() => tf.setBackend("cpu"))
afterAll(() => Promise.all(engines.map(({ backend }) => backend.runtime.close())))

const stage = (
  given: Partial<ConvStage> & { readonly inChannels: number; readonly outChannels: number }
): ConvStage => ({
  kernel: 1,
  stride: 1,
  padding: 0,
  dilation: 1,
  groups: 1,
  bias: false,
  norm: true,
  activation: "none",
  ...given
})
const depthwise = (channels: number, kernel: number, stride: number): ConvStage =>
  stage({ inChannels: channels, outChannels: channels, groups: channels, kernel, stride, padding: (kernel - 1) / 2 })
const point = (inChannels: number, outChannels: number): ConvStage =>
  stage({ inChannels, outChannels, activation: "relu6" })

/** Numbers between -1 and 1. */
const spread = (size: number, salt: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => (((i + 1) * 0.6180339887 + salt * 0.7548776662) % 1) * 2 - 1)

interface Case {
  readonly shape: readonly [number, number, number, number]
  readonly ranges: ReadonlyArray<readonly [number, number, ReadonlyArray<ConvStage>]>
  readonly shuffled: boolean
}

interface Values {
  readonly data: Float32Array
  readonly shape: Array<number>
}
type StageValues = Readonly<Partial<Record<keyof ConvStageParams, Values>>>

const valuesOf = (s: ConvStage, salt: number): StageValues => {
  const shape = weightShape(s)
  const terms = isDepthwise(s) ? s.kernel ** 2 : s.kernel ** 2 * s.inChannels
  const vector = (offset: number, scale: number, shift: number): Values => ({
    data: spread(s.outChannels, salt + offset).map((v) => v * scale + shift),
    shape: [s.outChannels]
  })
  return {
    weight: { data: spread(sizeOf(shape), salt).map((v) => v * Math.sqrt(3 / terms)), shape },
    ...(s.bias ? { bias: vector(1, 0.5, 0) } : {}),
    ...(s.norm
      ? { gamma: vector(2, 0.5, 1), beta: vector(3, 0.5, 0.5), mean: vector(4, 0.2, 0), variance: vector(5, 0.3, 0.8) }
      : {}),
    ...(s.activation === "prelu" ? { slope: vector(6, 0.3, 0.2) } : {})
  }
}

const trained = ["weight", "bias", "gamma", "beta", "slope"] as const

const makeBranches = (
  given: Case
): {
  readonly branches: ReadonlyArray<ConvBranch>
  readonly names: ReadonlyArray<string>
  readonly tensors: ReadonlyArray<tf.Tensor>
} => {
  const names: Array<string> = []
  const tensors: Array<tf.Tensor> = []
  const branches = given.ranges.map(
    ([from, to, stages], b): ConvBranch => ({
      from,
      to,
      stages,
      params: stages.map((s, i) => {
        const values = valuesOf(s, 17 * b + 7 * i + 1)
        const made: Record<string, tf.Tensor> = {}
        for (const [name, { data, shape }] of Object.entries(values)) {
          made[name] = tf.tensor(data, shape)
          if (trained.some((one) => one === name)) {
            names.push(`${name}.${b}.${i}`)
            tensors.push(made[name])
          }
        }
        return made as unknown as ConvStageParams
      })
    })
  )
  return { branches, names, tensors }
}

/** Output, statistics and gradients of an uneven sum of the output. */
const compute = (given: Case, apply: typeof convBranches): Record<string, Float32Array> =>
  tf.tidy(() => {
    const results: Record<string, Float32Array> = {}
    const x = tf.tensor4d(spread(sizeOf(given.shape), 99), [...given.shape])
    const { branches, names, tensors } = makeBranches(given)
    const options = { epsilon: 1e-5, shuffled: given.shuffled }
    results["eval"] = apply(x, branches, { ...options, mode: "eval" }).output.dataSync<"float32">()
    const { grads } = tf.engine().gradients(
      () => {
        const { output, statistics } = apply(x, branches, { ...options, mode: "train" })
        results["output"] = output.dataSync<"float32">()
        for (const [b, ofBranch] of statistics.entries()) {
          for (const [i, found] of ofBranch.entries()) {
            if (found === undefined) continue
            results[`mean.${b}.${i}`] = found.mean.dataSync<"float32">()
            results[`variance.${b}.${i}`] = found.variance.dataSync<"float32">()
          }
        }
        return tf.sum(tf.mul(output, tf.tensor(spread(output.size, 5), output.shape)))
      },
      [...tensors, x],
      undefined,
      true
    )
    grads.forEach((gradient: tf.Tensor, i: number) => {
      results[`d ${names[i] ?? "x"}`] = gradient.dataSync<"float32">()
    })
    return results as unknown as tf.TensorContainer
  }) as unknown as Record<string, Float32Array>

const deviation = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length)
  let [worst, size] = [0, 1]
  b.forEach((v, i) => {
    size = Math.max(size, Math.abs(v))
    const d = Math.abs(a[i]! - v)
    if (!(d <= worst)) worst = d
  })
  return worst / size
}

/** A unit of ShuffleNetV2: half of the channels as they are, or, where it widens, two chains on all of them. */
const unit = fc
  .record({
    batch: fc.constantFrom(1, 3, 8, 9, 12),
    height: fc.integer({ min: 1, max: 7 }),
    width: fc.integer({ min: 1, max: 7 }),
    half: fc.integer({ min: 1, max: 13 }),
    wide: fc.integer({ min: 1, max: 13 }),
    kernel: fc.constantFrom(3, 5, 7),
    stride: fc.constantFrom(1, 2),
    widens: fc.boolean(),
    depthwiseFirst: fc.boolean(),
    shuffled: fc.boolean()
  })
  .map(({ batch, depthwiseFirst, half, height, kernel, shuffled, stride, wide, widens, width }): Case => {
    const shape = [batch, height, width, 2 * half] as const
    const main = (from: number, to: number, strideHere: number) =>
      depthwiseFirst && from > 1
        ? [depthwise(from, kernel, strideHere), point(from, to)]
        : [point(from, wide + 1), depthwise(wide + 1, kernel, strideHere), point(wide + 1, to)]
    return widens
      ? {
          shape,
          shuffled,
          ranges: [
            [0, 2 * half, [depthwise(2 * half, kernel, stride), point(2 * half, wide)]],
            [0, 2 * half, main(2 * half, wide, stride)]
          ]
        }
      : {
          shape,
          shuffled,
          ranges: [
            [0, half, []],
            [half, 2 * half, main(half, half, 1)]
          ]
        }
  })

/** Depthwise convolutions with several kernels on parts of the channels; a dense one with patches, a bias, slopes. */
const mixed = fc
  .record({
    batch: fc.constantFrom(1, 5, 8, 11),
    side: fc.integer({ min: 1, max: 6 }),
    shares: fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 4 }),
    dense: fc.boolean()
  })
  .map(({ batch, dense, shares, side }): Case => {
    let from = 0
    const ranges = shares.map((share, i) => {
      const start = from
      from += share
      const stages =
        dense && i === 0
          ? [
              stage({
                inChannels: share,
                outChannels: 5,
                kernel: 3,
                padding: 1,
                norm: false,
                bias: true,
                activation: "prelu"
              })
            ]
          : [depthwise(share, [3, 5, 7][i % 3]!, 1)]
      return [start, from, stages] as const
    })
    return { shape: [batch, side, side, from], ranges, shuffled: false }
  })

describe("branches on the embedded engine", () => {
  it.each([
    ["units of ShuffleNetV2", unit],
    ["mixed convolutions", mixed]
  ] as const)(
    "agree with the composed form on the reference engine, and write inside their blocks only: %s",
    (_, cases) => {
      fc.assert(
        fc.property(cases, (given) => {
          tf.setBackend("cpu")
          const expected = compute(given, composedConvBranches)
          tf.setBackend(engines[1]!.name)
          const before = tf.memory().numTensors
          const found = compute(given, convBranches)
          expect(tf.memory().numTensors).toBe(before)
          checkGuards()
          expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
          for (const [name, values] of Object.entries(expected)) {
            // A batch of very few values has normalised gradients that cancel to rounding.
            const few = given.shape[0] * given.shape[1] * given.shape[2] < 12
            expect(deviation(found[name]!, values), name).toBeLessThan(few ? 2e-2 : 2e-4)
          }
        }),
        { seed: 11, numRuns: 25 }
      )
    }
  )

  it("give the bits of the split, the chains, the concatenation and the shuffle, with any number of threads", () => {
    for (const given of fc.sample(unit, { seed: 3, numRuns: 8 })) {
      tf.setBackend(engines[0]!.name)
      const expected = compute(given, composedConvBranches)
      for (const { name } of engines) {
        tf.setBackend(name)
        const found = compute(given, convBranches)
        for (const [key, values] of Object.entries(expected))
          expect(Buffer.from(found[key]!.buffer).equals(Buffer.from(values.buffer)), `${key} of ${name}`).toBe(true)
      }
    }
  })

  it("have the gradients of finite differences", () => {
    tf.setBackend(engines[1]!.name)
    const given: Case = {
      shape: [8, 3, 3, 10],
      shuffled: true,
      ranges: [
        [0, 5, []],
        [5, 10, [stage({ inChannels: 5, outChannels: 7, activation: "hswish" }), depthwise(7, 3, 1), point(7, 5)]]
      ]
    }
    const { branches, tensors } = makeBranches(given)
    const x = tf.tensor4d(spread(720, 2), [...given.shape])
    const mismatch = gradientMismatch(
      (input) => convBranches(input as tf.Tensor4D, branches, { mode: "train", epsilon: 1e-5, shuffled: true }).output,
      [x],
      { entries: 40 }
    )
    expect(mismatch.error).toBeLessThan(2e-2)
    tf.dispose([x, ...tensors, ...branches.flatMap(({ params }) => params.flatMap((p) => [p.mean!, p.variance!]))])
  })

  it("fall back if ranges overlap in part, if unchanged channels are shared, or if shuffled widths differ", () => {
    for (const given of [
      {
        shape: [8, 3, 3, 6],
        shuffled: false,
        ranges: [
          [0, 6, []],
          [0, 6, [depthwise(6, 3, 1)]]
        ]
      },
      {
        shape: [2, 3, 3, 6],
        shuffled: false,
        ranges: [
          [0, 4, [point(4, 3)]],
          [2, 6, [point(4, 5)]]
        ]
      },
      {
        shape: [8, 3, 3, 6],
        shuffled: true,
        ranges: [
          [0, 6, [point(6, 2)]],
          [0, 6, [point(6, 4)]]
        ]
      }
    ] as const satisfies ReadonlyArray<Case>) {
      tf.setBackend("cpu")
      const expected = compute(given, composedConvBranches)
      tf.setBackend(engines[1]!.name)
      const found = compute(given, convBranches)
      for (const [name, values] of Object.entries(expected))
        expect(deviation(found[name]!, values), name).toBeLessThan(1e-3)
    }
  })

  it("refuse branches that do not match", () => {
    tf.setBackend("cpu")
    tf.tidy(() => {
      const x = tf.zeros([1, 4, 4, 6]) as tf.Tensor4D
      const made = (ranges: Case["ranges"]) => makeBranches({ shape: [1, 4, 4, 6], ranges, shuffled: false }).branches
      const options = { mode: "train", epsilon: 1e-5, shuffled: false } as const
      expect(() => convBranches(x, [], options)).toThrow("at least one branch is needed")
      expect(() => convBranches(x, made([[4, 8, [point(4, 2)]]]), options)).toThrow(
        "channels 4 to 8 are out of range, x has 6"
      )
      expect(() => convBranches(x, made([[0, 3, [point(4, 2)]]]), options)).toThrow("inChannels is 4, the input has 3")
      expect(() =>
        convBranches(
          x,
          made([
            [0, 3, []],
            [3, 6, [depthwise(3, 3, 2)]]
          ]),
          options
        )
      ).toThrow("outputs differ in size: 4 x 4 from branch 0, 2 x 2 from branch 1")
    })
  })
})
