// What is done with a finished block of a convolution while it is in cache: stored with its statistics, stored as the
// gradient before the previous activation with the sums its normalisation needs, or activated.

import { argI, argP } from "./abi"
import { activate, activateBackward, HSWISH, NONE, PRELU, RELU, RELU6, loadApart, storeApart } from "./math"

/** Stores block + bias to planes; partial mean and squared deviations a channel. */
export const STATISTICS: i32 = 0
/** Stores act(block + bias) to planes. */
export const ACTIVATE: i32 = 1
/** The block is da: stores dz = da act'(z) to planes; partial sums of dz, of dz (y - mean), of da min(z, 0) for slopes. */
export const BACKWARD: i32 = 2
/** Stores act(block + bias), plus a residual where there is one, to NHWC. */
export const ACTIVATE_NHWC: i32 = 3

// Sums run over at most this many rows in float32; what they come to is added up in float64. A depthwise convolution brings
// thousands of rows at once, and an error of their mean or variance is one that all positions of the channel share.
const SUM_ROWS: i32 = 128
const STATISTICS_ROWS: i32 = 32

// An epilogue descriptor is 20 argument words:
//  0 kind   1 out   2 channels of out   3 partial sums   4 counts   5 bias   6 activation   7 y   8 scale   9 shift
// 10 mean   11 slope   12 residual   13 pixels   14 images   15 shift (of the images in a group, see rows.ts)
// 16 channels of NHWC's pixels, of which those of the block are every (17)th one: out is where the first of them is
// Vectors are filled up to whole vectors with zeros.

/**
 * `c` is a block [vector][row][4], `step` bytes a vector, of `rows` rows from `row` and `vectors` vectors from `vector`; `part` is the number
 * of the partial sum. The block may be the place where it is stored.
 */
export function epilogue(e: usize, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const kind = argI(e, 0)
  const act = argI(e, 6)
  if (kind == STATISTICS) {
    statistics(e, c, step, row, rows, vector, vectors, part)
  } else if (kind == BACKWARD) {
    switch (act) {
      case RELU: { backward(e, RELU, c, step, row, rows, vector, vectors, part); break }
      case RELU6: { backward(e, RELU6, c, step, row, rows, vector, vectors, part); break }
      case HSWISH: { backward(e, HSWISH, c, step, row, rows, vector, vectors, part); break }
      case PRELU: { backward(e, PRELU, c, step, row, rows, vector, vectors, part); break }
      default: backward(e, NONE, c, step, row, rows, vector, vectors, part)
    }
  } else if (kind == ACTIVATE) {
    switch (act) {
      case RELU: { toPlanes(e, RELU, c, step, row, rows, vector, vectors); break }
      case RELU6: { toPlanes(e, RELU6, c, step, row, rows, vector, vectors); break }
      case HSWISH: { toPlanes(e, HSWISH, c, step, row, rows, vector, vectors); break }
      case PRELU: { toPlanes(e, PRELU, c, step, row, rows, vector, vectors); break }
      default: toPlanes(e, NONE, c, step, row, rows, vector, vectors)
    }
  } else {
    switch (act) {
      case RELU: { toNhwc(e, RELU, c, step, row, rows, vector, vectors); break }
      case RELU6: { toNhwc(e, RELU6, c, step, row, rows, vector, vectors); break }
      case HSWISH: { toNhwc(e, HSWISH, c, step, row, rows, vector, vectors); break }
      case PRELU: { toNhwc(e, PRELU, c, step, row, rows, vector, vectors); break }
      default: toNhwc(e, NONE, c, step, row, rows, vector, vectors)
    }
  }
}

/** Rows of [row, row + rows) whose image exists. */
function liveRows(row: i32, rows: i32, pixels: i32, images: i32, shift: i32): i32 {
  const last = (1 << shift) - 1
  if ((images & last) == 0) return rows
  let live = 0
  for (let r = row; r < row + rows; r++) if (((r >> shift) / pixels << shift) + (r & last) < images) live++
  return live
}

// The first two lanes, and the last two, in float64.
// @ts-ignore: decorator
@inline
function lowLanes(v: v128): v128 {
  return f64x2.promote_low_f32x4(v)
}

// @ts-ignore: decorator
@inline
function highLanes(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3))
}

// @ts-ignore: decorator
@inline
function joinLanes(low: v128, high: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5)
}

// Sum of the rows of c (or of their squared deviations), those of images that exist, times a factor.
// @ts-ignore: decorator
@inline
function sumRows(squares: bool, c: usize, row: i32, rows: i32, mean: v128, firstMissing: i32, lastImages: i32, last: i32, factor: f64): v128 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (let start = 0; start < rows; start += STATISTICS_ROWS) {
    const end = min(rows, start + STATISTICS_ROWS)
    let s0 = f32x4.splat(0)
    let s1 = f32x4.splat(0)
    let s2 = f32x4.splat(0)
    let s3 = f32x4.splat(0)
    let r = start
    if (row + end <= firstMissing) {
      for (; r + 4 <= end; r += 4) {
        let v0 = v128.load(c)
        let v1 = v128.load(c, 16)
        let v2 = v128.load(c, 32)
        let v3 = v128.load(c, 48)
        if (squares) {
          v0 = f32x4.sub(v0, mean)
          v1 = f32x4.sub(v1, mean)
          v2 = f32x4.sub(v2, mean)
          v3 = f32x4.sub(v3, mean)
          v0 = f32x4.mul(v0, v0)
          v1 = f32x4.mul(v1, v1)
          v2 = f32x4.mul(v2, v2)
          v3 = f32x4.mul(v3, v3)
        }
        s0 = f32x4.add(s0, v0)
        s1 = f32x4.add(s1, v1)
        s2 = f32x4.add(s2, v2)
        s3 = f32x4.add(s3, v3)
        c += 64
      }
    }
    for (; r < end; r++, c += 16) {
      if (row + r >= firstMissing && ((row + r) & last) >= lastImages) continue
      let v = v128.load(c)
      if (squares) {
        v = f32x4.sub(v, mean)
        v = f32x4.mul(v, v)
      }
      s0 = f32x4.add(s0, v)
    }
    const sum = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))
    low = f64x2.add(low, lowLanes(sum))
    high = f64x2.add(high, highLanes(sum))
  }
  const by = f64x2.splat(factor)
  return joinLanes(f64x2.mul(low, by), f64x2.mul(high, by))
}

function statistics(e: usize, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const planes = (argI(e, 2) + 3) >> 2
  const biases = argP(e, 5)
  const pixels = argI(e, 13)
  const images = argI(e, 14)
  const shift = argI(e, 15)
  const perGroup = pixels << shift
  const last = (1 << shift) - 1
  const lastImages = images & last
  const firstMissing = lastImages == 0 ? i32.MAX_VALUE : (images >> shift) * perGroup
  const live = liveRows(row, rows, pixels, images, shift)
  store<i32>(argP(e, 4) + ((<usize>part) << 2), live)
  const inverse: f64 = live ? 1.0 / <f64>live : 0
  const partial = argP(e, 3) + ((<usize>(part * 2 * planes)) << 4)
  for (let j = 0; j < vectors; j++, c += step) {
    const channel = (<usize>(vector + j)) << 4
    // The block has no bias yet: deviations are taken from the mean without it.
    const mean = sumRows(false, c, row, rows, f32x4.splat(0), firstMissing, lastImages, last, inverse)
    const squares = sumRows(true, c, row, rows, mean, firstMissing, lastImages, last, 1)
    const bias = biases ? v128.load(biases + channel) : f32x4.splat(0)
    v128.store(partial + channel, biases ? f32x4.add(mean, bias) : mean)
    v128.store(partial + channel + ((<usize>planes) << 4), squares)
    let p = c
    let group = row / perGroup
    let start = row - group * perGroup
    let left = rows
    while (left > 0) {
      const length = min(left, perGroup - start)
      let out = argP(e, 1) + ((<usize>((group * planes + vector + j) * perGroup + start)) << 4)
      if (biases) {
        for (const end = p + ((<usize>length) << 4); p < end; p += 16, out += 16) v128.store(out, f32x4.add(v128.load(p), bias))
      } else {
        if (out != p) memory.copy(out, p, (<usize>length) << 4)
        p += (<usize>length) << 4
      }
      left -= length
      start = 0
      group++
    }
  }
}

// @ts-ignore: decorator
@inline
function backward(e: usize, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const planes = (argI(e, 2) + 3) >> 2
  const perGroup = argI(e, 13) << argI(e, 15)
  const next = (<usize>planes) << 4
  const partial = argP(e, 3) + <usize>(part * 3) * next
  const zero = f32x4.splat(0)
  for (let j = 0; j < vectors; j++, c += step) {
    const channel = (<usize>(vector + j)) << 4
    const scale = v128.load(argP(e, 8) + channel)
    const shift = v128.load(argP(e, 9) + channel)
    const mean = v128.load(argP(e, 10) + channel)
    const slope = act == PRELU ? v128.load(argP(e, 11) + channel) : zero
    // Sums of dz, of dz (y - mean), of da min(z, 0): two lanes each.
    let sLow = f64x2.splat(0)
    let sHigh = f64x2.splat(0)
    let tLow = f64x2.splat(0)
    let tHigh = f64x2.splat(0)
    let uLow = f64x2.splat(0)
    let uHigh = f64x2.splat(0)
    let p = c
    let group = row / perGroup
    let start = row - group * perGroup
    let left = rows
    while (left > 0) {
      const length = min(min(left, perGroup - start), SUM_ROWS)
      const at = (<usize>((group * planes + vector + j) * perGroup + start)) << 4
      let out = argP(e, 1) + at
      let y = argP(e, 7) + at
      let s0 = zero
      let s1 = zero
      let t0 = zero
      let t1 = zero
      let u0 = zero
      let u1 = zero
      let r = 0
      for (; r + 2 <= length; r += 2) {
        const w0 = v128.load(y)
        const w1 = v128.load(y, 16)
        const a0 = v128.load(p)
        const a1 = v128.load(p, 16)
        const z0 = f32x4.add(f32x4.mul(w0, scale), shift)
        const z1 = f32x4.add(f32x4.mul(w1, scale), shift)
        if (act == PRELU) {
          u0 = f32x4.add(u0, f32x4.mul(a0, f32x4.pmin(z0, zero)))
          u1 = f32x4.add(u1, f32x4.mul(a1, f32x4.pmin(z1, zero)))
        }
        const d0 = activateBackward(a0, z0, act, slope)
        const d1 = activateBackward(a1, z1, act, slope)
        v128.store(out, d0)
        v128.store(out, d1, 16)
        s0 = f32x4.add(s0, d0)
        s1 = f32x4.add(s1, d1)
        t0 = f32x4.add(t0, f32x4.mul(d0, f32x4.sub(w0, mean)))
        t1 = f32x4.add(t1, f32x4.mul(d1, f32x4.sub(w1, mean)))
        y += 32
        p += 32
        out += 32
      }
      if (r < length) {
        const w0 = v128.load(y)
        const a0 = v128.load(p)
        const z0 = f32x4.add(f32x4.mul(w0, scale), shift)
        if (act == PRELU) u0 = f32x4.add(u0, f32x4.mul(a0, f32x4.pmin(z0, zero)))
        const d0 = activateBackward(a0, z0, act, slope)
        v128.store(out, d0)
        s0 = f32x4.add(s0, d0)
        t0 = f32x4.add(t0, f32x4.mul(d0, f32x4.sub(w0, mean)))
        p += 16
      }
      const s = f32x4.add(s0, s1)
      const t = f32x4.add(t0, t1)
      sLow = f64x2.add(sLow, lowLanes(s))
      sHigh = f64x2.add(sHigh, highLanes(s))
      tLow = f64x2.add(tLow, lowLanes(t))
      tHigh = f64x2.add(tHigh, highLanes(t))
      if (act == PRELU) {
        const u = f32x4.add(u0, u1)
        uLow = f64x2.add(uLow, lowLanes(u))
        uHigh = f64x2.add(uHigh, highLanes(u))
      }
      left -= length
      start += length
      if (start == perGroup) {
        start = 0
        group++
      }
    }
    v128.store(partial + channel, joinLanes(sLow, sHigh))
    v128.store(partial + next + channel, joinLanes(tLow, tHigh))
    if (act == PRELU) v128.store(partial + next + next + channel, joinLanes(uLow, uHigh))
  }
}

// @ts-ignore: decorator
@inline
function toPlanes(e: usize, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32): void {
  const planes = (argI(e, 2) + 3) >> 2
  const perGroup = argI(e, 13) << argI(e, 15)
  const zero = f32x4.splat(0)
  for (let j = 0; j < vectors; j++, c += step) {
    const channel = (<usize>(vector + j)) << 4
    const bias = argP(e, 5) ? v128.load(argP(e, 5) + channel) : zero
    const slope = act == PRELU ? v128.load(argP(e, 11) + channel) : zero
    let p = c
    let group = row / perGroup
    let start = row - group * perGroup
    let left = rows
    while (left > 0) {
      const length = min(left, perGroup - start)
      let out = argP(e, 1) + ((<usize>((group * planes + vector + j) * perGroup + start)) << 4)
      for (const end = p + ((<usize>length) << 4); p < end; p += 16, out += 16) {
        v128.store(out, activate(f32x4.add(v128.load(p), bias), act, slope))
      }
      left -= length
      start = 0
      group++
    }
  }
}

// @ts-ignore: decorator
@inline
function toNhwc(e: usize, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32): void {
  const channels = argI(e, 2)
  const pixels = argI(e, 13)
  const images = argI(e, 14)
  const shift = argI(e, 15)
  const out = argP(e, 1)
  const residuals = argP(e, 12)
  const biases = argP(e, 5)
  const slopes = argP(e, 11)
  const ld = (<usize>argI(e, 16)) << 2
  const apart = argI(e, 17)
  const lane = (<usize>apart) << 2
  const zero = f32x4.splat(0)
  const together = 1 << shift
  let group = (row >> shift) / pixels
  let pixel = (row >> shift) - group * pixels
  let n = row & (together - 1)
  for (let r = 0; r < rows; r++, c += 16) {
    const image = (group << shift) + n
    const start = <usize>(image * pixels + pixel) * ld
    if (++n == together) {
      n = 0
      if (++pixel == pixels) {
        pixel = 0
        group++
      }
    }
    if (image >= images) continue
    let p = c
    for (let j = 0; j < vectors; j++, p += step) {
      const channel = (<usize>(vector + j)) << 4
      const bias = biases ? v128.load(biases + channel) : zero
      let a = activate(f32x4.add(v128.load(p), bias), act, act == PRELU ? v128.load(slopes + channel) : zero)
      const live = min(4, channels - (vector + j) * 4)
      const at = start + channel * apart
      if (residuals) a = f32x4.add(a, apart == 1 ? v128.load(residuals + at) : loadApart(residuals + at, live, lane))
      storeApart(out + at, a, live, lane)
    }
  }
}
