/** A chain in training: one node of the tape that keeps only the raw convolution outputs. */
import * as tf from "@tensorflow/tfjs-core"
import { type BackwardMemory, record } from "../../Autodiff.ts"
import type { BatchStatistics, ConvBranchesResult } from "../../ConvChain.ts"
import type { SimdBackend } from "../Backend.ts"
import { BranchBackward } from "./Backward.ts"
import { type BranchesOptions, namedInputs, outputOf, parameterName } from "./Branches.ts"
import { SAVED_PER_STAGE, trainForward } from "./Forward.ts"
import { activateTensor, moveChannels } from "./Nhwc.ts"
import { type Branch, outPixels } from "./Plan.ts"
import { allChannels, type Channels, channelsFrom } from "./Planes.ts"

type Statistics = ReadonlyArray<ReadonlyArray<BatchStatistics | undefined>>

/** Shared by the two passes of the node. */
interface Node {
  readonly backend: SimdBackend
  readonly x: tf.Tensor4D
  readonly branches: ReadonlyArray<Branch>
  readonly options: BranchesOptions
  readonly outShape: [number, number, number, number]
}

const tensor = (backend: SimdBackend, shape: Array<number>): tf.Tensor =>
  tf.engine().makeTensorFromTensorInfo(backend.allocate(shape), backend)
const rowsOf = ({ outShape }: Node): number => outShape[0] * outShape[1] * outShape[2]

/** Runs the branches in training mode. */
export const train = (node: Node): ConvBranchesResult => {
  const { backend, branches, x } = node
  // Made in the caller's scope, not as outputs of the node: each output would cost a tensor of zeros in the backward pass.
  const statistics = branches.map(({ plans }) =>
    plans.map((plan): BatchStatistics | undefined =>
      plan.stage.norm
        ? {
            mean: tensor(backend, [plan.stage.outChannels]) as tf.Tensor1D,
            variance: tensor(backend, [plan.stage.outChannels]) as tf.Tensor1D,
            count: plan.batch * outPixels(plan)
          }
        : undefined
    )
  )
  try {
    const output = record({
      inputs: namedInputs(x, branches),
      forward: (save) => forward(node, statistics, save),
      backward: (dout, memory) => backward(node, dout, memory)
    })
    return { output: output as tf.Tensor4D, statistics }
  } catch (error) {
    for (const found of statistics.flat()) {
      found?.mean.dispose()
      found?.variance.dispose()
    }
    throw error
  }
}

/** Saves x, then the tensors of each stage of each branch. */
const forward = (node: Node, statistics: Statistics, save: (tensors: Array<tf.Tensor>) => void): tf.Tensor => {
  const { backend, branches, options, outShape, x } = node
  const saved: Array<tf.Tensor> = [x]
  const input = allChannels(backend.address(x), x.shape[3])
  const ends = branches.map((branch, index) =>
    trainForward(backend, branch, {
      x: channelsFrom(input, branch.from),
      epsilon: options.epsilon,
      statistics: statistics[index]!,
      saved
    })
  )
  const out = tensor(backend, outShape)
  const whole = allChannels(backend.address(out), outShape[3])
  branches.forEach((branch, index) => {
    const target = outputOf(whole, branches, index, options.shuffled)
    const end = ends[index]
    if (end !== undefined) activateTensor(backend.runtime, end, target, options.residual ? input.address : undefined)
    else moveChannels(backend.runtime, channelsFrom(input, branch.from), target, rowsOf(node), branch.channels)
  })
  save(saved)
  return out
}

/** Gradient functions of all tensors. */
const backward = (node: Node, dout: tf.Tensor, memory: BackwardMemory): Record<string, () => tf.Tensor> => {
  const { backend, branches, options, outShape, x } = node
  const input = allChannels(backend.address(memory.saved[0]!), x.shape[3])
  const upstream = allChannels(backend.address(dout), outShape[3])
  let whole: tf.Tensor | undefined
  const inputGradient = (): tf.Tensor => {
    whole ??= memory.hold(tensor(backend, x.shape))
    return whole
  }
  const targetOf = (branch: Branch): Channels =>
    channelsFrom(allChannels(backend.address(inputGradient()), x.shape[3]), branch.from)
  // Gradients of branches that share channels are added in the order in which tfjs requests them.
  const written = new Set<number>()
  const residualOf = (branch: Branch, target: Channels): number | undefined => {
    if (options.residual) return upstream.address
    const again = written.has(branch.from)
    written.add(branch.from)
    return again ? target.address : undefined
  }
  const result: Record<string, () => tf.Tensor> = {}
  let start = 1
  const passes = branches.map((branch, index) => {
    const da = outputOf(upstream, branches, index, options.shuffled)
    if (branch.plans.length === 0) {
      return () => moveChannels(backend.runtime, da, targetOf(branch), rowsOf(node), branch.channels)
    }
    const dx = () => {
      const target = targetOf(branch)
      return { target, residual: residualOf(branch, target) }
    }
    const pass = new BranchBackward(backend, branch, {
      x: channelsFrom(input, branch.from),
      da,
      memory,
      start,
      dx
    })
    start += branch.plans.length * SAVED_PER_STAGE
    for (const { gradient, name, stage } of pass.parameters()) result[parameterName(name, index, stage)] = gradient
    return () => pass.input()
  })
  result["x"] = () => {
    for (let index = passes.length - 1; index >= 0; index--) passes[index]!()
    return memory.handOver(inputGradient())
  }
  return result
}
