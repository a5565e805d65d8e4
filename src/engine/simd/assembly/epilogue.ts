// What is done with a finished block of a convolution while it is in cache: stored with its statistics, stored as the
// gradient before the previous activation with the sums its normalisation needs, or activated.

import { argI, argP } from "./abi"
import { activate, activateBackward, HSWISH, NONE, PRELU, RELU, RELU6, storeLanes } from "./math"

/** Stores the block; partial mean and squared deviations a channel. */
export const STATISTICS: i32 = 0
/** Stores the block, plus a residual where there is one. */
export const STORE: i32 = 1
/** The block is da: stores dz = da act'(z); partial sums of dz, of dz (y - mean), of da min(z, 0) for slopes. */
export const BACKWARD: i32 = 2
/** Stores act(block + bias), plus a residual where there is one. */
export const ACTIVATE: i32 = 3

// An epilogue descriptor is 20 argument words:
//  0 kind   1 out   2 floats a row of out   3 partial sums   4 counts   5 bias   6 activation   7 y   8 scale   9 shift
// 10 mean   11 slope   12 residual   13 channels of a partial sum (all groups)

/**
 * Rows of `c` (`ldc` bytes each, `step` bytes between the groups of four columns) to rows `row`... of out at channel
 * `channel`; `part` is the number of the partial sum.
 */
export function epilogue(e: usize, c: usize, ldc: usize, step: usize, row: usize, rows: i32, channel: i32, cols: i32, part: i32): void {
  const kind = argI(e, 0)
  const ld = (<usize>argI(e, 2)) << 2
  const at = row * ld + ((<usize>channel) << 2)
  const out = argP(e, 1) + at
  const act = argI(e, 6)
  if (kind == STATISTICS) {
    statistics(e, c, ldc, step, out, ld, rows, channel, cols, part)
  } else if (kind == BACKWARD) {
    switch (act) {
      case RELU: { backward(e, RELU, c, ldc, step, out, at, ld, rows, channel, cols, part); break }
      case RELU6: { backward(e, RELU6, c, ldc, step, out, at, ld, rows, channel, cols, part); break }
      case HSWISH: { backward(e, HSWISH, c, ldc, step, out, at, ld, rows, channel, cols, part); break }
      case PRELU: { backward(e, PRELU, c, ldc, step, out, at, ld, rows, channel, cols, part); break }
      default: backward(e, NONE, c, ldc, step, out, at, ld, rows, channel, cols, part)
    }
  } else {
    switch (act) {
      case RELU: { finish(e, RELU, c, ldc, step, out, at, ld, rows, channel, cols); break }
      case RELU6: { finish(e, RELU6, c, ldc, step, out, at, ld, rows, channel, cols); break }
      case HSWISH: { finish(e, HSWISH, c, ldc, step, out, at, ld, rows, channel, cols); break }
      case PRELU: { finish(e, PRELU, c, ldc, step, out, at, ld, rows, channel, cols); break }
      default: finish(e, NONE, c, ldc, step, out, at, ld, rows, channel, cols)
    }
  }
}

function statistics(e: usize, c0: usize, ldc: usize, step: usize, out0: usize, ld: usize, rows: i32, channel: i32, cols: i32, part: i32): void {
  const channels = argI(e, 13)
  const partial = argP(e, 3) + ((<usize>(part * 2 * channels + channel)) << 2)
  const deviation = (<usize>channels) << 2
  const bias = argP(e, 5)
  store<i32>(argP(e, 4) + ((<usize>part) << 2), rows)
  const inverse = f32x4.splat(<f32>1 / <f32>rows)
  let column: usize = 0
  for (let j = 0; j < cols; j += 4, column += 16, c0 += step) {
    const n = min(4, cols - j)
    const b = bias ? v128.load(bias + ((<usize>channel) << 2) + column) : f32x4.splat(0)
    let c = c0
    let out = out0 + column
    let s0 = f32x4.splat(0)
    let s1 = f32x4.splat(0)
    let r = 0
    if (bias == 0 && n == 4) {
      for (; r + 2 <= rows; r += 2) {
        const v0 = v128.load(c)
        const v1 = v128.load(c + ldc)
        c += ldc + ldc
        v128.store(out, v0)
        v128.store(out + ld, v1)
        out += ld + ld
        s0 = f32x4.add(s0, v0)
        s1 = f32x4.add(s1, v1)
      }
    }
    for (; r < rows; r++) {
      const v0 = f32x4.add(v128.load(c), b)
      c += ldc
      storeLanes(out, v0, n)
      out += ld
      s0 = f32x4.add(s0, v0)
    }
    // The block has no bias yet: deviations are taken from the mean without it.
    const mean = f32x4.mul(f32x4.add(s0, s1), inverse)
    const shifted = bias ? f32x4.sub(mean, b) : mean
    c = c0
    s0 = f32x4.splat(0)
    s1 = f32x4.splat(0)
    for (r = 0; r + 2 <= rows; r += 2) {
      const v0 = f32x4.sub(v128.load(c), shifted)
      const v1 = f32x4.sub(v128.load(c + ldc), shifted)
      c += ldc + ldc
      s0 = f32x4.add(s0, f32x4.mul(v0, v0))
      s1 = f32x4.add(s1, f32x4.mul(v1, v1))
    }
    if (r < rows) {
      const v0 = f32x4.sub(v128.load(c), shifted)
      s0 = f32x4.add(s0, f32x4.mul(v0, v0))
    }
    storeLanes(partial + column, mean, n)
    storeLanes(partial + deviation + column, f32x4.add(s0, s1), n)
  }
}

// @ts-ignore: decorator
@inline
function backward(e: usize, act: i32, c0: usize, ldc: usize, step: usize, out0: usize, at: usize, ld: usize, rows: i32, channel: i32, cols: i32, part: i32): void {
  const channels = argI(e, 13)
  // Without an activation dz is da: nothing is stored when there is no place for it.
  const stores = argP(e, 1) != 0
  const partial = argP(e, 3) + ((<usize>(part * 3 * channels + channel)) << 2)
  const next = (<usize>channels) << 2
  const offset = (<usize>channel) << 2
  const y0 = argP(e, 7) + at
  const scales = argP(e, 8) + offset
  const shifts = argP(e, 9) + offset
  const means = argP(e, 10) + offset
  const slopes = argP(e, 11) + offset
  const zero = f32x4.splat(0)
  let column: usize = 0
  for (let j = 0; j < cols; j += 4, column += 16, c0 += step) {
    const n = min(4, cols - j)
    const scale = v128.load(scales + column)
    const shift = v128.load(shifts + column)
    const mean = v128.load(means + column)
    const slope = act == PRELU ? v128.load(slopes + column) : zero
    let c = c0
    let out = out0 + column
    let y = y0 + column
    let s0 = zero
    let s1 = zero
    let t0 = zero
    let t1 = zero
    let u = zero
    let r = 0
    if (n == 4) {
      for (; r + 2 <= rows; r += 2) {
        const w0 = v128.load(y)
        const w1 = v128.load(y + ld)
        y += ld + ld
        const z0 = f32x4.add(f32x4.mul(w0, scale), shift)
        const z1 = f32x4.add(f32x4.mul(w1, scale), shift)
        const a0 = v128.load(c)
        const a1 = v128.load(c + ldc)
        c += ldc + ldc
        if (act == PRELU) {
          u = f32x4.add(u, f32x4.mul(a0, f32x4.pmin(z0, zero)))
          u = f32x4.add(u, f32x4.mul(a1, f32x4.pmin(z1, zero)))
        }
        const d0 = activateBackward(a0, z0, act, slope)
        const d1 = activateBackward(a1, z1, act, slope)
        if (stores) {
          v128.store(out, d0)
          v128.store(out + ld, d1)
        }
        out += ld + ld
        s0 = f32x4.add(s0, d0)
        s1 = f32x4.add(s1, d1)
        t0 = f32x4.add(t0, f32x4.mul(d0, f32x4.sub(w0, mean)))
        t1 = f32x4.add(t1, f32x4.mul(d1, f32x4.sub(w1, mean)))
      }
    }
    for (; r < rows; r++) {
      const w0 = v128.load(y)
      y += ld
      const z0 = f32x4.add(f32x4.mul(w0, scale), shift)
      const a0 = v128.load(c)
      c += ldc
      if (act == PRELU) u = f32x4.add(u, f32x4.mul(a0, f32x4.pmin(z0, zero)))
      const d0 = activateBackward(a0, z0, act, slope)
      if (stores) storeLanes(out, d0, n)
      out += ld
      s0 = f32x4.add(s0, d0)
      t0 = f32x4.add(t0, f32x4.mul(d0, f32x4.sub(w0, mean)))
    }
    storeLanes(partial + column, f32x4.add(s0, s1), n)
    storeLanes(partial + next + column, f32x4.add(t0, t1), n)
    if (act == PRELU) storeLanes(partial + next + next + column, u, n)
  }
}

// @ts-ignore: decorator
@inline
function finish(e: usize, act: i32, c0: usize, ldc: usize, step: usize, out0: usize, at: usize, ld: usize, rows: i32, channel: i32, cols: i32): void {
  const offset = (<usize>channel) << 2
  const biases = argP(e, 5)
  const slopes = argP(e, 11) + offset
  const residuals = argP(e, 12)
  const zero = f32x4.splat(0)
  let column: usize = 0
  for (let j = 0; j < cols; j += 4, column += 16, c0 += step) {
    const n = min(4, cols - j)
    const bias = biases ? v128.load(biases + offset + column) : zero
    const slope = act == PRELU ? v128.load(slopes + column) : zero
    let c = c0
    let out = out0 + column
    if (residuals) {
      let x = residuals + at + column
      for (let r = 0; r < rows; r++) {
        storeLanes(out, f32x4.add(activate(f32x4.add(v128.load(c), bias), act, slope), v128.load(x)), n)
        c += ldc
        out += ld
        x += ld
      }
    } else {
      for (let r = 0; r < rows; r++) {
        storeLanes(out, activate(f32x4.add(v128.load(c), bias), act, slope), n)
        c += ldc
        out += ld
      }
    }
  }
}
