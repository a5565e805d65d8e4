/**
 * Depthwise convolutions: not a product; the taps slide over tiles of one vector of channels, eight images at once
 * (assembly/kernels/depthwise.ts).
 */
import {
  depthwiseBackward,
  depthwiseForward,
  type Epilogue,
  type Geometry,
  joinDepthwise,
  packDepthwise,
  type Source
} from "../generated/Kernels.ts"
import { DEPTHWISE_JOIN_VECTORS, DEPTHWISE_PACK_VECTORS } from "../Kinds.ts"
import type { Runtime } from "../Runtime.ts"
import type { Temporary } from "../Temporaries.ts"
import { activateEpilogue } from "./Operands.ts"
import type { Plan } from "./Plan.ts"
import { ceil, padded } from "./Planes.ts"
import { type DepthwiseTiles, depthwiseTiles } from "./Tiles.ts"

const packWeights = (
  runtime: Runtime,
  { stage, taps }: Plan,
  source: number,
  scale: number | undefined,
  temporary: Temporary
): number => {
  const channels = stage.inChannels
  const destination = temporary(padded(channels) * taps)
  const pieces = ceil(ceil(channels, 4), DEPTHWISE_PACK_VECTORS)
  packDepthwise(runtime, pieces, { source, destination, taps, channels, scale })
  return destination
}

const geometryOf = (plan: Plan, t: DepthwiseTiles): Geometry => ({
  groups: t.groups,
  height: plan.height,
  width: plan.width,
  outHeight: plan.outHeight,
  outWidth: plan.outWidth,
  kernel: plan.stage.kernel,
  stride: plan.stage.stride,
  padding: plan.stage.padding,
  dilation: plan.stage.dilation,
  vectors: t.vectors,
  vectorsPerPiece: t.vectorsPerPiece,
  bands: t.bands,
  bandRows: t.bandRows
})

/** y with an epilogue; returns the number of partial sums per channel. */
export const forwardDepthwise = (
  runtime: Runtime,
  plan: Plan,
  source: Source,
  weight: number,
  scale: number | undefined,
  epilogue: (parts: number) => Epilogue,
  temporary: Temporary
): number => {
  const t = depthwiseTiles(plan, plan.outHeight, plan.outWidth)
  const weights = packWeights(runtime, plan, weight, scale, temporary)
  depthwiseForward(runtime, t.pieces, {
    source,
    epilogue: epilogue(t.parts),
    weights,
    geometry: geometryOf(plan, t)
  })
  return t.parts
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))

/**
 * The gradients of the input, with an epilogue, and of the weights, written to `dw`; either is optional. Returns the number
 * of partial sums per channel.
 */
export const backwardDepthwise = (
  runtime: Runtime,
  plan: Plan,
  dy: Source,
  input: Source,
  weight: number,
  epilogue: ((parts: number) => Epilogue) | undefined,
  dw: number | undefined,
  temporary: Temporary
): number => {
  const { dilation, inChannels, stride } = plan.stage
  const { taps } = plan
  const t = depthwiseTiles(plan, plan.height, plan.width)
  const weights =
    epilogue === undefined
      ? temporary(padded(inChannels) * taps)
      : packWeights(runtime, plan, weight, undefined, temporary)
  const partial = dw === undefined ? undefined : temporary(t.parts * t.vectors * taps * 4)
  // Of the taps that meet an input position, every (stride / gcd)-th also meets a position of dy.
  const tapStep = stride / greatestCommonDivisor(stride, dilation)
  depthwiseBackward(runtime, t.pieces, {
    source: dy,
    epilogue: epilogue?.(t.parts) ?? activateEpilogue(plan, 0, undefined),
    weights,
    geometry: geometryOf(plan, t),
    outBandRows: ceil(plan.outHeight, t.bands),
    input,
    partial,
    wantsInput: epilogue !== undefined,
    tapStep,
    sourceStep: (dilation * tapStep) / stride
  })
  if (dw !== undefined && partial !== undefined) {
    joinDepthwise(runtime, ceil(t.vectors, DEPTHWISE_JOIN_VECTORS), {
      partial,
      out: dw,
      taps,
      channels: inChannels,
      parts: t.parts
    })
  }
  return t.parts
}
