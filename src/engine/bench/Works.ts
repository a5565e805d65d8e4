/** Pieces of work for the bench of kernels: convolutions forward and backward, operations on maps, heads, updates. */
import * as tf from "@tensorflow/tfjs-core"
import { convChain, outputSide, weightShape } from "../ConvChainOps.ts"
import { channelShuffle, globalAveragePool } from "../FeatureOps.ts"
import { softmaxCrossEntropy } from "../LossOps.ts"
import { adamStep, sgdStep } from "../OptimizerOps.ts"
import { sizeOf } from "../Shape.ts"
import { type ConvolutionCase, flopsOf, type KernelMeasurement } from "./Cases.ts"

/** A tensor of numbers between -0.5 and 0.5, the same in every run. */
export const numbers = (shape: ReadonlyArray<number>): tf.Tensor => {
  const size = sizeOf(shape)
  const values = Float32Array.from({ length: size }, (_, i) => (((i + 1) * 0.6180339887498949) % 1) - 0.5)
  return tf.tensor(values, [...shape])
}

/** Work that is measured as a whole. */
export interface Work {
  readonly kernel: string
  readonly pass: KernelMeasurement["pass"]
  readonly space: string
  readonly shape: string
  /** Floating-point operations that count, or 0. */
  readonly flops: number
  readonly bytes: number
  readonly tensors: () => ReadonlyArray<tf.Tensor>
  /** Does the work once; it calls `start` where the measured part begins. */
  readonly once: (tensors: ReadonlyArray<tf.Tensor>, start: () => void) => void
}

/** A convolution as a chain, or (`plain`) as tfjs's operation, which user-defined blocks may call. */
export const convolutionWorks = (
  { side, space, stage }: ConvolutionCase,
  batch: number,
  plain = false
): ReadonlyArray<Work> => {
  const { groups, inChannels, kernel, outChannels, stride } = stage
  const out = outputSide(stage, side)
  const inShape = [batch, side, side, inChannels]
  const outShape = [batch, out, out, outChannels]
  const weights = weightShape(stage)
  const kind = groups === 1 ? (kernel === 1 ? "pointwise" : "dense") : groups === inChannels ? "depthwise" : "grouped"
  const shared = {
    kernel: `${plain ? "tf " : ""}${kind} ${kernel}x${kernel}${stride > 1 ? `/${stride}` : ""}`,
    space,
    shape: `[${inShape}] -> ${outChannels}`,
    flops: flopsOf(stage, side, batch),
    bytes: 4 * (sizeOf(inShape) + sizeOf(weights) + sizeOf(outShape)),
    tensors: () => [numbers(inShape), numbers(weights), numbers(outShape)]
  }
  const options = { mode: "train", epsilon: 1e-5, residual: false } as const
  const apply = (given: tf.Tensor, by: tf.Tensor): tf.Tensor => {
    const [x, weight] = [given as tf.Tensor4D, by as tf.Tensor4D]
    if (!plain) return convChain(x, [stage], [{ weight }], options).output
    const operation = groups === 1 ? tf.conv2d : tf.depthwiseConv2d
    return operation(x, weight, stride, stage.padding, "NHWC", 1, "floor")
  }
  const gradient = (which: 0 | 1): Work["once"] => {
    return (tensors, start) => {
      const [x, weight, dy] = tensors as [tf.Tensor, tf.Tensor, tf.Tensor]
      const f = (t: tf.Tensor) => {
        const output = which === 0 ? apply(t, weight) : apply(x, t)
        start()
        return output
      }
      tf.grad(f)(which === 0 ? x : weight, dy)
    }
  }
  return [
    {
      ...shared,
      pass: "forward",
      once: ([x, weight], start) => {
        start()
        apply(x!, weight!)
      }
    },
    { ...shared, pass: "input-gradient", once: gradient(0) },
    { ...shared, pass: "weight-gradient", once: gradient(1) }
  ]
}

/** A forward operation on tensors of the given shapes. */
const forward = (
  kernel: string,
  space: string,
  shapes: ReadonlyArray<ReadonlyArray<number>>,
  bytes: number,
  flops: number,
  run: (...tensors: Array<tf.Tensor>) => unknown
): Work => ({
  kernel,
  pass: "forward",
  space,
  shape: shapes.map((shape) => `[${shape}]`).join(" "),
  flops,
  bytes,
  tensors: () => shapes.map(numbers),
  once: (tensors, start) => {
    start()
    run(...tensors)
  }
})

/** Operations on feature maps. */
const mapWorks = (batch: number): ReadonlyArray<Work> => {
  const map = [batch, 16, 16, 144]
  const size = sizeOf(map)
  return [
    forward("add", "", [map, map], 12 * size, 0, (a, b) => tf.add(a!, b!)),
    forward("multiply by a number", "", [map, []], 8 * size, 0, (a, b) => tf.mul(a!, b!)),
    forward("relu6", "", [map], 8 * size, 0, (x) => tf.relu6(x!)),
    forward("exp", "", [map], 8 * size, 0, (x) => tf.exp(x!)),
    forward("sum over positions", "", [map], 4 * size, 0, (x) => tf.sum(x!, [0, 1, 2])),
    forward("global average pool", "", [map], 4 * size, 0, (x) => globalAveragePool(x as tf.Tensor4D)),
    forward("concat channels", "", [map, map], 16 * size, 0, (a, b) => tf.concat([a!, b!], 3)),
    forward("transpose", "", [[2304, 1024]], 8 * 2304 * 1024, 0, (x) => tf.transpose(x!)),
    ...(
      [
        [64, 16],
        [160, 8],
        [320, 4],
        [640, 2]
      ] as const
    ).map(([width, side]) =>
      forward("channel shuffle", "spos", [[batch, side, side, width]], 8 * batch * side * side * width, 0, (x) =>
        channelShuffle(x as tf.Tensor4D, 2)
      )
    )
  ]
}

/** The end of a classifier. */
const headWorks = (batch: number): ReadonlyArray<Work> => {
  const classes = 100
  return [
    forward(
      "linear",
      "proxylessnas",
      [
        [batch, 1280],
        [1280, classes]
      ],
      4 * (batch * 1280 + 1280 * classes + batch * classes),
      2 * batch * 1280 * classes,
      (x, w) => tf.matMul(x!, w!)
    ),
    forward(
      "linear, weight gradient",
      "proxylessnas",
      [
        [batch, 1280],
        [batch, classes]
      ],
      4 * (batch * 1280 + 1280 * classes + batch * classes),
      2 * batch * 1280 * classes,
      (x, dy) => tf.matMul(x!, dy!, true, false)
    ),
    forward("softmax cross entropy", "", [[batch, classes]], 8 * batch * classes, 0, (x) =>
      softmaxCrossEntropy(x as tf.Tensor2D, tf.zeros([batch], "int32"), 0.1)
    )
  ]
}

/** The optimisers' updates of one parameter. */
const updateWorks = (): ReadonlyArray<Work> => {
  const parameters = [1280, 1000]
  const count = sizeOf(parameters)
  const update = (kernel: string, tensors: number, run: (...t: Array<tf.Tensor>) => unknown): Work => ({
    ...forward(kernel, "", Array(tensors).fill(parameters), 4 * count * (2 * tensors - 1), 0, run),
    shape: `[${parameters}]`,
    pass: "update"
  })
  const decay = { learningRate: 0.1, weightDecay: 4e-5, decoupled: false }
  return [
    update("sgd with momentum", 3, (param, gradient, velocity) =>
      sgdStep({ param: param!, gradient: gradient!, velocity }, { ...decay, momentum: 0.9, nesterov: false })
    ),
    update("adam", 4, (param, gradient, first, second) =>
      adamStep(
        { param: param!, gradient: gradient!, first, second, count: 3 },
        { ...decay, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
      )
    )
  ]
}

/** Everything that is measured except convolutions. */
export const otherWorks = (batch: number): ReadonlyArray<Work> => [
  ...mapWorks(batch),
  ...headWorks(batch),
  ...updateWorks()
]
