// Batch normalisation: its statistics from partial ones, and the ends of a chain, where planes meet NHWC.

import { epilogue } from "../epilogue"
import {
  ActivateBackwardTensor,
  ActivateTensor,
  Activation,
  FoldNorm,
  GradientTensor,
  JOIN_CHANNELS,
  JoinGradients,
  JoinStatistics,
  PlanesToNhwc
} from "../generated/signatures"
import { activate, align64, keepLanes, loadApart, storeApart } from "../math"

// @ts-ignore: decorator
@inline
function padded(channels: i32): i32 {
  return (channels + 3) & ~3
}

/**
 * Joins partial means and squared deviations in float64, in order. Pieces of 64 channels.
 */
export function joinStatistics(args: JoinStatistics, piece: i32, scratch: usize): void {
  const partial = args.partial
  const counts = args.counts
  const parts = args.parts
  const channels = args.channels
  const row = (<usize>padded(channels)) << 2
  const step = row << 1
  const epsilon = <f64>args.epsilon
  const end = min(padded(channels), (piece + 1) * JOIN_CHANNELS)
  let total: f64 = 0
  for (let p = 0; p < parts; p++) total += <f64>load<i32>(counts + ((<usize>p) << 2))
  for (let c = piece * JOIN_CHANNELS; c < end; c++) {
    const at = (<usize>c) << 2
    if (c >= channels) {
      store<f32>(args.scale + at, 0)
      store<f32>(args.shift + at, 0)
      store<f32>(args.inverse + at, 0)
      store<f32>(args.storedMean + at, 0)
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
    // The shift removes the mean as the stored, rounded scale leaves it.
    const scale = <f64>(<f32>(<f64>load<f32>(args.gamma + at) * inverse))
    store<f32>(args.mean + at, <f32>mean)
    store<f32>(args.storedMean + at, <f32>mean)
    store<f32>(args.variance + at, <f32>variance)
    store<f32>(args.scale + at, <f32>scale)
    store<f32>(args.shift + at, <f32>(<f64>load<f32>(args.beta + at) - mean * scale))
    store<f32>(args.inverse + at, <f32>inverse)
  }
}

/**
 * Joins the partial sums of the backward pass in float64, in order. Pieces of 64 channels.
 */
export function joinGradients(args: JoinGradients, piece: i32, scratch: usize): void {
  const parts = args.parts
  const channels = args.channels
  const wide = padded(channels)
  const row = (<usize>wide) << 2
  const n = <f64>args.positions
  const normalised = args.normalised
  const slopes = args.slopes
  const end = min(wide, (piece + 1) * JOIN_CHANNELS)
  for (let c = piece * JOIN_CHANNELS; c < end; c++) {
    const at = (<usize>c) << 2
    const k = args.k + at
    if (c >= channels) {
      store<f32>(k, 0)
      store<f32>(k + row, 0)
      store<f32>(k + row + row, 0)
      continue
    }
    let q = args.partial + at
    let s1: f64 = 0
    let s2: f64 = 0
    let s3: f64 = 0
    for (let p = 0; p < parts; p++) {
      s1 += <f64>load<f32>(q)
      s2 += <f64>load<f32>(q + row)
      if (slopes) s3 += <f64>load<f32>(q + row + row)
      q += row * 3
    }
    store<f32>(args.dbeta + at, <f32>s1)
    if (slopes) store<f32>(args.dslope + at, <f32>s3)
    if (normalised) {
      const inverse = <f64>load<f32>(args.inverse + at)
      const k1 = <f64>load<f32>(args.gamma + at) * inverse
      const k2 = -k1 * inverse * inverse * s2 / n
      store<f32>(args.dgamma + at, <f32>(s2 * inverse))
      store<f32>(k, <f32>k1)
      store<f32>(k + row, <f32>k2)
      store<f32>(k + row + row, <f32>(-k1 * s1 / n - k2 * <f64>load<f32>(args.mean + at)))
    }
  }
}

/**
 * Folds running statistics: scale = gamma / sqrt(variance + epsilon), shift = beta + (bias - mean) scale, padded with zeros to
 * whole vectors. One piece.
 */
export function foldNorm(args: FoldNorm, piece: i32, scratch: usize): void {
  const end = (<usize>args.channels) << 2
  const bias = args.bias
  let c: usize = 0
  for (; c < end; c += 4) {
    const scale = <f64>load<f32>(args.gamma + c) / sqrt<f64>(<f64>load<f32>(args.variance + c) + <f64>args.epsilon)
    const b = bias ? <f64>load<f32>(bias + c) : 0
    store<f32>(args.scale + c, <f32>scale)
    store<f32>(args.shift + c, <f32>(<f64>load<f32>(args.beta + c) + (b - <f64>load<f32>(args.mean + c)) * scale))
  }
  for (; c & 15; c += 4) {
    store<f32>(args.scale + c, 0)
    store<f32>(args.shift + c, 0)
  }
}

// From planes to NHWC, a block of pixels of one group: out = f(x) + residual.
// @ts-ignore: decorator
@inline
function planesToNhwc(args: PlanesToNhwc, act: i32, gradient: bool, group: i32, pixel: i32, count: i32): void {
  const channels = args.channels
  const planes = (channels + 3) >> 2
  const pixels = args.pixels
  const shift = args.groupShift
  const step = <usize>16 << shift
  const images = min(1 << shift, args.images - (group << shift))
  const ld = (<usize>args.pixelStride) << 2
  const apart = args.channelStride
  const lane = (<usize>apart) << 2
  const image = <usize>pixels * ld
  const residuals = args.residual
  const zero = f32x4.splat(0)
  for (let j = 0; j < planes; j++) {
    const channel = (<usize>j) << 4
    const live = min(4, channels - j * 4)
    const v0 = v128.load(args.v0 + channel)
    const v1 = v128.load(args.v1 + channel)
    const v2 = gradient || act == Activation.PRELU ? v128.load(args.v2 + channel) : zero
    const at = <usize>((group * planes + j) * pixels + pixel) * step
    for (let n = 0; n < images; n++) {
      let x = args.x + at + ((<usize>n) << 4)
      let y = args.y + at + ((<usize>n) << 4)
      const offset = <usize>((group << shift) + n) * image + <usize>pixel * ld + channel * apart
      let out = args.out + offset
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
 */
export function activateTensor(args: ActivateTensor, piece: i32, scratch: usize): void {
  const block = args.blockPixels
  const blocks = args.blocks
  const group = piece / blocks
  const pixel = (piece % blocks) * block
  const count = min(block, args.pixels - pixel)
  switch (args.activation) {
    case Activation.RELU: { planesToNhwc(args, Activation.RELU, false, group, pixel, count); break }
    case Activation.RELU6: { planesToNhwc(args, Activation.RELU6, false, group, pixel, count); break }
    case Activation.HSWISH: { planesToNhwc(args, Activation.HSWISH, false, group, pixel, count); break }
    case Activation.PRELU: { planesToNhwc(args, Activation.PRELU, false, group, pixel, count); break }
    default: planesToNhwc(args, Activation.NONE, false, group, pixel, count)
  }
}

/** out = dz v0 + y v1 + v2, from planes to NHWC. */
export function gradientTensor(args: GradientTensor, piece: i32, scratch: usize): void {
  const block = args.blockPixels
  const blocks = args.blocks
  const pixel = (piece % blocks) * block
  planesToNhwc(args, Activation.NONE, true, piece / blocks, pixel, min(block, args.pixels - pixel))
}

/**
 * The gradient before an activation, and the sums for its normalisation, from a gradient in NHWC. A piece is a block of
 * rows.
 */
export function activateBackwardTensor(args: ActivateBackwardTensor, piece: i32, scratch: usize): void {
  const channels = args.channels
  const planes = (channels + 3) >> 2
  const block = args.blockRows
  const pixels = args.pixels
  const images = args.images
  const shift = args.groupShift
  const row = piece * block
  const rows = min(block, args.rows - row)
  const step = (<usize>rows) << 4
  const c = align64(scratch)
  const tail = channels & 3
  const ld = (<usize>args.pixelStride) << 2
  const apart = args.channelStride
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
    let x = args.da + start
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
  epilogue(args.epilogue, c, step, row, rows, 0, planes, piece)
}
