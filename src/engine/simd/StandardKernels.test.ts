import * as tf from "@tensorflow/tfjs-core"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Draws from "../../random/Draws.ts"
import { channelShuffle, globalAveragePool, scaleChannels, squeezeExcite } from "../FeatureOps.ts"
import { gradientMismatch } from "../FiniteDifferences.ts"
import { registerFusedKernels, unregisterFusedKernels } from "../FusedKernels.ts"
import { softmaxCrossEntropy } from "../LossOps.ts"
import { adamStep, rmspropStep, sgdStep } from "../OptimizerOps.ts"
import { normals, uniforms } from "../RandomOps.ts"
import { blend } from "../StatisticsOps.ts"
import { borrowedFrom, registerSimdBackend, type SimdBackend } from "./Backend.ts"
import { fusedSimdKernels } from "./SimdFusedKernels.ts"
import { hostDependentKernels } from "./StandardKernels.ts"
import { guardAllocator } from "./testing/GuardedAllocator.ts"

const name = (threads: number): string => `standard-${threads}`
const backends = new Map<number, SimdBackend>()

beforeAll(() => {
  for (const threads of [1, 2, 3, 7]) {
    const backend = registerSimdBackend({ mode: "strict", threads }, name(threads))
    guardAllocator(backend.runtime)
    backends.set(threads, backend)
    registerFusedKernels(name(threads), fusedSimdKernels)
  }
})
afterAll(() => {
  for (const threads of backends.keys()) {
    unregisterFusedKernels(name(threads))
    tf.removeBackend(name(threads))
  }
})

type Values = Float32Array | Int32Array | Uint8Array
interface Input {
  readonly shape: ReadonlyArray<number>
  readonly values: Values
  readonly dtype?: "float32" | "int32" | "bool"
}
type Op = (...tensors: Array<tf.Tensor>) => tf.Tensor | Array<tf.Tensor>

/** Runs on a backend and reads everything back; nothing may leak. */
const on = (backend: string, op: Op, inputs: ReadonlyArray<Input>): Array<{ shape: Array<number>; values: Values }> => {
  tf.setBackend(backend)
  const memory = () => (tf.backend() as SimdBackend).runtime?.allocator.usage() ?? { blocks: 0, inUseBytes: 0 }
  const before = memory()
  const tensors = tf.memory().numTensors
  const out = tf.tidy(() => {
    const given = inputs.map((input) => tf.tensor(input.values, [...input.shape], input.dtype ?? "float32"))
    const results = op(...given)
    return (Array.isArray(results) ? results : [results]).map((tensor) => ({
      shape: tensor.shape,
      values: tensor.dataSync() as Values
    })) as unknown as tf.TensorContainer
  }) as unknown as Array<{ shape: Array<number>; values: Values }>
  expect(tf.memory().numTensors).toBe(tensors)
  const after = memory()
  expect([after.blocks, after.inUseBytes]).toEqual([before.blocks, before.inUseBytes])
  return out
}

const bytes = (values: Values): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

interface Check {
  /** Largest deviation from the reference, relative to max(1, |reference|). */
  readonly tolerance?: number
  readonly threads?: ReadonlyArray<number>
}

const agrees = (op: Op, inputs: ReadonlyArray<Input>, check: Check = {}): void => {
  const want = on("cpu", op, inputs)
  let first: typeof want | undefined
  for (const threads of check.threads ?? [2]) {
    const got = on(name(threads), op, inputs)
    expect(got.length).toBe(want.length)
    got.forEach(({ shape, values }, k) => {
      expect(shape).toEqual(want[k]!.shape)
      const reference = want[k]!.values
      for (let i = 0; i < values.length; i++) {
        const [a, b] = [values[i]!, reference[i]!]
        if (Object.is(a, b) || a === b) continue
        if (!(Math.abs(a - b) <= (check.tolerance ?? 0) * Math.max(1, Math.abs(b)))) {
          expect.fail(`output ${k}, element ${i}: ${a}, the reference has ${b}`)
        }
      }
    })
    first ??= got
    got.forEach(({ values }, k) => {
      expect(Buffer.compare(bytes(values), bytes(first![k]!.values))).toBe(0)
    })
  }
}

const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
const spread = (shape: ReadonlyArray<number>, low: number, high: number, salt = 0): Input => ({
  shape,
  values: Float32Array.from(
    { length: size(shape) },
    (_, i) => low + (((i + 1) * 0.6180339887498949 + salt * 0.7548776662) % 1) * (high - low)
  )
})

const special = new Float32Array([
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  1,
  -1,
  1e-40,
  -1e-40,
  3.4e38,
  -3.4e38,
  0.5,
  2.5,
  -2.5,
  88.8,
  -103.5,
  7
])

const sizes = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(16383, 16385))
const shapes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 })
const runs = (count: number) => ({ seed: 29, numRuns: count })

describe("one operand", () => {
  const clip: Op = (x) => tf.clipByValue(x!, -0.7, 1.3)
  const table: Record<string, [Op, number, number, number]> = {
    exp: [(x) => tf.exp(x!), -105, 89, 3e-7],
    log: [(x) => tf.log(x!), 0, 50, 3e-7],
    tanh: [(x) => tf.tanh(x!), -9, 9, 3e-7],
    sigmoid: [(x) => tf.sigmoid(x!), -30, 30, 3e-7],
    sqrt: [(x) => tf.sqrt(x!), 0, 9, 0],
    rsqrt: [(x) => tf.rsqrt(x!), 0.01, 9, 2e-7],
    square: [(x) => tf.square(x!), -9, 9, 0],
    neg: [(x) => tf.neg(x!), -9, 9, 0],
    abs: [(x) => tf.abs(x!), -9, 9, 0],
    relu: [(x) => tf.relu(x!), -9, 9, 0],
    relu6: [(x) => tf.relu6(x!), -9, 9, 0],
    reciprocal: [(x) => tf.reciprocal(x!), -9, 9, 0],
    clip: [clip, -9, 9, 0],
    step: [(x) => tf.step(x!, 0.25), -9, 9, 0],
    leakyRelu: [(x) => tf.leakyRelu(x!, 0.25), -9, 9, 0],
    floor: [(x) => tf.floor(x!), -9, 9, 0],
    ceil: [(x) => tf.ceil(x!), -9, 9, 0],
    round: [(x) => tf.round(x!), -9, 9, 0],
    expm1: [(x) => tf.expm1(x!), -9, 9, 2e-7],
    log1p: [(x) => tf.log1p(x!), -0.9, 9, 2e-7],
    softplus: [(x) => tf.softplus(x!), -20, 20, 3e-7],
    sin: [(x) => tf.sin(x!), -50, 50, 2e-7],
    cos: [(x) => tf.cos(x!), -50, 50, 2e-7],
    tan: [(x) => tf.tan(x!), -1.5, 1.5, 2e-7],
    asin: [(x) => tf.asin(x!), -1, 1, 2e-7],
    acos: [(x) => tf.acos(x!), -1, 1, 2e-7],
    atan: [(x) => tf.atan(x!), -9, 9, 2e-7],
    sinh: [(x) => tf.sinh(x!), -9, 9, 2e-7],
    cosh: [(x) => tf.cosh(x!), -9, 9, 2e-7],
    asinh: [(x) => tf.asinh(x!), -9, 9, 2e-7],
    acosh: [(x) => tf.acosh(x!), 1, 9, 2e-7],
    atanh: [(x) => tf.atanh(x!), -0.99, 0.99, 2e-7],
    // tfjs's own is a polynomial with an error of 1.5e-7.
    erf: [(x) => tf.erf(x!), -7, 7, 3e-7],
    elu: [(x) => tf.elu(x!), -9, 9, 2e-7],
    selu: [(x) => tf.selu(x!), -9, 9, 2e-7]
  }
  it.each(Object.keys(table))("%s", (operation) => {
    const [op, low, high, tolerance] = table[operation]!
    fc.assert(
      fc.property(sizes, (count) => agrees(op, [spread([count], low, high)], { tolerance })),
      runs(6)
    )
  })
  it.each(Object.keys(table))("%s of NaN, infinities, zeros and subnormal numbers", (operation) => {
    const [op, , , tolerance] = table[operation]!
    const values = operation === "reciprocal" ? special.filter((v) => Math.abs(v) !== 1e-40) : special
    // tfjs's step of NaN is NaN, its leaky ReLU of NaN too; its erf of infinity is 1.
    agrees(op, [{ shape: [values.length], values }], { tolerance: Math.max(tolerance, 1e-6) })
  })
  it("takes integers where tfjs does", () => {
    const values = new Int32Array([0, 1, 2, 5])
    agrees((x) => tf.exp(x!), [{ shape: [4], values, dtype: "int32" }], { tolerance: 3e-7 })
    agrees((x) => [tf.abs(x!), tf.neg(x!), tf.square(x!)], [{ shape: [4], values, dtype: "int32" }])
  })
})

describe("two operands", () => {
  const operations = {
    add: tf.add,
    sub: tf.sub,
    mul: tf.mul,
    div: tf.div,
    maximum: tf.maximum,
    minimum: tf.minimum,
    squaredDifference: tf.squaredDifference
  }
  it.each(Object.keys(operations))("%s, broadcast every way", (operation) => {
    const op = operations[operation as keyof typeof operations]
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 0, max: 4 }),
        (shape, onesA, onesB, dropped) => {
          const a = shape.map((length, i) => (onesA[i] && onesB[i] ? 1 : length))
          const b = shape.map((length, i) => (onesB[i] ? 1 : length)).slice(Math.min(dropped, shape.length))
          // Squares of differences are rounded once more here.
          const tolerance = operation === "squaredDifference" ? 4e-7 : 0
          agrees((x, y) => op(x!, y!), [spread(a, -3, 3), spread(b, 0.5, 2, 1)], { tolerance })
          agrees((x, y) => op(y!, x!), [spread(a, 0.5, 3), spread(b, 0.5, 2, 1)], { tolerance })
        }
      ),
      runs(40)
    )
  })
  it("long ones", () => {
    for (const [a, b] of [
      [[40001], [40001]],
      [[40001], [1]],
      [[3, 16385], [16385]],
      [
        [401, 99],
        [401, 1]
      ],
      [
        [3, 17, 5, 33],
        [3, 1, 1, 33]
      ]
    ] as const) {
      agrees((x, y) => [tf.add(x!, y!), tf.mul(y!, x!)], [spread(a, -3, 3), spread(b, -2, 2)], {
        threads: [1, 2, 3, 7]
      })
    }
  })
  it("prelu and pow", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const last = shape.slice(-1)
        agrees((x, a) => tf.prelu(x!, a!), [spread(shape, -3, 3), spread(last, 0.1, 0.5)])
        agrees((x, y) => tf.pow(x!, y!), [spread(shape, 0.1, 3), spread(last, -2, 2)], { tolerance: 2e-7 })
        agrees((x, y) => tf.atan2(x!, y!), [spread(shape, -3, 3), spread(last, -2, 2)], { tolerance: 2e-7 })
      }),
      runs(25)
    )
    agrees((x, y) => tf.pow(x!, y!), [spread([2, 1, 3], 0.1, 3), spread([4, 1], -2, 2)], { tolerance: 2e-7 })
    const integers = { shape: [3], values: new Int32Array([2, 3, -2]), dtype: "int32" } as const
    agrees((x, y) => tf.pow(x!, y!), [integers, { ...integers, values: new Int32Array([3, 2, 3]) }])
  })
  it("compare and choose", () => {
    const all = [tf.equal, tf.notEqual, tf.greater, tf.greaterEqual, tf.less, tf.lessEqual]
    const op: Op = (x, y) => all.map((compare) => compare(x!, y!))
    fc.assert(
      fc.property(shapes, (shape) => {
        const a = spread(shape, 0, 3)
        const whole = { ...a, values: a.values.map(Math.round) }
        const b = { ...spread(shape.slice(-1), 0, 3, 1) }
        agrees(op, [whole, { ...b, values: b.values.map(Math.round) }])
        agrees(op, [whole, { shape: [], values: new Float32Array([1]) }])
        agrees((x, y) => tf.where(tf.greater(x!, 1), x!, y!), [a, spread(shape, -1, 1)])
      }),
      runs(25)
    )
    agrees(op, [
      { shape: [17], values: special },
      { shape: [17], values: special.slice().reverse() }
    ])
    agrees((x, y) => tf.where(tf.lessEqual(x!, y!), x!, y!), [spread([40001], -3, 3), spread([40001], -2, 2)], {
      threads: [1, 2, 3, 7]
    })
  })
  it("NaN and infinity propagate", () => {
    const n = special.length
    const a: Input = { shape: [n, 1], values: special }
    const b: Input = { shape: [1, n], values: special }
    for (const op of Object.values(operations)) {
      agrees((x, y) => op(x!, y!), [a, b])
      agrees(
        (x, y) => op(x!, y!),
        [
          { shape: [n], values: special },
          { shape: [n], values: special.slice().reverse() }
        ]
      )
    }
  })
})

describe("reductions", () => {
  const axes = fc.constantFrom<number | Array<number> | undefined>(
    undefined,
    0,
    1,
    -1,
    [0, 1],
    [1, 2],
    [0, 2],
    [0, 1, 2]
  )
  it("of any axes", () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 37 })),
        axes,
        fc.boolean(),
        (shape, axis, keep) => {
          agrees(
            (x) => [tf.sum(x!, axis, keep), tf.mean(x!, axis, keep), tf.max(x!, axis, keep), tf.min(x!, axis, keep)],
            [spread(shape, -1, 3)],
            { tolerance: 1e-6 }
          )
        }
      ),
      runs(60)
    )
  })
  it("long ones, with any number of threads", () => {
    for (const [shape, axis] of [
      [[100003], 0],
      [[2, 50001], 1],
      [[70001, 3], 0],
      [[513, 130], 0],
      [[3, 700, 65], 1],
      [[40, 1111], 1],
      [[2, 3000], 0]
    ] as const) {
      agrees((x) => [tf.sum(x!, axis), tf.mean(x!, axis), tf.max(x!, axis), tf.min(x!, axis)], [spread(shape, -1, 2)], {
        tolerance: 1e-5,
        threads: [1, 2, 3, 7]
      })
    }
  })
  it("NaN and infinity propagate", () => {
    for (const position of [0, 3, 17, 40]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const input = spread([3, 41], -1, 1)
        input.values[41 + position] = value
        agrees(
          (x) => [tf.sum(x!, 1), tf.max(x!, 1), tf.min(x!, 1), tf.sum(x!, 0), tf.max(x!, 0), tf.mean(x!)],
          [input],
          {
            tolerance: 1e-5
          }
        )
      }
    }
  })
  it("of integers and of nothing", () => {
    const input = { shape: [2, 3], values: new Int32Array([1, 2, 3, 4, 5, 6]), dtype: "int32" } as const
    agrees((x) => [tf.sum(x!, 1), tf.max(x!, 0)], [input])
    agrees((x) => tf.sum(x!, 0), [{ shape: [0, 3], values: new Float32Array(0) }])
  })
})

describe("products", () => {
  it("of any shape, transposed any way", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 45 }),
        fc.integer({ min: 1, max: 150 }),
        fc.boolean(),
        fc.boolean(),
        (rows, k, columns, ta, tb) => {
          agrees(
            (a, b) => tf.matMul(a!, b!, ta, tb),
            [spread(ta ? [k, rows] : [rows, k], -1, 1), spread(tb ? [columns, k] : [k, columns], -1, 1, 1)],
            { tolerance: 1e-5 }
          )
        }
      ),
      runs(60)
    )
  })
  it("of batches, one broadcast over the other", () => {
    for (const [a, b] of [
      [
        [3, 5, 7],
        [3, 7, 9]
      ],
      [
        [1, 5, 7],
        [3, 7, 9]
      ],
      [
        [2, 3, 5, 7],
        [1, 1, 7, 9]
      ]
    ] as const) {
      agrees((x, y) => tf.matMul(x!, y!), [spread(a, -1, 1), spread(b, -1, 1)], { tolerance: 1e-5 })
    }
  })
  it("of a classifier, with any number of threads", () => {
    agrees(
      (x, w, dy) => [tf.matMul(x!, w!), tf.matMul(dy!, w!, false, true), tf.matMul(x!, dy!, true, false)],
      [spread([64, 320], -1, 1), spread([320, 100], -0.1, 0.1), spread([64, 100], -1, 1)],
      { tolerance: 2e-5, threads: [1, 2, 3, 7] }
    )
  })
  it("a NaN or infinity affects its own row only", () => {
    const a = spread([7, 5], -1, 1)
    a.values[11] = Number.NaN
    a.values[23] = Number.POSITIVE_INFINITY
    agrees((x, y) => tf.matMul(x!, y!), [a, spread([5, 9], 0.1, 1)], { tolerance: 1e-5 })
  })
  it("refuses shapes that do not match", () => {
    tf.setBackend(name(2))
    expect(() => tf.tidy(() => tf.matMul(tf.zeros([2, 3]), tf.zeros([4, 2])))).toThrow()
  })
})

describe("softmax and cross entropy", () => {
  it("softmax", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 300 }), (rows, columns) => {
        agrees((x) => [tf.softmax(x!), tf.logSoftmax(x!)], [spread([rows, columns], -20, 20)], { tolerance: 2e-6 })
      }),
      runs(30)
    )
    agrees((x) => tf.softmax(x!), [{ shape: [2, 2], values: new Float32Array([Number.NaN, 1, 1000, -1000]) }])
  })
  it("cross entropy and its gradient", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 33 }),
        fc.integer({ min: 1, max: 105 }),
        fc.constantFrom(0, 0.1),
        (rows, columns, smoothing) => {
          const labels: Input = {
            shape: [rows],
            values: Int32Array.from({ length: rows }, (_, i) => (i * 7) % columns),
            dtype: "int32"
          }
          const op: Op = (x, y) => {
            const f = (t: tf.Tensor) => softmaxCrossEntropy(t as tf.Tensor2D, y as tf.Tensor1D, smoothing)
            return [f(x!), tf.grad(f)(x!)]
          }
          agrees(op, [spread([rows, columns], -6, 6), labels], { tolerance: 3e-6, threads: [1, 3] })
        }
      ),
      runs(40)
    )
  })
  it("the loss of an unknown label is NaN", () => {
    const labels: Input = { shape: [2], values: new Int32Array([1, 3]), dtype: "int32" }
    const op: Op = (x, y) => softmaxCrossEntropy(x as tf.Tensor2D, y as tf.Tensor1D, 0.1)
    expect(on(name(2), op, [spread([2, 3], -1, 1), labels])[0]!.values[0]).toBeNaN()
  })
})

describe("moving elements", () => {
  it("slices", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(), fc.nat()), { minLength: 1, maxLength: 6 }),
        (drawn) => {
          const shape = drawn.map(([length]) => length)
          const begin = drawn.map(([length, a]) => a % length)
          const extent = drawn.map(([length, , b], i) => 1 + (b % (length - begin[i]!)))
          agrees((x) => tf.slice(x!, begin, extent), [spread(shape, -1, 1)])
        }
      ),
      runs(60)
    )
  })
  it("concatenates and splits", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), fc.integer({ min: 1, max: 5 }), (shape, drawn, more) => {
        const axis = drawn % shape.length
        const other = shape.map((length, i) => (i === axis ? more : length))
        agrees((x, y) => tf.concat([x!, y!, x!], axis), [spread(shape, -1, 1), spread(other, -1, 1)])
        const parts = [shape[axis]! - 1, 1].filter((length) => length > 0)
        agrees((x) => tf.split(x!, parts, axis), [spread(shape, -1, 1)])
      }),
      runs(60)
    )
    agrees((x) => tf.split(x!, 2, 3), [spread([2, 5, 5, 58], -1, 1)], { threads: [1, 7] })
  })
  it("pads", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), (shape, before, after) => {
        const paddings = shape.map((_, i): [number, number] => (i % 2 === 0 ? [before, after] : [after, 0]))
        agrees((x) => tf.pad(x!, paddings, 0.5), [spread(shape, -1, 1)])
      }),
      runs(40)
    )
  })
  it("permutes axes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }).chain((shape) =>
          fc.record({
            shape: fc.constant(shape),
            order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length, maxLength: shape.length })
          })
        ),
        ({ order, shape }) => agrees((x) => tf.transpose(x!, order), [spread(shape, -1, 1)])
      ),
      runs(60)
    )
    agrees((x) => tf.transpose(x!), [spread([130, 257], -1, 1)], { threads: [1, 7] })
  })
  it("fills", () => {
    agrees(() => [tf.fill([3, 5], 0.25), tf.fill([4], 3, "int32")], [])
    agrees((x) => [tf.zerosLike(x!), tf.onesLike(x!)], [spread([3, 7], -1, 1)])
  })
  it("moves integers unchanged", () => {
    const input = { shape: [2, 3], values: new Int32Array([1, -2, 3, 4, 2 ** 30, 6]), dtype: "int32" } as const
    agrees((x) => [tf.transpose(x!), tf.slice(x!, [0, 1], [2, 2]), tf.concat([x!, x!], 1)], [input])
    const flags = { shape: [4], values: new Uint8Array([1, 0, 1, 1]), dtype: "bool" } as const
    agrees((x) => [tf.slice(x!, [1], [2]), tf.concat([x!, x!], 0)], [flags])
  })
})

describe("features", () => {
  const maps = fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 9 }),
    fc.constantFrom(1, 2, 3, 4, 6, 8, 12, 18, 58)
  )
  it("channel shuffle", () => {
    fc.assert(
      fc.property(maps, fc.nat(), (shape, drawn) => {
        const divisors = [...Array(shape[3]).keys()].map((i) => i + 1).filter((d) => shape[3] % d === 0)
        const groups = divisors[drawn % divisors.length]!
        agrees((x) => channelShuffle(x as tf.Tensor4D, groups), [spread(shape, -1, 1)])
      }),
      runs(60)
    )
  })
  it("global average pooling, squeeze-excite, pooling", () => {
    fc.assert(
      fc.property(maps, (shape) => {
        const c = shape[3]
        const weights = [
          spread([c, 3], -1, 1, 2),
          spread([3], -1, 1, 3),
          spread([3, c], -1, 1, 4),
          spread([c], -1, 1, 5)
        ]
        const op: Op = (x, ...w) =>
          squeezeExcite(x as tf.Tensor4D, {
            squeezeWeight: w[0] as tf.Tensor2D,
            squeezeBias: w[1] as tf.Tensor1D,
            exciteWeight: w[2] as tf.Tensor2D,
            exciteBias: w[3] as tf.Tensor1D
          })
        agrees((x) => globalAveragePool(x as tf.Tensor4D), [spread(shape, -1, 1)], { tolerance: 1e-6 })
        agrees(op, [spread(shape, -1, 1), ...weights], { tolerance: 2e-6 })
        for (const kernel of [1, 2, 3]) {
          const pools: Op = (x) => [
            tf.avgPool(x as tf.Tensor4D, kernel, 2, "same"),
            tf.maxPool(x as tf.Tensor4D, kernel, 1, "same")
          ]
          agrees(pools, [spread(shape, -1, 1)], { tolerance: 1e-6 })
          for (const padding of ["valid", "same"] as const) {
            if (padding === "valid" && (shape[1] < kernel || shape[2] < kernel)) continue
            const gradients: Op = (x) => [
              tf.grad((t) => tf.square(tf.avgPool(t as tf.Tensor4D, kernel, 2, padding)))(x!),
              tf.grad((t) => tf.square(tf.maxPool(t as tf.Tensor4D, kernel, 1, padding)))(x!)
            ]
            agrees(gradients, [spread(shape, -1, 1)], { tolerance: 1e-6, threads: [1, 3] })
          }
        }
      }),
      runs(25)
    )
  })
  it("gradients, on the embedded engine", () => {
    tf.setBackend(name(2))
    const make = (shape: Array<number>, salt: number) => tf.tensor(spread(shape, -1, 1, salt).values, shape)
    const cases: ReadonlyArray<[Op, Array<Array<number>>]> = [
      [(x) => channelShuffle(x as tf.Tensor4D, 3), [[1, 2, 2, 12]]],
      [(x) => globalAveragePool(x as tf.Tensor4D), [[2, 3, 2, 5]]],
      [
        (x, s) => scaleChannels(x as tf.Tensor4D, s as tf.Tensor2D),
        [
          [2, 3, 2, 5],
          [2, 5]
        ]
      ],
      [
        (x, w) => tf.matMul(x!, w!),
        [
          [3, 5],
          [5, 7]
        ]
      ],
      [(x) => tf.tanh(x!), [[13]]],
      [(x) => tf.concat([...tf.split(x!, [2, 3], 1)].reverse(), 1), [[3, 5]]],
      [(x) => tf.avgPool(x as tf.Tensor4D, 3, 2, "same"), [[1, 5, 4, 3]]],
      [(x) => tf.maxPool(x as tf.Tensor4D, 3, 2, "same"), [[1, 5, 4, 3]]]
    ]
    for (const [index, [op, shapes]] of cases.entries()) {
      const inputs = shapes.map((shape, i) => make(shape, i))
      const found = gradientMismatch(op as (...t: Array<tf.Tensor>) => tf.Tensor, inputs, { step: 4e-3 })
      expect(found, `case ${index}: ${JSON.stringify(found)}`).toSatisfy((m: typeof found) => m.error < 4e-3)
      tf.dispose(inputs)
    }
  })
})

describe("optimiser updates", () => {
  const base = { learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 4e-5, decoupled: false }
  const compare = (count: number, steps: (...t: Array<tf.Tensor>) => Array<tf.Tensor | undefined>): void =>
    agrees(
      (...t) => steps(...t).filter((tensor) => tensor !== undefined),
      [0, 1, 2, 3].map((salt) => spread([count], 0, 1, salt)),
      {
        threads: [1, 2, 3]
      }
    )
  it("gives the same bits as the composed form, in every variant", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 3, 70, 16385),
        fc.constantFrom(0, 0.9),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(0, 4e-5),
        fc.boolean(),
        (count, momentum, nesterov, decoupled, weightDecay, started) => {
          const options = { ...base, momentum, nesterov, decoupled, weightDecay, alpha: 0.9, epsilon: 1e-8 }
          const adam = { ...options, beta1: 0.9, beta2: 0.999 }
          compare(count, (param, gradient, a, b) => {
            const sgd = sgdStep({ param: param!, gradient: gradient!, velocity: started ? a : undefined }, options)
            const next = adamStep(
              {
                param: param!,
                gradient: gradient!,
                first: started ? a : undefined,
                second: started ? b : undefined,
                count: started ? 7 : 1
              },
              adam
            )
            const rms = rmspropStep(
              {
                param: param!,
                gradient: gradient!,
                square: started ? a : undefined,
                velocity: started ? b : undefined
              },
              options
            )
            return [sgd.param, sgd.velocity, next.param, next.first, next.second, rms.param, rms.square, rms.velocity]
          })
        }
      ),
      runs(16)
    )
  })
})

describe("moving averages", () => {
  it("gives the same bits as the composed form, for any number of vectors of any length", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(1, 3, 16, 70), { minLength: 1, maxLength: 70 }),
        fc.constantFrom(0.1, 0.5, 1),
        (lengths, momentum) =>
          agrees(
            (...t) => [
              ...blend(
                lengths.map((length, i) => ({
                  old: tf.slice1d(t[0] as tf.Tensor1D, i, length),
                  fresh: tf.slice1d(t[1] as tf.Tensor1D, i, length),
                  scale: i % 2 === 0 ? 1 : 64 / 63
                })),
                momentum
              )
            ],
            [0, 1].map((salt) => spread([140], 0, 1, salt)),
            { threads: [1, 3] }
          )
      ),
      runs(12)
    )
  })
  it("refuses vectors of different lengths", () => {
    tf.tidy(() => {
      const pair = { old: tf.zeros([3]) as tf.Tensor1D, fresh: tf.zeros([2]) as tf.Tensor1D, scale: 1 }
      expect(() => blend([pair], 0.1)).toThrow("a vector of 2 numbers cannot be blended with one of 3")
    })
  })
})

describe("random numbers", () => {
  it("gives the same bits as the composed form, with any number of threads", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom(1, 3, 4097, 9000),
        // The low words of the last two have their highest bit clear and set.
        fc.constantFrom(1, 0.02, Math.sqrt(2 / 48), Math.sqrt(2 / 144)),
        (seed, count, factor) => {
          const key = Draws.derive(Draws.make(seed), "weights")
          agrees(() => [normals(key, [count], factor), uniforms(key, [count], factor)], [], { threads: [1, 2, 7] })
        }
      ),
      runs(12)
    )
    // Tails are so rare that smaller tensors may miss both.
    agrees(() => normals(Draws.make(5), [200, 1000]), [])
  })
})

describe("guards", () => {
  it("detect a write past the end of a block", () => {
    const backend = backends.get(1)!
    const check = guardAllocator(backend.runtime)
    const address = backend.runtime.allocator.allocate(10)
    check()
    backend.runtime.uint8(address + 10, 1)[0] = 1
    expect(check).toThrow(/wrote outside the block of 10 bytes at \d+: 0 bytes after its end/)
    backend.runtime.uint8(address + 10, 1)[0] = 0xa5
    backend.runtime.allocator.free(address)
  })
})

describe("the whole of tfjs", () => {
  it("only the listed kernels call the host's mathematical library", () => {
    // Kernels of tfjs-backend-cpu 4.22 whose source, or whose helpers' source, calls Math.exp and the like.
    const dependent =
      "Acos Acosh Asin Asinh Atan Atan2 Atanh ComplexAbs Cos Cosh Elu Erf Exp Expm1 FFT FusedConv2D FusedDepthwiseConv2D " +
      "IFFT LRN LRNGrad Log Log1p Multinomial NonMaxSuppressionV5 Pow RotateWithOffset Selu Sigmoid Sin Sinh Softmax " +
      "Softplus Tan Tanh _FusedMatMul"
    const reference = new Map(tf.getKernelsForBackend("cpu").map((kernel) => [kernel.kernelName, kernel.kernelFunc]))
    const own = new Map(tf.getKernelsForBackend(name(2)).map((kernel) => [kernel.kernelName, kernel.kernelFunc]))
    // Called for one row after the other.
    const byRows = ["FFT", "IFFT"]
    const isBorrowed = (kernel: string) =>
      byRows.includes(kernel) || borrowedFrom(own.get(kernel)!) === reference.get(kernel)
    const left = dependent.split(" ").filter((kernel) => isBorrowed(kernel))
    expect(left).toEqual(hostDependentKernels)
    // No kernel whose own text calls them is missing from that list.
    const direct = /Math\.(exp|log|pow|a?(sin|cos|tan)h?|atan2|expm1|log1p|random)\b/
    for (const [kernel, body] of reference) {
      if (direct.test(String(body)) && isBorrowed(kernel)) expect(hostDependentKernels).toContain(kernel)
    }
  })
})
