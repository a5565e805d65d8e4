/**
 * A supernet with every option of every layer at once: the output of a layer is the sum of its options' outputs, each
 * times its weight. This is the forward pass of differentiable search (DARTS: Liu et al. 2019, section 2.2; FBNet: Wu et
 * al. 2019, section 3.2); softmax or Gumbel-softmax make the weights.
 *
 * Memory: the inner activations of all options are many times those of one path. With `recompute`, a layer keeps only its
 * input for the backward pass, and computes its options again there, one at a time.
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import { nested } from "../engine/Autodiff.ts"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import { activationsOf } from "../nn/Operation.ts"
import type { Variables } from "../nn/ParameterTree.ts"
import { scoped } from "../nn/Scope.ts"
import { compile, kindOf } from "./blocks/Block.ts"
import {
  type Applied,
  applyBlockUnsafe,
  applyOperationsUnsafe,
  blockParameterSpecs,
  type Mode,
  outputShape
} from "./Network.ts"
import type { LayerOption, SearchSpaceShape, SuperLayer } from "./SearchSpace.ts"

/** One weight per option: a tensor [options], through which gradients flow, or plain numbers. */
export type LayerWeights = tf.Tensor1D | ReadonlyArray<number>

/** How a mixture is computed. */
export interface MixtureOptions {
  /**
   * `keep`: all activations are kept for the backward pass. `recompute`: they are computed again there, which takes about
   * 4/3 of the time. `auto`: recompute if keeping them needs more than `maxBytes`.
   */
  readonly memory?: "keep" | "recompute" | "auto"
  /** Default: 1 GiB. */
  readonly maxBytes?: number
  /** Whether the parameters are constants: then recomputation skips their gradients. Default: false. */
  readonly frozen?: boolean
}

const defaultMaxBytes = 2 ** 30

/** How to mix a layer whose options are selections of one block; undefined if every option is a block of its own. */
const mixOf = ({ options: [first, ...others] }: SuperLayer) =>
  first === undefined || others.some(({ block }) => block.name !== first.block.name)
    ? undefined
    : kindOf(first.block.block).mix

const asTensor = (weights: LayerWeights): tf.Tensor1D =>
  weights instanceof tf.Tensor ? weights : tf.tensor1d([...weights], "float32")

/** The weights of a layer as numbers, for decisions; no gradient flows through them. */
const asNumbers = (weights: LayerWeights): ReadonlyArray<number> =>
  weights instanceof tf.Tensor ? Array.from(weights.dataSync()) : weights

const checkWeights = (space: SearchSpaceShape, weights: ReadonlyArray<LayerWeights>): void => {
  if (weights.length !== space.layers.length) {
    throw new RangeError(`${weights.length} rows of weights for the ${space.layers.length} layers of ${space.name}`)
  }
  space.layers.forEach((layer, i) => {
    const row = weights[i] as LayerWeights
    const given = row instanceof tf.Tensor ? row.size : row.length
    if (given !== layer.options.length) {
      throw new RangeError(`${given} weights for the ${layer.options.length} options of layer ${layer.name}`)
    }
  })
}

interface LayerCall {
  readonly layer: SuperLayer
  readonly variables: Variables
  readonly mode: Mode
  readonly statistics: Record<string, BatchStatistics>
  readonly frozen: boolean
}

const optionOutput = (call: LayerCall, option: LayerOption, x: Tensor): Tensor =>
  applyBlockUnsafe(option.block, call.variables, x, call.mode, call.statistics)

/** The sum over the options. An option whose weight is the plain number 0 is not computed. */
const keepAll = (call: LayerCall, x: Tensor, weights: LayerWeights): Tensor => {
  const row = weights instanceof tf.Tensor ? weights : undefined
  const numbers = row === undefined ? (weights as ReadonlyArray<number>) : undefined
  const terms = call.layer.options.flatMap((option, i) => {
    if (numbers?.[i] === 0) return []
    const weight = row === undefined ? (numbers?.[i] as number) : tf.reshape(tf.slice1d(row, i, 1), [])
    return [tf.mul(optionOutput(call, option, x), weight)]
  })
  if (terms.length === 0) return tf.mul(optionOutput(call, call.layer.options[0] as LayerOption, x), 0)
  return tf.addN(terms)
}

const trainedNames = (option: LayerOption): ReadonlyArray<string> =>
  blockParameterSpecs(option.block).flatMap((spec) => (spec.trainable ? [spec.name] : []))

/** As {@link keepAll}, but no inner tensor of an option outlives the forward pass. */
const recomputeAll = (call: LayerCall, x: Tensor, weights: LayerWeights): Tensor => {
  const row = asTensor(weights)
  const names = call.frozen ? [] : [...new Set(call.layer.options.flatMap(trainedNames))]
  const params = names.map((name) => call.variables.params[name] as Tensor)
  const forward = tf.customGrad((...inputs) => {
    const save = inputs.at(-1) as tf.GradSaveFunc
    const [input, rowHere] = inputs as [Tensor, tf.Tensor1D]
    // Statistics leave the function by tf.keep; the code below owns them.
    const gathered: Record<string, BatchStatistics> = {}
    const value = scoped(() => {
      let sum: Tensor | undefined
      call.layer.options.forEach((option, i) => {
        sum = scoped(() => {
          const own: Record<string, BatchStatistics> = {}
          const output = applyBlockUnsafe(option.block, call.variables, input, call.mode, own)
          for (const [name, { count, mean, variance }] of Object.entries(own)) {
            gathered[name] = { mean: tf.keep(tf.clone(mean)), variance: tf.keep(tf.clone(variance)), count }
          }
          const term = tf.mul(output, tf.reshape(tf.slice1d(rowHere, i, 1), []))
          return sum === undefined ? term : tf.add(sum, term)
        })
      })
      return sum as Tensor
    })
    Object.assign(call.statistics, gathered)
    save([input, rowHere])
    return {
      value,
      gradFunc: (dy, saved) => {
        const [at, rowThen] = saved as [Tensor, tf.Tensor1D]
        return scoped(() => backward(call, at, rowThen, dy as Tensor, names))
      }
    }
  })
  return forward(x, row, ...params)
}

/** Gradients with respect to the input, the weights and the named parameters, one option at a time. */
const backward = (
  call: LayerCall,
  x: Tensor,
  row: tf.Tensor1D,
  dy: Tensor,
  names: ReadonlyArray<string>
): Array<Tensor> => {
  let dx: Tensor = tf.zerosLike(x)
  const dWeights: Array<Tensor> = []
  const dParams = new Map<string, Tensor>()
  call.layer.options.forEach((option, i) => {
    const trained = call.frozen ? [] : trainedNames(option)
    const params = Object.fromEntries(trained.map((name) => [name, call.variables.params[name] as Tensor]))
    const variables = call.frozen ? call.variables : { ...call.variables, params }
    const { gradients, loss } = nested(() =>
      valueAndGradient(
        () => {
          const output = applyBlockUnsafe(option.block, variables, x, call.mode, {})
          return { loss: tf.sum(tf.mul(output, dy)), rest: {} }
        },
        { ...params, "#x": x }
      )
    )
    const weight = tf.reshape(tf.slice1d(row, i, 1), [])
    dWeights.push(loss)
    const fromOption = gradients["#x"]
    if (fromOption !== undefined) dx = tf.add(dx, tf.mul(fromOption, weight))
    for (const name of trained) {
      const gradient = gradients[name]
      if (gradient === undefined) continue
      const scaled = tf.mul(gradient, weight)
      const before = dParams.get(name)
      dParams.set(name, before === undefined ? scaled : tf.add(before, scaled))
    }
  })
  const rest = names.map((name) => dParams.get(name) ?? tf.zerosLike(call.variables.params[name] as Tensor))
  return [dx, tf.stack(dWeights.map((weight) => tf.reshape(weight, []))), ...rest]
}

/** Mixes a layer whose options are selections of one block. */
const mixLayer = (
  call: LayerCall,
  mix: NonNullable<ReturnType<typeof mixOf>>,
  x: Tensor,
  row: LayerWeights
): Tensor => {
  const { layer, mode, statistics, variables } = call
  return mix({
    name: (layer.options[0] as LayerOption).block.name,
    options: layer.options.map(({ block }) => block.block),
    weights: asTensor(row),
    numbers: asNumbers(row),
    x,
    run: (operations, input) => applyOperationsUnsafe(operations, variables, input, mode, statistics)
  })
}

/**
 * Bytes of activations that a mixture over a batch keeps for its backward pass without recomputation. An upper estimate:
 * strided convolutions are counted at the size of their input.
 */
export const mixtureBytes = (space: SearchSpaceShape, batch: number): number => {
  let shape = space.interface.input
  let floats = 0
  for (const { block, name } of space.first) {
    floats += activationsOf(compile(name, block), shape)
    shape = outputShape(block, shape)
  }
  for (const layer of space.layers) {
    const options = mixOf(layer) === undefined ? layer.options : layer.options.slice(0, 3)
    for (const { block } of options) floats += activationsOf(compile(block.name, block.block), shape)
    shape = outputShape((layer.options[0] as LayerOption).block.block, shape)
  }
  return 4 * batch * floats
}

/**
 * Applies the mixture to a batch of images. `weights` has one row per layer. Differentiable with respect to the weights,
 * the parameters and the images. The caller owns the output and the statistics.
 */
export const applyMixture = (
  space: SearchSpaceShape,
  variables: Variables,
  images: Tensor,
  weights: ReadonlyArray<LayerWeights>,
  mode: Mode,
  options: MixtureOptions = {}
): Applied => {
  checkWeights(space, weights)
  const memory = options.memory ?? "auto"
  const tooMuch = () => mixtureBytes(space, images.shape[0] as number) > (options.maxBytes ?? defaultMaxBytes)
  const recompute = memory === "recompute" || (memory === "auto" && tooMuch())
  const kept: Array<Tensor> = []
  const applied = scoped(() => {
    const statistics: Record<string, BatchStatistics> = {}
    let x = images
    for (const block of space.first) x = applyBlockUnsafe(block, variables, x, mode, statistics)
    space.layers.forEach((layer, i) => {
      const row = weights[i] as LayerWeights
      const own: Record<string, BatchStatistics> = {}
      const call: LayerCall = { layer, variables, mode, statistics: own, frozen: options.frozen ?? false }
      const mix = mixOf(layer)
      if (mix !== undefined) x = mixLayer(call, mix, x, row)
      else if (recompute) {
        x = recomputeAll(call, x, row)
        for (const [name, { count, mean, variance }] of Object.entries(own)) {
          kept.push(mean, variance)
          own[name] = { mean: tf.clone(mean), variance: tf.clone(variance), count }
        }
      } else x = keepAll(call, x, row)
      Object.assign(statistics, own)
    })
    for (const block of space.last) x = applyBlockUnsafe(block, variables, x, mode, statistics)
    return { output: x, statistics }
  })
  tf.dispose(kept)
  return applied
}
