/**
 * A network is data: a list of named blocks. What it computes, which parameters it has, how they start and what it
 * costs are all functions of that data, so that a cost table and the built network cannot disagree.
 *
 * **Example** (A convolution and a linear layer, from nothing to a trained step's statistics)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import { classifier, conv, globalAverage, place } from "../search-space/blocks/Block.ts"
 * import * as Network from "./Network.ts"
 *
 * const network: Network.Network = {
 *   input: [8, 8, 3],
 *   blocks: [
 *     { name: "first", block: place(conv({ kernel: 3 }), 3, 4, 2) },
 *     { name: "average", block: place(globalAverage, 4, 4, 1) },
 *     { name: "linear", block: place(classifier, 4, 10, 1) }
 *   ]
 * }
 * Network.trainableNames(network).length // => 5
 * Network.blockParameterSpecs(network.blocks[2]).map((spec) => spec.shape) // => [[4, 10], [10]]
 * Network.outputShape(network.blocks[0].block, network.input) // => [4, 4, 4]
 * Network.count(network) // => { macs: 4 * 4 * 27 * 4 + 4 * 10, params: 27 * 4 + 8 + 50 }
 * const variables = Network.initialise(network, Key.make(1))
 * const images = tf.ones([2, 8, 8, 3])
 * const applied = Network.apply(network, variables, images, "train")
 * applied.output.shape // => [2, 10]
 * const moved = Network.updateStatistics(variables.stats, applied.statistics, 0.1)
 * Object.keys(moved) // => ["first.conv.norm.mean", "first.conv.norm.variance"]
 * Object.keys(Network.recalibrated([applied.statistics])) // => Object.keys(moved)
 * const first = (epsilon: number) => epsilon > 0 && Network.applyBlockUnsafe(network.blocks[0], variables, images, "eval", {})
 * first(Network.normEpsilon).shape // => [2, 4, 4, 4]
 * ```
 */

import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics, ConvStageParams } from "../engine/ConvChain.ts"
import { convBranches, convChain, isDepthwise, outputSide, weightShape } from "../engine/ConvChainOps.ts"
import { channelShuffle, globalAveragePool, splitChannels, squeezeExcite } from "../engine/FeatureOps.ts"
import { sizeOf } from "../engine/Shape.ts"
import { blend } from "../engine/StatisticsOps.ts"
import * as Key from "../random/Key.ts"
import type { Block } from "../search-space/blocks/Block.ts"
import { compile } from "../search-space/blocks/Compile.ts"
import * as Initializer from "./Initializer.ts"
import type { Branches, Chain, NamedStage, Operation } from "./Operation.ts"
import type { ParameterTree, Variables } from "./ParameterTree.ts"
import { scoped } from "./Scope.ts"

/** A block under the name that prefixes its parameters, e.g. `search.3.1` or `first.0`. */
export interface NamedBlock {
  readonly name: string
  readonly block: Block
}

/** Shape of one image: height, width, channels. */
export type ImageShape = readonly [height: number, width: number, channels: number]

/** A stand-alone network, or one path of a supernet, which is the same thing. */
export interface Network {
  readonly input: ImageShape
  readonly blocks: ReadonlyArray<NamedBlock>
}

/**
 * `train` normalises by the batch's own statistics and reports them; `eval` uses the running statistics.
 */
export type Mode = "train" | "eval"

/** What applying a network gives. */
export interface Applied {
  /** Logits [batch, classes] or embeddings [batch, dimension]. */
  readonly output: Tensor
  /** In `train` mode: statistics of the batch for every batch normalisation passed, by its name (`search.3.1.expand.norm`). */
  readonly statistics: Readonly<Record<string, BatchStatistics>>
}

/** Epsilon of every batch normalisation: PyTorch's default. */
export const normEpsilon = 1e-5

// ---------------------------------------------------------------------------------------------------------------------
// Parameters

/** What a parameter is to its layer; initialisers go by it. */
export type ParameterKind =
  | "convolution"
  | "depthwise"
  | "linear"
  | "bias"
  | "normScale"
  | "normShift"
  | "slope"
  | "normMean"
  | "normVariance"

/** One tensor of a network, before it exists. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly kind: ParameterKind
  /** Changed by gradient; otherwise a running statistic. */
  readonly trainable: boolean
  /** Inputs of one output: kernel area times input channels of a group. */
  readonly fanIn: number
  /** Kernel area times output channels. */
  readonly fanOut: number
}

const vectorSpec = (name: string, size: number, kind: ParameterKind): ParameterSpec => ({
  name,
  shape: [size],
  kind,
  trainable: kind !== "normMean" && kind !== "normVariance",
  fanIn: size,
  fanOut: size
})

const stageSpecs = (named: NamedStage): ReadonlyArray<ParameterSpec> => {
  const { stage } = named
  const area = stage.kernel * stage.kernel
  const shape = weightShape(stage).map((size, axis) => (axis === named.weightAxis ? size / named.weight.length : size))
  const specs: Array<ParameterSpec> = named.weight.map((name) => ({
    name,
    shape,
    kind: isDepthwise(stage) ? "depthwise" : "convolution",
    trainable: true,
    fanIn: (area * stage.inChannels) / stage.groups,
    fanOut: area * named.fanOutChannels
  }))
  if (stage.bias) specs.push(vectorSpec(named.bias, stage.outChannels, "bias"))
  if (stage.norm) {
    for (const name of named.norm) {
      const size = stage.outChannels / named.norm.length
      specs.push(vectorSpec(`${name}.gamma`, size, "normScale"), vectorSpec(`${name}.beta`, size, "normShift"))
      specs.push(vectorSpec(`${name}.mean`, size, "normMean"), vectorSpec(`${name}.variance`, size, "normVariance"))
    }
  }
  if (stage.activation === "prelu") {
    for (const name of named.slope) specs.push(vectorSpec(name, stage.outChannels / named.slope.length, "slope"))
  }
  return specs
}

const matrixSpec = (name: string, from: number, to: number, kind: ParameterKind): ParameterSpec => ({
  name,
  shape: [from, to],
  kind,
  trainable: true,
  fanIn: from,
  fanOut: to
})

const operationSpecs = (operation: Operation): ReadonlyArray<ParameterSpec> => {
  switch (operation._tag) {
    case "Chain":
      return operation.stages.flatMap(stageSpecs)
    case "Residual":
    case "ImagePool":
      return operation.operations.flatMap(operationSpecs)
    case "Branches":
      return operation.branches.flatMap((branch) => branch.operations.flatMap(operationSpecs))
    case "SqueezeExcite": {
      const { channels, name, reduced } = operation
      return [
        matrixSpec(`${name}.reduce.weight`, channels, reduced, "convolution"),
        vectorSpec(`${name}.reduce.bias`, reduced, "bias"),
        matrixSpec(`${name}.expand.weight`, reduced, channels, "convolution"),
        vectorSpec(`${name}.expand.bias`, channels, "bias")
      ]
    }
    case "Linear": {
      const { inFeatures, name, outFeatures } = operation
      const weight = matrixSpec(`${name}.weight`, inFeatures, outFeatures, "linear")
      return operation.bias ? [weight, vectorSpec(`${name}.bias`, outFeatures, "bias")] : [weight]
    }
    default:
      return []
  }
}

/** The tensors of one block under its name, running statistics included. */
export const blockParameterSpecs = ({ block, name }: NamedBlock): ReadonlyArray<ParameterSpec> =>
  compile(name, block).flatMap(operationSpecs)

/**
 * Every tensor of a network, trainable or not, in the order of its blocks. A supernet's too; a tensor that several
 * blocks share is listed once.
 *
 * **Example** (A convolution with a bias)
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import { parameterSpecs } from "./Network.ts"
 * const blocks = [{ name: "first.0", block: place(conv({ kernel: 3, norm: false, bias: true }), 3, 16, 2) }]
 * const specs = parameterSpecs({ input: [32, 32, 3], blocks })
 * specs.map((spec) => spec.name) // => ["first.0.conv.weight", "first.0.conv.bias"]
 * ```
 */
export const parameterSpecs = (network: Network): ReadonlyArray<ParameterSpec> => {
  const byName = new Map<string, ParameterSpec>()
  for (const block of network.blocks) {
    for (const spec of blockParameterSpecs(block)) if (!byName.has(spec.name)) byName.set(spec.name, spec)
  }
  return [...byName.values()]
}

/** The names of what training a network changes by gradient: of one path, the parameters that path trains. */
export const trainableNames = (network: Network): ReadonlyArray<string> =>
  parameterSpecs(network)
    .filter((spec) => spec.trainable)
    .map((spec) => spec.name)

/**
 * Fresh variables of a network. Each tensor is drawn from a key derived by its own name, so it does not depend on which
 * other tensors the network has: a path starts with the same values alone as within its supernet, where its fans agree.
 */
export const initialise = (
  network: Network,
  key: Key.Key,
  scheme: Initializer.Scheme = Initializer.standard
): Variables => {
  const params: Record<string, Tensor> = {}
  const stats: Record<string, Tensor> = {}
  for (const spec of parameterSpecs(network)) {
    const tensor = Initializer.start(spec, Key.derive(key, spec.name), scheme)
    if (spec.trainable) params[spec.name] = tensor
    else stats[spec.name] = tensor
  }
  return { params, stats }
}

// ---------------------------------------------------------------------------------------------------------------------
// Shapes and costs

/** Multiply-accumulates and trainable parameters. */
export interface Cost {
  /** Of convolutions and linear layers, for one image. */
  readonly macs: number
  /** Weights, biases, batch-norm scales and shifts, PReLU slopes. */
  readonly params: number
}

interface Measured {
  readonly shape: ImageShape
  readonly macs: number
}

const measureStage = ([height, width]: ImageShape, { stage }: NamedStage): Measured => {
  const h = outputSide(stage, height)
  const w = outputSide(stage, width)
  const weights = (stage.kernel * stage.kernel * stage.inChannels * stage.outChannels) / stage.groups
  return { shape: [h, w, stage.outChannels], macs: h * w * weights }
}

const measure = (shape: ImageShape, operation: Operation): Measured => {
  const [height, width, channels] = shape
  switch (operation._tag) {
    case "Chain": {
      let macs = 0
      let at = shape
      for (const stage of operation.stages) {
        const measured = measureStage(at, stage)
        macs += measured.macs
        at = measured.shape
      }
      return { shape: at, macs }
    }
    case "Residual":
      return measureAll(shape, operation.operations)
    case "SqueezeExcite":
      return { shape, macs: 2 * operation.channels * operation.reduced }
    case "ChannelShuffle":
      return { shape, macs: 0 }
    case "Branches": {
      let macs = 0
      let total = 0
      let at: ImageShape = shape
      for (const { from, operations, to } of operation.branches) {
        const measured = measureAll([height, width, to - from], operations)
        macs += measured.macs
        total += measured.shape[2]
        at = measured.shape
      }
      return { shape: [at[0], at[1], total], macs }
    }
    case "Pool": {
      const { kernel, padding, stride } = operation
      const side = (length: number) =>
        padding === "ceil" ? Math.ceil(length / stride) : outputSide({ kernel, stride, padding, dilation: 1 }, length)
      return { shape: [side(height), side(width), channels], macs: 0 }
    }
    case "GlobalAverage":
      return { shape: [1, 1, channels], macs: 0 }
    case "ImagePool": {
      const measured = measureAll([1, 1, channels], operation.operations)
      const { stride } = operation
      return {
        shape: [Math.ceil(height / stride), Math.ceil(width / stride), measured.shape[2]],
        macs: measured.macs
      }
    }
    case "Linear":
      return { shape: [1, 1, operation.outFeatures], macs: operation.inFeatures * operation.outFeatures }
    case "Zeros":
    case "TimesZero": {
      const out = operation._tag === "Zeros" ? operation.outChannels : channels
      return { shape: [Math.ceil(height / operation.stride), Math.ceil(width / operation.stride), out], macs: 0 }
    }
  }
}

const measureAll = (shape: ImageShape, operations: ReadonlyArray<Operation>): Measured => {
  let macs = 0
  let at = shape
  for (const operation of operations) {
    const measured = measure(at, operation)
    macs += measured.macs
    at = measured.shape
  }
  return { shape: at, macs }
}

/** The shape a block gives for an input of the given shape; vectors are [1, 1, features]. */
export const outputShape = (block: Block, inputShape: ImageShape): ImageShape =>
  measureAll(inputShape, compile("block", block)).shape

/**
 * What a block costs for one image of the given shape.
 *
 * **Example** (A 3x3 convolution from 3 to 16 channels on 32x32 pixels, stride 2)
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import { blockCost } from "./Network.ts"
 * blockCost(place(conv({ kernel: 3 }), 3, 16, 2), [32, 32, 3]) // => { macs: 110592, params: 464 }
 * ```
 */
export const blockCost = (block: Block, inputShape: ImageShape): Cost => {
  const operations = compile("block", block)
  let params = 0
  for (const spec of operations.flatMap(operationSpecs)) {
    if (spec.trainable) params += sizeOf(spec.shape)
  }
  return { macs: measureAll(inputShape, operations).macs, params }
}

/** What a whole network costs for one image. */
export const count = (network: Network): Cost => {
  let macs = 0
  let params = 0
  let shape = network.input
  for (const { block } of network.blocks) {
    const cost = blockCost(block, shape)
    macs += cost.macs
    params += cost.params
    shape = outputShape(block, shape)
  }
  return { macs, params }
}

// ---------------------------------------------------------------------------------------------------------------------
// Values

interface Context {
  readonly variables: Variables
  readonly mode: Mode
  /** Filled while the network is applied. */
  readonly statistics: Record<string, BatchStatistics>
}

const need = (tree: ParameterTree, name: string): Tensor => {
  const tensor = tree[name]
  if (tensor === undefined) throw new RangeError(`the parameter tree has no tensor named ${name}`)
  return tensor
}

/** The tensors of one name each, joined along an axis. */
const joined = (tree: ParameterTree, names: ReadonlyArray<string>, axis: number): Tensor => {
  const tensors = names.map((name) => need(tree, name))
  const only = tensors.length === 1 ? tensors[0] : undefined
  return only ?? tf.concat(tensors, axis)
}

const stageParams = (context: Context, named: NamedStage): ConvStageParams => {
  const { params, stats } = context.variables
  const { stage } = named
  const vector = (tree: ParameterTree, suffix: string) =>
    joined(
      tree,
      named.norm.map((name) => `${name}.${suffix}`),
      0
    ) as tf.Tensor1D
  return {
    weight: joined(params, named.weight, named.weightAxis) as tf.Tensor4D,
    ...(stage.bias ? { bias: need(params, named.bias) as tf.Tensor1D } : {}),
    ...(stage.norm ? { gamma: vector(params, "gamma"), beta: vector(params, "beta") } : {}),
    ...(stage.norm && context.mode === "eval"
      ? { mean: vector(stats, "mean"), variance: vector(stats, "variance") }
      : {}),
    ...(stage.activation === "prelu" ? { slope: joined(params, named.slope, 0) as tf.Tensor1D } : {})
  }
}

const recordStatistics = (context: Context, named: NamedStage, batch: BatchStatistics): void => {
  const size = named.stage.outChannels / named.norm.length
  named.norm.forEach((name, i) => {
    context.statistics[name] =
      named.norm.length === 1
        ? batch
        : {
            mean: tf.slice1d(batch.mean, i * size, size),
            variance: tf.slice1d(batch.variance, i * size, size),
            count: batch.count
          }
  })
}

const pool = (x: tf.Tensor4D, operation: Extract<Operation, { _tag: "Pool" }>): tf.Tensor4D => {
  const { kernel, kind, padding, stride } = operation
  const apply = kind === "max" ? tf.maxPool : tf.avgPool
  if (padding !== "ceil") return apply(x, kernel, stride, padding, "floor")
  const beyond = (side: number) => Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side)
  const [, height, width] = x.shape
  const bottom = beyond(height)
  const right = beyond(width)
  if (bottom === 0 && right === 0) return apply(x, kernel, stride, "valid")
  return apply(x, kernel, stride, [
    [0, 0],
    [0, bottom],
    [0, right],
    [0, 0]
  ])
}

/** Positions 0, stride, 2 stride, ...: a pooling of windows of one (strided slices have no gradient). */
const everyNth = (x: tf.Tensor4D, stride: number): tf.Tensor4D => (stride === 1 ? x : tf.avgPool(x, 1, stride, "valid"))

const evaluate = (context: Context, operation: Operation, x: Tensor): Tensor => {
  switch (operation._tag) {
    case "Chain": {
      const result = convChain(
        x as tf.Tensor4D,
        operation.stages.map(({ stage }) => stage),
        operation.stages.map((named) => stageParams(context, named)),
        { mode: context.mode, epsilon: normEpsilon, residual: operation.residual }
      )
      operation.stages.forEach((named, i) => {
        const batch = result.statistics[i]
        if (batch !== undefined) recordStatistics(context, named, batch)
      })
      return result.output
    }
    case "Residual":
      return tf.add(evaluateAll(context, operation.operations, x), x)
    case "SqueezeExcite": {
      const { params } = context.variables
      const part = (suffix: string) => need(params, `${operation.name}.${suffix}`)
      return squeezeExcite(x as tf.Tensor4D, {
        squeezeWeight: part("reduce.weight") as tf.Tensor2D,
        squeezeBias: part("reduce.bias") as tf.Tensor1D,
        exciteWeight: part("expand.weight") as tf.Tensor2D,
        exciteBias: part("expand.bias") as tf.Tensor1D
      })
    }
    case "ChannelShuffle":
      return channelShuffle(x as tf.Tensor4D, operation.groups)
    case "Branches": {
      const parts = splitChannels(x as tf.Tensor4D, operation.branches)
      const outputs = operation.branches.map(({ operations }, i) =>
        evaluateAll(context, operations, parts[i] as tf.Tensor4D)
      )
      return tf.concat(outputs, 3)
    }
    case "Pool":
      return pool(x as tf.Tensor4D, operation)
    case "GlobalAverage":
      return globalAveragePool(x as tf.Tensor4D)
    case "ImagePool": {
      const [batch, height, width] = x.shape as [number, number, number, number]
      const mean = tf.reshape(globalAveragePool(x as tf.Tensor4D), [batch, 1, 1, -1])
      const mapped = evaluateAll(context, operation.operations, mean)
      const { stride } = operation
      const channels = mapped.shape[3] as number
      return tf.broadcastTo(mapped, [batch, Math.ceil(height / stride), Math.ceil(width / stride), channels])
    }
    case "Linear": {
      const { params } = context.variables
      const product = tf.matMul(x as tf.Tensor2D, need(params, `${operation.name}.weight`) as tf.Tensor2D)
      return operation.bias ? tf.add(product, need(params, `${operation.name}.bias`)) : product
    }
    case "Zeros": {
      const [batch, height, width] = x.shape as [number, number, number, number]
      const { outChannels, stride } = operation
      return tf.zeros([batch, Math.ceil(height / stride), Math.ceil(width / stride), outChannels])
    }
    case "TimesZero":
      return tf.mul(everyNth(x as tf.Tensor4D, operation.stride), 0)
  }
}

/** The chain of each branch (undefined: its channels as they are), where every branch is one without a residual. */
const branchChains = ({ branches }: Branches): ReadonlyArray<Chain | undefined> | undefined => {
  const chains: Array<Chain | undefined> = []
  for (const { operations } of branches) {
    const [only, ...more] = operations
    if (more.length > 0 || (only !== undefined && (only._tag !== "Chain" || only.residual))) return undefined
    chains.push(only)
  }
  return chains
}

const evaluateChains = (
  context: Context,
  { branches }: Branches,
  chains: ReadonlyArray<Chain | undefined>,
  shuffled: boolean,
  x: tf.Tensor4D
): Tensor => {
  const { output, statistics } = convBranches(
    x,
    branches.map(({ from, to }, i) => {
      const named = chains[i]?.stages ?? []
      return {
        from,
        to,
        stages: named.map(({ stage }) => stage),
        params: named.map((one) => stageParams(context, one))
      }
    }),
    { mode: context.mode, epsilon: normEpsilon, shuffled }
  )
  chains.forEach((chain, i) => {
    chain?.stages.forEach((named, j) => {
      const batch = statistics[i]?.[j]
      if (batch !== undefined) recordStatistics(context, named, batch)
    })
  })
  return output
}

const evaluateAll = (context: Context, operations: ReadonlyArray<Operation>, x: Tensor): Tensor => {
  let out = x
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    const chains = operation._tag === "Branches" ? branchChains(operation) : undefined
    if (operation._tag !== "Branches" || chains === undefined) {
      out = evaluate(context, operation, out)
      continue
    }
    // Chains side by side and the shuffle that follows are one function of the engine.
    const next = operations[i + 1]
    const shuffled = next?._tag === "ChannelShuffle" && next.groups === chains.length
    out = evaluateChains(context, operation, chains, shuffled, out as tf.Tensor4D)
    if (shuffled) i++
  }
  return out
}

/**
 * Applies one block. Tensors made on the way stay in the caller's scope: wrap it in `tf.tidy`. Batch statistics are
 * written into `statistics`.
 */
export const applyBlockUnsafe = (
  { block, name }: NamedBlock,
  variables: Variables,
  x: Tensor,
  mode: Mode,
  statistics: Record<string, BatchStatistics>
): Tensor => evaluateAll({ variables, mode, statistics }, compile(name, block), x)

/**
 * As {@link applyBlockUnsafe}, for operations.
 *
 * **Example** (A pooling)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Network from "./Network.ts"
 *
 * const none = { params: {}, stats: {} }
 * const pooled = Network.applyOperationsUnsafe([{ _tag: "GlobalAverage" }], none, tf.ones([2, 4, 4, 3]), "eval", {})
 * pooled.shape // => [2, 3]
 * ```
 */
export const applyOperationsUnsafe = (
  operations: ReadonlyArray<Operation>,
  variables: Variables,
  x: Tensor,
  mode: Mode,
  statistics: Record<string, BatchStatistics>
): Tensor => evaluateAll({ variables, mode, statistics }, operations, x)

/**
 * Applies a network to a batch of images [batch, height, width, channels]. The output and the statistics are the
 * caller's to dispose; nothing else is left behind. Differentiable with respect to images and parameters.
 */
export const apply = (network: Network, variables: Variables, images: Tensor, mode: Mode): Applied =>
  scoped(() => {
    const statistics: Record<string, BatchStatistics> = {}
    let out = images
    for (const block of network.blocks) out = applyBlockUnsafe(block, variables, out, mode, statistics)
    // A network of nothing but skips would hand the caller's own tensor back.
    return { output: out === images ? tf.clone(out) : out, statistics }
  })

// ---------------------------------------------------------------------------------------------------------------------
// Running statistics

/** PyTorch's running variance is the unbiased one; of a single value there is none, and the biased one (0) is kept. */
const unbiasedBy = ({ count }: BatchStatistics): number => (count > 1 ? count / (count - 1) : 1)
const unbiased = (batch: BatchStatistics): Tensor =>
  batch.count > 1 ? tf.mul(batch.variance, unbiasedBy(batch)) : batch.variance

/**
 * The running statistics after a batch: `(1 - momentum) * old + momentum * batch`, for the normalisations the batch
 * passed; all others keep their tensor.
 */
export const updateStatistics = (
  stats: ParameterTree,
  batch: Readonly<Record<string, BatchStatistics>>,
  momentum: number
): ParameterTree => {
  const passed = Object.entries(batch).flatMap(([name, statistics]) => [
    { name: `${name}.mean`, fresh: statistics.mean, scale: 1 },
    { name: `${name}.variance`, fresh: statistics.variance, scale: unbiasedBy(statistics) }
  ])
  const vectors = passed.map(({ fresh, name, scale }) => ({ old: need(stats, name) as tf.Tensor1D, fresh, scale }))
  const moved = blend(vectors, momentum)
  return { ...stats, ...Object.fromEntries(passed.map(({ name }, i) => [name, moved[i]!])) }
}

/** Statistics from scratch: the mean over batches of every normalisation that they passed, unbiased as above. */
export const recalibrated = (batches: ReadonlyArray<Readonly<Record<string, BatchStatistics>>>): ParameterTree =>
  scoped(() => {
    const sums = new Map<string, { mean: Tensor; variance: Tensor; batches: number }>()
    for (const batch of batches) {
      for (const [name, statistics] of Object.entries(batch)) {
        const before = sums.get(name)
        const variance = unbiased(statistics)
        sums.set(
          name,
          before === undefined
            ? { mean: statistics.mean, variance, batches: 1 }
            : {
                mean: tf.add(before.mean, statistics.mean),
                variance: tf.add(before.variance, variance),
                batches: before.batches + 1
              }
        )
      }
    }
    const out: Record<string, Tensor> = {}
    for (const [name, sum] of sums) {
      out[`${name}.mean`] = tf.div(sum.mean, sum.batches)
      out[`${name}.variance`] = tf.div(sum.variance, sum.batches)
    }
    return out
  })
