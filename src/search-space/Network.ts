/**
 * A network is data: a list of named blocks. Its value, its parameters, their initial values and its cost are functions of
 * that data, so that a cost table and the built network cannot disagree.
 *
 * **Example** (A convolution and a linear layer, from nothing to a trained step's statistics)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import { classifier, conv, globalAverage, place } from "./blocks/Block.ts"
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
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { type ImageShape, sizeOf } from "../engine/Shape.ts"
import * as Initializer from "../nn/Initializer.ts"
import { type Applied, applyAll, type Mode, measure, type Operation, parametersOf } from "../nn/Operation.ts"
import type { ParameterSpec } from "../nn/Parameter.ts"
import type { Variables } from "../nn/ParameterTree.ts"
import { scoped } from "../nn/Scope.ts"
import * as Key from "../random/Key.ts"
import { type Block, compile } from "./blocks/Block.ts"

export type { ImageShape } from "../engine/Shape.ts"
export { normEpsilon, recalibrated, updateStatistics } from "../nn/Normalisation.ts"
export type { Applied, Mode } from "../nn/Operation.ts"
export type { ParameterKind, ParameterSpec } from "../nn/Parameter.ts"

/** A block under the name that prefixes its parameters, e.g. `search.3.1` or `first.0`. */
export interface NamedBlock {
  readonly name: string
  readonly block: Block
}

/** A stand-alone network; also one path of a supernet. */
export interface Network {
  readonly input: ImageShape
  readonly blocks: ReadonlyArray<NamedBlock>
}

// ---------------------------------------------------------------------------------------------------------------------
// Parameters

/** The tensors of one block under its name, running statistics included. */
export const blockParameterSpecs = ({ block, name }: NamedBlock): ReadonlyArray<ParameterSpec> =>
  parametersOf(compile(name, block))

/**
 * All tensors of a network or supernet, trainable or not, in the order of its blocks. A tensor that several blocks share is
 * listed once.
 *
 * **Example** (A convolution with a bias)
 * ```ts
 * import { conv, place } from "./blocks/Block.ts"
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

/** The names of the trainable parameters of a network; of a path, those that the path trains. */
export const trainableNames = (network: Network): ReadonlyArray<string> =>
  parameterSpecs(network)
    .filter((spec) => spec.trainable)
    .map((spec) => spec.name)

/**
 * Initial variables of a network. Each tensor is drawn from a key derived by its own name, so it does not depend on the other
 * tensors: a path has the same initial values alone and in its supernet, if its fans are the same.
 */
export const initialise = (network: Network, key: Key.Key): Variables => {
  const params: Record<string, Tensor> = {}
  const stats: Record<string, Tensor> = {}
  for (const spec of parameterSpecs(network)) {
    const tensor = Initializer.start(spec, Key.derive(key, spec.name))
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

/** The output shape of a block for an input shape; vectors are [1, 1, features]. */
export const outputShape = (block: Block, inputShape: ImageShape): ImageShape =>
  measure(compile("block", block), inputShape).shape

/**
 * The cost of a block for one image of the given shape.
 *
 * **Example** (A 3x3 convolution from 3 to 16 channels on 32x32 pixels, stride 2)
 * ```ts
 * import { conv, place } from "./blocks/Block.ts"
 * import { blockCost } from "./Network.ts"
 * blockCost(place(conv({ kernel: 3 }), 3, 16, 2), [32, 32, 3]) // => { macs: 110592, params: 464 }
 * ```
 */
export const blockCost = (block: Block, inputShape: ImageShape): Cost => {
  const operations = compile("block", block)
  let params = 0
  for (const spec of parametersOf(operations)) {
    if (spec.trainable) params += sizeOf(spec.shape)
  }
  return { macs: measure(operations, inputShape).macs, params }
}

/** The cost of a network for one image. */
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

/**
 * Whether a block leaves its layer out: a skip connection, or zero.
 *
 * **Example** (A skip connection and a convolution)
 *
 * ```ts
 * import { conv, place, skip } from "./blocks/Block.ts"
 * import { leavesOut } from "./Network.ts"
 *
 * leavesOut(place(skip, 8, 8, 1)) // => true
 * leavesOut(place(conv({ kernel: 3 }), 8, 8, 1)) // => false
 * ```
 */
export const leavesOut = ({ _tag }: Block): boolean => _tag === "Skip" || _tag === "Zero"

// ---------------------------------------------------------------------------------------------------------------------
// Values

/**
 * Applies one block. Intermediate tensors stay in the scope of the caller: wrap the call in `tf.tidy`. Batch statistics are
 * written into `statistics`.
 */
export const applyBlockUnsafe = (
  { block, name }: NamedBlock,
  variables: Variables,
  x: Tensor,
  mode: Mode,
  statistics: Record<string, BatchStatistics>
): Tensor => applyAll(compile(name, block), { variables, mode, statistics }, x)

/**
 * As {@link applyBlockUnsafe}, for operations.
 *
 * **Example** (A pooling)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { GlobalAverage } from "../nn/operations/GlobalAverage.ts"
 * import * as Network from "./Network.ts"
 *
 * const none = { params: {}, stats: {} }
 * const pooled = Network.applyOperationsUnsafe([GlobalAverage.make({})], none, tf.ones([2, 4, 4, 3]), "eval", {})
 * pooled.shape // => [2, 3]
 * ```
 */
export const applyOperationsUnsafe = (
  operations: ReadonlyArray<Operation>,
  variables: Variables,
  x: Tensor,
  mode: Mode,
  statistics: Record<string, BatchStatistics>
): Tensor => applyAll(operations, { variables, mode, statistics }, x)

/**
 * Applies a network to a batch of images [batch, height, width, channels]. The caller disposes the output and the statistics;
 * no other tensor is left. Differentiable with respect to images and parameters.
 */
export const apply = (network: Network, variables: Variables, images: Tensor, mode: Mode): Applied =>
  scoped(() => {
    const statistics: Record<string, BatchStatistics> = {}
    let out = images
    for (const block of network.blocks) out = applyBlockUnsafe(block, variables, out, mode, statistics)
    // A network of skips only would return the tensor of the caller.
    return { output: out === images ? tf.clone(out) : out, statistics }
  })

/**
 * The outputs of the activation functions that a batch of images passes in the chains of a network, in order; in `train`
 * mode, so that batch normalisations use the batch's own statistics. `each` must not keep a tensor.
 *
 * **Example** (One convolution with a ReLU)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import { conv, place } from "./blocks/Block.ts"
 * import * as Network from "./Network.ts"
 *
 * const blocks = [{ name: "first", block: place(conv({ kernel: 3 }), 3, 4, 2) }]
 * const network: Network.Network = { input: [8, 8, 3], blocks }
 * const shapes: Array<ReadonlyArray<number>> = []
 * Network.observe(network, Network.initialise(network, Key.make(1)), tf.ones([2, 8, 8, 3]), ({ shape }) => shapes.push(shape))
 * shapes // => [[2, 4, 4, 4]]
 * ```
 */
export const observe = (
  network: Network,
  variables: Variables,
  images: Tensor,
  each: (activation: Tensor) => void
): void =>
  tf.tidy(() => {
    let out = images
    for (const { block, name } of network.blocks) {
      out = applyAll(compile(name, block), { variables, mode: "train", statistics: {}, observe: each }, out)
    }
  })
