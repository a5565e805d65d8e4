/**
 * The primitive of every convolutional block: a chain of convolutions, each followed by an optional batch
 * normalisation and activation, with an optional residual around the whole chain. Conv-BN-ReLU6, the inverted residual
 * of MobileNetV2 (expand, depthwise, project), a ShuffleNet branch or a stem are all chains.
 *
 * A chain is one node of the automatic differentiation. That lets an engine keep only the raw convolution outputs:
 * normalised and activated tensors in the middle of a chain are recomputed where they are consumed, statistics are
 * gathered while a convolution writes, and in evaluation the normalisation is folded into the weights. Engines without
 * such a kernel get the same function composed of plain tfjs operations.
 */
import type { Tensor1D, Tensor4D } from "@tensorflow/tfjs-core"

/**
 * Activations the engines fuse. `relu6` is min(max(x, 0), 6); `hswish` is x * relu6(x + 3) / 6; `prelu` has one
 * learned slope per channel.
 */
export type Activation = "none" | "relu" | "relu6" | "hswish" | "prelu"

/**
 * One stage of a chain. Tensors are NHWC. Padding is symmetric (as in PyTorch), so the output side is
 * `floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1`.
 *
 * Weight layouts: `groups === 1`: [kernel, kernel, inChannels, outChannels]; depthwise (`groups === inChannels ===
 * outChannels`, more than one): [kernel, kernel, channels, 1]; otherwise grouped:
 * [kernel, kernel, inChannels / groups, outChannels], output channels ordered by group.
 */
export interface ConvStage {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
  readonly groups: number
  readonly inChannels: number
  readonly outChannels: number
  /** Whether the convolution adds a bias (before normalisation). */
  readonly bias: boolean
  /** Whether a batch normalisation follows. */
  readonly norm: boolean
  readonly activation: Activation
}

/** The tensors of one stage. Which are present follows from its {@link ConvStage}; vectors have `outChannels` entries. */
export interface ConvStageParams {
  readonly weight: Tensor4D
  readonly bias?: Tensor1D | undefined
  /** Batch-norm scale. */
  readonly gamma?: Tensor1D | undefined
  /** Batch-norm shift. */
  readonly beta?: Tensor1D | undefined
  /** PReLU slopes. */
  readonly slope?: Tensor1D | undefined
  /** Running statistics; only `eval` mode reads them. */
  readonly mean?: Tensor1D | undefined
  readonly variance?: Tensor1D | undefined
}

/**
 * `train`: normalise by the statistics of this batch, and return them; gradients flow to x, weight, bias, gamma, beta,
 * slope. `eval`: normalise by the running statistics; differentiable on every engine that composes it, not
 * necessarily on one that folds it.
 */
export type ChainMode = "train" | "eval"

export interface ConvChainOptions {
  readonly mode: ChainMode
  /** Added to the variance. PyTorch's 1e-5. */
  readonly epsilon: number
  /** Adds the chain's input to its output (shapes must agree). */
  readonly residual: boolean
}

/** Batch statistics of one normalised stage: mean and biased variance per channel, over `count` positions. */
export interface BatchStatistics {
  readonly mean: Tensor1D
  readonly variance: Tensor1D
  readonly count: number
}

export interface ConvChainResult {
  readonly output: Tensor4D
  /** One entry per stage: in `train` mode the batch statistics of a normalised stage, else undefined. */
  readonly statistics: ReadonlyArray<BatchStatistics | undefined>
}

/** A chain on the input's channels `from` to `to`. Without stages it returns these channels unchanged. */
export interface ConvBranch {
  readonly from: number
  readonly to: number
  readonly stages: ReadonlyArray<ConvStage>
  readonly params: ReadonlyArray<ConvStageParams>
}

export interface ConvBranchesOptions extends Omit<ConvChainOptions, "residual"> {
  /**
   * false: outputs are concatenated along the channels. true: they are then shuffled with one group per branch
   * (ShuffleNet: Zhang et al. 2018, section 3.1); if all have the same width, this takes one channel of each in turn.
   */
  readonly shuffled: boolean
}

export interface ConvBranchesResult {
  readonly output: Tensor4D
  /** One entry per branch, with one entry per stage, as in {@link ConvChainResult}. */
  readonly statistics: ReadonlyArray<ReadonlyArray<BatchStatistics | undefined>>
}
