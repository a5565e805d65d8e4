import * as tf from "@tensorflow/tfjs-core"
import { convBranches } from "../../engine/ConvChainOps.ts"
import { splitChannels } from "../../engine/FeatureOps.ts"
import type { ImageShape } from "../../engine/Shape.ts"
import { normEpsilon } from "../Normalisation.ts"
import { activationsOf, applyAll, type Context, define, measure, type Operation, parametersOf } from "../Operation.ts"
import { Chain, type NamedStage, recordStatistics, stageParams } from "./Chain.ts"
import { ChannelShuffle } from "./ChannelShuffle.ts"

/** One part of {@link Branches}: its operations on the input's channels `from` to `to`. */
export interface Branch {
  readonly from: number
  readonly to: number
  readonly operations: ReadonlyArray<Operation>
}

/** The stages of each branch (none: identity), if every branch is a chain without a residual; else undefined. */
const branchStages = (branches: ReadonlyArray<Branch>): ReadonlyArray<ReadonlyArray<NamedStage>> | undefined => {
  const stages: Array<ReadonlyArray<NamedStage>> = []
  for (const { operations } of branches) {
    const [only, ...more] = operations
    if (only === undefined) stages.push([])
    else if (more.length === 0 && Chain.is(only) && !only.settings.residual) stages.push(only.settings.stages)
    else return undefined
  }
  return stages
}

/** Chains side by side, with the shuffle after them, are one function of the engine. */
const applyChains = (
  branches: ReadonlyArray<Branch>,
  stages: ReadonlyArray<ReadonlyArray<NamedStage>>,
  shuffled: boolean,
  context: Context,
  x: tf.Tensor4D
): tf.Tensor => {
  const { output, statistics } = convBranches(
    x,
    branches.map(({ from, to }, i) => {
      const named = stages[i] ?? []
      return {
        from,
        to,
        stages: named.map(({ stage }) => stage),
        params: named.map((one) => stageParams(context, one))
      }
    }),
    { mode: context.mode, epsilon: normEpsilon, shuffled }
  )
  stages.forEach((named, i) => {
    recordStatistics(context, named, statistics[i] ?? [])
  })
  return output
}

const parametersOfBranches = (branches: ReadonlyArray<Branch>) =>
  branches.flatMap(({ operations }) => parametersOf(operations))

const measureBranches = (branches: ReadonlyArray<Branch>, shape: ImageShape) => {
  const [height, width] = shape
  let macs = 0
  let total = 0
  let at = shape
  for (const { from, operations, to } of branches) {
    const measured = measure(operations, [height, width, to - from])
    macs += measured.macs
    total += measured.shape[2]
    at = measured.shape
  }
  return { shape: [at[0], at[1], total] as const, macs }
}

/** Branches that are chains, followed by a channel shuffle with as many groups. */
const ShuffledChains = define<{
  readonly branches: ReadonlyArray<Branch>
  readonly stages: ReadonlyArray<ReadonlyArray<NamedStage>>
}>({
  name: "ShuffledChains",
  parameters: ({ branches }) => parametersOfBranches(branches),
  shapeAndCost: ({ branches }, shape) => measureBranches(branches, shape),
  apply: ({ branches, stages }, context, x) => applyChains(branches, stages, true, context, x as tf.Tensor4D)
})

/**
 * Branches side by side; their outputs are joined along the channels.
 *
 * **Example** (Two halves of an image)
 *
 * ```ts
 * import { Branches } from "./Branches.ts"
 * import { Zeros } from "./Zeros.ts"
 *
 * const zeros = Zeros.make({ outChannels: 6, stride: 1 })
 * const halves = Branches.make({
 *   branches: [
 *     { from: 0, to: 2, operations: [] },
 *     { from: 2, to: 4, operations: [zeros] }
 *   ]
 * })
 * halves.shapeAndCost([8, 8, 4]) // => { shape: [8, 8, 8], macs: 0 }
 * ```
 */
export const Branches = define<{ readonly branches: ReadonlyArray<Branch> }>({
  name: "Branches",
  parameters: ({ branches }) => parametersOfBranches(branches),
  shapeAndCost: ({ branches }, shape) => measureBranches(branches, shape),
  activations: ({ branches }, shape) =>
    branches.reduce((sum, { operations }) => sum + activationsOf(operations, shape), 0),
  apply: ({ branches }, context, x) => {
    const stages = branchStages(branches)
    if (stages !== undefined) return applyChains(branches, stages, false, context, x as tf.Tensor4D)
    const parts = splitChannels(x as tf.Tensor4D, branches)
    const outputs = branches.map(({ operations }, i) => applyAll(operations, context, parts[i] as tf.Tensor4D))
    return tf.concat(outputs, 3)
  },
  fuse: ({ branches }, next) => {
    if (!ChannelShuffle.is(next) || next.settings.groups !== branches.length) return undefined
    const stages = branchStages(branches)
    return stages === undefined ? undefined : ShuffledChains.make({ branches, stages })
  }
})
