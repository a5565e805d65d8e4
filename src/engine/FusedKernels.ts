/**
 * Fused operations of an engine. The functions of ConvChainOps, LossOps, OptimizerOps and FeatureOps look up a faster form
 * under the name of the current tfjs backend; if there is none, they compose plain tfjs operations. An engine's Layer
 * registers its own, so that no other engine loads its code.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { Key } from "../random/Draws.ts"
import type {
  ConvBranch,
  ConvBranchesOptions,
  ConvBranchesResult,
  ConvChainOptions,
  ConvChainResult,
  ConvStage,
  ConvStageParams
} from "./ConvChain.ts"

/** Mean loss of a batch and its gradient by the logits (for an upstream gradient of 1). */
export interface LossWithGradient {
  readonly loss: tf.Scalar
  readonly gradient: tf.Tensor2D
}

/** What an engine may fuse; every entry is optional. Shapes and meaning are those of the functions of the same name. */
export interface FusedKernels {
  /** The whole chain with its own gradient. */
  readonly convChain?: (
    x: tf.Tensor4D,
    stages: ReadonlyArray<ConvStage>,
    params: ReadonlyArray<ConvStageParams>,
    options: ConvChainOptions
  ) => ConvChainResult
  /** Called only for branches that each cover all of x's channels, or split them; shuffled only if all have the same width. */
  readonly convBranches?: (
    x: tf.Tensor4D,
    branches: ReadonlyArray<ConvBranch>,
    options: ConvBranchesOptions
  ) => ConvBranchesResult
  readonly softmaxCrossEntropy?: (logits: tf.Tensor2D, labels: tf.Tensor1D, smoothing: number) => LossWithGradient
  /** No gradient of its own: a permutation, whose inverse is the shuffle by `channels / groups`. */
  readonly channelShuffle?: (x: tf.Tensor4D, groups: number) => tf.Tensor4D
  /** Multiplies `x` by one factor per image and channel. */
  readonly scaleChannels?: (x: tf.Tensor4D, scale: tf.Tensor2D) => tf.Tensor4D
  /** The two gradients of `scaleChannels`. */
  readonly scaleChannelsGradient?: (
    dy: tf.Tensor4D,
    x: tf.Tensor4D,
    scale: tf.Tensor2D
  ) => { readonly x: tf.Tensor4D; readonly scale: tf.Tensor2D }
  /** Mean over height and width: [batch, h, w, c] to [batch, c]. */
  readonly globalAveragePool?: (x: tf.Tensor4D) => tf.Tensor2D
  readonly globalAveragePoolGradient?: (
    dy: tf.Tensor2D,
    shape: readonly [number, number, number, number]
  ) => tf.Tensor4D
  /** See RandomOps: the same bits as the composed form. */
  readonly randomNumbers?: (
    key: Key,
    shape: ReadonlyArray<number>,
    distribution: "normal" | "uniform",
    factor: number
  ) => tf.Tensor
  /** See StatisticsOps.ts; `keep` and `momentum` are already float32. */
  readonly blend?: (vectors: ReadonlyArray<BlendedVector>, keep: number, momentum: number) => ReadonlyArray<tf.Tensor1D>
  /** Elementwise update; see OptimizerOps. Scalars are those the composed form multiplies by, already float32. */
  readonly sgdStep?: (tensors: SgdTensors, scalars: SgdScalars) => { param: tf.Tensor; velocity: tf.Tensor | undefined }
  readonly adamStep?: (
    tensors: AdamTensors,
    scalars: AdamScalars
  ) => { param: tf.Tensor; first: tf.Tensor; second: tf.Tensor }
  readonly rmspropStep?: (
    tensors: RmspropTensors,
    scalars: RmspropScalars
  ) => { param: tf.Tensor; square: tf.Tensor; velocity: tf.Tensor | undefined }
}

/** A vector, another of the same length that it moves towards, and a factor of the latter. */
export interface BlendedVector {
  readonly old: tf.Tensor1D
  readonly fresh: tf.Tensor1D
  readonly scale: number
}

/** Tensors of one SGD update, all of the same shape. */
export interface SgdTensors {
  readonly param: tf.Tensor
  readonly gradient: tf.Tensor
  readonly velocity: tf.Tensor | undefined
}
/** Factors of one SGD update. */
export interface SgdScalars {
  readonly learningRate: number
  readonly momentum: number
  readonly nesterov: boolean
  /** Factor of the L2 term: its product with the parameter is added to the gradient. */
  readonly l2: number
  /** Factor of the parameter before the update (1: no decoupled decay). */
  readonly keep: number
}
/** Tensors of one Adam update, all of the same shape. */
export interface AdamTensors {
  readonly param: tf.Tensor
  readonly gradient: tf.Tensor
  readonly first: tf.Tensor | undefined
  readonly second: tf.Tensor | undefined
}
/** Factors of one Adam update. */
export interface AdamScalars {
  readonly beta1: number
  readonly oneMinusBeta1: number
  readonly beta2: number
  readonly oneMinusBeta2: number
  /** Learning rate over `1 - beta1^t`. */
  readonly stepSize: number
  /** 1 over the square root of `1 - beta2^t`. */
  readonly secondScale: number
  readonly epsilon: number
  readonly l2: number
  readonly keep: number
}
/** Tensors of one RMSprop update, all of the same shape. */
export interface RmspropTensors {
  readonly param: tf.Tensor
  readonly gradient: tf.Tensor
  readonly square: tf.Tensor | undefined
  readonly velocity: tf.Tensor | undefined
}
/** Factors of one RMSprop update. */
export interface RmspropScalars {
  readonly learningRate: number
  readonly alpha: number
  readonly oneMinusAlpha: number
  readonly epsilon: number
  readonly momentum: number
  readonly l2: number
  readonly keep: number
}

const byBackend = new Map<string, FusedKernels>()

/** Adds (or replaces) fused operations of a tfjs backend. */
export const registerFusedKernels = (backend: string, kernels: FusedKernels): void => {
  byBackend.set(backend, { ...byBackend.get(backend), ...kernels })
}

/** Removes the fused operations of a tfjs backend. */
export const unregisterFusedKernels = (backend: string): void => {
  byBackend.delete(backend)
}

const none: FusedKernels = {}

/** The fused operations of a backend, by default the current one. */
export const fusedKernels = (backend: string = tf.getBackend()): FusedKernels => byBackend.get(backend) ?? none
