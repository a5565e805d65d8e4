// Moving elements of four bytes: strided blocks, permuted axes, shuffled channels, repeated rows.

import {
  CopyBlock,
  MoveChannels,
  Permute,
  ShuffleChannels,
  SpreadRows,
  TRANSPOSE_TILE,
  TransposeTiles
} from "../generated/signatures"
import { loadApart, storeApart } from "../math"

// @ts-ignore: decorator
@inline
function copyRun(s: usize, d: usize, bytes: usize): void {
  if (bytes > 256) {
    memory.copy(d, s, bytes)
    return
  }
  const end = s + (bytes & ~15)
  while (s < end) {
    v128.store(d, v128.load(s))
    s += 16
    d += 16
  }
  const stop = s + (bytes & 15)
  while (s < stop) {
    store<u32>(d, load<u32>(s))
    s += 4
    d += 4
  }
}

/**
 * Copies runs of consecutive elements from one strided place to another.
 */
export function copyBlock(args: CopyBlock, piece: i32, scratch: usize): void {
  const bytes = (<usize>args.run) << 2
  const d1 = args.sizes(0)
  const d2 = args.sizes(1)
  const d3 = args.sizes(2)
  const runs = args.runsPerPiece
  const last = min(args.runs, (piece + 1) * runs)
  for (let run = piece * runs; run < last; run++) {
    let rest = run
    const i3 = rest % d3
    rest /= d3
    const i2 = rest % d2
    rest /= d2
    const i1 = rest % d1
    const i0 = rest / d1
    const s = i0 * args.sourceStrides(0) + i1 * args.sourceStrides(1) + i2 * args.sourceStrides(2) + i3 * args.sourceStrides(3)
    const d = i0 * args.destinationStrides(0) + i1 * args.destinationStrides(1) + i2 * args.destinationStrides(2) + i3 * args.destinationStrides(3)
    copyRun(args.source + ((<usize>s) << 2), args.destination + ((<usize>d) << 2), bytes)
  }
}

/**
 * Permutes axes: out, in rows of its last axis, gathered from strides of the source.
 */
export function permute(args: Permute, piece: i32, scratch: usize): void {
  const length = args.length
  const stride = (<usize>args.rowStride) << 2
  const perPiece = args.rowsPerPiece
  const axes = args.axes
  const last = min(args.rows, (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    let rest = row
    let at: usize = 0
    for (let axis = 0; axis < axes; axis++) {
      const size = args.sizes(axis)
      at += <usize>(rest % size) * <usize>args.strides(axis)
      rest /= size
    }
    let s = args.source + (at << 2)
    let d = args.out + ((<usize>row * <usize>length) << 2)
    if (stride == 4) {
      copyRun(s, d, (<usize>length) << 2)
      continue
    }
    const end = d + ((<usize>length) << 2)
    while (d < end) {
      store<u32>(d, load<u32>(s))
      s += stride
      d += 4
    }
  }
}

/**
 * Transposes matrices, in tiles of 32 x 32; a piece is a strip of 32 columns of one of them.
 */
export function transposeTiles(args: TransposeTiles, piece: i32, scratch: usize): void {
  const rows = args.rows
  const columns = args.columns
  const strips = args.strips
  const matrix = <usize>(piece / strips) * <usize>rows * <usize>columns
  const first = (piece % strips) * TRANSPOSE_TILE
  const last = min(columns, first + TRANSPOSE_TILE)
  const from = (<usize>columns) << 2
  const to = (<usize>rows) << 2
  const source = args.source + (matrix << 2)
  const out = args.out + (matrix << 2)
  for (let top = 0; top < rows; top += TRANSPOSE_TILE) {
    const bottom = min(rows, top + TRANSPOSE_TILE)
    for (let c = first; c < last; c += 4) {
      const width = min(4, last - c)
      let s = source + <usize>top * from + ((<usize>c) << 2)
      let d = out + <usize>c * to + ((<usize>top) << 2)
      let r = top
      for (; r + 4 <= bottom && width == 4; r += 4) {
        const a0 = v128.load(s)
        const a1 = v128.load(s + from)
        const a2 = v128.load(s + 2 * from)
        const a3 = v128.load(s + 3 * from)
        const b0 = i8x16.shuffle(a0, a1, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
        const b1 = i8x16.shuffle(a2, a3, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
        const b2 = i8x16.shuffle(a0, a1, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
        const b3 = i8x16.shuffle(a2, a3, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
        v128.store(d, i8x16.shuffle(b0, b1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23))
        v128.store(d + to, i8x16.shuffle(b0, b1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
        v128.store(d + 2 * to, i8x16.shuffle(b2, b3, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23))
        v128.store(d + 3 * to, i8x16.shuffle(b2, b3, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
        s += from << 2
        d += 16
      }
      for (; r < bottom; r++) {
        for (let j: usize = 0; j < <usize>width; j++) store<u32>(d + j * to, load<u32>(s + (j << 2)))
        s += from
        d += 4
      }
    }
  }
}

/**
 * Channel shuffle of rows seen as [groups][each], written [each][groups].
 */
export function shuffleChannels(args: ShuffleChannels, piece: i32, scratch: usize): void {
  const groups = args.groups
  const each = args.each
  const perPiece = args.rowsPerPiece
  const bytes = (<usize>(groups * each)) << 2
  const last = min(args.rows, (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    const s = args.source + <usize>row * bytes
    let d = args.out + <usize>row * bytes
    if (groups == 2) {
      let a = s
      let b = s + ((<usize>each) << 2)
      const end = a + ((<usize>(each & ~3)) << 2)
      while (a < end) {
        const x = v128.load(a)
        const y = v128.load(b)
        v128.store(d, i8x16.shuffle(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23))
        v128.store(d, i8x16.shuffle(x, y, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31), 16)
        a += 16
        b += 16
        d += 32
      }
      const stop = s + ((<usize>each) << 2)
      while (a < stop) {
        store<u32>(d, load<u32>(a))
        store<u32>(d, load<u32>(b), 4)
        a += 4
        b += 4
        d += 8
      }
    } else if (each == 2) {
      let a = s
      let e = d + ((<usize>groups) << 2)
      const end = d + ((<usize>(groups & ~3)) << 2)
      const stop = e
      while (d < end) {
        const x = v128.load(a)
        const y = v128.load(a, 16)
        v128.store(d, i8x16.shuffle(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27))
        v128.store(e, i8x16.shuffle(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
        a += 32
        d += 16
        e += 16
      }
      while (d < stop) {
        store<u32>(d, load<u32>(a))
        store<u32>(e, load<u32>(a, 4))
        a += 8
        d += 4
        e += 4
      }
    } else {
      const step = (<usize>each) << 2
      for (let j: usize = 0; j < step; j += 4) {
        let p = s + j
        for (let g = 0; g < groups; g++) {
          store<u32>(d, load<u32>(p))
          p += step
          d += 4
        }
      }
    }
  }
}

/**
 * Every row of [outer][columns] repeated, divided by a number: [outer][repeats][columns].
 */
export function spreadRows(args: SpreadRows, piece: i32, scratch: usize): void {
  const repeats = args.repeats
  const columns = args.columns
  const perPiece = args.rowsPerPiece
  const divisor = args.divisor
  const bytes = (<usize>columns) << 2
  const last = min(args.rows, (piece + 1) * perPiece)
  const four = f32x4.splat(divisor)
  for (let row = piece * perPiece; row < last; row++) {
    let s = args.source + <usize>(row / repeats) * bytes
    let d = args.out + <usize>row * bytes
    const end = d + (bytes & ~15)
    while (d < end) {
      v128.store(d, f32x4.div(v128.load(s), four))
      s += 16
      d += 16
    }
    const stop = d + (bytes & 15)
    while (d < stop) {
      store<f32>(d, load<f32>(s) / divisor)
      s += 4
      d += 4
    }
  }
}

/**
 * Channels from one NHWC tensor to another.
 */
export function moveChannels(args: MoveChannels, piece: i32, scratch: usize): void {
  const channels = args.channels
  const sourceRow = (<usize>args.sourcePixelStride) << 2
  const outRow = (<usize>args.outPixelStride) << 2
  const from = (<usize>args.sourceChannelStride) << 2
  const to = (<usize>args.outChannelStride) << 2
  const perPiece = args.rowsPerPiece
  const last = min(args.rows, (piece + 1) * perPiece)
  let s = args.source + <usize>(piece * perPiece) * sourceRow
  let d = args.out + <usize>(piece * perPiece) * outRow
  for (let row = piece * perPiece; row < last; row++, s += sourceRow, d += outRow) {
    if (from == 4 && to == 4) {
      copyRun(s, d, (<usize>channels) << 2)
      continue
    }
    let a = s
    let b = d
    let left = channels
    for (; left >= 4; left -= 4, a += 4 * from, b += 4 * to) {
      let v: v128
      if (from == 4) v = v128.load(a)
      else if (from == 8) v = i8x16.shuffle(v128.load(a), v128.load(a, 16), 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
      else v = loadApart(a, 4, from)
      storeApart(b, v, 4, to)
    }
    if (left) storeApart(b, loadApart(a, left, from), left, to)
  }
}
