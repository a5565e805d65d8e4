/** What surrounds the convolutions of a chain: normalisations, activations, and the way between planes and NHWC. */
import type * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { ELEMENTWISE_PIECE, JOIN_CHANNELS } from "../Kinds.ts"
import type { Runtime } from "../Runtime.ts"
import type { Temporary } from "../Temporaries.ts"
import {
  backwardEpilogue,
  gradientVector,
  INVERSE,
  MEAN,
  SCALE,
  SHIFT,
  SLOPE,
  type StoredStage,
  vectorAt
} from "./Operands.ts"
import { outPixels, type Plan } from "./Plan.ts"
import { type Channels, ceil, groupShift, groupsOf, padded } from "./Planes.ts"
import { backwardBlockRows } from "./Tiles.ts"

/** Pixels of a block of planes that become NHWC. */
const BLOCK_PIXELS = 64

/** A tensor that a stage of its kind must have. */
export const required = (tensor: tf.Tensor | undefined, name: string, index: number): tf.Tensor => {
  if (tensor === undefined) throw new Error(`stage ${index} of a convolution chain lacks its ${name}`)
  return tensor
}

/** Copies a vector of channels, filled up with zeros to whole vectors. */
export const fillVector = (backend: SimdBackend, to: number, tensor: tf.Tensor): void =>
  kernels.padVector(backend.runtime, 1, { from: backend.address(tensor), to, length: tensor.size })

/** The parameters and results of a stage's batch statistics; addresses. */
export interface StatisticsTensors {
  readonly gamma: number
  readonly beta: number
  readonly mean: number
  readonly variance: number
}

/** Joins the partial statistics of a stage, and keeps the vectors that its consumers need. */
export const joinStatistics = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  partial: { readonly sums: number; readonly counts: number; readonly parts: number },
  tensors: StatisticsTensors,
  epsilon: number
): void => {
  const { stage } = plan
  kernels.joinStatistics(runtime, ceil(stage.outChannels, JOIN_CHANNELS), {
    partial: partial.sums,
    counts: partial.counts,
    parts: partial.parts,
    channels: stage.outChannels,
    gamma: tensors.gamma,
    beta: tensors.beta,
    mean: tensors.mean,
    variance: tensors.variance,
    scale: vectorAt(stored, stage, SCALE),
    shift: vectorAt(stored, stage, SHIFT),
    inverse: vectorAt(stored, stage, INVERSE),
    storedMean: vectorAt(stored, stage, MEAN),
    epsilon
  })
}

/** Where the gradients of a stage's vectors go; addresses. */
export interface VectorGradients {
  readonly dbeta: number
  readonly dgamma: number
  readonly dslope: number | undefined
  /** The vectors of dy = k1 dz + k2 y + k3. */
  readonly k: number
}

/** Joins the partial sums of the backward pass of a stage. */
export const joinGradients = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  partial: number,
  parts: number,
  gamma: number,
  gradients: VectorGradients
): void => {
  const { stage } = plan
  kernels.joinGradients(runtime, ceil(stage.outChannels, JOIN_CHANNELS), {
    partial,
    parts,
    channels: stage.outChannels,
    positions: plan.batch * outPixels(plan),
    normalised: stage.norm,
    slopes: stage.activation === "prelu",
    gamma,
    mean: vectorAt(stored, stage, MEAN),
    inverse: vectorAt(stored, stage, INVERSE),
    dbeta: gradients.dbeta,
    dgamma: gradients.dgamma,
    dslope: gradients.dslope,
    k: gradients.k
  })
}

/** Posts a job that takes a stage's planes to NHWC. */
const toNhwc = (
  runtime: Runtime,
  kernel: typeof kernels.activateTensor,
  plan: Plan,
  out: Channels,
  operands: Pick<kernels.PlanesToNhwc, "x" | "v0" | "v1" | "v2" | "residual" | "y">
): void => {
  const pixels = outPixels(plan)
  const blockPixels = Math.min(pixels, BLOCK_PIXELS)
  const blocks = ceil(pixels, blockPixels)
  kernel(runtime, groupsOf(plan.batch) * blocks, {
    x: operands.x,
    out: out.address,
    channels: plan.stage.outChannels,
    pixels,
    images: plan.batch,
    v0: operands.v0,
    v1: operands.v1,
    v2: operands.v2,
    residual: operands.residual,
    y: operands.y,
    activation: plan.stage.activation,
    blockPixels,
    blocks,
    groupShift: groupShift(plan.batch),
    pixelStride: out.pixelStride,
    channelStride: out.channelStride
  })
}

/** The activated output of a stage as NHWC, plus a residual. */
export const activateTensor = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  out: Channels,
  residual?: number
): void =>
  toNhwc(runtime, kernels.activateTensor, plan, out, {
    x: stored.y,
    v0: vectorAt(stored, plan.stage, SCALE),
    v1: vectorAt(stored, plan.stage, SHIFT),
    v2: vectorAt(stored, plan.stage, SLOPE),
    residual,
    y: undefined
  })

/** dy of a normalised stage as NHWC. */
export const gradientTensor = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  dz: number,
  k: number,
  out: Channels
): void =>
  toNhwc(runtime, kernels.gradientTensor, plan, out, {
    x: dz,
    v0: gradientVector(plan, k, 0),
    v1: gradientVector(plan, k, 1),
    v2: gradientVector(plan, k, 2),
    residual: undefined,
    y: stored.y
  })

/** Planes shaped like a stage's output to NHWC, as they are: the gradient of no normalisation, 1 x + 0 y + 0. */
export const planesToNhwc = (runtime: Runtime, plan: Plan, x: number, out: Channels, temporary: Temporary): void => {
  const channels = padded(plan.stage.outChannels)
  const k = temporary(3 * channels)
  runtime
    .float32(k, 3 * channels)
    .fill(0)
    .fill(1, 0, channels)
  gradientTensor(runtime, { plan, stored: { y: x, vectors: 0 } }, x, k, out)
}

/** dz of a chain's last stage, written to `out`, and its partial sums, from the gradient of the chain's output. */
export const backwardTensor = (
  runtime: Runtime,
  last: StoredStage,
  da: Channels,
  out: number,
  temporary: Temporary
): { readonly partial: number; readonly parts: number } => {
  const { plan } = last
  const channels = plan.stage.outChannels
  const blockRows = backwardBlockRows(channels)
  const parts = ceil(plan.outRows, blockRows)
  const partial = temporary(parts * 3 * padded(channels))
  kernels.activateBackwardTensor(runtime, parts, {
    da: da.address,
    channels,
    rows: plan.outRows,
    blockRows,
    pixels: outPixels(plan),
    images: plan.batch,
    groupShift: groupShift(plan.batch),
    pixelStride: da.pixelStride,
    channelStride: da.channelStride,
    epilogue: backwardEpilogue(last, out, partial)
  })
  return { partial, parts }
}

/** Copies channels from one NHWC tensor to another: a branch without stages. */
export const moveChannels = (runtime: Runtime, from: Channels, to: Channels, rows: number, channels: number): void => {
  const rowsPerPiece = Math.max(1, Math.floor(ELEMENTWISE_PIECE / channels))
  kernels.moveChannels(runtime, ceil(rows, rowsPerPiece), {
    source: from.address,
    out: to.address,
    rows,
    channels,
    sourcePixelStride: from.pixelStride,
    outPixelStride: to.pixelStride,
    sourceChannelStride: from.channelStride,
    outChannelStride: to.channelStride,
    rowsPerPiece
  })
}
