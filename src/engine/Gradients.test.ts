import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { gradientMismatch } from "./FiniteDifferences.ts"
import "./Gradients.ts"
import { sizeOf } from "./Shape.ts"
import { registerSimdBackend } from "./simd/Backend.ts"
import "./simd/StandardKernels.ts"

const embedded = "osnas-simd-gradients-test"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

/** Distinct values in (low, high), at least 0.05 away from whole numbers, where functions have kinks. */
const values = (shape: Array<number>, low = -1.9, high = 1.9, salt = 0): tf.Tensor => {
  const size = sizeOf(shape)
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => {
      const u = (((i + 1) * 0.6180339887 + salt * 0.37) % 1) * (high - low) + low
      const off = Math.abs(u - Math.round(u))
      return off < 0.05 ? u + 0.1 : u
    }),
    shape
  )
}

const positive = (shape: Array<number>): tf.Tensor => values(shape, 0.3, 2.4)
const small = (shape: Array<number>): tf.Tensor => values(shape, -0.8, 0.8)

const cases: Record<string, [(...t: Array<tf.Tensor>) => tf.Tensor, Array<tf.Tensor>]> = {}
const add = (name: string, f: (...t: Array<tf.Tensor>) => tf.Tensor, ...inputs: Array<tf.Tensor>): void => {
  cases[name] = [f, inputs]
}

const setup = (): void => {
  for (const [name, f] of Object.entries({
    add: tf.add,
    sub: tf.sub,
    mul: tf.mul,
    maximum: tf.maximum,
    minimum: tf.minimum
  })) {
    add(`${name} same shape`, (a, b) => f(a!, b!), values([3, 4]), values([3, 4], -1.7, 1.7, 1))
    add(`${name} vector`, (a, b) => f(a!, b!), values([2, 3, 4]), values([4], -1.7, 1.7, 2))
    add(`${name} column`, (a, b) => f(a!, b!), values([3, 1]), values([3, 4], -1.7, 1.7, 2))
    add(`${name} scalar`, (a, b) => f(a!, b!), values([]), values([3, 4], -1.7, 1.7, 3))
  }
  add("div", (a, b) => tf.div(a!, b!), values([2, 3, 4]), positive([3, 1]))
  add("squaredDifference", (a, b) => tf.squaredDifference(a!, b!), values([3, 4]), values([4], -1.7, 1.7, 2))
  add("pow", (a, b) => tf.pow(a!, b!), positive([3, 4]), values([4]))
  add("atan2", (a, b) => tf.atan2(a!, b!), values([3, 4]), positive([4]))
  add("mod", (a) => tf.mod(a!, 0.7), tf.tensor([0.2, 0.9, 1.6, -0.3]))
  add("addN", (a, b, c) => tf.addN([a!, b!, c!]), values([3]), values([3]), values([3]))
  const ones = {
    abs: tf.abs,
    exp: tf.exp,
    expm1: tf.expm1,
    neg: tf.neg,
    relu: tf.relu,
    sigmoid: tf.sigmoid,
    sin: tf.sin,
    cos: tf.cos
  }
  const more = {
    sinh: tf.sinh,
    cosh: tf.cosh,
    softplus: tf.softplus,
    square: tf.square,
    tanh: tf.tanh,
    elu: tf.elu,
    selu: tf.selu
  }
  const others = { erf: tf.erf, atan: tf.atan, asinh: tf.asinh, identity: tf.clone, leakyRelu: tf.leakyRelu }
  for (const [name, f] of Object.entries({ ...ones, ...more, ...others })) add(name, (t) => f(t!), values([3, 5]))
  for (const [name, f] of Object.entries({
    log: tf.log,
    log1p: tf.log1p,
    sqrt: tf.sqrt,
    rsqrt: tf.rsqrt,
    reciprocal: tf.reciprocal
  })) {
    add(name, (t) => f(t!), positive([3, 5]))
  }
  for (const [name, f] of Object.entries({ acos: tf.acos, asin: tf.asin, atanh: tf.atanh, tan: tf.tan })) {
    add(name, (t) => f(t!), small([3, 5]))
  }
  add("acosh", (t) => tf.acosh(t!), values([3, 5], 1.3, 2.9))
  for (const [name, f] of Object.entries({
    floor: tf.floor,
    ceil: tf.ceil,
    round: tf.round,
    sign: tf.sign,
    step: tf.step
  })) {
    add(name, (t) => f(tf.mul(t!, 0.9)), tf.tensor([0.3, -0.2, 1.4, -1.3]))
  }
  add("relu6", (t) => tf.relu6(tf.mul(t!, 5)), values([3, 5]))
  add("clip", (t) => tf.clipByValue(t!, -0.5, 0.5), values([3, 5]))
  add("prelu", (t, a) => tf.prelu(t!, a!), values([2, 3, 4]), values([4]))
  for (const axis of [undefined, 0, 1, [0, 2], -1]) {
    const label = JSON.stringify(axis) ?? "all"
    for (const keep of [false, true]) {
      add(`sum ${label} ${keep}`, (t) => tf.sum(t!, axis, keep), values([2, 3, 4]))
      add(`mean ${label} ${keep}`, (t) => tf.mean(t!, axis, keep), values([2, 3, 4]))
      add(`max ${label} ${keep}`, (t) => tf.max(t!, axis, keep), values([2, 3, 4]))
      add(`min ${label} ${keep}`, (t) => tf.min(t!, axis, keep), values([2, 3, 4]))
    }
  }
  add("logSumExp", (t) => tf.logSumExp(t!, 1), values([3, 4]))
  add("cumsum", (t) => tf.cumsum(t!, 1, true, true), values([3, 4]))
  add("cumsum last", (t) => tf.cumsum(t!, 0), values([3, 4]))
  add("softmax", (t) => tf.softmax(t!), values([3, 4]))
  add("logSoftmax", (t) => tf.logSoftmax(t!), values([3, 4]))
  for (const ta of [false, true]) {
    for (const tb of [false, true]) {
      add(
        `matMul ${ta} ${tb}`,
        (a, b) => tf.matMul(a!, b!, ta, tb),
        values(ta ? [3, 2] : [2, 3]),
        values(tb ? [4, 3] : [3, 4])
      )
    }
  }
  add("matMul batch", (a, b) => tf.matMul(a!, b!, false, true), values([2, 2, 3]), values([1, 4, 3]))
  add(
    "conv2d",
    (t, w) => tf.conv2d(t as tf.Tensor4D, w as tf.Tensor4D, 2, "valid"),
    values([2, 6, 5, 2]),
    values([3, 3, 2, 3])
  )
  add(
    "conv2d same",
    (t, w) => tf.conv2d(t as tf.Tensor4D, w as tf.Tensor4D, 1, "same"),
    values([1, 4, 5, 2]),
    values([3, 3, 2, 3])
  )
  add(
    "conv2dTranspose",
    (t, w) => tf.conv2dTranspose(t as tf.Tensor4D, w as tf.Tensor4D, [1, 5, 5, 2], 2, "valid"),
    values([1, 2, 2, 3]),
    values([3, 3, 2, 3])
  )
  add(
    "depthwise",
    (t, w) => tf.depthwiseConv2d(t as tf.Tensor4D, w as tf.Tensor4D, 2, "valid"),
    values([2, 6, 5, 2]),
    values([3, 3, 2, 2])
  )
  add("avgPool", (t) => tf.avgPool(t as tf.Tensor4D, 2, 1, "valid"), values([1, 4, 4, 2]))
  add("avgPool same", (t) => tf.avgPool(t as tf.Tensor4D, 3, 2, "same"), values([1, 5, 4, 2]))
  add("maxPool", (t) => tf.maxPool(t as tf.Tensor4D, 3, 2, 1), values([1, 5, 4, 2]))
  add("resizeBilinear", (t) => tf.image.resizeBilinear(t as tf.Tensor4D, [5, 3]), values([1, 3, 4, 2]))
  add("reshape", (t) => tf.reshape(t!, [6, 4]), values([2, 3, 4]))
  add("expandDims", (t) => tf.expandDims(t!, 1), values([2, 3]))
  add("squeeze", (t) => tf.squeeze(t!), values([2, 1, 3]))
  add("transpose", (t) => tf.transpose(t!, [1, 2, 0]), values([2, 3, 4]))
  add("reverse", (t) => tf.reverse(t!, [0, 2]), values([2, 3, 4]))
  add("concat", (a, b) => tf.concat([a!, b!], -1), values([2, 3]), values([2, 2]))
  add("slice", (t) => tf.slice(t!, [1, 0], [2, -1]), values([4, 3]))
  add(
    "pad",
    (t) =>
      tf.pad(t!, [
        [1, 2],
        [0, 3]
      ]),
    values([2, 3])
  )
  add("tile", (t) => tf.tile(t!, [2, 1, 3]), values([2, 3, 2]))
  add("broadcastTo", (t) => tf.broadcastTo(t!, [2, 3, 4]), values([3, 1]))
  add("stack", (a, b) => tf.stack([a!, b!], 1), values([2, 3]), values([2, 3]))
  add("unstack", (t) => tf.mul(tf.unstack(t!, 1)[1]!, 3), values([2, 3]))
  add("split", (t) => tf.mul(tf.split(t!, [1, 3], 1)[1]!, 3), values([2, 4]))
  add("where", (a, b) => tf.where(tf.tensor([true, false, true], [3], "bool"), a!, b!), values([3]), values([3]))
  add("gather", (t) => tf.gather(t!, tf.tensor1d([2, 0, 2], "int32"), 1), values([2, 3, 2]))
  add("segment", (t) => tf.unsortedSegmentSum(t!, tf.tensor1d([1, 0, 1], "int32"), 2), values([3, 2]))
  add("norm", (t) => tf.norm(t!, "euclidean", 1), values([3, 4]))
  add("moments", (t) => tf.moments(t!, [0]).variance, values([3, 4]))
}

setup()

describe.each(["cpu", embedded])("gradients against finite differences on %s", (engine) => {
  beforeAll(async () => {
    if (engine === embedded) registerSimdBackend({ mode: "strict", threads: 1 }, embedded)
    await tf.setBackend(engine)
  })
  afterAll(async () => {
    await tf.setBackend("cpu")
  })
  it.each(Object.keys(cases))("%s", (name) => {
    const [f, inputs] = cases[name]!
    const found = gradientMismatch(f, inputs, { step: 5e-3 })
    expect(found, JSON.stringify(found)).toSatisfy((m: typeof found) => m.error < 4e-3)
  })
})

describe("choices", () => {
  it("max shares the gradient among ties", () => {
    const g = tf.grad((t) => tf.max(t))(tf.tensor([1, 3, 3, 2]))
    expect(Array.from(g.dataSync())).toEqual([0, 0.5, 0.5, 0])
  })
  it("relu has slope 0 at 0; maximum gives ties to its first input", () => {
    expect(
      Array.from(
        tf
          .grad((t) => tf.relu(t))(tf.tensor([0, 1]))
          .dataSync()
      )
    ).toEqual([0, 1])
    const [a, b] = tf.grads((p, q) => tf.maximum(p!, q!))([tf.tensor([1]), tf.tensor([1])])
    expect([a!.dataSync()[0], b!.dataSync()[0]]).toEqual([1, 0])
  })
  it("the gradient of a dilated convolution is refused with advice", () => {
    const w = tf.zeros([3, 3, 1, 1]) as tf.Tensor4D
    const f = (t: tf.Tensor) => tf.conv2d(t as tf.Tensor4D, w, 1, "valid", "NHWC", 2)
    expect(() => tf.grad(f)(tf.zeros([1, 6, 6, 1]))).toThrow(/convChain/)
  })
})
