// Batch normalisation: its statistics from partial ones, and whole tensors normalised, activated, or taken back.

import { argF, argI, argP } from "../abi"
import { epilogue } from "../epilogue"
import { activate, HSWISH, keepLanes, NONE, PRELU, RELU, RELU6, storeLanes } from "../math"

/**
 * Joins partial means and squared deviations in float64, in order. Pieces of 64 channels.
 * Ints: 0 partial [parts][2][channels], 1 counts [parts], 2 parts, 3 channels, 4 gamma, 5 beta, 6 mean, 7 variance,
 * 8 scale, 9 shift, 10 inverse deviation, 11 a second place for the mean. Floats: 0 epsilon.
 */
export function joinStatistics(args: usize, piece: i32, scratch: usize): void {
  const partial = argP(args, 0)
  const counts = argP(args, 1)
  const parts = argI(args, 2)
  const channels = argI(args, 3)
  const step = (<usize>channels) << 3
  const epsilon = <f64>argF(args, 0)
  const end = min(channels, (piece + 1) << 6)
  let total: f64 = 0
  for (let p = 0; p < parts; p++) total += <f64>load<i32>(counts + ((<usize>p) << 2))
  for (let c = piece << 6; c < end; c++) {
    const at = (<usize>c) << 2
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
      m2 += <f64>load<f32>(q + (step >> 1)) + delta * delta * <f64>load<i32>(counts + ((<usize>p) << 2))
      q += step
    }
    const variance = m2 / total
    const inverse = 1.0 / sqrt<f64>(variance + epsilon)
    const scale = <f64>load<f32>(argP(args, 4) + at) * inverse
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
 * Ints: 0 partial [parts][3][channels], 1 parts, 2 channels, 3 positions, 4 normalised (0, 1), 5 has slopes, 6 gamma, 7 mean,
 * 8 inverse deviation, 9 dbeta (or dbias), 10 dgamma, 11 dslope, 12 the three vectors of the gradient before the normalisation
 * [3][channels].
 */
export function joinGradients(args: usize, piece: i32, scratch: usize): void {
  const parts = argI(args, 1)
  const channels = argI(args, 2)
  const row = (<usize>channels) << 2
  const n = <f64>argI(args, 3)
  const normalised = argI(args, 4)
  const slopes = argI(args, 5)
  const end = min(channels, (piece + 1) << 6)
  for (let c = piece << 6; c < end; c++) {
    const at = (<usize>c) << 2
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
      const k = argP(args, 12) + at
      store<f32>(argP(args, 10) + at, <f32>(s2 * inverse))
      store<f32>(k, <f32>k1)
      store<f32>(k + row, <f32>k2)
      store<f32>(k + row + row, <f32>(-k1 * s1 / n - k2 * <f64>load<f32>(argP(args, 7) + at)))
    }
  }
}

/**
 * Folds running statistics: scale = gamma / sqrt(variance + epsilon), shift = beta + (bias - mean) scale. One piece.
 * Ints: 0 channels, 1 gamma, 2 beta, 3 mean, 4 variance, 5 bias (or 0), 6 scale, 7 shift. Floats: 0 epsilon.
 */
export function foldNorm(args: usize, piece: i32, scratch: usize): void {
  const end = (<usize>argI(args, 0)) << 2
  const bias = argP(args, 5)
  for (let c: usize = 0; c < end; c += 4) {
    const scale = <f64>load<f32>(argP(args, 1) + c) / sqrt<f64>(<f64>load<f32>(argP(args, 4) + c) + <f64>argF(args, 0))
    const b = bias ? <f64>load<f32>(bias + c) : 0
    store<f32>(argP(args, 6) + c, <f32>scale)
    store<f32>(argP(args, 7) + c, <f32>(<f64>load<f32>(argP(args, 2) + c) + (b - <f64>load<f32>(argP(args, 3) + c)) * scale))
  }
}

// @ts-ignore: decorator
@inline
function activateRows(args: usize, act: i32, row: i32, rows: i32): void {
  const channels = argI(args, 2)
  const ld = (<usize>channels) << 2
  let x = argP(args, 0) + <usize>row * ld
  let out = argP(args, 1) + <usize>row * ld
  const scales = argP(args, 4)
  const shifts = argP(args, 5)
  const slopes = argP(args, 6)
  let residual = argP(args, 7)
  const adds = residual != 0
  residual += <usize>row * ld
  const full = ld & ~15
  const tail = channels & 3
  const zero = f32x4.splat(0)
  for (let r = 0; r < rows; r++) {
    let c: usize = 0
    for (; c < full; c += 16) {
      const z = f32x4.add(f32x4.mul(v128.load(x + c), v128.load(scales + c)), v128.load(shifts + c))
      let a = activate(z, act, act == PRELU ? v128.load(slopes + c) : zero)
      if (adds) a = f32x4.add(a, v128.load(residual + c))
      v128.store(out + c, a)
    }
    if (tail) {
      const z = f32x4.add(f32x4.mul(v128.load(x + c), v128.load(scales + c)), v128.load(shifts + c))
      let a = activate(z, act, act == PRELU ? v128.load(slopes + c) : zero)
      if (adds) a = f32x4.add(a, v128.load(residual + c))
      storeLanes(out + c, a, tail)
    }
    x += ld
    out += ld
    residual += ld
  }
}

/**
 * out = act(x * scale + shift) + residual, rows of channels. A piece is a block of rows.
 * Ints: 0 x, 1 out, 2 channels, 3 rows, 4 scale, 5 shift, 6 slope, 7 residual (or 0), 8 activation, 9 rows a block.
 */
export function activateTensor(args: usize, piece: i32, scratch: usize): void {
  const block = argI(args, 9)
  const row = piece * block
  const rows = min(block, argI(args, 3) - row)
  switch (argI(args, 8)) {
    case RELU: { activateRows(args, RELU, row, rows); break }
    case RELU6: { activateRows(args, RELU6, row, rows); break }
    case HSWISH: { activateRows(args, HSWISH, row, rows); break }
    case PRELU: { activateRows(args, PRELU, row, rows); break }
    default: activateRows(args, NONE, row, rows)
  }
}

/** dy = dz v0 + y v1 + v2. Ints: 0 dz, 1 out, 2 channels, 3 rows, 4 v0, 5 v1, 6 v2, 7 y, 8 -, 9 rows a block. */
export function normBackwardTensor(args: usize, piece: i32, scratch: usize): void {
  const channels = argI(args, 2)
  const ld = (<usize>channels) << 2
  const block = argI(args, 9)
  const start = <usize>(piece * block) * ld
  const rows = min(block, argI(args, 3) - piece * block)
  let dz = argP(args, 0) + start
  let y = argP(args, 7) + start
  let out = argP(args, 1) + start
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < channels; c += 4) {
      const o = (<usize>c) << 2
      const t = f32x4.add(f32x4.mul(v128.load(y + o), v128.load(argP(args, 5) + o)), v128.load(argP(args, 6) + o))
      storeLanes(out + o, f32x4.add(f32x4.mul(v128.load(dz + o), v128.load(argP(args, 4) + o)), t), min(4, channels - c))
    }
    dz += ld
    y += ld
    out += ld
  }
}

/**
 * The gradient before an activation and the sums the normalisation needs, from a gradient in memory. A piece is a block of
 * rows. Ints: 0 da, 1 channels, 2 rows, 3 rows a block, 20-39 an epilogue (BACKWARD).
 */
export function activateBackwardTensor(args: usize, piece: i32, scratch: usize): void {
  const channels = argI(args, 1)
  const ld = (<usize>channels) << 2
  const block = argI(args, 3)
  const row = piece * block
  const rows = min(block, argI(args, 2) - row)
  epilogue(args + 80, argP(args, 0) + <usize>row * ld, ld, 16, row, rows, 0, channels, piece)
}
