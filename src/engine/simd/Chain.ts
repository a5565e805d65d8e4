/**
 * Chains of convolutions on the embedded backend: forward and backward passes split into jobs of `assembly/kernels`.
 *
 * In training only the raw convolution outputs y are kept, as planes (chain/Planes.ts). With a = act(scale y + shift), every
 * consumer of a (the next convolution, its weight gradient) computes it from y while it packs its operand.
 *
 * A stage is planned first (chain/Plan.ts: shapes, the kind of kernel), then split into tiles (chain/Tiles.ts), and its jobs are
 * posted by chain/Forward.ts, chain/Backward.ts or chain/Evaluation.ts, which the kinds of convolutions share: chain/Products.ts
 * and chain/Depthwise.ts.
 *
 * The engine fixes the order of additions, independent of the number of threads and the width of vectors:
 *
 * - Products run over taps and channels in order, in pieces that are summed from zero and then added in order. A piece has 16
 *   terms, 32 in sums of more than 512, 128 in the backward pass; in the forward pass of a depthwise convolution it is a row
 *   of taps.
 * - Statistics are summed in float32 over at most 32 rows of a block, the sums of the backward pass over 128. These sums are
 *   added in float64 over the block (at most 384 rows of a product, or a band of a group of images of a depthwise
 *   convolution), then in order over the blocks.
 * - Weight gradients are summed over at most 192 positions, then over a fixed number of such sums, then in order over these
 *   groups.
 *
 * The sizes follow from the shapes (`rowTiles`, `weightTiles`, `depthwiseTiles`).
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
 * Chains side by side on channels of x, on the embedded backend: one node of the tape. Their outputs are concatenated along
 * the channels, or interleaved (`shuffled`: one channel of each in turn). In `eval` mode normalisations are folded into the
 * weights and the result has no gradient: differentiating it throws.
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
    throw new Error("convolution chains side by side need outputs of the same height and width")
  }
  if (options.residual && !(branches.length === 1 && tf.util.arraysEqual(outShape, x.shape))) {
    throw new Error(`a residual needs equal shapes of input and output, got [${x.shape}] and [${outShape}]`)
  }
  return options.mode === "train"
    ? train({ backend, x, branches, options, outShape })
    : evaluate(backend, x, branches, options, outShape)
}

/** A single chain on the embedded backend: {@link convBranches} with one branch. */
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
