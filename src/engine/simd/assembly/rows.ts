// Rows of a matrix that is not there: the operand of a product, made on the fly from what is kept. A source descriptor is
// 20 argument words:
//  0 kind   1 address   2 floats a row (of all groups)   3 activation   4, 5, 6 three vectors a channel   7 second address
//  8 height   9 width   10 rows of the grid   11 columns of the grid   12 kernel   13 stride   14 padding   15 dilation
//  16 channels a tap

import { argI, argP } from "./abi"
import { activate, HSWISH, keepLanes, NONE, PRELU, RELU, RELU6 } from "./math"

/** x */
export const PLAIN: i32 = 0
/** act(x * v0 + v1), slope v2 */
export const ACTIVATED: i32 = 1
/** x * v0 + x2 * v1 + v2: the gradient of a normalised convolution from dz and y */
export const NORM_BACKWARD: i32 = 2
/** Patches of x: a convolution as a product */
export const GATHER: i32 = 3
/** Patches of dy: the input gradient of a convolution as a product */
export const GATHER_BACKWARD: i32 = 4

// @ts-ignore: decorator
@inline
function activatedRows(act: i32, x: usize, ld: usize, v0: usize, v1: usize, v2: usize, rows: i32, cols: i32, dst: usize, ldDst: usize): void {
  const full = <usize>(cols & ~3) << 2
  const tail = cols & 3
  const zero = f32x4.splat(0)
  let r = 0
  for (; r + 2 <= rows; r += 2) {
    const x1 = x + ld
    const dst1 = dst + ldDst
    let c: usize = 0
    for (; c < full; c += 16) {
      const a = v128.load(v0 + c)
      const b = v128.load(v1 + c)
      const s = act == PRELU ? v128.load(v2 + c) : zero
      v128.store(dst + c, activate(f32x4.add(f32x4.mul(v128.load(x + c), a), b), act, s))
      v128.store(dst1 + c, activate(f32x4.add(f32x4.mul(v128.load(x1 + c), a), b), act, s))
    }
    if (tail) {
      const a = v128.load(v0 + c)
      const b = v128.load(v1 + c)
      const s = act == PRELU ? v128.load(v2 + c) : zero
      v128.store(dst + c, keepLanes(activate(f32x4.add(f32x4.mul(v128.load(x + c), a), b), act, s), tail))
      v128.store(dst1 + c, keepLanes(activate(f32x4.add(f32x4.mul(v128.load(x1 + c), a), b), act, s), tail))
    }
    x = x1 + ld
    dst = dst1 + ldDst
  }
  if (r < rows) {
    let c: usize = 0
    for (; c < full; c += 16) {
      const s = act == PRELU ? v128.load(v2 + c) : zero
      v128.store(dst + c, activate(f32x4.add(f32x4.mul(v128.load(x + c), v128.load(v0 + c)), v128.load(v1 + c)), act, s))
    }
    if (tail) {
      const s = act == PRELU ? v128.load(v2 + c) : zero
      v128.store(dst + c, keepLanes(activate(f32x4.add(f32x4.mul(v128.load(x + c), v128.load(v0 + c)), v128.load(v1 + c)), act, s), tail))
    }
  }
}

function normBackwardRows(x: usize, y: usize, ld: usize, v0: usize, v1: usize, v2: usize, rows: i32, cols: i32, dst: usize, ldDst: usize): void {
  const full = <usize>(cols & ~3) << 2
  const tail = cols & 3
  for (let r = 0; r < rows; r++) {
    let c: usize = 0
    for (; c < full; c += 16) {
      const t = f32x4.add(f32x4.mul(v128.load(y + c), v128.load(v1 + c)), v128.load(v2 + c))
      v128.store(dst + c, f32x4.add(f32x4.mul(v128.load(x + c), v128.load(v0 + c)), t))
    }
    if (tail) {
      const t = f32x4.add(f32x4.mul(v128.load(y + c), v128.load(v1 + c)), v128.load(v2 + c))
      v128.store(dst + c, keepLanes(f32x4.add(f32x4.mul(v128.load(x + c), v128.load(v0 + c)), t), tail))
    }
    x += ld
    y += ld
    dst += ldDst
  }
}

function plainRows(x: usize, ld: usize, rows: i32, cols: i32, dst: usize, ldDst: usize): void {
  const full = <usize>(cols & ~3) << 2
  const tail = cols & 3
  for (let r = 0; r < rows; r++) {
    let c: usize = 0
    for (; c < full; c += 16) v128.store(dst + c, v128.load(x + c))
    if (tail) v128.store(dst + c, keepLanes(v128.load(x + c), tail))
    x += ld
    dst += ldDst
  }
}

// Copies n floats in whole vectors: up to 12 bytes more than asked for are written, which the next copy covers.
// @ts-ignore: decorator
@inline
function copyOver(dst: usize, src: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n << 2; i += 16) v128.store(dst + i, v128.load(src + i))
}

// @ts-ignore: decorator
@inline
function zeroOver(dst: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n << 2; i += 16) v128.store(dst + i, f32x4.splat(0))
}

function gatherRows(s: usize, row: i32, rows: i32, channel: i32, dst: usize, ldDst: usize): void {
  const backward = argI(s, 0) == GATHER_BACKWARD
  const x = argP(s, 1) + ((<usize>channel) << 2)
  const ld = argI(s, 2)
  const height = argI(s, 8)
  const width = argI(s, 9)
  const gridRows = argI(s, 10)
  const gridCols = argI(s, 11)
  const kernel = argI(s, 12)
  const stride = argI(s, 13)
  const padding = argI(s, 14)
  const dilation = argI(s, 15)
  const channels = argI(s, 16)
  const joined = !backward && dilation == 1 && ld == channels
  let column = row % gridCols
  let line = (row / gridCols) % gridRows
  let image = row / gridCols / gridRows
  for (let r = 0; r < rows; r++) {
    const base = x + ((<usize>image * <usize>(height * width) * <usize>ld) << 2)
    let d = dst
    for (let ky = 0; ky < kernel; ky++) {
      let iy: i32
      let inside: bool
      if (backward) {
        const t = line + padding - ky * dilation
        iy = t / stride
        inside = t >= 0 && iy * stride == t && iy < height
      } else {
        iy = line * stride - padding + ky * dilation
        inside = iy >= 0 && iy < height
      }
      if (!inside) {
        zeroOver(d, kernel * channels)
        d += <usize>(kernel * channels) << 2
        continue
      }
      const source = base + ((<usize>iy * <usize>(width * ld)) << 2)
      const ix0 = column * stride - padding
      if (joined && ix0 >= 0 && ix0 + kernel <= width) {
        copyOver(d, source + ((<usize>(ix0 * ld)) << 2), kernel * channels)
        d += <usize>(kernel * channels) << 2
        continue
      }
      for (let kx = 0; kx < kernel; kx++) {
        let ix: i32
        if (backward) {
          const t = column + padding - kx * dilation
          ix = t / stride
          inside = t >= 0 && ix * stride == t && ix < width
        } else {
          ix = ix0 + kx * dilation
          inside = ix >= 0 && ix < width
        }
        if (inside) copyOver(d, source + ((<usize>(ix * ld)) << 2), channels)
        else zeroOver(d, channels)
        d += <usize>channels << 2
      }
    }
    // What the last copy wrote too much lies in the padding of the row, which has to be zero.
    zeroOver(d, 1)
    dst += ldDst
    if (++column == gridCols) {
      column = 0
      if (++line == gridRows) {
        line = 0
        image++
      }
    }
  }
}

/**
 * Writes rows [row, row + rows) of the source at `s`, columns [col, col + cols), row-major to `dst`, `ldDst` bytes a row;
 * columns are filled up with zeros to a multiple of four. `channel` is the first channel of the group. A gathering source
 * always writes whole rows (col 0). Rows need 32 spare bytes at the end.
 */
export function packRows(s: usize, row: i32, rows: i32, channel: i32, col: i32, cols: i32, dst: usize, ldDst: usize): void {
  const kind = argI(s, 0)
  if (kind >= GATHER) {
    gatherRows(s, row, rows, channel, dst, ldDst)
    return
  }
  const ld = (<usize>argI(s, 2)) << 2
  const offset = (<usize>(channel + col)) << 2
  const start = <usize>row * ld + offset
  const x = argP(s, 1) + start
  if (kind == PLAIN) {
    plainRows(x, ld, rows, cols, dst, ldDst)
    return
  }
  const v0 = argP(s, 4) + offset
  const v1 = argP(s, 5) + offset
  const v2 = argP(s, 6) + offset
  if (kind == NORM_BACKWARD) {
    normBackwardRows(x, argP(s, 7) + start, ld, v0, v1, v2, rows, cols, dst, ldDst)
    return
  }
  switch (argI(s, 3)) {
    case RELU: { activatedRows(RELU, x, ld, v0, v1, v2, rows, cols, dst, ldDst); break }
    case RELU6: { activatedRows(RELU6, x, ld, v0, v1, v2, rows, cols, dst, ldDst); break }
    case HSWISH: { activatedRows(HSWISH, x, ld, v0, v1, v2, rows, cols, dst, ldDst); break }
    case PRELU: { activatedRows(PRELU, x, ld, v0, v1, v2, rows, cols, dst, ldDst); break }
    default: activatedRows(NONE, x, ld, v0, v1, v2, rows, cols, dst, ldDst)
  }
}
