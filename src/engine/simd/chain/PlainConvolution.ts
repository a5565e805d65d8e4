/** A single convolution between NHWC tensors: tfjs's own operations, computed by the chain's kernels. */
import type * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import type { Epilogue, Source } from "../generated/Kernels.ts"
import { type Temporary, withTemporaries } from "../Temporaries.ts"
import { backwardDepthwise } from "./Depthwise.ts"
import { chainInput, convolve } from "./Forward.ts"
import { gradientPatchSource, nhwcEpilogue, plainSource } from "./Operands.ts"
import { inPixels, outPixels, type Plan, planStage } from "./Plan.ts"
import { allChannels } from "./Planes.ts"
import { backwardProduct, weightGradient } from "./Products.ts"
import { depthwiseFits, positionsAtOnce, productFits } from "./Tiles.ts"

/** A convolution and its gradients, as functions that allocate their results. */
export interface PlainConvolution {
  readonly forward: (x: tf.TensorInfo, weight: tf.TensorInfo) => tf.TensorInfo
  readonly inputGradient: (dy: tf.TensorInfo, weight: tf.TensorInfo) => tf.TensorInfo
  readonly weightGradient: (x: tf.TensorInfo, dy: tf.TensorInfo) => tf.TensorInfo
}

/** Whether the kernels can compute the convolution that tfjs describes. */
const isCovered = (info: tf.backend_util.Conv2DInfo, depthwise: boolean): boolean => {
  const { batchSize, filterHeight, inChannels, inHeight, inWidth, outChannels, outHeight, outWidth, padInfo } = info
  return (
    info.dataFormat === "channelsLast" &&
    filterHeight === info.filterWidth &&
    info.strideHeight === info.strideWidth &&
    info.dilationHeight === info.dilationWidth &&
    padInfo.top === padInfo.left &&
    Number.isInteger(padInfo.top) &&
    padInfo.top >= 0 &&
    Math.min(batchSize, inChannels, inHeight, inWidth, outChannels, outHeight, outWidth) > 0 &&
    (!depthwise || inChannels === outChannels)
  )
}

const planOf = (info: tf.backend_util.Conv2DInfo, depthwise: boolean): Plan => {
  const { inChannels, outChannels } = info
  const stage = {
    kernel: info.filterHeight,
    stride: info.strideHeight,
    padding: info.padInfo.top,
    dilation: info.dilationHeight,
    groups: depthwise ? inChannels : 1,
    inChannels,
    outChannels,
    bias: false,
    norm: false,
    activation: "none"
  } as const
  const size = [info.batchSize, info.inHeight, info.inWidth] as const
  return planStage(stage, size, info.outHeight, info.outWidth)
}

/** Whether the tiles fit in the scratch memory. */
const fits = (plan: Plan): boolean => {
  const { inChannels, outChannels } = plan.stage
  return plan.kind === "depthwise"
    ? depthwiseFits(plan, plan.outHeight, plan.outWidth) && depthwiseFits(plan, plan.height, plan.width)
    : productFits(plan.taps * Math.max(inChannels, outChannels)) && positionsAtOnce(plan, plan.taps * inChannels) >= 6
}

/**
 * The convolution that tfjs describes, on the embedded backend. Undefined if the kernels cannot compute it: height and width
 * differ in kernel, stride, dilation or padding at the top and left; a depthwise one has several outputs per channel; patches
 * or rows are too large for the scratch memory. Padding at the bottom and right follows from the output's size.
 */
export const plainConvolution = (
  backend: SimdBackend,
  info: tf.backend_util.Conv2DInfo,
  depthwise: boolean
): PlainConvolution | undefined => {
  if (!isCovered(info, depthwise)) return undefined
  const plan = planOf(info, depthwise)
  if (!fits(plan)) return undefined
  const { runtime } = backend
  const { batch, height, kind, outHeight, outWidth, width } = plan
  const { inChannels, kernel, outChannels } = plan.stage
  const at = (tensor: tf.TensorInfo): number => backend.address(tensor)
  const input = (x: tf.TensorInfo): Source => chainInput(plan, allChannels(at(x), inChannels))
  const gradient = (dy: tf.TensorInfo): Source => plainSource("nhwc", at(dy), outChannels, outPixels(plan), batch)
  const into = (out: tf.TensorInfo, channels: number, pixels: number) => (): Epilogue =>
    nhwcEpilogue(allChannels(at(out), channels), [channels, pixels, batch])
  const made = (shape: Array<number>, compute: (out: tf.TensorInfo, temporary: Temporary) => void): tf.TensorInfo => {
    const out = backend.allocate(shape)
    withTemporaries(runtime, (temporary) => compute(out, temporary))
    return out
  }
  return {
    forward: (x, weight) =>
      made([batch, outHeight, outWidth, outChannels], (out, temporary) => {
        const epilogue = into(out, outChannels, outPixels(plan))
        convolve(runtime, plan, input(x), at(weight), undefined, epilogue, temporary)
      }),
    inputGradient: (dy, weight) =>
      made([batch, height, width, inChannels], (out, temporary) => {
        const epilogue = into(out, inChannels, inPixels(plan))
        const source = kind === "im2col" ? gradientPatchSource(plan, allChannels(at(dy), outChannels)) : gradient(dy)
        if (kind === "depthwise") {
          backwardDepthwise(runtime, plan, source, source, at(weight), epilogue, undefined, temporary)
        } else backwardProduct(runtime, plan, source, at(weight), epilogue, undefined, temporary)
      }),
    weightGradient: (x, dy) =>
      made([kernel, kernel, inChannels, kind === "depthwise" ? 1 : outChannels], (out, temporary) => {
        if (kind === "depthwise") {
          backwardDepthwise(runtime, plan, gradient(dy), input(x), 0, undefined, at(out), temporary)
        } else weightGradient(runtime, plan, input(x), gradient(dy), at(out), temporary)
      })
  }
}
