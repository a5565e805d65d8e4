/** A sequence of convolutions, each with batch normalisation and activation: one call of the engine's primitive. */
import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics, ConvStage, ConvStageParams } from "../../engine/ConvChain.ts"
import { convChain, isDepthwise, outputSide, weightShape } from "../../engine/ConvChainOps.ts"
import { normEpsilon } from "../Normalisation.ts"
import { type Context, define, type OperationOf } from "../Operation.ts"
import { type ParameterSpec, vectorSpec } from "../Parameter.ts"
import { need, type ParameterTree } from "../ParameterTree.ts"

/**
 * A convolution stage and the names of its tensors. Usually one name each; a stage whose channels belong to several
 * owners (the sub-blocks of a unified block) lists one name per owner, and the tensors are joined along `weightAxis`
 * (2: input channels, 3: output channels) in that order.
 */
export interface NamedStage {
  readonly stage: ConvStage
  readonly weight: ReadonlyArray<string>
  readonly weightAxis: 2 | 3
  readonly bias: string
  readonly norm: ReadonlyArray<string>
  readonly slope: ReadonlyArray<string>
  /** Output width for the initial values, if it is not that of this stage. */
  readonly fanOutChannels: number
}

/** Settings of {@link Chain}. */
export interface ChainSettings {
  readonly stages: ReadonlyArray<NamedStage>
  /** Adds the input to the output. */
  readonly residual: boolean
}

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

/** The tensors of all names, joined along an axis. */
const joined = (tree: ParameterTree, names: ReadonlyArray<string>, axis: number): Tensor => {
  const tensors = names.map((name) => need(tree, name))
  const only = tensors.length === 1 ? tensors[0] : undefined
  return only ?? tf.concat(tensors, axis)
}

/** The tensors of a stage, for operations that call the engine themselves, as {@link Chain} does. */
export const stageParams = (context: Context, named: NamedStage): ConvStageParams => {
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

/** Reports the batch statistics of a chain's stages under the names of their normalisations. */
export const recordStatistics = (
  context: Context,
  stages: ReadonlyArray<NamedStage>,
  batches: ReadonlyArray<BatchStatistics | undefined>
): void =>
  stages.forEach(({ norm, stage }, i) => {
    const batch = batches[i]
    if (batch === undefined) return
    const size = stage.outChannels / norm.length
    norm.forEach((name, part) => {
      context.statistics[name] =
        norm.length === 1
          ? batch
          : {
              mean: tf.slice1d(batch.mean, part * size, size),
              variance: tf.slice1d(batch.variance, part * size, size),
              count: batch.count
            }
    })
  })

/** Shows the activations of a chain: every stage that has one is computed with those before it. */
const observeStages = (
  stages: ReadonlyArray<NamedStage>,
  context: Context & Required<Pick<Context, "observe">>,
  x: Tensor
): void =>
  stages.forEach(({ stage }, last) => {
    if (stage.activation === "none") return
    const own = stages.slice(0, last + 1)
    const { output } = convChain(
      x as tf.Tensor4D,
      own.map((one) => one.stage),
      own.map((named) => stageParams(context, named)),
      { mode: context.mode, epsilon: normEpsilon, residual: false }
    )
    context.observe?.(output)
  })

/** A sequence of convolutions. */
export const Chain = define<ChainSettings>({
  name: "Chain",
  parameters: ({ stages }) => stages.flatMap(stageSpecs),
  shapeAndCost: ({ stages }, shape) => {
    let macs = 0
    let [height, width, channels] = shape
    for (const { stage } of stages) {
      height = outputSide(stage, height)
      width = outputSide(stage, width)
      channels = stage.outChannels
      const weights = (stage.kernel * stage.kernel * stage.inChannels * stage.outChannels) / stage.groups
      macs += height * width * weights
    }
    return { shape: [height, width, channels], macs }
  },
  activations: ({ stages }, [height, width]) =>
    stages.reduce((sum, { stage }) => sum + height * width * stage.outChannels, 0),
  apply: ({ residual, stages }, context, x) => {
    if (context.observe !== undefined) observeStages(stages, { ...context, observe: context.observe }, x)
    const { output, statistics } = convChain(
      x as tf.Tensor4D,
      stages.map(({ stage }) => stage),
      stages.map((named) => stageParams(context, named)),
      { mode: context.mode, epsilon: normEpsilon, residual }
    )
    recordStatistics(context, stages, statistics)
    return output
  }
})
/** A chain. */
export type Chain = OperationOf<ChainSettings>

/**
 * A chain of stages.
 *
 * **Example** (A 3x3 convolution with a bias)
 *
 * ```ts
 * import * as Operation from "../Operation.ts"
 * import { Chain, chain, namedStage } from "./Chain.ts"
 *
 * const stage = { kernel: 3, stride: 2, padding: 1, dilation: 1, groups: 1, inChannels: 3, outChannels: 16 }
 * const one = chain([namedStage("c", { ...stage, bias: true, norm: false, activation: "relu" })])
 * Chain.is(one) && one.settings.residual // => false
 * Operation.parametersOf([one]).map((spec) => spec.name) // => ["c.weight", "c.bias"]
 * Operation.measure([one], [32, 32, 3]) // => { shape: [16, 16, 16], macs: 110592 }
 * ```
 */
export const chain = (stages: ReadonlyArray<NamedStage>, residual = false): Chain => Chain.make({ stages, residual })

/** A stage under one name: `name.weight`, `name.bias`, `name.norm.*`, `name.slope`. */
export const namedStage = (name: string, stage: ConvStage): NamedStage => ({
  stage,
  weight: [`${name}.weight`],
  weightAxis: 3,
  bias: `${name}.bias`,
  norm: [`${name}.norm`],
  slope: [`${name}.slope`],
  fanOutChannels: stage.outChannels
})
