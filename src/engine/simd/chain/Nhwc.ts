/** The ends of a chain, between planes and NHWC: the output, its gradient, and channels that no stage changes. */
import * as kernels from "../generated/Kernels.ts"
import { ELEMENTWISE_PIECE } from "../Kinds.ts"
import type { Runtime } from "../Runtime.ts"
import type { Temporary } from "../Temporaries.ts"
import { backwardEpilogue, gradientVector, SCALE, SHIFT, SLOPE, type StoredStage, vectorAt } from "./Operands.ts"
import { outPixels, type Plan } from "./Plan.ts"
import { type Channels, ceil, groupShift, groupsOf, padded } from "./Planes.ts"
import { backwardBlockRows } from "./Tiles.ts"

/** Pixels per block when planes become NHWC. */
const BLOCK_PIXELS = 64

/** Posts a job that converts a stage's planes to NHWC. */
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

/** Converts planes of a stage's output to NHWC unchanged, as the gradient without a normalisation: 1 x + 0 y + 0. */
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
