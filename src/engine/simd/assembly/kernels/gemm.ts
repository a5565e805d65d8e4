// Convolutions as products: pointwise, grouped and dense, forward and backward.

import { epilogue } from "../epilogue"
import { gemmBlock2, gemmBlock3, gemmBlock4, gemmBlock5, gemmOuter2, gemmOuter3, gemmOuter4, gemmOuter5 } from "../generated/microkernels"
import {
  EpilogueKind,
  GatherGroups,
  GemmBoth,
  GemmRows,
  GemmWeights,
  GroupedWeights,
  Operand,
  PackPanels,
  SUM_PARTS_PIECE,
  SpreadGroups,
  SumParts,
  WEIGHT_POSITIONS
} from "../generated/signatures"
import { align64 } from "../math"
import { packRows } from "../rows"

// @ts-ignore: decorator
@inline
function channelAt(packed: usize, channel: i32): usize {
  return packed + <usize>(channel >> 2) * 96 + ((<usize>(channel & 3)) << 2)
}

// Columns are split into panels of at most five vectors, as equal in width as possible; only a single vector is padded.

/** Panels of `columns` columns. */
// @ts-ignore: decorator
@inline
export function panelCount(columns: i32): i32 {
  return (((columns + 3) >> 2) + 4) / 5
}

/** The first column of a panel; for the panel after the last one, the end of the columns. */
// @ts-ignore: decorator
@inline
export function panelStart(columns: i32, panel: i32): i32 {
  const vectors = max(2, (columns + 3) >> 2)
  const count = (vectors + 4) / 5
  const least = vectors / count
  return (panel * least + min(panel, vectors - count * least)) << 2
}

/** C [vector][row][4] = packed A times one panel of `vectors` vectors, summed in pieces of `pieces` (a multiple of four) terms. */
export function gemmPanel(a: usize, groups: i32, b: usize, depth: i32, pieces: i32, vectors: i32, c: usize, cStep: usize): void {
  const end = b + (<usize>(depth * vectors) << 4)
  const piece = <usize>(pieces * vectors) << 4
  if (vectors == 5) gemmBlock5(a, groups, b, end, piece, c, cStep)
  else if (vectors == 4) gemmBlock4(a, groups, b, end, piece, c, cStep)
  else if (vectors == 3) gemmBlock3(a, groups, b, end, piece, c, cStep)
  else gemmBlock2(a, groups, b, end, piece, c, cStep)
}

/**
 * Packs a matrix B of `groups` x [taps * inner, columns] into panels, [k][vectors][4], with k padded to a multiple of four
 * and zeros elsewhere. One piece is one panel.
 */
export function packPanels(args: PackPanels, piece: i32, scratch: usize): void {
  const taps = args.taps
  const inner = args.inner
  const columns = args.columns
  const stepTap = (<usize>args.tapStride) << 2
  const stepInner = (<usize>args.innerStride) << 2
  const stepColumn = (<usize>args.columnStride) << 2
  const panels = args.panels
  const group = piece / panels
  const panel = piece - group * panels
  const first = panelStart(columns, panel)
  const width = panelStart(columns, panel + 1) - first
  const live = min(width, columns - first)
  const depth = (taps * inner + 3) & ~3
  const row = (<usize>width) << 2
  let dst = args.destination + ((<usize>(group * panelStart(columns, panels) + first) * <usize>depth) << 2)
  const end = dst + <usize>depth * row
  const source = args.source + ((<usize>group * <usize>args.groupStride) << 2) + (<usize>first) * stepColumn
  const scales = args.scale
  const scale = scales + ((<usize>(group * columns + first)) << 2)
  for (let tap = 0; tap < taps; tap++) {
    let s = source + (<usize>tap) * stepTap
    if (live == width && stepColumn == 4) {
      for (let k = 0; k < inner; k++) {
        for (let j: usize = 0; j < row; j += 16) {
          const v = v128.load(s + j)
          v128.store(dst + j, scales ? f32x4.mul(v, v128.load(scale + j)) : v)
        }
        s += stepInner
        dst += row
      }
    } else {
      let k = 0
      if (live == width && stepInner == 4 && !scales) {
        for (; k + 4 <= inner; k += 4) {
          for (let j = 0; j < width; j += 4) transpose4(s + <usize>j * stepColumn, stepColumn, dst + ((<usize>j) << 2), row)
          s += 16
          dst += row << 2
        }
      }
      for (; k < inner; k++) {
        let p = s
        for (let j = 0; j < width; j++) {
          let v: f32 = 0
          if (j < live) {
            v = load<f32>(p)
            if (scales) v *= load<f32>(scale + ((<usize>j) << 2))
            p += stepColumn
          }
          store<f32>(dst + ((<usize>j) << 2), v)
        }
        s += stepInner
        dst += row
      }
    }
  }
  for (; dst < end; dst += 16) v128.store(dst, f32x4.splat(0))
}

// Four rows of four, `step` bytes apart, to four columns, `row` bytes apart.
// @ts-ignore: decorator
@inline
function transpose4(s: usize, step: usize, dst: usize, row: usize): void {
  const a = v128.load(s)
  const b = v128.load(s + step)
  const c = v128.load(s + 2 * step)
  const d = v128.load(s + 3 * step)
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5)
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7)
  const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
  v128.store(dst, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5))
  dst += row
  v128.store(dst, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7))
  dst += row
  v128.store(dst, v128.shuffle<f32>(ef, gh, 0, 1, 4, 5))
  dst += row
  v128.store(dst, v128.shuffle<f32>(ef, gh, 2, 3, 6, 7))
}

/**
 * Rows of a source times packed B, and an epilogue. A piece is a strip of blocks of rows, and a block of columns of one group;
 * strips keep threads from writing to the same cache lines.
 */
export function gemmRows(args: GemmRows, piece: i32, scratch: usize): void {
  const rowBlocks = args.rowBlocks
  const perPiece = args.blocksPerPiece
  const colBlocks = args.columnBlocks
  const strips = (rowBlocks + perPiece - 1) / perPiece
  const rest = piece / strips
  const first = (piece - rest * strips) * perPiece
  const last = min(rowBlocks, first + perPiece)
  for (let rowBlock = first; rowBlock < last; rowBlock++) productBlock(args, scratch, rowBlock, rest % colBlocks, rest / colBlocks)
}

/**
 * Both gradients of a pointwise convolution, whose shared operand is packed once: gemmRows with one block of columns and one
 * group and, per strip, the sum of the weight gradient, as in gemmWeights.
 */
export function gemmBoth(args: GemmBoth, piece: i32, scratch: usize): void {
  const perPiece = args.blocksPerPiece
  const first = piece * perPiece
  const last = min(args.rowBlocks, first + perPiece)
  const k = args.k
  const columns = args.columns
  const c = align64(scratch)
  const ldc = (<usize>panelStart(k, panelCount(k))) << 2
  const size = <usize>(columns + 2) * ldc
  memory.fill(c, 0, size)
  const rest = align64(c + size)
  const vectors = (columns + 3) >> 2
  const step = <usize>vectors * 96
  const dStep = (<usize>((k + 3) & ~3)) * 24
  for (let rowBlock = first; rowBlock < last; rowBlock++) {
    const d = productBlock(args, rest, rowBlock, 0, 0)
    const row = rowBlock * args.blockRows
    const rows = min(args.blockRows, args.rows - row)
    const groups6 = (rows + 5) / 6
    // Behind d: overwrites what the product left there.
    const x = align64(d + <usize>groups6 * dStep + 256)
    packRows(args.input, row, rows, 0, columns, x, x)
    for (let group = 0; group < groups6; group += WEIGHT_POSITIONS / 6) {
      outerBlock(x + <usize>group * step, step, columns, d + <usize>group * dStep, dStep, k, min(WEIGHT_POSITIONS / 6, groups6 - group), c, ldc)
    }
  }
  copyRows(args.sums + ((<usize>piece * <usize>(k * columns)) << 2), (<usize>k) << 2, c, ldc, columns, k)
}

// Returns the address of the packed rows.
function productBlock(args: GemmRows, scratch: usize, rowBlock: i32, colBlock: i32, group: i32): usize {
  const k = args.k
  const columns = args.columns
  const blockRows = args.blockRows
  const firstPanel = colBlock * args.blockPanels
  const lastPanel = min(panelCount(columns), firstPanel + args.blockPanels)
  const row = rowBlock * blockRows
  const rows = min(blockRows, args.rows - row)
  const depth = (k + 3) & ~3

  const line = scratch
  const a = align64(scratch + ((<usize>depth) << 2) + 64)
  const groups6 = (rows + 5) / 6
  const c = align64(a + <usize>(groups6 * depth) * 24)
  packRows(args.source, row, rows, group * args.groupChannels, k, a, line)

  const e = args.epilogue
  const cStep = <usize>groups6 * 96
  const width = panelStart(columns, panelCount(columns))
  const weights = args.panels + ((<usize>(group * width) * <usize>depth) << 2)
  const vector = (group * columns) >> 2
  const vectors = (columns + 3) >> 2
  const start = panelStart(columns, firstPanel)
  // Planes are finished panel by panel, while they are in the L1 cache; NHWC needs whole rows.
  const atOnce = e.kind == EpilogueKind.ACTIVATE_NHWC
  // If the block is a run of rows of its planes, compute in place: stores then overlap with computing the next rows.
  const perGroup = e.pixels << e.groupShift
  const images = row / perGroup
  const inPlace = !atOnce && rows % 6 == 0 && (images + 1) * perGroup >= row + rows
  const planes = (e.channels + 3) >> 2
  for (let p = firstPanel; p < lastPanel; p++) {
    const first = panelStart(columns, p)
    const panelVectors = (panelStart(columns, p + 1) - first) >> 2
    const live = min(panelVectors, vectors - (first >> 2))
    let target = c
    let step = cStep
    if (atOnce) target += <usize>((first - start) >> 2) * cStep
    else if (inPlace && live == panelVectors) {
      target = e.out + ((<usize>((images * planes + vector + (first >> 2) - images) * perGroup + row)) << 4)
      step = (<usize>perGroup) << 4
    }
    gemmPanel(a, groups6, weights + ((<usize>first * <usize>depth) << 2), depth, args.sumPiece, panelVectors, target, step)
    if (!atOnce) epilogue(e, target, step, row, rows, vector + (first >> 2), live, rowBlock)
  }
  if (atOnce) {
    const end = min(vectors, panelStart(columns, lastPanel) >> 2)
    epilogue(e, c, cStep, row, rows, vector + (start >> 2), end - (start >> 2), rowBlock)
  }
  return a
}

/**
 * The weight gradient: A^T D summed over a group of positions, for a block of A's columns and of D's. It sums
 * over `positions` positions at a time, then adds these sums.
 */
export function gemmWeights(args: GemmWeights, piece: i32, scratch: usize): void {
  const k = args.k
  const columns = args.columns
  const perGroup = args.positionsPerGroup
  const positionGroups = args.positionGroups
  const blockA = args.blockA
  const blocksA = args.blocksA
  const blockD = args.blockD
  const blocksD = args.blocksD
  const positions = args.positions
  const positionGroup = piece % positionGroups
  let rest = piece / positionGroups
  const ia = rest % blocksA
  rest = rest / blocksA
  const id = rest % blocksD
  const group = rest / blocksD
  const colA = ia * blockA
  const colsA = min(blockA, k - colA)
  const colD = id * blockD
  const colsD = min(blockD, columns - colD)
  // Patches are packed whole.
  const gathers = args.a.kind >= Operand.GATHER
  const packedA = gathers ? k : colsA
  const vectorsD = (colsD + 3) >> 2
  const aStep = <usize>((packedA + 3) >> 2) * 96
  const dStep = <usize>vectorsD * 96

  const line = scratch
  const a = align64(line + ((<usize>k) << 2) + 64)
  const d = align64(a + aStep * (positions / 6))
  const c = align64(d + dStep * (positions / 6) + 256)
  const ldc = (<usize>panelStart(colsD, panelCount(colsD))) << 2
  memory.fill(c, 0, <usize>(colsA + 2) * ldc)

  const end = min(args.rows, (positionGroup + 1) * perGroup)
  for (let row = positionGroup * perGroup; row < end; row += positions) {
    const rows = min(positions, end - row)
    const groups6 = (rows + 5) / 6
    packRows(args.a, row, rows, group * args.groupChannels + (gathers ? 0 : colA), packedA, a, line)
    packRows(args.d, row, rows, group * columns + colD, colsD, d, line)
    const a0 = gathers ? a + <usize>(colA >> 2) * 96 : a
    outerBlock(a0, aStep, colsA, d, dStep, colsD, groups6, c, ldc)
  }

  const ld = (<usize>args.rowStride) << 2
  const out = args.out + ((<usize>positionGroup * <usize>args.positionGroupStride) << 2) + <usize>colA * ld + ((<usize>(group * columns + colD)) << 2)
  copyRows(out, ld, c, ldc, colsA, colsD)
}

// c += A^T D over `groups` groups of six positions. A panel of D stays in the L1 cache while A
// passes by, two or three channels at a time; the padding ends up in rows and columns of c that are dropped.
function outerBlock(a: usize, aStep: usize, channels: i32, d: usize, dStep: usize, columns: i32, groups: i32, c: usize, ldc: usize): void {
  const panels = panelCount(columns)
  const last = channels - 1
  for (let p = 0; p < panels; p++) {
    const first = panelStart(columns, p)
    const vectors = (panelStart(columns, p + 1) - first) >> 2
    const y = d + <usize>(first >> 2) * 96
    let target = c + ((<usize>first) << 2)
    if (vectors >= 4) {
      for (let i = 0; i < channels; i += 2) {
        const x0 = channelAt(a, i)
        const x1 = channelAt(a, min(i + 1, last))
        if (vectors == 5) gemmOuter5(x0, x1, aStep, y, dStep, groups, target, ldc)
        else gemmOuter4(x0, x1, aStep, y, dStep, groups, target, ldc)
        target += 2 * ldc
      }
    } else {
      for (let i = 0; i < channels; i += 3) {
        const x0 = channelAt(a, i)
        const x1 = channelAt(a, min(i + 1, last))
        const x2 = channelAt(a, min(i + 2, last))
        if (vectors == 3) gemmOuter3(x0, x1, x2, aStep, y, dStep, groups, target, ldc)
        else gemmOuter2(x0, x1, x2, aStep, y, dStep, groups, target, ldc)
        target += 3 * ldc
      }
    }
  }
}

function copyRows(out: usize, ld: usize, c: usize, ldc: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    memory.copy(out, c, (<usize>columns) << 2)
    out += ld
    c += ldc
  }
}

/** out[i] = sum over parts of partial[part][i], parts in order. */
export function sumParts(args: SumParts, piece: i32, scratch: usize): void {
  const count = args.count
  const parts = args.parts
  const step = (<usize>count) << 2
  const start = piece * SUM_PARTS_PIECE
  const end = min(count, start + SUM_PARTS_PIECE)
  for (let i = start; i < end; i += 4) {
    let p = args.partial + ((<usize>i) << 2)
    const q = args.out + ((<usize>i) << 2)
    if (i + 4 <= end) {
      let s = v128.load(p)
      for (let part = 1; part < parts; part++) {
        p += step
        s = f32x4.add(s, v128.load(p))
      }
      v128.store(q, s)
    } else {
      for (let j: usize = 0; j < (<usize>(end - i)) << 2; j += 4) {
        let r = p + j
        let s = load<f32>(r)
        for (let part = 1; part < parts; part++) {
          r += step
          s += load<f32>(r)
        }
        store<f32>(q + j, s)
      }
    }
  }
}

/**
 * Grouped weights [taps][in / groups][out] as dense ones [taps][in][out], zero between groups. One piece.
 */
export function spreadGroups(args: SpreadGroups, piece: i32, scratch: usize): void {
  moveGroups(args, false)
}

/** The groups' part of dense weights: the reverse of spreadGroups. */
export function gatherGroups(args: GatherGroups, piece: i32, scratch: usize): void {
  moveGroups(args, true)
}

function moveGroups(args: GroupedWeights, back: bool): void {
  const inputs = args.inputs
  const outputs = args.outputs
  const inGroup = inputs / args.groups
  const outGroup = outputs / args.groups
  let dense = args.dense
  for (let tap = 0; tap < args.taps; tap++) {
    for (let i = 0; i < inputs; i++) {
      const group = i / inGroup
      const at = args.grouped + ((<usize>((tap * inGroup + i - group * inGroup) * outputs)) << 2)
      for (let o = 0; o < outputs; o++, dense += 4) {
        const inside = o / outGroup == group
        if (!back) store<f32>(dense, inside ? load<f32>(at + ((<usize>o) << 2)) : 0)
        else if (inside) store<f32>(at + ((<usize>o) << 2), load<f32>(dense))
      }
    }
  }
}
