// Convolutions as products: pointwise, grouped and dense, forward and backward.

import { argI, argP } from "../abi"
import { ACTIVATE_NHWC, epilogue } from "../epilogue"
import { gemmBlock, gemmOuter4, gemmOuter6, gemmOuter6b } from "../generated/microkernels"
import { align64 } from "../math"
import { GATHER, packRows } from "../rows"

/**
 * Packs a matrix B of `groups` x [taps * inner, columns] into panels of eight columns, [k][8], k filled up to a multiple
 * of four, zeros where there is nothing. One piece is one panel.
 * Ints: 0 source, 1 destination, 2 taps, 3 inner, 4 columns, 5 floats a tap, 6 floats an inner step, 7 floats a column,
 * 8 floats a group, 9 scale of the columns (or 0), 10 panels a group.
 */
export function packPanels(args: usize, piece: i32, scratch: usize): void {
  const taps = argI(args, 2)
  const inner = argI(args, 3)
  const columns = argI(args, 4)
  const stepTap = (<usize>argI(args, 5)) << 2
  const stepInner = (<usize>argI(args, 6)) << 2
  const stepColumn = (<usize>argI(args, 7)) << 2
  const panels = argI(args, 10)
  const group = piece / panels
  const panel = piece % panels
  const first = panel * 8
  const live = min(8, columns - first)
  const depth = (taps * inner + 3) & ~3
  let dst = argP(args, 1) + ((<usize>piece * <usize>depth) << 5)
  const end = dst + ((<usize>depth) << 5)
  const source = argP(args, 0) + ((<usize>group * <usize>argI(args, 8)) << 2) + (<usize>first) * stepColumn
  const scales = argP(args, 9)
  const scale = scales + ((<usize>(group * columns + first)) << 2)
  for (let tap = 0; tap < taps; tap++) {
    let s = source + (<usize>tap) * stepTap
    if (live == 8 && stepColumn == 4) {
      const s0 = scales ? v128.load(scale) : f32x4.splat(1)
      const s1 = scales ? v128.load(scale, 16) : f32x4.splat(1)
      for (let k = 0; k < inner; k++) {
        v128.store(dst, f32x4.mul(v128.load(s), s0))
        v128.store(dst, f32x4.mul(v128.load(s, 16), s1), 16)
        s += stepInner
        dst += 32
      }
    } else {
      let k = 0
      if (live == 8 && stepInner == 4 && !scales) {
        for (; k + 4 <= inner; k += 4) {
          transpose4(s, stepColumn, dst)
          transpose4(s + 4 * stepColumn, stepColumn, dst + 16)
          s += 16
          dst += 128
        }
      }
      for (; k < inner; k++) {
        let p = s
        for (let j = 0; j < 8; j++) {
          let v: f32 = 0
          if (j < live) {
            v = load<f32>(p)
            if (scales) v *= load<f32>(scale + ((<usize>j) << 2))
            p += stepColumn
          }
          store<f32>(dst + ((<usize>j) << 2), v)
        }
        s += stepInner
        dst += 32
      }
    }
  }
  for (; dst < end; dst += 16) v128.store(dst, f32x4.splat(0))
}

// Four rows of four, `step` bytes apart, to four rows 32 bytes apart.
// @ts-ignore: decorator
@inline
function transpose4(s: usize, step: usize, dst: usize): void {
  const a = v128.load(s)
  const b = v128.load(s + step)
  const c = v128.load(s + 2 * step)
  const d = v128.load(s + 3 * step)
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5)
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7)
  const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
  v128.store(dst, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5))
  v128.store(dst, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 32)
  v128.store(dst, v128.shuffle<f32>(ef, gh, 0, 1, 4, 5), 64)
  v128.store(dst, v128.shuffle<f32>(ef, gh, 2, 3, 6, 7), 96)
}

/**
 * Rows of a source times packed B, and an epilogue. A piece is a strip of blocks of rows, and a block of columns of one group;
 * strips keep the threads from writing side by side.
 * Ints: 0-19 source, 20-39 epilogue, 40 rows, 41 k, 42 columns a group, 43 source channels a group, 44 packed B,
 * 45 rows a block (a multiple of 6), 46 blocks of rows, 47 columns a block (a multiple of 8), 48 blocks of columns, 49 blocks
 * of rows a piece.
 */
export function gemmRows(args: usize, piece: i32, scratch: usize): void {
  const rowBlocks = argI(args, 46)
  const perPiece = argI(args, 49)
  const colBlocks = argI(args, 48)
  const strips = (rowBlocks + perPiece - 1) / perPiece
  const rest = piece / strips
  const first = (piece - rest * strips) * perPiece
  const last = min(rowBlocks, first + perPiece)
  for (let rowBlock = first; rowBlock < last; rowBlock++) productBlock(args, scratch, rowBlock, rest % colBlocks, rest / colBlocks)
}

function productBlock(args: usize, scratch: usize, rowBlock: i32, colBlock: i32, group: i32): void {
  const k = argI(args, 41)
  const columns = argI(args, 42)
  const blockRows = argI(args, 45)
  const blockCols = argI(args, 47)
  const row = rowBlock * blockRows
  const rows = min(blockRows, argI(args, 40) - row)
  const col = colBlock * blockCols
  const cols = min(blockCols, columns - col)
  const depth = (k + 3) & ~3

  const line = scratch
  const a = align64(scratch + ((<usize>depth) << 2) + 64)
  const groups6 = (rows + 5) / 6
  const c = align64(a + <usize>(groups6 * depth) * 24)
  packRows(args, row, rows, group * argI(args, 43), k, a, line)

  const e = args + 80
  const panels = (cols + 7) >> 3
  const cStep = <usize>groups6 * 96
  const panelBytes = (<usize>depth) << 5
  const panelsInGroup = (columns + 7) >> 3
  const vector = (group * columns + col) >> 2
  const vectors = (cols + 3) >> 2
  // Planes are finished two vectors at a time, while they are in the first cache; NHWC wants whole rows.
  const atOnce = argI(e, 0) == ACTIVATE_NHWC
  let b = argP(args, 44) + <usize>(group * panelsInGroup + (col >> 3)) * panelBytes
  for (let p = 0; p < panels; p++) {
    const target = atOnce ? c + <usize>(2 * p) * cStep : c
    gemmBlock(a, groups6, b, b + panelBytes, target, cStep)
    b += panelBytes
    if (!atOnce) epilogue(e, target, cStep, row, rows, vector + 2 * p, min(2, vectors - 2 * p), rowBlock)
  }
  if (atOnce) epilogue(e, c, cStep, row, rows, vector, vectors, rowBlock)
}

const POSITIONS: i32 = 192

/**
 * The weight gradient: A^T D summed over a group of positions, for a block of A's columns and of D's. Sums are made over
 * 192 positions at a time, then added up.
 * Ints: 0-19 source A, 20-39 source D, 40 rows, 41 columns of A (k), 42 columns of D a group, 43 channels of A a group,
 * 44 out, 45 floats a row of out, 46 floats of out a group of positions, 47 positions a group (a multiple of 192), 48 groups of
 * positions, 49 columns of A a block (a multiple of 4), 50 blocks of them, 51 columns of D a block (of 8), 52 blocks.
 */
export function gemmWeights(args: usize, piece: i32, scratch: usize): void {
  const k = argI(args, 41)
  const columns = argI(args, 42)
  const perGroup = argI(args, 47)
  const positionGroups = argI(args, 48)
  const blockA = argI(args, 49)
  const blocksA = argI(args, 50)
  const blockD = argI(args, 51)
  const blocksD = argI(args, 52)
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
  const gathers = argI(args, 0) >= GATHER
  const packedA = gathers ? k : colsA
  const vectorsA = (colsA + 3) >> 2
  const vectorsD = (colsD + 3) >> 2
  const aStep = <usize>((packedA + 3) >> 2) * 96
  const dStep = <usize>vectorsD * 96

  const line = scratch
  const a = align64(line + ((<usize>k) << 2) + 64)
  const d = align64(a + aStep * (POSITIONS / 6))
  // A single last vector of D is done with the one behind it, into columns that are dropped.
  const c = align64(d + dStep * (POSITIONS / 6) + 256)
  const ldc = (<usize>(vectorsD + 1)) << 4
  memory.fill(c, 0, <usize>(vectorsA * 4) * ldc)

  const end = min(argI(args, 40), (positionGroup + 1) * perGroup)
  for (let row = positionGroup * perGroup; row < end; row += POSITIONS) {
    const rows = min(POSITIONS, end - row)
    const groups6 = (rows + 5) / 6
    packRows(args, row, rows, group * argI(args, 43) + (gathers ? 0 : colA), packedA, a, line)
    packRows(args + 80, row, rows, group * columns + colD, colsD, d, line)
    const a0 = gathers ? a + <usize>(colA >> 2) * 96 : a
    let i = 0
    while (i < vectorsA) {
      const three = i + 3 <= vectorsA
      const x = a0 + <usize>i * 96
      const target = c + <usize>(i * 4) * ldc
      for (let j = 0; j < vectorsD; j += 2) {
        const y = d + <usize>j * 96
        const t = target + ((<usize>j) << 4)
        if (three) {
          gemmOuter6(x, aStep, y, dStep, groups6, t, ldc)
          gemmOuter6b(x, aStep, y, dStep, groups6, t + 6 * ldc, ldc)
        } else gemmOuter4(x, aStep, y, dStep, groups6, t, ldc)
      }
      i += three ? 3 : 1
    }
  }

  const ld = (<usize>argI(args, 45)) << 2
  let out = argP(args, 44) + ((<usize>positionGroup * <usize>argI(args, 46)) << 2) + <usize>colA * ld + ((<usize>(group * columns + colD)) << 2)
  for (let i = 0; i < colsA; i++) {
    memory.copy(out, c + <usize>i * ldc, (<usize>colsD) << 2)
    out += ld
  }
}

/** out[i] = sum over parts of partial[part][i], parts in order. Pieces of 4096. Ints: 0 partial, 1 out, 2 count, 3 parts. */
export function sumParts(args: usize, piece: i32, scratch: usize): void {
  const count = argI(args, 2)
  const parts = argI(args, 3)
  const step = (<usize>count) << 2
  const start = piece << 12
  const end = min(count, start + 4096)
  for (let i = start; i < end; i += 4) {
    let p = argP(args, 0) + ((<usize>i) << 2)
    const q = argP(args, 1) + ((<usize>i) << 2)
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
 * Weights of groups [taps][in / groups][out] as dense ones [taps][in][out], zero between groups. One piece. Ints: 0 grouped,
 * 1 dense, 2 taps, 3 in, 4 out, 5 groups.
 */
export function spreadGroups(args: usize, piece: i32, scratch: usize): void {
  moveGroups(args, false)
}

/** The groups' part of dense weights: the reverse of spreadGroups. */
export function gatherGroups(args: usize, piece: i32, scratch: usize): void {
  moveGroups(args, true)
}

function moveGroups(args: usize, back: bool): void {
  const inputs = argI(args, 3)
  const outputs = argI(args, 4)
  const inGroup = inputs / argI(args, 5)
  const outGroup = outputs / argI(args, 5)
  let dense = argP(args, 1)
  for (let tap = 0; tap < argI(args, 2); tap++) {
    for (let i = 0; i < inputs; i++) {
      const group = i / inGroup
      const at = argP(args, 0) + ((<usize>((tap * inGroup + i - group * inGroup) * outputs)) << 2)
      for (let o = 0; o < outputs; o++, dense += 4) {
        const inside = o / outGroup == group
        if (!back) store<f32>(dense, inside ? load<f32>(at + ((<usize>o) << 2)) : 0)
        else if (inside) store<f32>(at + ((<usize>o) << 2), load<f32>(dense))
      }
    }
  }
}
