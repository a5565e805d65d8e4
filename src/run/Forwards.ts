/** What a training step names - paths of the supernet, or a mixture of all its options - as functions of the variables. */
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import * as Network from "../nn/Network.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { Forward } from "../training-agent/TrainingAgent.ts"
import type { TrainingStep } from "../training-strategy/TrainingStrategy.ts"

/** A network as a function of its variables. */
export const ofNetwork =
  (network: Network.Network): Forward =>
  (variables, images, mode) =>
    Network.apply(network, variables, images, mode)

const shapeOf = (images: tf.Tensor): Network.ImageShape => {
  const [, height = 1, width = 1, channels = 1] = images.shape
  return [height, width, channels]
}

/**
 * Every option of every layer at once, each layer's output the sum of its options' outputs by their weights. An option
 * of weight 0 is not computed.
 */
export const ofMixture =
  (space: SearchSpaceShape, weights: ReadonlyArray<ReadonlyArray<number>>): Forward =>
  (variables, images, mode) => {
    const statistics: Record<string, BatchStatistics> = {}
    const through = (blocks: ReadonlyArray<Network.NamedBlock>, input: tf.Tensor): tf.Tensor => {
      const applied = Network.apply({ input: shapeOf(input), blocks }, variables, input as tf.Tensor4D, mode)
      Object.assign(statistics, applied.statistics)
      return applied.output
    }
    let at: tf.Tensor = through(space.first, images)
    for (const [index, layer] of space.layers.entries()) {
      const input = at
      const terms = layer.options.flatMap((option, digit) => {
        const weight = weights[index]?.[digit] ?? 0
        return weight === 0 ? [] : [tf.mul(through([option.block], input), weight)]
      })
      at = terms.length === 0 ? tf.zerosLike(input) : tf.addN(terms)
    }
    return { output: through(space.last, at), statistics }
  }

/** What one optimiser step of a supernet trains. */
export const ofStep =
  (space: SearchSpaceShape) =>
  (step: TrainingStep): ReadonlyArray<Forward> =>
    step._tag === "Paths" ? step.paths.map((path) => ofNetwork(space.network(path))) : [ofMixture(space, step.weights)]
