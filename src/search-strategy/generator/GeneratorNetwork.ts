/**
 * The generator's network (Huang and Chu 2021, "Searching by Generating: Flexible and Efficient One-Shot NAS with
 * Architecture Generator", section 3.2): a few convolutions of 3 x 3. Their input is a target cost and a prior
 * architecture, both as planes of a picture; one forward pass draws the scores of a new architecture.
 *
 * Target and prior each have a stem; the sum passes a trunk with a residual, and a last convolution draws the picture. The
 * paper encodes the target as one constant plane; here it has several, each a hat function around one of evenly spaced
 * costs. With one plane and the paper's bias-free convolutions, the drawn scores could only grow in proportion to the
 * target.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { ConvStage } from "../../engine/ConvChain.ts"
import { convChain, weightShape } from "../../engine/ConvChainOps.ts"
import * as RandomOps from "../../engine/RandomOps.ts"
import { normEpsilon } from "../../nn/Normalisation.ts"
import type { ParameterTree } from "../../nn/ParameterTree.ts"
import { scoped } from "../../nn/Scope.ts"
import * as Key from "../../random/Key.ts"
import type { Grid } from "./Grid.ts"

/** The size of the network. */
export interface GeneratorSize {
  /** Channels of every convolution but the last. */
  readonly channels: number
  /** Convolutions of the trunk. */
  readonly depth: number
  /** Planes that encode the target. */
  readonly targetPlanes: number
}

const stage = (inChannels: number, outChannels: number, activation: "relu" | "none" = "relu"): ConvStage => ({
  kernel: 3,
  stride: 1,
  padding: 1,
  dilation: 1,
  groups: 1,
  inChannels,
  outChannels,
  bias: true,
  norm: false,
  activation
})

/** The chains of the network by name, each a list of convolutions. */
const chainsOf = ({ channels, depth, targetPlanes }: GeneratorSize) => {
  const more = (count: number) => Array.from({ length: count }, () => stage(channels, channels))
  return {
    target: [stage(targetPlanes, channels), ...more(2)],
    prior: [stage(1, channels), ...more(1)],
    trunk: more(depth),
    tail: [stage(channels, 1, "none")]
  }
}

type ChainName = keyof ReturnType<typeof chainsOf>

/** The names and shapes of the network's parameters. */
export const parameterShapes = (size: GeneratorSize): ReadonlyMap<string, ReadonlyArray<number>> => {
  const shapes = new Map<string, ReadonlyArray<number>>()
  for (const [chain, stages] of Object.entries(chainsOf(size))) {
    stages.forEach((one, i) => {
      shapes.set(`${chain}.${i}.weight`, weightShape(one))
      shapes.set(`${chain}.${i}.bias`, [one.outChannels])
    })
  }
  return new Map([...shapes].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Starting parameters: weights normal with standard deviation sqrt(2 / fan-out), biases zero. */
export const initialise = (size: GeneratorSize, key: Key.Key): ParameterTree =>
  Object.fromEntries(
    [...parameterShapes(size)].map(([name, shape]): [string, tf.Tensor] => {
      if (shape.length === 1) return [name, tf.zeros([...shape])]
      const [height, width, , outChannels] = shape as readonly [number, number, number, number]
      return [name, RandomOps.normals(Key.derive(key, name), shape, Math.sqrt(2 / (height * width * outChannels)))]
    })
  )

/**
 * A target as the values of `planes` hat functions with evenly spaced centres in [0, 1]; each is 1 at its centre and 0 at
 * the neighbouring ones. A target outside [0, 1] is clamped. One plane: the target itself.
 *
 * **Example** (Three centres: 0, a half, 1)
 *
 * ```ts
 * import { encodeTarget } from "./GeneratorNetwork.ts"
 *
 * encodeTarget(0.25, 3) // => [0.5, 0.5, 0]
 * encodeTarget(7, 3) // => [0, 0, 1]
 * ```
 */
export const encodeTarget = (target: number, planes: number): ReadonlyArray<number> => {
  const inside = Math.min(1, Math.max(0, target))
  if (planes === 1) return [inside]
  return Array.from({ length: planes }, (_, i) => Math.max(0, 1 - Math.abs(inside * (planes - 1) - i)))
}

/** What a picture is drawn from. */
export interface NetworkInput {
  /** Position of the target in the range of targets, from 0 to 1. */
  readonly target: number
  /** The prior architecture, `rows * columns` numbers. */
  readonly prior: Float32Array
}

/** The pictures [inputs, rows, columns] that the network draws. Differentiable in the parameters. */
export const apply = (
  size: GeneratorSize,
  { columns, rows }: Pick<Grid, "columns" | "rows">,
  params: ParameterTree,
  inputs: ReadonlyArray<NetworkInput>
): tf.Tensor3D =>
  scoped(() => {
    const chains = chainsOf(size)
    const run = (name: ChainName, x: tf.Tensor4D, residual = false): tf.Tensor4D => {
      const tensors = chains[name].map((_, i) => ({
        weight: params[`${name}.${i}.weight`] as tf.Tensor4D,
        bias: params[`${name}.${i}.bias`] as tf.Tensor1D
      }))
      return convChain(x, chains[name], tensors, { mode: "train", epsilon: normEpsilon, residual }).output
    }
    const cells = rows * columns
    const { targetPlanes } = size
    const targets = new Float32Array(inputs.length * cells * targetPlanes)
    const priors = new Float32Array(inputs.length * cells)
    inputs.forEach(({ prior, target }, input) => {
      const planes = encodeTarget(target, targetPlanes)
      for (let cell = 0; cell < cells; cell += 1) targets.set(planes, (input * cells + cell) * targetPlanes)
      priors.set(prior, input * cells)
    })
    const seen = tf.add(
      run("target", tf.tensor4d(targets, [inputs.length, rows, columns, targetPlanes])),
      run("prior", tf.tensor4d(priors, [inputs.length, rows, columns, 1]))
    ) as tf.Tensor4D
    return tf.reshape(run("tail", run("trunk", seen, true)), [inputs.length, rows, columns]) as tf.Tensor3D
  })
