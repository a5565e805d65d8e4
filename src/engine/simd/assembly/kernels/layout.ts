// Moving numbers: blocks with strides, permuted axes, shuffled channels, repeated rows. All of four-byte elements.

import { argF, argI, argP } from "../abi"
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
 * Ints: 0 source, 1 destination, 2 elements a run, 3 runs, 4-6 sizes of the three inner axes of runs (the outer one is what is
 * left), 7-10 source strides in elements, outer axis first, 11-14 destination strides, 15 runs a piece.
 */
export function copyBlock(args: usize, piece: i32, scratch: usize): void {
  const bytes = (<usize>argI(args, 2)) << 2
  const d1 = argI(args, 4)
  const d2 = argI(args, 5)
  const d3 = argI(args, 6)
  const runs = argI(args, 15)
  const last = min(argI(args, 3), (piece + 1) * runs)
  for (let run = piece * runs; run < last; run++) {
    let rest = run
    const i3 = rest % d3
    rest /= d3
    const i2 = rest % d2
    rest /= d2
    const i1 = rest % d1
    const i0 = rest / d1
    const s = i0 * argI(args, 7) + i1 * argI(args, 8) + i2 * argI(args, 9) + i3 * argI(args, 10)
    const d = i0 * argI(args, 11) + i1 * argI(args, 12) + i2 * argI(args, 13) + i3 * argI(args, 14)
    copyRun(argP(args, 0) + ((<usize>s) << 2), argP(args, 1) + ((<usize>d) << 2), bytes)
  }
}

/**
 * Permutes axes: out, in rows of its last axis, gathered from strides of the source.
 * Ints: 0 source, 1 out, 2 elements a row, 3 rows, 4 source stride along a row, 5 rows a piece, 6 axes of rows (at most 7), from 8
 * their sizes, inner first, from 16 their source strides.
 */
export function permute(args: usize, piece: i32, scratch: usize): void {
  const length = argI(args, 2)
  const stride = (<usize>argI(args, 4)) << 2
  const perPiece = argI(args, 5)
  const axes = argI(args, 6)
  const last = min(argI(args, 3), (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    let rest = row
    let at: usize = 0
    for (let axis = 0; axis < axes; axis++) {
      const size = argI(args, 8 + axis)
      at += <usize>(rest % size) * <usize>argI(args, 16 + axis)
      rest /= size
    }
    let s = argP(args, 0) + (at << 2)
    let d = argP(args, 1) + ((<usize>row * <usize>length) << 2)
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
 * Ints: 0 source [matrices][rows][columns], 1 out [matrices][columns][rows], 2 rows, 3 columns, 4 strips a matrix.
 */
export function transposeTiles(args: usize, piece: i32, scratch: usize): void {
  const rows = argI(args, 2)
  const columns = argI(args, 3)
  const strips = argI(args, 4)
  const matrix = <usize>(piece / strips) * <usize>rows * <usize>columns
  const first = (piece % strips) << 5
  const last = min(columns, first + 32)
  const from = (<usize>columns) << 2
  const to = (<usize>rows) << 2
  const source = argP(args, 0) + (matrix << 2)
  const out = argP(args, 1) + (matrix << 2)
  for (let top = 0; top < rows; top += 32) {
    const bottom = min(rows, top + 32)
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
 * Ints: 0 source, 1 out, 2 rows, 3 groups, 4 channels of each, 5 rows a piece.
 */
export function shuffleChannels(args: usize, piece: i32, scratch: usize): void {
  const groups = argI(args, 3)
  const each = argI(args, 4)
  const perPiece = argI(args, 5)
  const bytes = (<usize>(groups * each)) << 2
  const last = min(argI(args, 2), (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    const s = argP(args, 0) + <usize>row * bytes
    let d = argP(args, 1) + <usize>row * bytes
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
 * Ints: 0 source, 1 out, 2 rows of out, 3 repeats, 4 columns, 5 rows of out a piece. Floats: 0 divisor.
 */
export function spreadRows(args: usize, piece: i32, scratch: usize): void {
  const repeats = argI(args, 3)
  const columns = argI(args, 4)
  const perPiece = argI(args, 5)
  const divisor = argF(args, 0)
  const bytes = (<usize>columns) << 2
  const last = min(argI(args, 2), (piece + 1) * perPiece)
  const four = f32x4.splat(divisor)
  for (let row = piece * perPiece; row < last; row++) {
    let s = argP(args, 0) + <usize>(row / repeats) * bytes
    let d = argP(args, 1) + <usize>row * bytes
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
 * Channels from one NHWC tensor to another. Ints: 0 source, 1 out (where the first of the channels are), 2 rows, 3 channels,
 * 4 and 5 channels of a row of the source and of out, 6 and 7 of which every so manieth is meant, 8 rows a piece.
 */
export function moveChannels(args: usize, piece: i32, scratch: usize): void {
  const channels = argI(args, 3)
  const sourceRow = (<usize>argI(args, 4)) << 2
  const outRow = (<usize>argI(args, 5)) << 2
  const from = (<usize>argI(args, 6)) << 2
  const to = (<usize>argI(args, 7)) << 2
  const perPiece = argI(args, 8)
  const last = min(argI(args, 2), (piece + 1) * perPiece)
  let s = argP(args, 0) + <usize>(piece * perPiece) * sourceRow
  let d = argP(args, 1) + <usize>(piece * perPiece) * outRow
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
