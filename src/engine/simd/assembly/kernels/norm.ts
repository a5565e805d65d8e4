// Batch normalisation: its statistics from partial ones, and the ends of a chain, where planes meet NHWC.

import { argF, argI, argP } from "../abi"
import { epilogue } from "../epilogue"
import { activate, align64, HSWISH, keepLanes, loadApart, NONE, PRELU, RELU, RELU6, storeApart } from "../math"

// @ts-ignore: decorator
@inline
function padded(channels: i32): i32 {
  return (channels + 3) & ~3
}

/**
 * Joins partial means and squared deviations in float64, in order. Pieces of 64 channels.
 * Ints: 0 partial [parts][2][padded channels], 1 counts [parts], 2 parts, 3 channels, 4 gamma, 5 beta, 6 mean, 7 variance,
 * 8 scale, 9 shift, 10 inverse deviation, 11 a second place for the mean; 8 to 11 are filled up with zeros. Floats: 0 epsilon.
 */
export function joinStatistics(args: usize, piece: i32, scratch: usize): void {
  const partial = argP(args, 0)
  const counts = argP(args, 1)
  const parts = argI(args, 2)
  const channels = argI(args, 3)
  const row = (<usize>padded(channels)) << 2
  const step = row << 1
  const epsilon = <f64>argF(args, 0)
  const end = min(padded(channels), (piece + 1) << 6)
  let total: f64 = 0
  for (let p = 0; p < parts; p++) total += <f64>load<i32>(counts + ((<usize>p) << 2))
  for (let c = piece << 6; c < end; c++) {
    const at = (<usize>c) << 2
    if (c >= channels) {
      for (let vector = 8; vector < 12; vector++) store<f32>(argP(args, vector) + at, 0)
      continue
    }
    let q = partial + at
    let mean: f64 = 0
    for (let p = 0; p < parts; p++) {
      mean += <f64>load<f32>(q) * <f64>load<i32>(counts + ((<usize>p) << 2))
      q += step
    }
    mean /= total
    q = partial + at
    let m2: f64 = 0
    for (let p = 0; p < parts; p++) {
      const delta = <f64>load<f32>(q) - mean
      m2 += <f64>load<f32>(q + row) + delta * delta * <f64>load<i32>(counts + ((<usize>p) << 2))
      q += step
    }
    const variance = m2 / total
    const inverse = 1.0 / sqrt<f64>(variance + epsilon)
    // The shift takes the mean away that the scale, as it is stored, leaves.
    const scale = <f64>(<f32>(<f64>load<f32>(argP(args, 4) + at) * inverse))
    store<f32>(argP(args, 6) + at, <f32>mean)
    store<f32>(argP(args, 11) + at, <f32>mean)
    store<f32>(argP(args, 7) + at, <f32>variance)
    store<f32>(argP(args, 8) + at, <f32>scale)
    store<f32>(argP(args, 9) + at, <f32>(<f64>load<f32>(argP(args, 5) + at) - mean * scale))
    store<f32>(argP(args, 10) + at, <f32>inverse)
  }
}

/**
 * Joins the partial sums of the backward pass in float64, in order. Pieces of 64 channels.
 * Ints: 0 partial [parts][3][padded channels], 1 parts, 2 channels, 3 positions, 4 normalised (0, 1), 5 has slopes, 6 gamma,
 * 7 mean, 8 inverse deviation, 9 dbeta (or dbias), 10 dgamma, 11 dslope, 12 the three vectors of the gradient before the
 * normalisation [3][padded channels].
 */
export function joinGradients(args: usize, piece: i32, scratch: usize): void {
  const parts = argI(args, 1)
  const channels = argI(args, 2)
  const wide = padded(channels)
  const row = (<usize>wide) << 2
  const n = <f64>argI(args, 3)
  const normalised = argI(args, 4)
  const slopes = argI(args, 5)
  const end = min(wide, (piece + 1) << 6)
  for (let c = piece << 6; c < end; c++) {
    const at = (<usize>c) << 2
    const k = argP(args, 12) + at
    if (c >= channels) {
      store<f32>(k, 0)
      store<f32>(k + row, 0)
      store<f32>(k + row + row, 0)
      continue
    }
    let q = argP(args, 0) + at
    let s1: f64 = 0
    let s2: f64 = 0
    let s3: f64 = 0
    for (let p = 0; p < parts; p++) {
      s1 += <f64>load<f32>(q)
      s2 += <f64>load<f32>(q + row)
      if (slopes) s3 += <f64>load<f32>(q + row + row)
      q += row * 3
    }
    store<f32>(argP(args, 9) + at, <f32>s1)
    if (slopes) store<f32>(argP(args, 11) + at, <f32>s3)
    if (normalised) {
      const inverse = <f64>load<f32>(argP(args, 8) + at)
      const k1 = <f64>load<f32>(argP(args, 6) + at) * inverse
      const k2 = -k1 * inverse * inverse * s2 / n
      store<f32>(argP(args, 10) + at, <f32>(s2 * inverse))
      store<f32>(k, <f32>k1)
      store<f32>(k + row, <f32>k2)
      store<f32>(k + row + row, <f32>(-k1 * s1 / n - k2 * <f64>load<f32>(argP(args, 7) + at)))
    }
  }
}

/**
 * Folds running statistics: scale = gamma / sqrt(variance + epsilon), shift = beta + (bias - mean) scale, filled up with zeros to whole
 * vectors. One piece. Ints: 0 channels, 1 gamma, 2 beta, 3 mean, 4 variance, 5 bias (or 0), 6 scale, 7 shift. Floats: 0 epsilon.
 */
export function foldNorm(args: usize, piece: i32, scratch: usize): void {
  const end = (<usize>argI(args, 0)) << 2
  const bias = argP(args, 5)
  let c: usize = 0
  for (; c < end; c += 4) {
    const scale = <f64>load<f32>(argP(args, 1) + c) / sqrt<f64>(<f64>load<f32>(argP(args, 4) + c) + <f64>argF(args, 0))
    const b = bias ? <f64>load<f32>(bias + c) : 0
    store<f32>(argP(args, 6) + c, <f32>scale)
    store<f32>(argP(args, 7) + c, <f32>(<f64>load<f32>(argP(args, 2) + c) + (b - <f64>load<f32>(argP(args, 3) + c)) * scale))
  }
  for (; c & 15; c += 4) {
    store<f32>(argP(args, 6) + c, 0)
    store<f32>(argP(args, 7) + c, 0)
  }
}

// From planes to NHWC, a block of pixels of one group: out = f(x) + residual.
// @ts-ignore: decorator
@inline
function planesToNhwc(args: usize, act: i32, gradient: bool, group: i32, pixel: i32, count: i32): void {
  const channels = argI(args, 2)
  const planes = (channels + 3) >> 2
  const pixels = argI(args, 3)
  const shift = argI(args, 13)
  const step = <usize>16 << shift
  const images = min(1 << shift, argI(args, 4) - (group << shift))
  const ld = (<usize>argI(args, 14)) << 2
  const apart = argI(args, 15)
  const lane = (<usize>apart) << 2
  const image = <usize>pixels * ld
  const residuals = argP(args, 8)
  const zero = f32x4.splat(0)
  for (let j = 0; j < planes; j++) {
    const channel = (<usize>j) << 4
    const live = min(4, channels - j * 4)
    const v0 = v128.load(argP(args, 5) + channel)
    const v1 = v128.load(argP(args, 6) + channel)
    const v2 = gradient || act == PRELU ? v128.load(argP(args, 7) + channel) : zero
    const at = <usize>((group * planes + j) * pixels + pixel) * step
    for (let n = 0; n < images; n++) {
      let x = argP(args, 0) + at + ((<usize>n) << 4)
      let y = argP(args, 9) + at + ((<usize>n) << 4)
      const offset = <usize>((group << shift) + n) * image + <usize>pixel * ld + channel * apart
      let out = argP(args, 1) + offset
      let residual = residuals + offset
      for (let i = 0; i < count; i++) {
        let a = gradient
          ? f32x4.add(f32x4.mul(v128.load(x), v0), f32x4.add(f32x4.mul(v128.load(y), v1), v2))
          : activate(f32x4.add(f32x4.mul(v128.load(x), v0), v1), act, v2)
        if (residuals) a = f32x4.add(a, apart == 1 ? v128.load(residual) : loadApart(residual, live, lane))
        storeApart(out, a, live, lane)
        x += step
        y += step
        out += ld
        residual += ld
      }
    }
  }
}

/**
 * out = act(x * v0 + v1) + residual, from planes to NHWC. A piece is a block of pixels of a group of images.
 * Ints: 0 x, 1 out, 2 channels, 3 pixels, 4 images, 5 v0, 6 v1, 7 slope, 8 residual (or 0), 9 -, 10 activation, 11 pixels a
 * block, 12 blocks, 13 shift, 14 channels of a pixel of out, 15 of which every so manieth is written.
 */
export function activateTensor(args: usize, piece: i32, scratch: usize): void {
  const block = argI(args, 11)
  const blocks = argI(args, 12)
  const group = piece / blocks
  const pixel = (piece % blocks) * block
  const count = min(block, argI(args, 3) - pixel)
  switch (argI(args, 10)) {
    case RELU: { planesToNhwc(args, RELU, false, group, pixel, count); break }
    case RELU6: { planesToNhwc(args, RELU6, false, group, pixel, count); break }
    case HSWISH: { planesToNhwc(args, HSWISH, false, group, pixel, count); break }
    case PRELU: { planesToNhwc(args, PRELU, false, group, pixel, count); break }
    default: planesToNhwc(args, NONE, false, group, pixel, count)
  }
}

/** out = dz v0 + y v1 + v2, from planes to NHWC. Ints as for activateTensor: 0 dz, 5, 6, 7 the vectors, 9 y. */
export function gradientTensor(args: usize, piece: i32, scratch: usize): void {
  const block = argI(args, 11)
  const blocks = argI(args, 12)
  const pixel = (piece % blocks) * block
  planesToNhwc(args, NONE, true, piece / blocks, pixel, min(block, argI(args, 3) - pixel))
}

/**
 * The gradient before an activation, and the sums the normalisation needs, from a gradient in NHWC. A piece is a block of
 * rows. Ints: 0 da, 1 channels, 2 rows, 3 rows a block, 4 pixels, 5 images, 6 shift, 7 channels of a pixel of da, 8 of which every so
 * manieth is read, 20-39 an epilogue (BACKWARD).
 */
export function activateBackwardTensor(args: usize, piece: i32, scratch: usize): void {
  const channels = argI(args, 1)
  const planes = (channels + 3) >> 2
  const block = argI(args, 3)
  const pixels = argI(args, 4)
  const images = argI(args, 5)
  const shift = argI(args, 6)
  const row = piece * block
  const rows = min(block, argI(args, 2) - row)
  const step = (<usize>rows) << 4
  const c = align64(scratch)
  const tail = channels & 3
  const ld = (<usize>argI(args, 7)) << 2
  const apart = argI(args, 8)
  const together = 1 << shift
  let group = (row >> shift) / pixels
  let pixel = (row >> shift) - group * pixels
  let n = row & (together - 1)
  for (let r = 0; r < rows; r++) {
    const image = (group << shift) + n
    const start = <usize>(image * pixels + pixel) * ld
    if (++n == together) {
      n = 0
      if (++pixel == pixels) {
        pixel = 0
        group++
      }
    }
    let p = c + ((<usize>r) << 4)
    if (image >= images) {
      for (let j = 0; j < planes; j++, p += step) v128.store(p, f32x4.splat(0))
      continue
    }
    let x = argP(args, 0) + start
    if (apart == 2) {
      for (let j = channels >> 2; j > 0; j--, p += step, x += 32) v128.store(p, i8x16.shuffle(v128.load(x), v128.load(x, 16), 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27))
      if (tail) v128.store(p, loadApart(x, tail, 8))
      continue
    }
    if (apart != 1) {
      const lane = (<usize>apart) << 2
      for (let j = 0; j < planes; j++, p += step, x += 4 * lane) v128.store(p, loadApart(x, min(4, channels - j * 4), lane))
      continue
    }
    for (let j = channels >> 2; j > 0; j--, p += step, x += 16) v128.store(p, v128.load(x))
    if (tail) v128.store(p, keepLanes(v128.load(x), tail))
  }
  epilogue(args + 80, c, step, row, rows, 0, planes, piece)
}
