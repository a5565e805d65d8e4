/**
 * The few operations every block is compiled to. Parameters, shape, cost and value of a network are each one function
 * over these, so they cannot disagree.
 */
import type { ConvStage } from "../engine/ConvChain.ts"

/**
 * A convolution stage and the names of its tensors. Usually one name each; a stage whose channels belong to several
 * owners (the sub-blocks of a unified block) lists one name an owner, and the tensors are joined along `weightAxis`
 * (2: input channels, 3: output channels) in that order.
 */
export interface NamedStage {
  readonly stage: ConvStage
  readonly weight: ReadonlyArray<string>
  readonly weightAxis: 2 | 3
  readonly bias: string
  readonly norm: ReadonlyArray<string>
  readonly slope: ReadonlyArray<string>
  /** Output width that initialisers see, where it is not this stage's own. */
  readonly fanOutChannels: number
}

/** Convolutions in a row: one call of the engine's primitive. */
export interface Chain {
  readonly _tag: "Chain"
  readonly stages: ReadonlyArray<NamedStage>
  /** Adds the input to the output. */
  readonly residual: boolean
}

/** `x + operations(x)`. */
export interface Residual {
  readonly _tag: "Residual"
  readonly operations: ReadonlyArray<Operation>
}

/**
 * Squeeze-and-excitation (Hu et al. 2018, section 3) with ReLU inside and the hard sigmoid outside (MobileNetV3: Howard
 * et al. 2019, section 5.2).
 */
export interface SqueezeExcite {
  readonly _tag: "SqueezeExcite"
  readonly name: string
  readonly channels: number
  readonly reduced: number
}

/** Channels dealt out in turn over the groups (ShuffleNet: Zhang et al. 2018, section 3.1). */
export interface ChannelShuffle {
  readonly _tag: "ChannelShuffle"
  readonly groups: number
}

/** One part of {@link Branches}: its operations on the input's channels `from` to `to`. */
export interface Branch {
  readonly from: number
  readonly to: number
  readonly operations: ReadonlyArray<Operation>
}

/** Parts side by side, their outputs joined along the channels. */
export interface Branches {
  readonly _tag: "Branches"
  readonly branches: ReadonlyArray<Branch>
}

/**
 * Pooling. `padding` "ceil": windows start at multiples of the stride and cover every position; positions outside the
 * image do not count.
 */
export interface Pool {
  readonly _tag: "Pool"
  readonly kind: "average" | "max"
  readonly kernel: number
  readonly stride: number
  readonly padding: number | "ceil"
}

/** The mean over positions: [batch, height, width, channels] to [batch, channels]. */
export interface GlobalAverage {
  readonly _tag: "GlobalAverage"
}

/** The image's mean through the operations, then repeated at every position that a convolution of this stride gives. */
export interface ImagePool {
  readonly _tag: "ImagePool"
  readonly stride: number
  readonly operations: ReadonlyArray<Operation>
}

/** `x * weight + bias` on vectors. */
export interface Linear {
  readonly _tag: "Linear"
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
  readonly bias: boolean
}

/** Zeros of the size that a convolution of this stride would give. */
export interface Zeros {
  readonly _tag: "Zeros"
  readonly outChannels: number
  readonly stride: number
}

/** The input times zero: the same zeros, but through which (zero) gradients flow. */
export interface TimesZero {
  readonly _tag: "TimesZero"
  readonly stride: number
}

/** What blocks are made of. */
export type Operation =
  | Chain
  | Residual
  | SqueezeExcite
  | ChannelShuffle
  | Branches
  | Pool
  | GlobalAverage
  | ImagePool
  | Linear
  | Zeros
  | TimesZero

/** A stage under one name: `name.weight`, `name.bias`, `name.norm.*`, `name.slope`. */
export const namedStage = (name: string, stage: ConvStage): NamedStage => ({
  stage,
  weight: [`${name}.weight`],
  weightAxis: 3,
  bias: `${name}.bias`,
  norm: [`${name}.norm`],
  slope: [`${name}.slope`],
  fanOutChannels: stage.outChannels
})

/** A chain of stages. */
export const chain = (stages: ReadonlyArray<NamedStage>, residual = false): Chain => ({
  _tag: "Chain",
  stages,
  residual
})
