/**
 * A check of an engine in a few milliseconds: a chain of three convolutions (pointwise, depthwise of stride 2, pointwise;
 * batch norm, relu6, h-swish) forward and backward, against numbers recorded from PyTorch in double precision.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { ConvStage } from "./ConvChain.ts"
import { convChain } from "./ConvChainOps.ts"

/** The result of a self-test. */
export interface SelfTestResult {
  readonly passed: boolean
  /** Largest deviation from the recorded numbers; below 1e-4 passes. */
  readonly error: number
  /** Which quantity deviated most. */
  readonly worst: string
}

const pattern = (size: number, a: number, b: number, modulus: number, divisor: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => (((i * a + b) % modulus) - (modulus - 1) / 2) / divisor)

const fingerprint = (tensor: tf.Tensor): number => {
  const values: ArrayLike<number> = tensor.dataSync()
  const weights = pattern(values.length, 3, 1, 17, 8)
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += (values[i] ?? 0) * (weights[i] ?? 0)
  return sum
}

/** The recorded fingerprints. */
const expected: Readonly<Record<string, number>> = {
  output: 1.418430044,
  "gradient of the input": -0.497596324,
  "gradient of weight 1": 6.275064334,
  "gradient of weight 2": 1.085130446,
  "gradient of weight 3": -0.915688999,
  "gradient of scale 1": -0.060607585,
  "gradient of shift 1": 0.428794431,
  "gradient of scale 2": -1.149323411,
  "gradient of shift 2": 0.407833135,
  "mean 1": 0.0640625,
  "variance 1": -0.950886719,
  "mean 2": -0.279785283,
  "variance 2": -0.567601197
}

const plain = { stride: 1, padding: 0, dilation: 1, groups: 1, bias: false } as const
const stages: ReadonlyArray<ConvStage> = [
  { ...plain, kernel: 1, inChannels: 3, outChannels: 4, norm: true, activation: "relu6" },
  {
    ...plain,
    kernel: 3,
    stride: 2,
    padding: 1,
    groups: 4,
    inChannels: 4,
    outChannels: 4,
    norm: true,
    activation: "hswish"
  },
  { ...plain, kernel: 1, inChannels: 4, outChannels: 2, norm: false, activation: "none" }
]

/** Runs the check on the current tfjs backend. Leaves no tensor behind; throws what the engine throws. */
export const selfTest = (): SelfTestResult => {
  const found: Record<string, number> = {}
  tf.tidy(() => {
    const inputs = [
      tf.tensor4d(pattern(150, 7, 3, 11, 4), [2, 5, 5, 3]),
      tf.tensor4d(pattern(12, 5, 1, 7, 4), [1, 1, 3, 4]),
      tf.tensor4d(pattern(36, 3, 2, 5, 3), [3, 3, 4, 1]),
      tf.tensor4d(pattern(8, 4, 1, 9, 5), [1, 1, 4, 2]),
      tf.tensor1d([1, 0.5, 1.5, 0.75]),
      tf.tensor1d([0.1, -0.2, 0.3, 0.5]),
      tf.tensor1d([0.5, 1.25, 1, 0.75]),
      tf.tensor1d([0.2, 0.1, -0.3, 0.4])
    ]
    const seed = tf.tensor4d(pattern(36, 5, 2, 13, 6), [2, 3, 3, 2])
    const f = (...all: Array<tf.Tensor>): tf.Scalar => {
      const [x, w1, w2, w3, g1, b1, g2, b2] = all as [tf.Tensor4D, ...Array<tf.Tensor4D & tf.Tensor1D>]
      const { output, statistics } = convChain(
        x,
        stages,
        [{ weight: w1!, gamma: g1, beta: b1 }, { weight: w2!, gamma: g2, beta: b2 }, { weight: w3! }],
        { mode: "train", epsilon: 1e-5, residual: false }
      )
      found["output"] = fingerprint(output)
      statistics.forEach((entry, i) => {
        if (entry === undefined) return
        found[`mean ${i + 1}`] = fingerprint(entry.mean)
        found[`variance ${i + 1}`] = fingerprint(entry.variance)
      })
      return tf.sum(tf.mul(output, seed))
    }
    const gradients = tf.grads(f)(inputs)
    const names = ["the input", "weight 1", "weight 2", "weight 3", "scale 1", "shift 1", "scale 2", "shift 2"]
    names.forEach((name, i) => {
      found[`gradient of ${name}`] = fingerprint(gradients[i]!)
    })
  })
  let error = 0
  let worst = ""
  for (const [name, value] of Object.entries(expected)) {
    const off = Math.abs((found[name] ?? Number.NaN) - value)
    // Written so that NaN counts as the largest deviation.
    if (!(off <= error)) [error, worst] = [Number.isNaN(off) ? Number.POSITIVE_INFINITY : off, name]
  }
  return { passed: error < 1e-4, error, worst }
}
