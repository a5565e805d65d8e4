/** What `osnas bench --kernels` measures: the convolutions and blocks of the reference spaces, and the lines of its report. */
import type { ConvStage } from "../ConvChain.ts"
import { outputSide } from "../ConvChainOps.ts"

/** One convolution on a square input. */
export interface ConvolutionCase {
  readonly space: string
  readonly side: number
  readonly stage: ConvStage
}

/** One inverted residual on a square input: the kernels as in a network, fused with their surroundings. */
export interface BlockCase {
  readonly space: string
  readonly side: number
  readonly inChannels: number
  readonly expansion: number
  readonly outChannels: number
  readonly kernel: number
  readonly stride: number
}

/** One line of the report; its keys are the keys of the JSON. */
export interface KernelMeasurement {
  readonly kernel: string
  readonly pass: "forward" | "backward" | "input-gradient" | "weight-gradient" | "update" | "peak"
  readonly space: string
  readonly shape: string
  readonly mode: string
  readonly threads: number
  /** Median of the repetitions. */
  readonly microseconds: number
  /** Undefined if the kernel only moves numbers. */
  readonly gflops: number | undefined
  /** Compulsory traffic in bytes per second; 0 for parts of a block. */
  readonly gbps: number
  readonly share_of_peak: number
  readonly bound: "arithmetic" | "memory"
}

/** A convolution alone, padded so that a stride of 1 keeps the side. */
export const conv = (
  kernel: number,
  stride: number,
  inChannels: number,
  outChannels: number,
  groups = 1
): ConvStage => ({
  kernel,
  stride,
  padding: (kernel - 1) / 2,
  dilation: 1,
  groups,
  inChannels,
  outChannels,
  bias: false,
  norm: false,
  activation: "none"
})

/** The distinct convolutions of ProxylessNAS with expansion 6 at size 32 (stem of stride 2), by side of their input. */
const proxylessNas = (): ReadonlyArray<ConvolutionCase> => {
  const found: Array<ConvolutionCase> = []
  const add = (side: number, stage: ConvStage) => {
    found.push({ space: "proxylessnas", side, stage })
  }
  add(32, conv(3, 2, 3, 32))
  add(16, conv(3, 1, 32, 32, 32))
  add(16, conv(1, 1, 32, 16))
  let [side, from] = [16, 16]
  for (const [width, stride] of [
    [24, 1],
    [40, 2],
    [80, 2],
    [96, 1],
    [192, 2],
    [320, 1]
  ] as const) {
    const hidden = from * 6
    add(side, conv(1, 1, from, hidden))
    for (const kernel of [3, 5, 7]) add(side, conv(kernel, stride, hidden, hidden, hidden))
    side = Math.ceil(side / stride)
    add(side, conv(1, 1, hidden, width))
    from = width
  }
  add(side, conv(1, 1, 320, 1280))
  return found
}

/** The distinct convolutions of Single Path One-Shot's blocks of stride 1 at size 32. */
const spos = (): ReadonlyArray<ConvolutionCase> =>
  (
    [
      [64, 16],
      [160, 8],
      [320, 4],
      [640, 2]
    ] as const
  ).flatMap(([width, side]) => {
    const half = width / 2
    const stages = [conv(1, 1, half, half), ...[3, 5, 7].map((kernel) => conv(kernel, 1, half, half, half))]
    return stages.map((stage) => ({ space: "spos", side, stage }))
  })

/** What {@link benchKernels} measures by default. */
export const standardConvolutions: ReadonlyArray<ConvolutionCase> = [...proxylessNas(), ...spos()]

/** tfjs's own convolutions, always measured. */
export const plainConvolutions: ReadonlyArray<ConvolutionCase> = [
  { space: "", side: 16, stage: conv(1, 1, 24, 144) },
  { space: "", side: 16, stage: conv(3, 1, 32, 32) },
  { space: "", side: 16, stage: conv(3, 1, 144, 144, 144) },
  { space: "", side: 16, stage: conv(5, 2, 144, 144, 144) }
]

/** The inverted residuals {@link benchKernels} measures by default. */
export const standardBlocks: ReadonlyArray<BlockCase> = (
  [
    [16, 16, 24, 1],
    [16, 24, 24, 1],
    [16, 24, 40, 2],
    [8, 40, 40, 1],
    [8, 40, 80, 2],
    [4, 80, 80, 1],
    [4, 80, 96, 1],
    [4, 96, 192, 2],
    [2, 192, 192, 1],
    [2, 192, 320, 1]
  ] as const
).map(([side, inChannels, outChannels, stride]) => ({
  space: "proxylessnas",
  side,
  inChannels,
  expansion: 6,
  outChannels,
  kernel: 5,
  stride
}))

/** Multiply-adds of a convolution along one axis that touch the input, of `outputs * kernel`: the rest is padding. */
const tapsInside = (stage: ConvStage, side: number): number => {
  let taps = 0
  for (let o = 0; o < outputSide(stage, side); o++) {
    for (let k = 0; k < stage.kernel; k++) {
      const at = o * stage.stride - stage.padding + k * stage.dilation
      if (at >= 0 && at < side) taps += 1
    }
  }
  return taps
}

/** Floating-point operations of a convolution of square images; products with padding are not counted. */
export const flopsOf = (stage: ConvStage, side: number, batch: number): number =>
  2 * batch * tapsInside(stage, side) ** 2 * (stage.inChannels / stage.groups) * stage.outChannels
