/**
 * Every kernel of tfjs and every registered gradient on the embedded engine, compared with the cpu backend. The last test
 * prints what was compared: `npx vitest run src/engine/simd/Kernels.test.ts`.
 */
import * as tf from "@tensorflow/tfjs-core"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { registerGradients } from "../Gradients.ts"
import { kernelCases } from "../testing/KernelCases.ts"
import { Draw } from "../testing/kernelCases/Draw.ts"
import type { Input, KernelCase } from "../testing/kernelCases/KernelCase.ts"
import { registerSimdBackend, type SimdBackend } from "./Backend.ts"
import "./SimdFusedKernels.ts"
import { guardAllocator } from "./testing/GuardedAllocator.ts"

const name = "osnas-simd-kernels-test"
const RUNS = 24
let backend: SimdBackend

/** Exported names without a kernel in the cpu backend, so nothing can call them. */
const withoutKernel: Readonly<Record<string, string>> = {
  BroadcastTo: "tfjs-core composes it of Reshape and Tile",
  FromPixels: "for browsers",
  LogSoftmax: "tfjs-core composes it; its gradient is compared by a test of its own",
  LogicalXor: "tfjs-core composes it of And, Or and Not",
  LowerBound: "tfjs-core composes it of SearchSorted",
  MatrixBandPart: "tfjs-core composes it",
  Pool: "tfjs-core composes it of the poolings",
  UpperBound: "tfjs-core composes it of SearchSorted",
  __op: "not a kernel: the suffix of tfjs-core's scopes"
}

const exported = Object.entries(tf).flatMap(([key, value]) =>
  /^[A-Z_]/.test(key) && typeof value === "string" ? [value as string] : []
)
const cpuKernels = (): Array<string> => tf.getKernelsForBackend("cpu").map((kernel) => kernel.kernelName)
const gradientNames = (): Array<string> =>
  [...new Set([...exported, ...cpuKernels()])].filter((kernel) => tf.getGradient(kernel) !== undefined).sort()

/** Registered gradients that the tape never calls. */
const gradientsApart: Readonly<Record<string, string>> = {
  LogSoftmax: "tf.logSoftmax has its own gradient; the registered one is called directly below"
}

/** How often each kernel and each gradient ran on the engine. */
const ran = new Map<string, number>()
const gradientsRan = new Map<string, number>()
const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)

beforeAll(() => {
  registerGradients()
  backend = registerSimdBackend({ mode: "strict", threads: 1 }, name)
  guardAllocator(backend.runtime)
  // Overwrite freed blocks, so that a read after free gives wrong values.
  const { allocator } = backend.runtime
  const { allocate, free } = allocator
  const sizes = new Map<number, number>()
  Object.assign(allocator, {
    allocate: (bytes: number) => {
      const address = allocate(bytes)
      sizes.set(address, bytes)
      return address
    },
    free: (address: number) => {
      backend.runtime.uint8(address, sizes.get(address) ?? 0).fill(0xa7)
      sizes.delete(address)
      free(address)
    }
  })
  for (const kernel of tf.getKernelsForBackend(name)) {
    tf.unregisterKernel(kernel.kernelName, name)
    tf.registerKernel({
      ...kernel,
      kernelFunc: (params) => {
        const out = kernel.kernelFunc(params)
        count(ran, kernel.kernelName)
        return out
      }
    })
  }
  for (const kernel of gradientNames()) {
    const config = tf.getGradient(kernel)!
    tf.registerGradient({
      ...config,
      gradFunc: (dy, saved, attrs) => {
        if (tf.getBackend() === name) count(gradientsRan, kernel)
        return config.gradFunc(dy, saved, attrs)
      }
    })
  }
})
afterAll(async () => {
  registerGradients()
  tf.removeBackend(name)
  await backend.runtime.close()
})

interface Output {
  readonly shape: ReadonlyArray<number>
  readonly dtype: tf.DataType
  readonly values: ArrayLike<number | string>
}
const read = (tensor: tf.Tensor): Output => ({
  shape: tensor.shape,
  dtype: tensor.dtype,
  values: tensor.dataSync() as ArrayLike<number | string>
})
const make = (input: Input): tf.Tensor => tf.tensor(input.values as tf.TensorLike, [...input.shape], input.dtype)

const memory = () => {
  const { blocks, inUseBytes } = backend.runtime.allocator.usage()
  return { blocks, inUseBytes, tensors: tf.memory().numTensors, ids: backend.numDataIds() }
}

/** Runs `body` on a backend with the inputs; returns the error if it throws. Nothing may leak. */
const on = (
  engine: string,
  inputs: ReadonlyArray<Input>,
  body: (tensors: Array<tf.Tensor>) => ReadonlyArray<tf.Tensor>
): ReadonlyArray<Output> | Error => {
  tf.setBackend(engine)
  const before = memory()
  const given = tf.tidy(() => inputs.map(make))
  let out: ReadonlyArray<Output> | Error = []
  tf.engine().startScope()
  try {
    out = body(given).map(read)
  } catch (error) {
    out = error as Error
  }
  tf.engine().endScope()
  // The inputs are unchanged and not disposed.
  given.forEach((tensor, i) => {
    expect([...(tensor.dataSync() as unknown as Array<number>)], "an input after its use").toEqual([
      ...inputs[i]!.values
    ])
  })
  tf.dispose(given)
  if (!(out instanceof Error)) expect(memory(), "memory after a kernel").toEqual(before)
  return out
}

const arrays: Readonly<Record<string, unknown>> = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }

const compare = (what: string, found: Output, wanted: Output, tolerance: number): void => {
  expect([found.dtype, found.shape], what).toEqual([wanted.dtype, wanted.shape])
  expect(found.values.length, what).toBe(wanted.values.length)
  const array = arrays[found.dtype]
  if (array !== undefined) expect(found.values, `${what}: the array of a ${found.dtype} tensor`).toBeInstanceOf(array)
  for (let i = 0; i < wanted.values.length; i++) {
    const [a, b] = [found.values[i]!, wanted.values[i]!]
    if (Object.is(a, b) || a === b) continue
    const near =
      typeof a === "number" && typeof b === "number" && Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b))
    if (!near) expect.fail(`${what}, element ${i}: ${a}, the cpu backend has ${b}`)
  }
}

const list = (out: tf.Tensor | ReadonlyArray<tf.Tensor>): ReadonlyArray<tf.Tensor> =>
  Array.isArray(out) ? out : [out as tf.Tensor]

/** Gradients of a weighted sum of all outputs by the inputs that are float32. */
const gradients =
  ({ inputs, operation }: KernelCase) =>
  (tensors: Array<tf.Tensor>): ReadonlyArray<tf.Tensor> => {
    const floats = tensors.filter((_, i) => inputs[i]!.dtype === "float32")
    return tf.grads((...args: Array<tf.Tensor>) => {
      let next = 0
      const outputs = list(operation(...tensors.map((t, i) => (inputs[i]!.dtype === "float32" ? args[next++]! : t))))
      const losses = outputs
        .filter((out) => out.dtype !== "string")
        .map((out) => {
          const weights = tf.tensor(Float32Array.from({ length: out.size }, (_, i) => 0.5 + ((i * 7 + 3) % 11) / 11))
          return tf.sum(tf.mul(tf.cast(out, "float32"), tf.reshape(weights, out.shape)))
        })
      return losses.reduce((a, b) => tf.add(a, b))
    })(floats)
  }

/** Adds the inputs of a failing case: fast-check shows only the draws of a generator. */
const described = (one: KernelCase, body: () => void): void => {
  try {
    body()
  } catch (error) {
    const inputs = one.inputs.map((input) => `${input.dtype} [${input.shape}] ${[...input.values].slice(0, 12)}`)
    throw new Error(`${(error as Error).message}\n  inputs: ${inputs.join("; ")}`)
  }
}

const compared = new Map<string, number>()
const gradientsCompared = new Map<string, number>()

const check = (kernel: string, one: KernelCase): void =>
  described(one, () => {
    const body = (tensors: Array<tf.Tensor>) => list(one.operation(...tensors))
    const wanted = on("cpu", one.inputs, body)
    const before = ran.get(kernel) ?? 0
    const found = on(name, one.inputs, body)
    if (wanted instanceof Error || found instanceof Error) {
      // Either both refuse or neither does.
      expect(found instanceof Error ? "refused" : "computed", String(wanted instanceof Error ? wanted : found)).toBe(
        wanted instanceof Error ? "refused" : "computed"
      )
      return
    }
    if ((ran.get(kernel) ?? 0) === before) return
    expect(found.length).toBe(wanted.length)
    found.forEach((output, i) => {
      compare(`output ${i}`, output, wanted[i]!, one.tolerance ?? 0)
    })
    count(compared, kernel)
    if (one.noGradient !== undefined || !one.inputs.some((input) => input.dtype === "float32")) return
    const wantedGradients = on("cpu", one.inputs, gradients(one))
    const foundGradients = on(name, one.inputs, gradients(one))
    if (wantedGradients instanceof Error || foundGradients instanceof Error) {
      expect([String(foundGradients)]).toEqual([String(wantedGradients)])
      return
    }
    foundGradients.forEach((gradient, i) => {
      compare(`gradient ${i}`, gradient, wantedGradients[i]!, one.gradientTolerance ?? 1e-5)
    })
    count(gradientsCompared, kernel)
  })

describe("every kernel and every gradient agree with the cpu backend", () => {
  it.each(Object.keys(kernelCases))("%s", (kernel) => {
    const cases = kernelCases[kernel]!
    fc.assert(
      fc.property(fc.gen(), (draw) => check(kernel, cases(new Draw(draw)))),
      { numRuns: RUNS, seed: 20, endOnFailure: true, includeErrorInReport: true }
    )
    // Both engines compute most cases, with the intended kernel.
    expect(compared.get(kernel) ?? 0, `cases of ${kernel} compared`).toBeGreaterThanOrEqual(RUNS / 3)
  })
})

const called = (engine: string, run: () => ReadonlyArray<tf.Tensor>): ReadonlyArray<Output> => {
  const out = on(engine, [], run)
  if (out instanceof Error) throw out
  return out
}

it("the registered gradient of LogSoftmax", () => {
  const gradient = () => {
    const [y, dy] = [
      tf.logSoftmax(tf.tensor2d([1, -2, 0.5, 3, 0, 1], [2, 3])),
      tf.tensor2d([1, 0, -2, 0.5, 1, 3], [2, 3])
    ]
    return [tf.getGradient("LogSoftmax")!.gradFunc(dy, [y], { axis: 1 })["logits"]!()]
  }
  const [found, wanted] = [called(name, gradient), called("cpu", gradient)]
  compare("the gradient of LogSoftmax", found[0]!, wanted[0]!, 1e-6)
})

const a23 = () => tf.tensor2d([1, -2, 0.5, 3, 0, 1], [2, 3])
const b23 = () => tf.tensor2d([0, 1, 2, 0.5, 2, -1], [2, 3])
const flags = (values: ReadonlyArray<number>) => tf.tensor(Uint8Array.from(values), [values.length], "bool")
/** Operations that tfjs-core composes of kernels, on inputs that the generators seldom draw. */
const composed: Readonly<Record<string, () => tf.Tensor | ReadonlyArray<tf.Tensor>>> = {
  broadcastTo: () => tf.broadcastTo(tf.tensor1d([1, 2, 3], "int32"), [2, 3]),
  logicalXor: () => tf.logicalXor(flags([1, 0, 1]), flags([1, 1, 0])),
  lowerBound: () => tf.lowerBound(tf.tensor1d([1, 2, 2, 5]), tf.tensor1d([2, 3])),
  upperBound: () => tf.upperBound(tf.tensor1d([1, 2, 2, 5]), tf.tensor1d([2, 3])),
  bandPart: () => tf.linalg.bandPart(a23(), 0, 1),
  pool: () => tf.pool(tf.reshape(tf.range(0, 16), [1, 4, 4, 1]) as tf.Tensor4D, 2, "max", "valid", [1, 1], 2),
  logSoftmax: () => tf.logSoftmax(a23()),
  logSumExp: () => tf.logSumExp(a23(), 1),
  moments: () => Object.values(tf.moments(tf.cast(flags([1, 0, 1, 1]), "int32"))),
  norm: () => [tf.norm(a23()), tf.norm(a23(), 1, 0), tf.norm(a23(), Number.POSITIVE_INFINITY)],
  movingAverage: () => tf.movingAverage(a23(), b23(), 0.9, 3, false),
  dropout: () => tf.dropout(a23(), 0.5, undefined, 3),
  confusionMatrix: () => tf.math.confusionMatrix(tf.tensor1d([0, 1, 2], "int32"), tf.tensor1d([0, 2, 2], "int32"), 3),
  inTopK: () => tf.topk(a23(), 2).indices,
  meanIsOfBool: () => tf.mean(tf.equal(a23(), b23())),
  sumIsOfBool: () => tf.sum(tf.greater(a23(), b23())),
  mixedTypes: () => [
    tf.add(tf.tensor1d([1, 2], "int32"), tf.tensor1d([0.5, 1.5])),
    tf.mul(flags([1, 0]), tf.tensor1d([0.5, 1.5])),
    tf.sub(flags([1, 0]), tf.tensor1d([3, 4], "int32")),
    tf.div(tf.tensor1d([7, 8], "int32"), tf.tensor1d([2, 3], "int32")),
    tf.where(flags([1, 0]), tf.tensor1d([1, 2], "int32"), tf.tensor1d([0.5, 1.5]))
  ],
  rfft: () => parts(tf.spectral.rfft(tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]))),
  irfft: () => tf.spectral.irfft(tf.complex(a23(), b23())),
  stft: () => parts(tf.signal.stft(tf.linspace(0, 1, 16) as tf.Tensor1D, 8, 4)),
  complexArithmetic: () => {
    const [x, y] = [tf.complex(a23(), b23()), tf.complex(b23(), a23())]
    return [tf.add(x, y), tf.sub(x, y), tf.mul(x, y), tf.mul(x, a23()), tf.reshape(x, [6]), tf.zerosLike(x)].flatMap(
      parts
    )
  },
  absoluteDifference: () => tf.losses.absoluteDifference(a23(), b23(), tf.tensor2d([1, 0], [2, 1])),
  hinge: () => tf.losses.hingeLoss(tf.cast(tf.greater(a23(), 0), "float32"), b23()),
  huber: () => tf.losses.huberLoss(a23(), b23()),
  sigmoidCrossEntropy: () =>
    tf.losses.sigmoidCrossEntropy(tf.cast(tf.greater(a23(), 0), "float32"), b23(), undefined, 0.1),
  softmaxCrossEntropy: () => tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d([2, 0], "int32"), 3), b23()),
  gramSchmidt: () => tf.linalg.gramSchmidt(tf.tensor2d([1, 2, 3, 5], [2, 2])),
  qr: () => tf.linalg.qr(tf.tensor2d([1, 2, 3, 5], [2, 2])),
  basicLSTMCell: () =>
    tf.basicLSTMCell(tf.scalar(1), tf.ones([5, 8]), tf.zeros([8]), tf.ones([1, 3]), tf.ones([1, 2]), tf.ones([1, 2])),
  grayscale: () => tf.image.rgbToGrayscale(tf.reshape(tf.range(0, 12, 1, "int32"), [2, 2, 3]) as tf.Tensor3D),
  threshold: () =>
    tf.image.threshold(tf.reshape(tf.range(0, 12, 1, "int32"), [2, 2, 3]) as tf.Tensor3D, "binary", false, 0.02)
}
const parts = (x: tf.Tensor): ReadonlyArray<tf.Tensor> => [tf.real(x), tf.imag(x)]

describe("what tfjs-core composes", () => {
  it.each(Object.keys(composed))("%s", (operation) => {
    const run = () => list(composed[operation]!())
    const [found, wanted] = [called(name, run), called("cpu", run)]
    expect(found.length).toBe(wanted.length)
    found.forEach((output, i) => {
      compare(`output ${i}`, output, wanted[i]!, 1e-5)
    })
  })
  it("whereAsync, booleanMaskAsync, setdiff1dAsync", async () => {
    for (const engine of [name, "cpu"]) {
      tf.setBackend(engine)
      const before = memory()
      const [x, mask, y] = [tf.tensor1d([4, 5, 6, 7], "int32"), flags([1, 0, 0, 1]), tf.tensor1d([5, 9], "int32")]
      const where = await tf.whereAsync(mask)
      const masked = await tf.booleanMaskAsync(x, mask)
      const [values, indices] = await tf.setdiff1dAsync(x, y)
      expect([where, masked, values, indices].map((t) => [...t.dataSync()])).toEqual([
        [0, 3],
        [4, 7],
        [4, 6, 7],
        [0, 2, 3]
      ])
      tf.dispose([x, mask, y, where, masked, values, indices])
      if (engine === name) expect(memory()).toEqual(before)
    }
  })
  it("tfjs's optimisers", () => {
    const optimisers = {
      sgd: () => tf.train.sgd(0.02),
      momentum: () => tf.train.momentum(0.02, 0.9),
      rmsprop: () => tf.train.rmsprop(0.05),
      adam: () => tf.train.adam(0.05),
      adamax: () => tf.train.adamax(0.05),
      adagrad: () => tf.train.adagrad(0.1),
      adadelta: () => tf.train.adadelta(0.5)
    }
    for (const make of Object.values(optimisers)) {
      const trained = (engine: string) => {
        tf.setBackend(engine)
        const [x, start] = [a23(), tf.tensor2d([0.5, -0.5, 0.25], [3, 1])]
        const weight = tf.variable(start)
        const optimiser = make()
        for (let step = 0; step < 5; step++) {
          optimiser.minimize(() => tf.mean(tf.square(tf.sub(tf.matMul(x, weight), 1))), false, [weight])
        }
        const values = [...weight.dataSync()]
        optimiser.dispose()
        tf.dispose([x, start, weight])
        return values
      }
      const wanted = trained("cpu")
      trained(name).forEach((value, i) => {
        expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted[i]!)))
      })
    }
  })
})

it("computes a product of batches that broadcast both ways; the cpu backend computes only part of it", () => {
  tf.setBackend(name)
  tf.tidy(() => {
    const a = tf.reshape(tf.range(0, 24), [2, 1, 3, 4])
    const b = tf.reshape(tf.range(0, 40), [1, 2, 4, 5])
    const product = tf.matMul(a, b)
    expect(product.shape).toEqual([2, 2, 3, 5])
    for (const [i, left] of tf.unstack(tf.reshape(a, [2, 3, 4])).entries()) {
      for (const [j, right] of tf.unstack(tf.reshape(b, [2, 4, 5])).entries()) {
        const own = tf.slice(product, [i, j, 0, 0], [1, 1, 3, 5])
        expect([...own.dataSync()]).toEqual([...tf.matMul(left, right).dataSync()])
      }
    }
  })
})

it("covers and prints every kernel and every gradient", () => {
  const kernels = cpuKernels().sort()
  // Fails if tfjs adds a kernel without a generator, or removes one that has a generator.
  expect(Object.keys(kernelCases).sort()).toEqual(kernels)
  expect(
    tf
      .getKernelsForBackend(name)
      .map((kernel) => kernel.kernelName)
      .sort()
  ).toEqual(kernels)
  // Every name that tfjs-core exports is a kernel of the cpu backend, or is listed with the reason.
  expect([...new Set(exported)].filter((kernel) => !kernels.includes(kernel)).sort()).toEqual(
    Object.keys(withoutKernel).sort()
  )
  expect(kernels.filter((kernel) => (compared.get(kernel) ?? 0) === 0)).toEqual([])
  expect(gradientNames().filter((kernel) => !gradientsCompared.has(kernel))).toEqual(Object.keys(gradientsApart))
  // Counts each call by the tape on the engine, in any kernel's case.
  expect(gradientNames().filter((kernel) => !gradientsRan.has(kernel))).toEqual(
    [...Object.keys(gradientsApart)].filter((kernel) => !gradientsRan.has(kernel))
  )
  const calls = [...compared.values()].reduce((a, b) => a + b, 0)
  const gradientCalls = [...gradientsCompared.values()].reduce((a, b) => a + b, 0)
  const reasons = (table: Readonly<Record<string, string>>) =>
    Object.entries(table).map(([kernel, reason]) => `  ${kernel}: ${reason}`)
  console.log(
    [
      `${kernels.length} kernels compared with the cpu backend (${calls} calls): ${kernels.join(" ")}`,
      `${gradientsRan.size} gradients compared (${gradientCalls} calls): ${[...gradientsRan.keys()].sort().join(" ")}`,
      "Exported names without a kernel:",
      ...reasons(withoutKernel),
      "Gradients called directly:",
      ...reasons(gradientsApart)
    ].join("\n")
  )
})
