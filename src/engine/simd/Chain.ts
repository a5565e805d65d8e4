/**
 * Chains of convolutions on the embedded backend: forward and backward passes split into jobs of `assembly/kernels`.
 *
 * In training only the raw convolution outputs y are kept, as planes (chain/Planes.ts). With a = act(scale y + shift), every
 * consumer of a (the next convolution, its weight gradient) makes it from y while it packs its operand.
 *
 * A stage is planned first (chain/Plan.ts: shapes, the kind of kernel), then split into tiles (chain/Tiles.ts), and its jobs are
 * posted by chain/Forward.ts, chain/Backward.ts or chain/Evaluation.ts, which the kinds of convolutions share: chain/Products.ts
 * and chain/Depthwise.ts.
 *
 * What is added in which order is part of the engine, not of the number of threads or the width of vectors: products run
 * over their taps and channels in order, in pieces that are summed from zero and then added in order (of 16 terms, 32 in sums of
 * more than 512, 128 going back; of a row of taps in a depthwise convolution's forward pass); statistics over at most 32 rows of a
 * block in float32, the sums of the backward pass over 128, then over the block (of at most 384 rows of a product, or of a band of a
 * group of images of a depthwise convolution) in float64, then over the blocks in order, in float64; weight gradients over at most
 * 192 positions, over a fixed number of those, then over these groups in order. The sizes follow from the shapes
 * (`rowTiles`, `weightTiles`, `depthwiseTiles`).
 */
import * as tf from "@tensorflow/tfjs-core"
import type {
  ConvBranch,
  ConvBranchesResult,
  ConvChainOptions,
  ConvChainResult,
  ConvStage,
  ConvStageParams
} from "../ConvChain.ts"
import type { SimdBackend } from "./Backend.ts"
import type { BranchesOptions } from "./chain/Branches.ts"
import { evaluate } from "./chain/Evaluation.ts"
import { planBranch } from "./chain/Plan.ts"
import { train } from "./chain/Training.ts"

export { type PlainConvolution, plainConvolution } from "./chain/PlainConvolution.ts"
export { EngineWidthError } from "./chain/Tiles.ts"

/**
 * Chains side by side on channels of x, on the embedded backend: one node of the tape. Their outputs are joined along the
 * channels, or interleaved (`shuffled`: one channel of each in turn). In `eval` mode normalisations are folded into the weights and the
 * result has no gradient: asking for one throws.
 */
export const convBranches = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  given: ReadonlyArray<ConvBranch>,
  options: BranchesOptions
): ConvBranchesResult => {
  const [batch, height, width] = x.shape
  const branches = given.map((branch) => planBranch([batch, height, width], branch))
  const first = branches[0]
  if (first === undefined) throw new Error("a convolution chain needs at least one stage")
  const channels = branches.reduce((sum, branch) => sum + branch.channels, 0)
  const outShape: [number, number, number, number] = [batch, first.height, first.width, channels]
  if (branches.some((branch) => branch.height !== first.height || branch.width !== first.width)) {
    throw new Error("convolution chains side by side differ in the size of their outputs")
  }
  if (options.residual && !(branches.length === 1 && tf.util.arraysEqual(outShape, x.shape))) {
    throw new Error(`a residual needs the same shape at both ends, but the chain takes [${x.shape}] to [${outShape}]`)
  }
  return options.mode === "train"
    ? train({ backend, x, branches, options, outShape })
    : evaluate(backend, x, branches, options, outShape)
}

/** The chain of {@link ConvChainResult} on the embedded backend: {@link convBranches} of one branch. */
export const convChain = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): ConvChainResult => {
  if (stages.length === 0) throw new Error("a convolution chain needs at least one stage")
  const { output, statistics } = convBranches(backend, x, [{ from: 0, to: x.shape[3], stages, params }], {
    ...options,
    shuffled: false
  })
  return { output, statistics: statistics[0]! }
}
