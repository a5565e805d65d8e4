/** Operands and results of a chain's kernels: descriptors of sources and of epilogues, and what a stage keeps. */
import type { Activation, ConvStage } from "../../ConvChain.ts"
import type { Epilogue, Source } from "../generated/Kernels.ts"
import { inPixels, outPixels, type Plan } from "./Plan.ts"
import { type Channels, groupShift, padded } from "./Planes.ts"

/** What a stage keeps for its consumers: its raw output as planes, and vectors of channels, padded with zeros. */
export interface Stored {
  readonly y: number
  readonly vectors: number
}

/** A stage and what it keeps. */
export interface StoredStage {
  readonly plan: Plan
  readonly stored: Stored
}

/** Indices of a stage's vectors. */
export const SCALE = 0
export const SHIFT = 1
export const INVERSE = 2
export const MEAN = 3
export const SLOPE = 4
export const BIAS = 5
/** Number of a stage's vectors. */
export const VECTORS = 6

/** The address of one of a stage's vectors. */
export const vectorAt = (stored: Stored, stage: ConvStage, index: number): number =>
  stored.vectors + index * padded(stage.outChannels) * 4

/** The address of one of the three vectors of dy = k1 dz + k2 y + k3. */
export const gradientVector = (plan: Plan, k: number, index: number): number =>
  k + index * padded(plan.stage.outChannels) * 4

/** A plain tensor: planes of `channels` channels, or NHWC with `channels` floats from one pixel to the next. */
export const plainSource = (
  kind: "plain" | "nhwc",
  address: number,
  channels: number,
  pixels: number,
  images: number
): Source => ({ kind, address, channels, pixels, images, groupShift: groupShift(images) })

/** The im2col patches of a stage's input. */
export const patchSource = (plan: Plan, x: Channels): Source => ({
  kind: "gather",
  address: x.address,
  channels: x.pixelStride,
  pixels: outPixels(plan),
  images: plan.batch,
  height: plan.height,
  width: plan.width,
  gridWidth: plan.outWidth,
  kernel: plan.stage.kernel,
  stride: plan.stage.stride,
  padding: plan.stage.padding,
  dilation: plan.stage.dilation,
  tapChannels: plan.inGroup,
  groupShift: groupShift(plan.batch)
})

/** The patches of dy; the gradient of a stage's input is their product with the weights. */
export const gradientPatchSource = (plan: Plan, dy: Channels): Source => ({
  kind: "gatherBackward",
  address: dy.address,
  channels: dy.pixelStride,
  pixels: inPixels(plan),
  images: plan.batch,
  height: plan.outHeight,
  width: plan.outWidth,
  gridWidth: plan.width,
  kernel: plan.stage.kernel,
  stride: plan.stage.stride,
  padding: plan.stage.padding,
  dilation: plan.stage.dilation,
  tapChannels: plan.outGroup,
  groupShift: groupShift(plan.batch)
})

/** The activated output of a stage, a = act(scale y + shift). */
export const activatedSource = ({ plan, stored }: StoredStage): Source => ({
  kind: "activated",
  address: stored.y,
  channels: plan.stage.outChannels,
  activation: plan.stage.activation,
  v0: vectorAt(stored, plan.stage, SCALE),
  v1: vectorAt(stored, plan.stage, SHIFT),
  v2: vectorAt(stored, plan.stage, SLOPE),
  pixels: outPixels(plan),
  images: plan.batch,
  groupShift: groupShift(plan.batch)
})

/** dy of a stage: k1 dz + k2 y + k3 with a normalisation, otherwise dz. */
export const gradientSource = ({ plan, stored }: StoredStage, dz: number, k: number): Source =>
  plan.stage.norm
    ? {
        kind: "normBackward",
        address: dz,
        channels: plan.stage.outChannels,
        v0: gradientVector(plan, k, 0),
        v1: gradientVector(plan, k, 1),
        v2: gradientVector(plan, k, 2),
        y: stored.y,
        pixels: outPixels(plan),
        images: plan.batch,
        groupShift: groupShift(plan.batch)
      }
    : plainSource("plain", dz, plan.stage.outChannels, outPixels(plan), plan.batch)

const inPlanes = (plan: Plan, out: number) => ({
  out,
  channels: plan.stage.outChannels,
  pixels: outPixels(plan),
  images: plan.batch,
  groupShift: groupShift(plan.batch),
  pixelStride: plan.stage.outChannels,
  channelStride: 1
})

/** Keeps y with partial batch statistics: `partial` [parts][2][channels], `counts` [parts]. */
export const statisticsEpilogue = (
  plan: Plan,
  out: number,
  bias: number | undefined,
  partial: number,
  counts: number
): Epilogue => ({ ...inPlanes(plan, out), kind: "statistics", bias, partial, counts })

/** Keeps act(y + bias). */
export const activateEpilogue = (
  plan: Plan,
  out: number,
  bias: number | undefined,
  activation: Activation = "none",
  slope?: number
): Epilogue => ({ ...inPlanes(plan, out), kind: "activate", bias, activation, slope })

/** Computes dz of a stage from da, and the partial sums for its normalisation's gradient: [parts][3][channels]. */
export const backwardEpilogue = ({ plan, stored }: StoredStage, out: number, partial: number): Epilogue => ({
  ...inPlanes(plan, out),
  kind: "backward",
  partial,
  activation: plan.stage.activation,
  y: stored.y,
  scale: vectorAt(stored, plan.stage, SCALE),
  shift: vectorAt(stored, plan.stage, SHIFT),
  mean: vectorAt(stored, plan.stage, MEAN),
  slope: vectorAt(stored, plan.stage, SLOPE)
})

/** Writes act(result + bias) + residual to NHWC. */
export const nhwcEpilogue = (
  target: Channels,
  [channels, pixels, images]: readonly [number, number, number],
  options: Pick<Epilogue, "activation" | "bias" | "residual" | "slope"> = {}
): Epilogue => ({
  ...options,
  kind: "activateNhwc",
  out: target.address,
  channels,
  pixels,
  images,
  groupShift: groupShift(images),
  pixelStride: target.pixelStride,
  channelStride: target.channelStride
})
