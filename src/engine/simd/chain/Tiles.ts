/**
 * Tiles: how the work of a convolution is split into the pieces of a job.
 *
 * The sizes decide bits: each block is summed separately, and these sums are added in order. So every size here follows from
 * shapes alone, never from the number of threads or the width of vectors.
 *
 * Sizes are limited by the caches and by the scratch memory of a thread, where a piece packs its operands.
 */
import * as Schema from "effect/Schema"
import { WEIGHT_POSITIONS } from "../Kinds.ts"
import { panelCount } from "../operations/Products.ts"
import type { Plan } from "./Plan.ts"
import { ceil, clamp, groupImages, groupsOf, padded, roundUp } from "./Planes.ts"

/** Bytes of scratch memory per thread (Runtime.ts). */
const SCRATCH_BYTES = 8 * 2 ** 20
/** Maximum rows of a block and, if there are enough rows, minimum. */
const MOST_ROWS = 384
const LEAST_ROWS = 96
/** Floats of a block's packed operand, which should stay in the L2 cache. */
const BLOCK_FLOATS = 48 * 1024
/** Rows that the micro-kernels multiply at once; blocks are multiples of it. */
const MICRO_ROWS = 6
/** Pieces of a job that keep several threads busy. */
const PIECES = 16

/** Terms summed at once in the products of a backward pass: the forward pass dominates the rounding error of gradients. */
export const BACKWARD_SUM_PIECE = 128

/** Blocks of a product of rows by columns. */
export interface RowTiles {
  readonly blockRows: number
  readonly rowBlocks: number
  readonly blockPanels: number
  readonly columnBlocks: number
}

/** Tiles of the product of `rows` rows of `k` terms by `columns` columns, for each of `groups` groups. */
export const rowTiles = (rows: number, k: number, columns: number, groups: number): RowTiles => {
  const depth = roundUp(k, 4)
  const wide = clamp(
    Math.floor(Math.min(rows / (3 * PIECES), BLOCK_FLOATS / depth)),
    rows >= LEAST_ROWS * 8 ? LEAST_ROWS : LEAST_ROWS / 2,
    MOST_ROWS
  )
  const fitting = Math.floor(Math.min(wide, SCRATCH_BYTES / 2 / (depth * 4)) / MICRO_ROWS) * MICRO_ROWS
  const most = clamp(fitting, MICRO_ROWS, MOST_ROWS)
  const blockRows = roundUp(ceil(rows, ceil(rows, Math.min(most, roundUp(rows, MICRO_ROWS)))), MICRO_ROWS)
  const rowBlocks = ceil(rows, blockRows)
  const wanted = Math.max(
    ceil(columns, 160),
    Math.min(ceil(PIECES, rowBlocks * groups), Math.max(1, Math.floor(columns / 32)))
  )
  const panels = panelCount(columns)
  const blockPanels = ceil(panels, wanted)
  return { blockRows, rowBlocks, blockPanels, columnBlocks: ceil(panels, blockPanels) }
}

/** Row blocks of a piece of a product. */
export const blocksPerPiece = ({ columnBlocks, rowBlocks }: RowTiles, groups: number): number =>
  clamp(Math.floor((rowBlocks * columnBlocks * groups) / 40), 1, 4)

/** Row blocks of a strip of a job that computes both gradients: each strip has a partial weight gradient. */
export const blocksPerStrip = ({ rowBlocks }: RowTiles): number => ceil(rowBlocks, 4 * PIECES)

/** Whether the smallest block of rows of a product over `k` terms fits in the scratch memory. */
export const productFits = (k: number): boolean => roundUp(k, 4) * 4 * MICRO_ROWS <= SCRATCH_BYTES / 2

/** The error for a convolution with more terms than fit. */
export const tooDeep = ({ inGroup, stage }: Plan): Error =>
  new Error(
    `a ${stage.kernel} x ${stage.kernel} convolution of ${inGroup} channels is too deep for the embedded engine`
  )

/** Rows per block for the gradient of a chain's last activation. */
export const backwardBlockRows = (channels: number): number => clamp(Math.floor(8192 / channels), 24, LEAST_ROWS)

/**
 * Positions whose terms of a weight gradient are summed at once: WEIGHT_POSITIONS, or fewer if im2col patches, which are packed
 * whole, are too large for the scratch memory. With fewer than six the convolution does not fit.
 */
export const positionsAtOnce = (plan: Pick<Plan, "kind">, k: number): number => {
  if (plan.kind !== "im2col") return WEIGHT_POSITIONS
  const patches = Math.floor((SCRATCH_BYTES - 2 ** 19) / (roundUp(k, 4) * 4)) - 1
  return Math.min(WEIGHT_POSITIONS, Math.floor(patches / MICRO_ROWS) * MICRO_ROWS)
}

/** Blocks of a weight gradient [k, columns], and groups of the positions it is summed over. */
export const weightTiles = (rows: number, k: number, columns: number, groups: number, positions: number) => {
  const blockA = Math.min(padded(k), 96)
  const blocksA = ceil(k, blockA)
  const blockD = roundUp(ceil(columns, ceil(columns, 144)), 12)
  const blocksD = ceil(columns, blockD)
  const positionBlocks = ceil(rows, positions)
  const groupsWanted = clamp(ceil(2 * PIECES, blocksA * blocksD * groups), 1, positionBlocks)
  const positionsPerGroup = ceil(positionBlocks, groupsWanted) * positions
  return { blockA, blocksA, blockD, blocksD, positionsPerGroup, positionGroups: ceil(rows, positionsPerGroup) }
}

/** The rows of a depthwise convolution do not fit in a thread's scratch memory. */
export class EngineWidthError extends Schema.TaggedError<EngineWidthError>()("EngineWidthError", {
  width: Schema.Finite,
  kernel: Schema.Finite,
  batch: Schema.Finite,
  widest: Schema.Finite
}) {
  override get message(): string {
    return (
      `A depthwise convolution of kernel ${this.kernel} over rows of ${this.width} pixels is too wide for the embedded engine: at a ` +
      `batch of ${this.batch} rows may have ${this.widest} pixels. Use smaller images` +
      `${this.batch < 5 ? "" : ", a batch below 5 (rows may then be eight times as long)"}, or the engine tensorflow.`
    )
  }
}

/** Rows of a band of a depthwise convolution. */
const bandRowsOf = (plan: Plan, height: number, rowWidth: number): number =>
  ceil(height, ceil(height, Math.max(1, Math.floor(4608 / groupImages(plan.batch) / rowWidth))))

/** The longest rows whose band fits in the scratch memory, with at most three tiles (dy, a, result). */
const widestRow = (plan: Plan, height: number, rowWidth: number): number => {
  const halo = plan.stage.dilation * (plan.stage.kernel - 1)
  const rows = bandRowsOf(plan, height, rowWidth) * plan.stage.stride + 2 * halo + 2
  return Math.floor((SCRATCH_BYTES * 0.9) / (rows * groupImages(plan.batch) * 16 * 3))
}

/** Whether the tiles of a band fit in the scratch memory. */
export const depthwiseFits = (plan: Plan, height: number, rowWidth: number): boolean =>
  Math.max(plan.width, plan.outWidth) <= widestRow(plan, height, rowWidth)

/** Pieces of a depthwise convolution: ranges of vectors, bands of rows, groups of images. */
export interface DepthwiseTiles {
  readonly vectors: number
  readonly groups: number
  readonly bandRows: number
  readonly bands: number
  readonly vectorsPerPiece: number
  readonly pieces: number
  /** Partial sums per channel. */
  readonly parts: number
}

/** The tiles over a grid of `height` rows of `rowWidth` positions: of the output in the forward pass, of the input in the backward pass. */
export const depthwiseTiles = (plan: Plan, height: number, rowWidth: number): DepthwiseTiles => {
  if (!depthwiseFits(plan, height, rowWidth)) {
    throw new EngineWidthError({
      width: plan.width,
      kernel: plan.stage.kernel,
      batch: plan.batch,
      widest: widestRow(plan, height, rowWidth)
    })
  }
  const vectors = ceil(plan.stage.inChannels, 4)
  const groups = groupsOf(plan.batch)
  const bandRows = bandRowsOf(plan, height, rowWidth)
  const bands = ceil(height, bandRows)
  // Enough pieces to share, each enough work to be worth taking.
  const vectorsPerPiece = clamp(
    Math.floor((vectors * groups * bands) / 64),
    1,
    clamp(Math.floor(16384 / groupImages(plan.batch) / (bandRows * rowWidth)), 1, vectors)
  )
  return {
    vectors,
    groups,
    bandRows,
    bands,
    vectorsPerPiece,
    pieces: groups * bands * ceil(vectors, vectorsPerPiece),
    parts: groups * bands
  }
}
