/** A chain in evaluation: normalisations are folded into the weights, and nothing is kept. There is no gradient. */
import * as tf from "@tensorflow/tfjs-core"
import { record } from "../../Autodiff.ts"
import type { ConvBranchesResult, ConvStageParams } from "../../ConvChain.ts"
import type { SimdBackend } from "../Backend.ts"
import { foldNorm, type Source } from "../generated/Kernels.ts"
import { type Temporary, withTemporaries } from "../Temporaries.ts"
import { type BranchesOptions, namedInputs, outputOf } from "./Branches.ts"
import { chainInput, convolve } from "./Forward.ts"
import { moveChannels, planesToNhwc } from "./Nhwc.ts"
import { fillVector, required } from "./Normalisation.ts"
import { activateEpilogue, nhwcEpilogue, patchSource, plainSource } from "./Operands.ts"
import { type Branch, inPixels, outPixels, type Plan } from "./Plan.ts"
import { allChannels, type Channels, channelsFrom, padded } from "./Planes.ts"

/** Runs the branches in evaluation mode, as one node of the tape; differentiating it throws. */
export const evaluate = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  branches: ReadonlyArray<Branch>,
  options: BranchesOptions,
  outShape: [number, number, number, number]
): ConvBranchesResult => {
  const output = record({
    inputs: namedInputs(x, branches),
    forward: () => {
      const out = tf.engine().makeTensorFromTensorInfo(backend.allocate(outShape), backend)
      const whole = allChannels(backend.address(out), outShape[3])
      const input = allChannels(backend.address(x), x.shape[3])
      const rows = outShape[0] * outShape[1] * outShape[2]
      branches.forEach((branch, index) => {
        const target = outputOf(whole, branches, index, options.shuffled)
        evaluateBranch(backend, branch, options, rows, channelsFrom(input, branch.from), target)
      })
      return out
    },
    backward: () => {
      throw new Error(
        "a convolution chain in eval mode has no gradient on the embedded engine: its normalisation is folded into the weights"
      )
    }
  })
  return {
    output: output as tf.Tensor4D,
    statistics: branches.map((branch) => branch.plans.map(() => undefined))
  }
}

/** A stage's folded normalisation: a factor and a term per output channel. */
interface Folded {
  readonly scale: number | undefined
  readonly bias: number | undefined
  readonly slope: number | undefined
}

const foldStage = (
  backend: SimdBackend,
  { stage }: Plan,
  params: ConvStageParams,
  epsilon: number,
  index: number,
  temporary: Temporary
): Folded => {
  const vector = (tensor: tf.Tensor): number => {
    const address = temporary(padded(stage.outChannels))
    fillVector(backend, address, tensor)
    return address
  }
  const bias = params.bias === undefined ? undefined : vector(params.bias)
  const slope = stage.activation === "prelu" ? vector(required(params.slope, "slope", index)) : undefined
  if (!stage.norm) return { scale: undefined, bias, slope }
  const scale = temporary(padded(stage.outChannels))
  const shift = temporary(padded(stage.outChannels))
  foldNorm(backend.runtime, 1, {
    channels: stage.outChannels,
    gamma: backend.address(required(params.gamma, "gamma", index)),
    beta: backend.address(required(params.beta, "beta", index)),
    mean: backend.address(required(params.mean, "running mean", index)),
    variance: backend.address(required(params.variance, "running variance", index)),
    bias,
    scale,
    shift,
    epsilon
  })
  return { scale, bias: shift, slope }
}

const evaluateBranch = (
  backend: SimdBackend,
  { channels, params, plans }: Branch,
  options: BranchesOptions,
  rows: number,
  x: Channels,
  out: Channels
): void =>
  withTemporaries(backend.runtime, (temporary) => {
    const { runtime } = backend
    if (plans.length === 0) {
      moveChannels(runtime, x, out, rows, channels)
      return
    }
    // Between stages activations are planes, already activated.
    let planes = 0
    const sourceOf = (plan: Plan, index: number): Source => {
      if (index === 0) return chainInput(plan, x)
      const { inChannels } = plan.stage
      if (plan.kind !== "im2col") return plainSource("plain", planes, inChannels, inPixels(plan), plan.batch)
      const a = allChannels(temporary(plan.batch * inPixels(plan) * inChannels), inChannels)
      planesToNhwc(runtime, plans[index - 1]!, planes, a, temporary)
      return patchSource(plan, a)
    }
    plans.forEach((plan, index) => {
      const { activation, outChannels } = plan.stage
      const stageParams = params[index]!
      const { bias, scale, slope } = foldStage(backend, plan, stageParams, options.epsilon, index, temporary)
      const source = sourceOf(plan, index)
      const final = index === plans.length - 1
      const residual = options.residual ? x.address : undefined
      if (!final) planes = temporary(plan.outRows * padded(outChannels))
      const epilogue = () =>
        final
          ? nhwcEpilogue(out, [outChannels, outPixels(plan), plan.batch], { activation, bias, residual, slope })
          : activateEpilogue(plan, planes, bias, activation, slope)
      convolve(runtime, plan, source, backend.address(stageParams.weight), scale, epilogue, temporary)
    })
  })
