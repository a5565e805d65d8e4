/** Planning: the shapes of a chain's stages, and the kind of kernel that computes each. */
import type { ConvBranch, ConvStage, ConvStageParams } from "../../ConvChain.ts"
import { isDepthwise, outputSide } from "../../ConvChainOps.ts"
import { filledImages } from "./Planes.ts"

/**
 * With at least JOINT_ROWS positions and at most JOINT_WEIGHTS weights a pointwise convolution is memory-bound: one job computes
 * both of its gradients, so that their shared operand dy is read and packed once.
 */
const JOINT_ROWS = 1024
const JOINT_WEIGHTS = 16384

/** A stage with its shapes. */
export interface Plan {
  readonly stage: ConvStage
  /** A product over the rows of its input, a product over im2col patches, or a depthwise convolution. */
  readonly kind: "pointwise" | "im2col" | "depthwise"
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly outHeight: number
  readonly outWidth: number
  /** Positions of the input and of the output, images padded to whole groups. */
  readonly inRows: number
  readonly outRows: number
  /** Groups of the product, and channels of one. */
  readonly groups: number
  readonly inGroup: number
  readonly outGroup: number
  /** Groups not divisible by the vector width run as one dense product, with zero weights between them. */
  readonly dense: boolean
  readonly taps: number
  /** Whether the gradients of the input and the weight are one job. */
  readonly joint: boolean
}

/** Positions of an image of the input. */
export const inPixels = (plan: Plan): number => plan.height * plan.width
/** Positions of an image of the output. */
export const outPixels = (plan: Plan): number => plan.outHeight * plan.outWidth

/** The plan of a stage on images of a given size. `outHeight` and `outWidth` may differ from what symmetric padding gives. */
export const planStage = (
  stage: ConvStage,
  [batch, height, width]: readonly [number, number, number],
  outHeight: number = outputSide(stage, height),
  outWidth: number = outputSide(stage, width)
): Plan => {
  const { groups, inChannels, kernel, outChannels } = stage
  const depthwise = isDepthwise(stage)
  const dense = !depthwise && groups > 1 && (inChannels % (4 * groups) !== 0 || outChannels % (4 * groups) !== 0)
  const productGroups = dense ? 1 : groups
  const sameSize = outHeight === height && outWidth === width
  const pointwise = kernel === 1 && stage.stride === 1 && stage.padding === 0 && sameSize
  const inRows = filledImages(batch) * height * width
  return {
    stage,
    kind: depthwise ? "depthwise" : pointwise ? "pointwise" : "im2col",
    batch,
    height,
    width,
    outHeight,
    outWidth,
    inRows,
    outRows: filledImages(batch) * outHeight * outWidth,
    groups: productGroups,
    inGroup: inChannels / productGroups,
    outGroup: outChannels / productGroups,
    dense,
    taps: kernel * kernel,
    joint: depthwise || (pointwise && groups === 1 && inRows >= JOINT_ROWS && inChannels * outChannels <= JOINT_WEIGHTS)
  }
}

const checkStage = ({ height, outHeight, outWidth, stage, width }: Plan, index: number, channels: number): void => {
  const { groups, inChannels, kernel, outChannels } = stage
  const fail = (reason: string): never => {
    throw new Error(`stage ${index} of a convolution chain${reason}`)
  }
  if (inChannels !== channels) fail(` takes ${inChannels} channels, got ${channels}`)
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    fail(`: ${groups} groups do not divide ${inChannels} and ${outChannels} channels`)
  }
  if (!(outHeight > 0 && outWidth > 0)) fail(`: a kernel of ${kernel} does not fit into ${height} x ${width}`)
}

/** The plans of a chain on an input [batch, height, width, channels]. Throws if the stages do not match. */
const planChain = (shape: readonly [number, number, number, number], stages: ReadonlyArray<ConvStage>) => {
  let [batch, height, width, channels] = shape
  return stages.map((stage, index): Plan => {
    const plan = planStage(stage, [batch, height, width])
    checkStage(plan, index, channels)
    height = plan.outHeight
    width = plan.outWidth
    channels = stage.outChannels
    return plan
  })
}

/** A branch with its shapes. */
export interface Branch {
  /** First of its channels in the input. */
  readonly from: number
  readonly plans: ReadonlyArray<Plan>
  readonly params: ReadonlyArray<ConvStageParams>
  /** Shape of its output. */
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** The plan of a branch on images of a given size. */
export const planBranch = (
  [batch, height, width]: readonly [number, number, number],
  { from, params, stages, to }: ConvBranch
): Branch => {
  const plans = planChain([batch, height, width, to - from], stages)
  const last = plans[plans.length - 1]
  return {
    from,
    plans,
    params,
    channels: last?.stage.outChannels ?? to - from,
    height: last?.outHeight ?? height,
    width: last?.outWidth ?? width
  }
}
