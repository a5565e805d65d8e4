/**
 * The chain of convolutions (ConvChain.ts) on the current engine: its fused kernel if it has one, otherwise a composition
 * of plain tfjs operations, which every backend can differentiate.
 *
 * The composition avoids what tfjs backends cannot differentiate: explicit padding is a `pad` followed by a valid
 * convolution, a dilated kernel is a larger one with zeros in between, a grouped convolution is one convolution per group
 * on slices.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import type {
  BatchStatistics,
  ConvBranch,
  ConvBranchesOptions,
  ConvBranchesResult,
  ConvChainOptions,
  ConvChainResult,
  ConvStage,
  ConvStageParams
} from "./ConvChain.ts"
import { channelShuffle, splitChannels } from "./FeatureOps.ts"
import { fusedKernels } from "./FusedKernels.ts"
import "./Gradients.ts"

/** The stages, tensors and shapes of a chain do not match. */
export class ConvChainError extends Schema.TaggedError<ConvChainError>()("ConvChainError", {
  stage: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return `convChain, stage ${this.stage}: ${this.reason}`
  }
}

/**
 * Side length of a stage's output for an input side.
 *
 * **Example** (A 3x3 convolution of stride 2 halves the side, rounding up)
 *
 * ```ts
 * import { outputSide } from "./ConvChainOps.ts"
 *
 * outputSide({ kernel: 3, stride: 2, padding: 1, dilation: 1 }, 33) // => 17
 * ```
 */
export const outputSide = (
  stage: Pick<ConvStage, "kernel" | "stride" | "padding" | "dilation">,
  side: number
): number => Math.floor((side + 2 * stage.padding - stage.dilation * (stage.kernel - 1) - 1) / stage.stride) + 1

/** Whether a stage is depthwise, with the weight layout [kernel, kernel, channels, 1]. */
export const isDepthwise = (stage: ConvStage): boolean =>
  stage.groups > 1 && stage.groups === stage.inChannels && stage.groups === stage.outChannels

/** The required shape of a stage's weight. */
export const weightShape = (stage: ConvStage): [number, number, number, number] =>
  isDepthwise(stage)
    ? [stage.kernel, stage.kernel, stage.outChannels, 1]
    : [stage.kernel, stage.kernel, stage.inChannels / stage.groups, stage.outChannels]

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i])

const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least

/** Throws a {@link ConvChainError} that names the mismatch. */
export const checkChain = (
  x: Pick<tf.Tensor4D, "rank" | "shape">,
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): void => {
  const fail = (stage: number, reason: string): never => {
    throw new ConvChainError({ stage, reason })
  }
  if (stages.length === 0) fail(0, "a chain has at least one stage")
  if (stages.length !== params.length) fail(0, `${stages.length} stages, but tensors for ${params.length}`)
  if (x.rank !== 4) fail(0, `the input has shape [${x.shape}], not [batch, height, width, channels]`)
  let [, height, width, channels] = x.shape
  stages.forEach((stage, i) => {
    const given = params[i]!
    const { groups, inChannels, kernel, outChannels } = stage
    if (!whole(kernel, 1) || !whole(stage.stride, 1) || !whole(stage.dilation, 1) || !whole(stage.padding, 0)) {
      const settings = `kernel ${kernel}, stride ${stage.stride}, dilation ${stage.dilation}, padding ${stage.padding}`
      fail(i, `${settings}: each should be a whole number, at least 1, or 0 for padding`)
    }
    if (inChannels !== channels) fail(i, `inChannels is ${inChannels}, the input has ${channels}`)
    if (!whole(groups, 1) || inChannels % groups !== 0 || outChannels % groups !== 0) {
      fail(i, `groups ${groups} must divide inChannels ${inChannels} and outChannels ${outChannels}`)
    }
    const wanted = weightShape(stage)
    if (!sameShape(given.weight.shape, wanted)) {
      fail(i, `weight has shape [${given.weight.shape}], it should be [${wanted}]`)
    }
    const vector = (name: "bias" | "gamma" | "beta" | "slope" | "mean" | "variance", needed: boolean): void => {
      const tensor = given[name]
      if (tensor === undefined) {
        if (needed) fail(i, `${name} is missing`)
        return
      }
      if (!sameShape(tensor.shape, [outChannels])) fail(i, `${name} has shape [${tensor.shape}], not [${outChannels}]`)
    }
    vector("bias", stage.bias)
    vector("slope", stage.activation === "prelu")
    vector("gamma", false)
    vector("beta", false)
    vector("mean", stage.norm && options.mode === "eval")
    vector("variance", stage.norm && options.mode === "eval")
    const [h, w] = [outputSide(stage, height), outputSide(stage, width)]
    if (h < 1 || w < 1) fail(i, `kernel ${kernel} does not fit the padded input of ${height} x ${width}`)
    height = h
    width = w
    channels = outChannels
  })
  if (options.residual && !sameShape(x.shape, [x.shape[0], height, width, channels])) {
    fail(
      stages.length - 1,
      `a residual needs equal shapes of input and output, got [${x.shape}] and [${[x.shape[0], height, width, channels]}]`
    )
  }
}

/** A copy through which no gradient flows. */
const detached = <T extends tf.Tensor>(x: T): T =>
  tf.customGrad((input) => ({ value: tf.clone(input as T), gradFunc: (dy) => tf.zerosLike(dy as T) }))(x) as T

/** [k, k, i, o] with `dilation - 1` zeros between neighbours: side `dilation * (k - 1) + 1`. */
const dilated = (weight: tf.Tensor4D, dilation: number): tf.Tensor4D => {
  const [k, , i, o] = weight.shape
  if (dilation === 1 || k === 1) return weight
  const side = k * dilation
  // One axis at a time: rows of [k, rest] become [k, dilation, rest], the added ones zero.
  const rows = tf.reshape(
    tf.pad(tf.reshape(weight, [k, 1, k * i * o]), [
      [0, 0],
      [0, dilation - 1],
      [0, 0]
    ]),
    [side, k, 1, i * o]
  )
  const both = tf.reshape(
    tf.pad(rows, [
      [0, 0],
      [0, 0],
      [0, dilation - 1],
      [0, 0]
    ]),
    [side, side, i, o]
  )
  const span = dilation * (k - 1) + 1
  return tf.slice(both, [0, 0, 0, 0], [span, span, i, o]) as tf.Tensor4D
}

const convolution = (x: tf.Tensor4D, stage: ConvStage, weight: tf.Tensor4D): tf.Tensor4D => {
  const { groups, inChannels, outChannels, padding, stride } = stage
  const padded: tf.Tensor4D =
    padding === 0
      ? x
      : tf.pad(x, [
          [0, 0],
          [padding, padding],
          [padding, padding],
          [0, 0]
        ])
  const kernel = dilated(weight, stage.dilation)
  if (groups === 1) return tf.conv2d(padded, kernel, stride, "valid")
  if (groups === inChannels) {
    const multiplied = tf.reshape(kernel, [kernel.shape[0], kernel.shape[1], inChannels, outChannels / groups])
    return tf.depthwiseConv2d(padded, multiplied as tf.Tensor4D, stride, "valid")
  }
  const [n, h, w] = padded.shape
  const [inPart, outPart] = [inChannels / groups, outChannels / groups]
  const parts = Array.from({ length: groups }, (_, g) =>
    tf.conv2d(
      tf.slice(padded, [0, 0, 0, g * inPart], [n, h, w, inPart]),
      tf.slice(kernel, [0, 0, 0, g * outPart], [kernel.shape[0], kernel.shape[1], inPart, outPart]),
      stride,
      "valid"
    )
  )
  return tf.concat(parts, 3)
}

const activated = (x: tf.Tensor4D, stage: ConvStage, params: ConvStageParams): tf.Tensor4D => {
  switch (stage.activation) {
    case "none":
      return x
    case "relu":
      return tf.relu(x)
    case "relu6":
      return tf.relu6(x)
    case "hswish":
      return tf.div(tf.mul(x, tf.relu6(tf.add(x, 3))), 6)
    case "prelu":
      return tf.prelu<tf.Tensor>(x, params.slope!) as tf.Tensor4D
  }
}

/**
 * The chain composed of plain tfjs operations, on any backend: {@link convChain} uses it if the engine has no fused
 * kernel, and fused kernels are tested against it.
 */
export const composedConvChain = (
  x: tf.Tensor4D,
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): ConvChainResult =>
  tf.tidy(() => {
    const statistics: Array<BatchStatistics | undefined> = []
    let current = x
    stages.forEach((stage, i) => {
      const given = params[i]!
      let raw = convolution(current, stage, given.weight)
      if (stage.bias) raw = tf.add(raw, given.bias!)
      let gathered: BatchStatistics | undefined
      if (stage.norm) {
        const training = options.mode === "train"
        const mean = training ? tf.mean<tf.Tensor1D>(raw, [0, 1, 2]) : given.mean!
        const centred = tf.sub<tf.Tensor4D>(raw, mean)
        const variance = training ? tf.mean<tf.Tensor1D>(tf.square(centred), [0, 1, 2]) : given.variance!
        const deviation = tf.rsqrt(tf.add(variance, options.epsilon))
        const scale = given.gamma === undefined ? deviation : tf.mul(deviation, given.gamma)
        const normalised = tf.mul<tf.Tensor4D>(centred, scale)
        raw = given.beta === undefined ? normalised : tf.add(normalised, given.beta)
        if (training) {
          gathered = { mean: detached(mean), variance: detached(variance), count: centred.size / stage.outChannels }
        }
      }
      statistics.push(gathered)
      current = activated(raw, stage, given)
    })
    // A new tensor even if the chain changes nothing, so that disposing the output never disposes the input.
    const output: tf.Tensor4D = options.residual ? tf.add(current, x) : current
    return { output, statistics } as unknown as tf.TensorContainer
  }) as unknown as ConvChainResult

/**
 * Applies a chain of convolutions to x [batch, height, width, channels].
 *
 * The result's tensors belong to the caller's tidy scope. The statistics of `train` mode carry no gradient; a caller
 * that differentiates a function of the output must `tf.keep` them, as tfjs frees what such a function does not return.
 *
 * Throws {@link ConvChainError} if stages, tensors and shapes do not match.
 */
export const convChain = (
  x: tf.Tensor4D,
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): ConvChainResult => {
  checkChain(x, stages, params, options)
  return (fusedKernels().convChain ?? composedConvChain)(x, stages, params, options)
}

const widthOf = (branch: ConvBranch): number => branch.stages.at(-1)?.outChannels ?? branch.to - branch.from

/** Branches as a split, chains, a concatenation and a shuffle, on any engine: the definition of {@link convBranches}. */
export const composedConvBranches = (
  x: tf.Tensor4D,
  branches: ReadonlyArray<ConvBranch>,
  options: ConvBranchesOptions
): ConvBranchesResult => {
  const { shuffled, ...rest } = options
  const parts = splitChannels(x, branches)
  const results = branches.map(
    ({ params, stages }, i): ConvChainResult =>
      stages.length === 0
        ? { output: parts[i]!, statistics: [] }
        : convChain(parts[i]!, stages, params, { ...rest, residual: false })
  )
  const joined = tf.concat(
    results.map((result) => result.output),
    3
  )
  return {
    output: shuffled ? channelShuffle(joined, branches.length) : joined,
    statistics: results.map((result) => result.statistics)
  }
}

/**
 * Chains side by side, each on its channels of x [batch, height, width, channels], their outputs concatenated along
 * the channels and, with `options.shuffled`, shuffled: units of ShuffleNetV2, mixed depthwise convolutions. An engine may
 * fuse the split, the concatenation and the shuffle.
 *
 * Tensors and errors are as for {@link convChain}; it also throws if the branches' outputs differ in height or width.
 */
export const convBranches = (
  x: tf.Tensor4D,
  branches: ReadonlyArray<ConvBranch>,
  options: ConvBranchesOptions
): ConvBranchesResult => {
  if (branches.length === 0) throw new ConvChainError({ stage: 0, reason: "at least one branch is needed" })
  if (x.rank !== 4) {
    throw new ConvChainError({
      stage: 0,
      reason: `the input has shape [${x.shape}], not [batch, height, width, channels]`
    })
  }
  const [batch, height, width, channels] = x.shape
  const sizes = branches.map(({ from, params, stages, to }) => {
    if (!(whole(from, 0) && whole(to, from + 1) && to <= channels)) {
      throw new RangeError(`convBranches: channels ${from} to ${to} are out of range, x has ${channels}`)
    }
    const part = { rank: 4, shape: [batch, height, width, to - from] as [number, number, number, number] }
    if (stages.length > 0)
      checkChain(part as Pick<tf.Tensor4D, "rank" | "shape">, stages, params, { ...options, residual: false })
    const side = (length: number): number => stages.reduce((at, stage) => outputSide(stage, at), length)
    return [side(height), side(width)] as const
  })
  const [first] = sizes
  sizes.forEach(([h, w], i) => {
    if (h === first![0] && w === first![1]) return
    throw new RangeError(
      `convBranches: outputs differ in size: ${first![0]} x ${first![1]} from branch 0, ${h} x ${w} from branch ${i}`
    )
  })
  // A branch without stages passes its gradient on as it is, so in the kernel it may not share channels with another one.
  const shares = branches.length === 1 || branches.every(({ stages }) => stages.length > 0)
  const all = shares && branches.every(({ from, to }) => from === 0 && to === channels)
  const split = branches.every(({ from }, i) => from === (branches[i - 1]?.to ?? 0)) && branches.at(-1)!.to === channels
  const even = branches.every((branch) => widthOf(branch) === widthOf(branches[0]!))
  const fused = (all || split) && (even || !options.shuffled) ? fusedKernels().convBranches : undefined
  return (fused ?? composedConvBranches)(x, branches, options)
}
