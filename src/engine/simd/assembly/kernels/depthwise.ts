// Depthwise convolution, any kernel, stride, padding and dilation. Eight images and four channels go through the taps
// together: the images are the lanes that fill the registers, so that at borders no tap is done that would meet padding only,
// and the offsets between them are constants. In small batches it is one image. A tile is one vector of channels,
// [row][column][image][4]: a piece of a plane.

import { argI, argP } from "../abi"
import { epilogue, ACTIVATE_NHWC } from "../epilogue"
import { depthwiseOuter1, depthwiseOuter8, depthwisePoint1, depthwisePoint8, depthwiseRows1, depthwiseRows8 } from "../generated/microkernels"
import { activate, align64, HSWISH, NONE, PRELU, RELU, RELU6, storeLanes } from "../math"
import { ACTIVATED, NHWC, NORM_BACKWARD, PLAIN } from "../rows"

// Bytes of a pixel of planes, by the shift of the images in a group.
// @ts-ignore: decorator
@inline
function pixelBytes(shift: i32): usize {
  return <usize>16 << shift
}

/** [taps][channels] to [vectors][taps][4], times a scale a channel. One piece is 16 vectors. Ints: 0 source, 1 destination,
 * 2 taps, 3 channels, 4 scale (or 0). */
export function packDepthwise(args: usize, piece: i32, scratch: usize): void {
  const taps = argI(args, 2)
  const channels = argI(args, 3)
  const scales = argP(args, 4)
  const vectors = (channels + 3) >> 2
  const end = min(vectors, (piece + 1) << 4)
  for (let v = piece << 4; v < end; v++) {
    const offset = (<usize>v) << 4
    let p = argP(args, 0) + offset
    let q = argP(args, 1) + (<usize>(v * taps) << 4)
    const live = min(4, channels - v * 4)
    const scale = scales ? v128.load(scales + offset) : f32x4.splat(1)
    for (let t = 0; t < taps; t++) {
      v128.store(q, f32x4.splat(0))
      storeLanes(q, f32x4.mul(v128.load(p), scale), live)
      p += (<usize>channels) << 2
      q += 16
    }
  }
}

/** dW[taps][channels] from partial [parts][vectors][taps][4], parts in order. One piece is 4 vectors. Ints: 0 partial, 1 out,
 * 2 taps, 3 channels, 4 parts. */
export function joinDepthwise(args: usize, piece: i32, scratch: usize): void {
  const taps = argI(args, 2)
  const channels = argI(args, 3)
  const parts = argI(args, 4)
  const vectors = (channels + 3) >> 2
  const step = (<usize>(vectors * taps)) << 4
  const end = min(vectors, (piece + 1) << 2)
  for (let v = piece << 2; v < end; v++) {
    const live = min(4, channels - v * 4)
    for (let t = 0; t < taps; t++) {
      let p = argP(args, 0) + (<usize>(v * taps + t) << 4)
      let s = v128.load(p)
      for (let part = 1; part < parts; part++) {
        p += step
        s = f32x4.add(s, v128.load(p))
      }
      storeLanes(argP(args, 1) + ((<usize>(t * channels + v * 4)) << 2), s, live)
    }
  }
}

// Which taps meet the source at each position of a row (or column): [first tap, number of taps, source of the first tap].
function forwardTable(table: usize, count: i32, kernel: i32, stride: i32, padding: i32, dilation: i32, length: i32): void {
  for (let o = 0; o < count; o++) {
    const start = o * stride - padding
    let k = 0
    while (k < kernel && start + k * dilation < 0) k++
    let n = 0
    while (k + n < kernel && start + (k + n) * dilation < length) n++
    store<i32>(table, k)
    store<i32>(table, n, 4)
    store<i32>(table, n ? start + k * dilation : 0, 8)
    table += 12
  }
}

// The same for the gradient: positions are those of the input, the source is the output's gradient. Taps step by
// stride / gcd(stride, dilation), and the source steps back.
function backwardTable(table: usize, count: i32, kernel: i32, stride: i32, padding: i32, dilation: i32, length: i32, tapStep: i32): void {
  for (let i = 0; i < count; i++) {
    let k = 0
    while (k < kernel) {
      const t = i + padding - k * dilation
      if (t >= 0 && t % stride == 0 && t / stride < length) break
      k++
    }
    let n = 0
    if (k < kernel) {
      for (let j = k; j < kernel && i + padding - j * dilation >= 0; j += tapStep) n++
    }
    store<i32>(table, n ? k : 0)
    store<i32>(table, n, 4)
    store<i32>(table, n ? (i + padding - k * dilation) / stride : 0, 8)
    table += 12
  }
}

// @ts-ignore: decorator
@inline
function fillPlane(act: i32, x: usize, tile: usize, size: usize, v0: v128, v1: v128, v2: v128): void {
  const end = tile + size
  for (; tile + 64 <= end; tile += 64, x += 64) {
    v128.store(tile, activate(f32x4.add(f32x4.mul(v128.load(x), v0), v1), act, v2))
    v128.store(tile, activate(f32x4.add(f32x4.mul(v128.load(x, 16), v0), v1), act, v2), 16)
    v128.store(tile, activate(f32x4.add(f32x4.mul(v128.load(x, 32), v0), v1), act, v2), 32)
    v128.store(tile, activate(f32x4.add(f32x4.mul(v128.load(x, 48), v0), v1), act, v2), 48)
  }
  for (; tile < end; tile += 16, x += 16) v128.store(tile, activate(f32x4.add(f32x4.mul(v128.load(x), v0), v1), act, v2))
}

// Makes the rows [row, row + rows) of one vector of a source as a tile at `tile`, or returns where they are already.
function fillTile(s: usize, tile: usize, group: i32, height: i32, width: i32, row: i32, rows: i32, vector: i32): usize {
  const kind = argI(s, 0)
  const channels = argI(s, 2)
  const planes = (channels + 3) >> 2
  const offset = (<usize>vector) << 4
  const shift = argI(s, 18)
  const pixel = pixelBytes(shift)
  const size = <usize>(rows * width) * pixel
  const together = 1 << shift
  const images = argI(s, 9) - (group << shift)
  const zero = f32x4.splat(0)
  if (kind == NHWC) {
    const ld = (<usize>channels) << 2
    for (let n = 0; n < together; n++) {
      let t = tile + ((<usize>n) << 4)
      const end = t + size
      if (n >= images) {
        for (; t < end; t += pixel) v128.store(t, zero)
        continue
      }
      let x = argP(s, 1) + <usize>((((group << shift) + n) * height + row) * width) * ld + offset
      for (; t < end; t += pixel, x += ld) v128.store(t, v128.load(x))
    }
    return tile
  }
  const at = <usize>(((group * planes + vector) * height + row) * width) * pixel
  const x = argP(s, 1) + at
  if (kind == PLAIN) return x
  const v0 = v128.load(argP(s, 4) + offset)
  const v1 = v128.load(argP(s, 5) + offset)
  if (kind == NORM_BACKWARD) {
    const v2 = v128.load(argP(s, 6) + offset)
    const y = argP(s, 7) + at
    let i: usize = 0
    for (; i + 32 <= size; i += 32) {
      v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i), v0), f32x4.add(f32x4.mul(v128.load(y + i), v1), v2)))
      v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i, 16), v0), f32x4.add(f32x4.mul(v128.load(y + i, 16), v1), v2)), 16)
    }
    if (i < size) v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i), v0), f32x4.add(f32x4.mul(v128.load(y + i), v1), v2)))
    // Rows of images that are not there are zero in a gradient.
    for (let n = images; n < together; n++) {
      for (let i = (<usize>n) << 4; i < size; i += pixel) v128.store(tile + i, zero)
    }
    return tile
  }
  switch (argI(s, 3)) {
    case RELU: { fillPlane(RELU, x, tile, size, v0, v1, zero); break }
    case RELU6: { fillPlane(RELU6, x, tile, size, v0, v1, zero); break }
    case HSWISH: { fillPlane(HSWISH, x, tile, size, v0, v1, zero); break }
    case PRELU: { fillPlane(PRELU, x, tile, size, v0, v1, v128.load(argP(s, 6) + offset)); break }
    default: fillPlane(NONE, x, tile, size, v0, v1, zero)
  }
  return tile
}

// One vector of channels through its taps: rows [row, row + rows) of the target, from a tile that starts at source row `first`.
// @ts-ignore: decorator
@inline
function convolveImages(shift: i32, apart: bool, tile: usize, first: i32, width: i32, weights: usize, tableY: usize, tableX: usize, row: i32, rows: i32, columns: i32, kernel: i32, tapStep: i32, sourceStep: i32, o: usize): void {
  const pixel = pixelBytes(shift)
  const xStep = <usize>sourceStep * pixel
  const wStep = (<usize>tapStep) << 4
  const xRow = <usize>width * xStep
  const wRow = <usize>kernel * wStep
  for (let y = row; y < row + rows; y++) {
    const ty = tableY + <usize>y * 12
    const ny = load<i32>(ty, 4)
    const line = tile + <usize>((load<i32>(ty, 8) - first) * width) * pixel
    const tap = weights + ((<usize>(load<i32>(ty) * kernel)) << 4)
    let tx = tableX
    for (let x = 0; x < columns; x++) {
      const source = line + <usize>load<i32>(tx, 8) * pixel
      const w = tap + ((<usize>load<i32>(tx)) << 4)
      const nx = load<i32>(tx, 4)
      if (shift == 3) {
        if (apart) depthwiseRows8(source, w, ny, nx, xStep, wStep, xRow, wRow, o)
        else depthwisePoint8(source, w, ny, nx, xStep, wStep, xRow, wRow, o)
      } else {
        if (apart) depthwiseRows1(source, w, ny, nx, xStep, wStep, xRow, wRow, o)
        else depthwisePoint1(source, w, ny, nx, xStep, wStep, xRow, wRow, o)
      }
      tx += 12
      o += pixel
    }
  }
}

// Of the forward pass, rows of taps are summed apart: its rounding errors are what activations flip by.
function convolve(shift: i32, apart: bool, tile: usize, first: i32, width: i32, weights: usize, tableY: usize, tableX: usize, row: i32, rows: i32, columns: i32, kernel: i32, tapStep: i32, sourceStep: i32, o: usize): void {
  if (shift == 3) {
    if (apart) convolveImages(3, true, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, tapStep, sourceStep, o)
    else convolveImages(3, false, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, tapStep, sourceStep, o)
  } else {
    if (apart) convolveImages(0, true, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, tapStep, sourceStep, o)
    else convolveImages(0, false, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, tapStep, sourceStep, o)
  }
}

// @ts-ignore: decorator
@inline
function weightGradientImages(shift: i32, tile: usize, first: i32, width: i32, weights: usize, tableY: usize, tableX: usize, row: i32, rows: i32, columns: i32, kernel: i32, dilation: i32, d: usize): void {
  const pixel = pixelBytes(shift)
  const xStep = <usize>dilation * pixel
  const xRow = <usize>width * xStep
  const wRow = (<usize>kernel) << 4
  for (let y = row; y < row + rows; y++) {
    const ty = tableY + <usize>y * 12
    const ny = load<i32>(ty, 4)
    const line = tile + <usize>((load<i32>(ty, 8) - first) * width) * pixel
    const tap = weights + (<usize>load<i32>(ty)) * wRow
    let tx = tableX
    for (let x = 0; x < columns; x++) {
      const source = line + <usize>load<i32>(tx, 8) * pixel
      const w = tap + ((<usize>load<i32>(tx)) << 4)
      if (shift == 3) depthwiseOuter8(source, w, ny, load<i32>(tx, 4), xStep, xRow, wRow, d)
      else depthwiseOuter1(source, w, ny, load<i32>(tx, 4), xStep, xRow, wRow, d)
      tx += 12
      d += pixel
    }
  }
}

function weightGradient(shift: i32, tile: usize, first: i32, width: i32, weights: usize, tableY: usize, tableX: usize, row: i32, rows: i32, columns: i32, kernel: i32, dilation: i32, d: usize): void {
  if (shift == 3) weightGradientImages(3, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, dilation, d)
  else weightGradientImages(0, tile, first, width, weights, tableY, tableX, row, rows, columns, kernel, dilation, d)
}

/**
 * y from a source and packed weights, and an epilogue. A piece is a range of vectors of channels, a band of output rows and a
 * group of images.
 * Ints: 0-19 source, 20-39 epilogue, 40 weights, 41 groups of images, 42 height, 43 width, 44 out height, 45 out width,
 * 46 kernel, 47 stride, 48 padding, 49 dilation, 50 vectors, 51 vectors a piece, 52 bands, 53 out rows a band.
 */
export function depthwiseForward(args: usize, piece: i32, scratch: usize): void {
  const e = args + 80
  const shift = argI(args, 18)
  const pixel = pixelBytes(shift)
  const groups = argI(args, 41)
  const height = argI(args, 42)
  const width = argI(args, 43)
  const outHeight = argI(args, 44)
  const outWidth = argI(args, 45)
  const kernel = argI(args, 46)
  const stride = argI(args, 47)
  const padding = argI(args, 48)
  const dilation = argI(args, 49)
  const vectors = argI(args, 50)
  const bands = argI(args, 52)
  const bandRows = argI(args, 53)

  const group = piece % groups
  const rest = piece / groups
  const band = rest % bands
  const row = band * bandRows
  const rows = min(bandRows, outHeight - row)
  const first = max(0, row * stride - padding)
  const last = min(height, (row + rows - 1) * stride - padding + (kernel - 1) * dilation + 1)
  const sourceRows = max(0, last - first)

  const tableY = scratch
  const tableX = tableY + <usize>outHeight * 12
  forwardTable(tableY, outHeight, kernel, stride, padding, dilation, height)
  forwardTable(tableX, outWidth, kernel, stride, padding, dilation, width)
  const tile = align64(tableX + <usize>outWidth * 12)
  const block = tile + <usize>(sourceRows * width) * pixel
  const inPlace = argI(e, 0) != ACTIVATE_NHWC
  const target = (group * outHeight + row) * outWidth << shift

  const firstVector = (rest / bands) * argI(args, 51)
  const lastVector = min(vectors, firstVector + argI(args, 51))
  for (let vector = firstVector; vector < lastVector; vector++) {
    const source = fillTile(args, tile, group, height, width, first, sourceRows, vector)
    const weights = argP(args, 40) + (<usize>(vector * kernel * kernel) << 4)
    const o = inPlace ? argP(e, 1) + <usize>(((group * vectors + vector) * outHeight + row) * outWidth) * pixel : block
    convolve(shift, true, source, first, width, weights, tableY, tableX, row, rows, outWidth, kernel, 1, dilation, o)
    epilogue(e, o, 0, target, rows * outWidth << shift, vector, 1, group * bands + band)
  }
}

/**
 * The gradients of a depthwise convolution: da, with an epilogue, and partial sums of dW. A piece is a range of vectors of
 * channels, a band of rows and a group of images.
 * Ints: 0-19 source of dy, 20-39 epilogue of da, 40-53 as for the forward pass (53: input rows a band), 54 output rows a band,
 * 60-79 source of a, 80 partial dW [groups * bands][vectors][taps][4] (or 0), 81 whether da is wanted, 82 tap step,
 * 83 source step.
 */
export function depthwiseBackward(args: usize, piece: i32, scratch: usize): void {
  const e = args + 80
  const shift = argI(args, 18)
  const pixel = pixelBytes(shift)
  const groups = argI(args, 41)
  const height = argI(args, 42)
  const width = argI(args, 43)
  const outHeight = argI(args, 44)
  const outWidth = argI(args, 45)
  const kernel = argI(args, 46)
  const stride = argI(args, 47)
  const padding = argI(args, 48)
  const dilation = argI(args, 49)
  const vectors = argI(args, 50)
  const bands = argI(args, 52)
  const bandRows = argI(args, 53)
  const outBandRows = argI(args, 54)
  const partial = argP(args, 80)
  const wantsInput = argI(args, 81) != 0
  const taps = kernel * kernel

  const group = piece % groups
  const rest = piece / groups
  const band = rest % bands
  // Rows of da; rows of dy whose weight gradient is summed here; rows of dy and of a that are needed for them.
  const row = band * bandRows
  const rows = max(0, min(bandRows, height - row))
  const outRow = min(outHeight, band * outBandRows)
  const outRows = max(0, min(outBandRows, outHeight - outRow))
  let first = outRow
  let last = outRow + outRows
  if (wantsInput && rows > 0) {
    const lowest = row + padding - (kernel - 1) * dilation
    const low = lowest <= 0 ? 0 : min(outHeight, (lowest + stride - 1) / stride)
    const high = min(outHeight, (row + rows - 1 + padding) / stride + 1)
    if (high > low) {
      first = outRows > 0 ? min(first, low) : low
      last = outRows > 0 ? max(last, high) : high
    }
  }
  const sourceRows = last - first
  const firstA = max(0, outRow * stride - padding)
  const lastA = min(height, (outRow + outRows - 1) * stride - padding + (kernel - 1) * dilation + 1)
  const rowsA = outRows > 0 && partial != 0 ? max(0, lastA - firstA) : 0

  const inY = scratch
  const inX = inY + <usize>height * 12
  const outY = inX + <usize>width * 12
  const outX = outY + <usize>outHeight * 12
  const tapStep = argI(args, 82)
  backwardTable(inY, height, kernel, stride, padding, dilation, outHeight, tapStep)
  backwardTable(inX, width, kernel, stride, padding, dilation, outWidth, tapStep)
  forwardTable(outY, outHeight, kernel, stride, padding, dilation, height)
  forwardTable(outX, outWidth, kernel, stride, padding, dilation, width)
  const tile = align64(outX + <usize>outWidth * 12)
  const tileA = tile + <usize>(sourceRows * outWidth) * pixel
  const block = tileA + <usize>(rowsA * width) * pixel
  const inPlace = argI(e, 0) != ACTIVATE_NHWC
  const target = (group * height + row) * width << shift

  const firstVector = (rest / bands) * argI(args, 51)
  const lastVector = min(vectors, firstVector + argI(args, 51))
  for (let vector = firstVector; vector < lastVector; vector++) {
    const d = fillTile(args, tile, group, outHeight, outWidth, first, sourceRows, vector)
    if (partial) {
      const a = fillTile(args + 240, tileA, group, height, width, firstA, rowsA, vector)
      const dw = partial + (<usize>(((group * bands + band) * vectors + vector) * taps) << 4)
      memory.fill(dw, 0, (<usize>taps) << 4)
      weightGradient(shift, a, firstA, width, dw, outY, outX, outRow, outRows, outWidth, kernel, dilation, d + <usize>((outRow - first) * outWidth) * pixel)
    }
    if (wantsInput) {
      const weights = argP(args, 40) + (<usize>(vector * taps) << 4)
      const o = inPlace ? argP(e, 1) + <usize>(((group * vectors + vector) * height + row) * width) * pixel : block
      convolve(shift, false, d, first, outWidth, weights, inY, inX, row, rows, width, kernel, tapStep, -argI(args, 83), o)
      epilogue(e, o, 0, target, rows * width << shift, vector, 1, group * bands + band)
    }
  }
}
