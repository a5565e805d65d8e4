// Epilogues: a finished block of a convolution is, while in cache, stored with its statistics, stored as the gradient before
// the previous activation with the sums for its normalisation, or activated.

import { Activation, Epilogue, EpilogueKind } from "./generated/signatures"
import { activate, activateBackward, loadApart, storeApart } from "./math"

// Float32 sums run over at most this many rows; they are added in float64. A depthwise convolution brings thousands of rows at
// once, and an error in their mean or variance affects all positions of the channel.
const SUM_ROWS: i32 = 128
const STATISTICS_ROWS: i32 = 32

/**
 * `c` is a block [vector][row][4], `step` bytes per vector, of `rows` rows from `row` and `vectors` vectors from `vector`; `part` is the number
 * of the partial sum. The block may be stored in place.
 */
export function epilogue(e: Epilogue, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const kind = e.kind
  const act = e.activation
  if (kind == EpilogueKind.STATISTICS) {
    statistics(e, c, step, row, rows, vector, vectors, part)
  } else if (kind == EpilogueKind.BACKWARD) {
    switch (act) {
      case Activation.RELU: { backward(e, Activation.RELU, c, step, row, rows, vector, vectors, part); break }
      case Activation.RELU6: { backward(e, Activation.RELU6, c, step, row, rows, vector, vectors, part); break }
      case Activation.HSWISH: { backward(e, Activation.HSWISH, c, step, row, rows, vector, vectors, part); break }
      case Activation.PRELU: { backward(e, Activation.PRELU, c, step, row, rows, vector, vectors, part); break }
      default: backward(e, Activation.NONE, c, step, row, rows, vector, vectors, part)
    }
  } else if (kind == EpilogueKind.ACTIVATE) {
    switch (act) {
      case Activation.RELU: { toPlanes(e, Activation.RELU, c, step, row, rows, vector, vectors); break }
      case Activation.RELU6: { toPlanes(e, Activation.RELU6, c, step, row, rows, vector, vectors); break }
      case Activation.HSWISH: { toPlanes(e, Activation.HSWISH, c, step, row, rows, vector, vectors); break }
      case Activation.PRELU: { toPlanes(e, Activation.PRELU, c, step, row, rows, vector, vectors); break }
      default: toPlanes(e, Activation.NONE, c, step, row, rows, vector, vectors)
    }
  } else {
    switch (act) {
      case Activation.RELU: { toNhwc(e, Activation.RELU, c, step, row, rows, vector, vectors); break }
      case Activation.RELU6: { toNhwc(e, Activation.RELU6, c, step, row, rows, vector, vectors); break }
      case Activation.HSWISH: { toNhwc(e, Activation.HSWISH, c, step, row, rows, vector, vectors); break }
      case Activation.PRELU: { toNhwc(e, Activation.PRELU, c, step, row, rows, vector, vectors); break }
      default: toNhwc(e, Activation.NONE, c, step, row, rows, vector, vectors)
    }
  }
}

/** Number of rows in [row, row + rows) whose image exists, not padding. */
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

// Sum of the rows of c (or of their squared deviations) whose image exists, times a factor.
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

function statistics(e: Epilogue, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const planes = (e.channels + 3) >> 2
  const biases = e.bias
  const pixels = e.pixels
  const images = e.images
  const shift = e.groupShift
  const perGroup = pixels << shift
  const last = (1 << shift) - 1
  const lastImages = images & last
  const firstMissing = lastImages == 0 ? i32.MAX_VALUE : (images >> shift) * perGroup
  const live = liveRows(row, rows, pixels, images, shift)
  store<i32>(e.counts + ((<usize>part) << 2), live)
  const inverse: f64 = live ? 1.0 / <f64>live : 0
  const partial = e.partial + ((<usize>(part * 2 * planes)) << 4)
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
      let out = e.out + ((<usize>((group * planes + vector + j) * perGroup + start)) << 4)
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
function backward(e: Epilogue, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32, part: i32): void {
  const planes = (e.channels + 3) >> 2
  const perGroup = e.pixels << e.groupShift
  const next = (<usize>planes) << 4
  const partial = e.partial + <usize>(part * 3) * next
  const zero = f32x4.splat(0)
  for (let j = 0; j < vectors; j++, c += step) {
    const channel = (<usize>(vector + j)) << 4
    const scale = v128.load(e.scale + channel)
    const shift = v128.load(e.shift + channel)
    const mean = v128.load(e.mean + channel)
    const slope = act == Activation.PRELU ? v128.load(e.slope + channel) : zero
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
      let out = e.out + at
      let y = e.y + at
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
        if (act == Activation.PRELU) {
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
        if (act == Activation.PRELU) u0 = f32x4.add(u0, f32x4.mul(a0, f32x4.pmin(z0, zero)))
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
      if (act == Activation.PRELU) {
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
    if (act == Activation.PRELU) v128.store(partial + next + next + channel, joinLanes(uLow, uHigh))
  }
}

// @ts-ignore: decorator
@inline
function toPlanes(e: Epilogue, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32): void {
  const planes = (e.channels + 3) >> 2
  const perGroup = e.pixels << e.groupShift
  const zero = f32x4.splat(0)
  for (let j = 0; j < vectors; j++, c += step) {
    const channel = (<usize>(vector + j)) << 4
    const bias = e.bias ? v128.load(e.bias + channel) : zero
    const slope = act == Activation.PRELU ? v128.load(e.slope + channel) : zero
    let p = c
    let group = row / perGroup
    let start = row - group * perGroup
    let left = rows
    while (left > 0) {
      const length = min(left, perGroup - start)
      let out = e.out + ((<usize>((group * planes + vector + j) * perGroup + start)) << 4)
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
function toNhwc(e: Epilogue, act: i32, c: usize, step: usize, row: i32, rows: i32, vector: i32, vectors: i32): void {
  const channels = e.channels
  const pixels = e.pixels
  const images = e.images
  const shift = e.groupShift
  const out = e.out
  const residuals = e.residual
  const biases = e.bias
  const slopes = e.slope
  const ld = (<usize>e.pixelStride) << 2
  const apart = e.channelStride
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
      let a = activate(f32x4.add(v128.load(p), bias), act, act == Activation.PRELU ? v128.load(slopes + channel) : zero)
      const live = min(4, channels - (vector + j) * 4)
      const at = start + channel * apart
      if (residuals) a = f32x4.add(a, apart == 1 ? v128.load(residuals + at) : loadApart(residuals + at, live, lane))
      storeApart(out + at, a, live, lane)
    }
  }
}
