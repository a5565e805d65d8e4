// Convolutions as products: pointwise, grouped and dense, forward and backward.

import { argI, argP } from "../abi"
import { epilogue } from "../epilogue"
import { gemmOuter, gemmPanel } from "../generated/microkernels"
import { align64 } from "../math"
import { packRows, PLAIN } from "../rows"

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
      for (let k = 0; k < inner; k++) {
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

/**
 * Rows of a source times packed B, and an epilogue. A piece is a block of rows and of columns of one group.
 * Ints: 0-19 source, 20-39 epilogue, 40 rows, 41 k, 42 columns a group, 43 source channels a group, 44 packed B,
 * 45 rows a block, 46 blocks of rows, 47 columns a block (a multiple of 8), 48 blocks of columns.
 */
export function gemmRows(args: usize, piece: i32, scratch: usize): void {
  const e = args + 80
  const k = argI(args, 41)
  const columns = argI(args, 42)
  const blockRows = argI(args, 45)
  const rowBlocks = argI(args, 46)
  const blockCols = argI(args, 47)
  const colBlocks = argI(args, 48)
  const rowBlock = piece % rowBlocks
  const rest = piece / rowBlocks
  const colBlock = rest % colBlocks
  const group = rest / colBlocks
  const row = rowBlock * blockRows
  const rows = min(blockRows, argI(args, 40) - row)
  const col = colBlock * blockCols
  const cols = min(blockCols, columns - col)
  const depth = (k + 3) & ~3
  const channel = group * argI(args, 43)

  let a = scratch
  let lda = (<usize>depth) << 2
  const groups6 = (rows + 5) / 6
  let c = align64(scratch + <usize>(groups6 * 6) * lda + 64)
  if (argI(args, 0) == PLAIN && depth == k && k <= 2048) {
    lda = (<usize>argI(args, 2)) << 2
    a = argP(args, 1) + <usize>row * lda + ((<usize>channel) << 2)
    c = scratch
  } else packRows(args, row, rows, channel, 0, k, a, lda)

  const panels = (cols + 7) >> 3
  const ldc = (<usize>panels) << 5
  const panelBytes = (<usize>depth) << 5
  const panelsInGroup = (columns + 7) >> 3
  let b = argP(args, 44) + <usize>(group * panelsInGroup + (col >> 3)) * panelBytes
  for (let p = 0; p < panels; p++) {
    gemmPanel(a, lda, groups6, b, b + panelBytes, c + ((<usize>p) << 5), ldc)
    b += panelBytes
  }
  epilogue(e, c, ldc, 16, row, rows, group * columns + col, cols, rowBlock)
}

const POSITIONS: i32 = 128

// From rows to panels of six columns, [position][6].
function interleave6(t: usize, ldt: usize, rows: i32, count: i32, cols: i32, dst: usize): void {
  const step = <usize>count * 24
  for (let q = 0; q < cols; q += 6) {
    let s = t + ((<usize>q) << 2)
    let d = dst
    for (let r = 0; r < rows; r++) {
      v128.store(d, v128.load(s))
      v128.store64_lane(d, v128.load64_zero(s, 16), 0, 16)
      s += ldt
      d += 24
    }
    for (let r = rows; r < count; r++) {
      v128.store(d, f32x4.splat(0))
      v128.store64_lane(d, f32x4.splat(0), 0, 16)
      d += 24
    }
    dst += step
  }
}

// From rows to panels of eight columns, [position][8].
function interleave8(t: usize, ldt: usize, rows: i32, count: i32, cols: i32, dst: usize): void {
  const step = (<usize>count) << 5
  for (let q = 0; q < cols; q += 8) {
    let s = t + ((<usize>q) << 2)
    let d = dst
    for (let r = 0; r < rows; r++) {
      v128.store(d, v128.load(s))
      v128.store(d, v128.load(s, 16), 16)
      s += ldt
      d += 32
    }
    for (let r = rows; r < count; r++) {
      v128.store(d, f32x4.splat(0))
      v128.store(d, f32x4.splat(0), 16)
      d += 32
    }
    dst += step
  }
}

/**
 * The weight gradient: A^T D summed over a group of positions, for a block of A's columns and of D's. Sums are made over
 * 128 positions at a time, then added up.
 * Ints: 0-19 source A, 20-39 source D, 40 rows, 41 columns of A (k), 42 columns of D a group, 43 channels of A a group,
 * 44 out, 45 floats a row of out, 46 floats of out a group of positions, 47 positions a group (a multiple of 128), 48 groups of
 * positions, 49 columns of A a block (a multiple of 6), 50 blocks of them, 51 columns of D a block (of 8), 52 blocks.
 */
export function gemmWeights(args: usize, piece: i32, scratch: usize): void {
  const d = args + 80
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
  const gathers = argI(args, 0) > 2
  const packedA = gathers ? k : colsA

  const ldt = (<usize>((max(packedA, colsD) + 15) & ~7)) << 2
  const t = scratch
  const panelsA = (colsA + 5) / 6
  const panelsD = (colsD + 7) >> 3
  const a = align64(t + ldt * POSITIONS + 64)
  const b = align64(a + <usize>(panelsA * POSITIONS * 24) + 64)
  const c = align64(b + <usize>(panelsD * POSITIONS * 32) + 64)
  const ldc = (<usize>panelsD) << 5
  memory.fill(c, 0, <usize>(panelsA * 6) * ldc)

  const end = min(argI(args, 40), (positionGroup + 1) * perGroup)
  for (let row = positionGroup * perGroup; row < end; row += POSITIONS) {
    const rows = min(POSITIONS, end - row)
    const count = (rows + 3) & ~3
    packRows(args, row, rows, group * argI(args, 43), gathers ? 0 : colA, packedA, t, ldt)
    interleave6(gathers ? t + ((<usize>colA) << 2) : t, ldt, rows, count, colsA, a)
    packRows(d, row, rows, group * columns, colD, colsD, t, ldt)
    interleave8(t, ldt, rows, count, colsD, b)
    for (let i = 0; i < panelsA; i++) {
      for (let j = 0; j < panelsD; j++) {
        gemmOuter(a + <usize>(i * count) * 24, b + ((<usize>(j * count)) << 5), count, c + <usize>(i * 6) * ldc + ((<usize>j) << 5), ldc)
      }
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
