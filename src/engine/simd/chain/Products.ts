/**
 * Convolutions as products: pointwise, grouped and dense. Weights are packed into micro-panels, each piece packs the rows of
 * its operand, and the micro-kernels multiply the two (assembly/kernels/gemm.ts).
 */
import {
  type Epilogue,
  gatherGroups,
  gemmBoth,
  gemmRows,
  gemmWeights,
  packPanels,
  type Source,
  spreadGroups,
  sumParts
} from "../generated/Kernels.ts"
import { SUM_PARTS_PIECE } from "../Kinds.ts"
import { panelColumns, panelCount, sumPiece } from "../operations/Products.ts"
import type { Runtime } from "../Runtime.ts"
import type { Temporary } from "../Temporaries.ts"
import type { Plan } from "./Plan.ts"
import { ceil, roundUp } from "./Planes.ts"
import {
  BACKWARD_SUM_PIECE,
  blocksPerPiece,
  blocksPerStrip,
  positionsAtOnce,
  productFits,
  type RowTiles,
  rowTiles,
  tooDeep,
  weightTiles
} from "./Tiles.ts"

const groupedWeights = (plan: Plan, grouped: number, dense: number) => ({
  grouped,
  dense,
  taps: plan.taps,
  inputs: plan.stage.inChannels,
  outputs: plan.stage.outChannels,
  groups: plan.stage.groups
})

/**
 * Packs a stage's weights into micro-panels, for y = a W or (`transposed`) da = dy W^T. With `scale` every output channel is
 * multiplied by its factor.
 */
const packWeights = (
  runtime: Runtime,
  plan: Plan,
  weight: number,
  transposed: boolean,
  scale: number | undefined,
  temporary: Temporary
): number => {
  const { inGroup, outGroup, stage, taps } = plan
  const [inner, columns] = transposed ? [outGroup, inGroup] : [inGroup, outGroup]
  const destination = temporary(plan.groups * panelColumns(columns) * roundUp(taps * inner, 4))
  let source = weight
  if (plan.dense) {
    source = temporary(taps * stage.inChannels * stage.outChannels)
    spreadGroups(runtime, 1, groupedWeights(plan, weight, source))
  }
  const panels = panelCount(columns)
  packPanels(runtime, panels * plan.groups, {
    source,
    destination,
    taps,
    inner,
    columns,
    tapStride: inGroup * stage.outChannels,
    innerStride: transposed ? 1 : stage.outChannels,
    columnStride: transposed ? stage.outChannels : 1,
    groupStride: outGroup,
    scale,
    panels
  })
  return destination
}

/** The tiles of a stage's product, forward or (`transposed`) backward. Throws if not even one block fits. */
const productTiles = (plan: Plan, transposed: boolean): RowTiles => {
  const [rows, inner, columns] = transposed
    ? [plan.inRows, plan.outGroup, plan.inGroup]
    : [plan.outRows, plan.inGroup, plan.outGroup]
  const k = inner * plan.taps
  if (!productFits(k)) throw tooDeep(plan)
  return rowTiles(rows, k, columns, plan.groups)
}

/** y = a W with an epilogue; returns the number of row blocks, each with partial sums of its own. */
export const forwardProduct = (
  runtime: Runtime,
  plan: Plan,
  source: Source,
  weight: number,
  scale: number | undefined,
  epilogue: (parts: number) => Epilogue,
  temporary: Temporary
): number => {
  const t = productTiles(plan, false)
  const k = plan.inGroup * plan.taps
  const perPiece = blocksPerPiece(t, plan.groups)
  const panels = packWeights(runtime, plan, weight, false, scale, temporary)
  gemmRows(runtime, ceil(t.rowBlocks, perPiece) * t.columnBlocks * plan.groups, {
    source,
    epilogue: epilogue(t.rowBlocks),
    rows: plan.outRows,
    k,
    columns: plan.outGroup,
    groupChannels: plan.inGroup,
    panels,
    blockRows: t.blockRows,
    rowBlocks: t.rowBlocks,
    blockPanels: t.blockPanels,
    columnBlocks: t.columnBlocks,
    blocksPerPiece: perPiece,
    sumPiece: sumPiece(k)
  })
  return t.rowBlocks
}

/** The other operand and the destination of a weight gradient that is computed in the input gradient's job. */
export interface JointGradient {
  readonly input: Source
  readonly dw: number
}

/**
 * da = dy W^T with an epilogue; returns the number of row blocks. With `joint` the same job computes the weight gradient; it
 * then has one piece per strip of row blocks, and all columns in one block.
 */
export const backwardProduct = (
  runtime: Runtime,
  plan: Plan,
  source: Source,
  weight: number,
  epilogue: (parts: number) => Epilogue,
  joint: JointGradient | undefined,
  temporary: Temporary
): number => {
  const t = productTiles(plan, true)
  const k = plan.outGroup * plan.taps
  const columns = plan.inGroup
  const perPiece = joint === undefined ? blocksPerPiece(t, plan.groups) : blocksPerStrip(t)
  const strips = ceil(t.rowBlocks, perPiece)
  const panels = packWeights(runtime, plan, weight, true, undefined, temporary)
  const product = {
    source,
    epilogue: epilogue(t.rowBlocks),
    rows: plan.inRows,
    k,
    columns,
    groupChannels: plan.outGroup,
    panels,
    blockRows: t.blockRows,
    rowBlocks: t.rowBlocks,
    blockPanels: joint === undefined ? t.blockPanels : panelCount(columns),
    columnBlocks: joint === undefined ? t.columnBlocks : 1,
    blocksPerPiece: perPiece,
    sumPiece: BACKWARD_SUM_PIECE
  }
  if (joint === undefined) {
    gemmRows(runtime, strips * t.columnBlocks * plan.groups, product)
  } else {
    const sums = temporary(strips * k * columns)
    gemmBoth(runtime, strips, { ...product, input: joint.input, sums })
    addParts(runtime, sums, joint.dw, k * columns, strips)
  }
  return t.rowBlocks
}

const addParts = (runtime: Runtime, partial: number, out: number, count: number, parts: number): void =>
  sumParts(runtime, ceil(count, SUM_PARTS_PIECE), { partial, out, count, parts })

/** dW = a^T dy, written to `dw`. */
export const weightGradient = (
  runtime: Runtime,
  plan: Plan,
  input: Source,
  dy: Source,
  dw: number,
  temporary: Temporary
): void => {
  const { outChannels } = plan.stage
  const k = plan.inGroup * plan.taps
  const positions = positionsAtOnce(plan, k)
  if (positions < 6) throw tooDeep(plan)
  const t = weightTiles(plan.outRows, k, plan.outGroup, plan.groups, positions)
  const size = k * outChannels
  const whole = plan.dense ? temporary(size) : dw
  const out = t.positionGroups > 1 ? temporary(t.positionGroups * size) : whole
  gemmWeights(runtime, t.positionGroups * t.blocksA * t.blocksD * plan.groups, {
    a: input,
    d: dy,
    rows: plan.outRows,
    k,
    columns: plan.outGroup,
    groupChannels: plan.inGroup,
    out,
    rowStride: outChannels,
    positionGroupStride: size,
    positionsPerGroup: t.positionsPerGroup,
    positionGroups: t.positionGroups,
    blockA: t.blockA,
    blocksA: t.blocksA,
    blockD: t.blockD,
    blocksD: t.blocksD,
    positions
  })
  if (t.positionGroups > 1) addParts(runtime, out, whole, size, t.positionGroups)
  if (plan.dense) gatherGroups(runtime, 1, groupedWeights(plan, dw, whole))
}
