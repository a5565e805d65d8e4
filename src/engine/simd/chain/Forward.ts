/** The forward pass of a branch: the operand of each stage, its convolution and, in training, the tensors to keep. */
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics, ConvStageParams } from "../../ConvChain.ts"
import type { SimdBackend } from "../Backend.ts"
import type { Epilogue, Source } from "../generated/Kernels.ts"
import { fill } from "../operations/Elementwise.ts"
import type { Runtime } from "../Runtime.ts"
import { type Temporary, withTemporaries } from "../Temporaries.ts"
import { forwardDepthwise } from "./Depthwise.ts"
import { activateTensor } from "./Nhwc.ts"
import { fillVector, joinStatistics, required } from "./Normalisation.ts"
import {
  activatedSource,
  activateEpilogue,
  BIAS,
  patchSource,
  plainSource,
  SCALE,
  SLOPE,
  type Stored,
  type StoredStage,
  statisticsEpilogue,
  VECTORS,
  vectorAt
} from "./Operands.ts"
import { type Branch, inPixels, type Plan } from "./Plan.ts"
import { allChannels, type Channels, padded } from "./Planes.ts"
import { forwardProduct } from "./Products.ts"

/** The input of a chain as the operand of its first stage. */
export const chainInput = (plan: Plan, x: Channels): Source =>
  plan.kind === "im2col"
    ? patchSource(plan, x)
    : plainSource("nhwc", x.address, x.pixelStride, inPixels(plan), plan.batch)

/** The operand of a stage: the activated output of the previous one, which only im2col needs as a tensor. */
export const inputSource = (
  runtime: Runtime,
  plan: Plan,
  previous: StoredStage | undefined,
  x: Channels,
  temporary: Temporary
): Source => {
  if (previous === undefined) return chainInput(plan, x)
  const { inChannels } = plan.stage
  if (plan.kind === "im2col") {
    const a = allChannels(temporary(plan.batch * inPixels(plan) * inChannels), inChannels)
    activateTensor(runtime, previous, a)
    return patchSource(plan, a)
  }
  const { stage } = previous.plan
  return !stage.norm && stage.activation === "none"
    ? plainSource("plain", previous.stored.y, inChannels, inPixels(plan), plan.batch)
    : activatedSource(previous)
}

/** The convolution of a stage, with an epilogue; returns the number of partial sums per channel. */
export const convolve = (
  runtime: Runtime,
  plan: Plan,
  source: Source,
  weight: number,
  scale: number | undefined,
  epilogue: (parts: number) => Epilogue,
  temporary: Temporary
): number =>
  (plan.kind === "depthwise" ? forwardDepthwise : forwardProduct)(
    runtime,
    plan,
    source,
    weight,
    scale,
    epilogue,
    temporary
  )

/** Tensors saved per stage for the backward pass: y, vectors, weight and gamma. */
export const SAVED_PER_STAGE = 4

/** Inputs and outputs of the forward pass of a branch. */
interface ForwardPass {
  readonly x: Channels
  readonly epsilon: number
  readonly statistics: ReadonlyArray<BatchStatistics | undefined>
  /** Receives the tensors for the backward pass, {@link SAVED_PER_STAGE} per stage. */
  readonly saved: Array<tf.Tensor>
}

const newTensor = (backend: SimdBackend, shape: Array<number>): tf.Tensor =>
  tf.engine().makeTensorFromTensorInfo(backend.allocate(shape), backend)

/** Sets a stage's vectors, except those computed from batch statistics. Returns the bias's address. */
const fillVectors = (
  backend: SimdBackend,
  { plan: { stage }, stored }: StoredStage,
  params: ConvStageParams,
  index: number
): number | undefined => {
  if (!stage.norm) {
    // Without a normalisation: a scale of one, and zeros.
    fill(backend, stored.vectors, VECTORS * padded(stage.outChannels), 0)
    fill(backend, vectorAt(stored, stage, SCALE), stage.outChannels, 1)
  }
  if (stage.activation === "prelu") {
    fillVector(backend, vectorAt(stored, stage, SLOPE), required(params.slope, "slope", index))
  }
  if (params.bias === undefined) return undefined
  const bias = vectorAt(stored, stage, BIAS)
  fillVector(backend, bias, params.bias)
  return bias
}

/** Convolves a normalised stage, and joins the partial statistics of its job. */
const convolveNormalised = (
  backend: SimdBackend,
  current: StoredStage,
  source: Source,
  params: ConvStageParams,
  bias: number | undefined,
  { epsilon, statistics }: Pick<ForwardPass, "epsilon" | "statistics">,
  index: number,
  temporary: Temporary
): void => {
  const { runtime } = backend
  const { plan, stored } = current
  let [sums, counts] = [0, 0]
  const epilogue = (parts: number): Epilogue => {
    sums = temporary(parts * 2 * padded(plan.stage.outChannels))
    counts = temporary(parts)
    return statisticsEpilogue(plan, stored.y, bias, sums, counts)
  }
  const parts = convolve(runtime, plan, source, backend.address(params.weight), undefined, epilogue, temporary)
  const { mean, variance } = statistics[index]!
  const tensors = {
    gamma: backend.address(required(params.gamma, "gamma", index)),
    beta: backend.address(required(params.beta, "beta", index)),
    mean: backend.address(mean),
    variance: backend.address(variance)
  }
  joinStatistics(runtime, current, { sums, counts, parts }, tensors, epsilon)
}

/** The forward pass of a branch up to its last raw output. */
export const trainForward = (
  backend: SimdBackend,
  { params, plans }: Branch,
  pass: ForwardPass
): StoredStage | undefined => {
  const { runtime } = backend
  let previous: StoredStage | undefined
  plans.forEach((plan, index) => {
    const { stage } = plan
    const stageParams = params[index]!
    const y = newTensor(backend, [plan.outRows * padded(stage.outChannels)])
    const vectors = newTensor(backend, [VECTORS, padded(stage.outChannels)])
    const stored: Stored = { y: backend.address(y), vectors: backend.address(vectors) }
    const current: StoredStage = { plan, stored }
    const bias = fillVectors(backend, current, stageParams, index)
    withTemporaries(runtime, (temporary) => {
      const source = inputSource(runtime, plan, previous, pass.x, temporary)
      if (stage.norm) {
        convolveNormalised(backend, current, source, stageParams, bias, pass, index, temporary)
      } else {
        const epilogue = () => activateEpilogue(plan, stored.y, bias)
        convolve(runtime, plan, source, backend.address(stageParams.weight), undefined, epilogue, temporary)
      }
    })
    // Every stage saves the same number of tensors; without a normalisation the weight takes the place of gamma.
    pass.saved.push(y, vectors, stageParams.weight, stageParams.gamma ?? stageParams.weight)
    previous = current
  })
  return previous
}
