// Depthwise convolution, any kernel, stride, padding and dilation. Eight images and four channels go through the taps
// together: the images fill the registers, so that at borders taps that meet only padding are skipped, and the offsets between
// images are constants. In small batches it is one image. A tile is one vector of channels, [row][column][image][4]: part of a
// plane.

import { epilogue } from "../epilogue"
import { depthwiseOuter1, depthwiseOuter8, depthwisePoint1, depthwisePoint8, depthwiseRows1, depthwiseRows8 } from "../generated/microkernels"
import {
  Activation,
  DEPTHWISE_JOIN_VECTORS,
  DEPTHWISE_PACK_VECTORS,
  DepthwiseBackward,
  DepthwiseForward,
  EpilogueKind,
  JoinDepthwise,
  Operand,
  PackDepthwise,
  Source
} from "../generated/signatures"
import { activate, align64, storeLanes } from "../math"

// Bytes of a pixel of planes, by the shift of the images in a group.
// @ts-ignore: decorator
@inline
function pixelBytes(shift: i32): usize {
  return <usize>16 << shift
}

/** [taps][channels] to [vectors][taps][4], times a scale per channel. */
export function packDepthwise(args: PackDepthwise, piece: i32, scratch: usize): void {
  const taps = args.taps
  const channels = args.channels
  const scales = args.scale
  const vectors = (channels + 3) >> 2
  const end = min(vectors, (piece + 1) * DEPTHWISE_PACK_VECTORS)
  for (let v = piece * DEPTHWISE_PACK_VECTORS; v < end; v++) {
    const offset = (<usize>v) << 4
    let p = args.source + offset
    let q = args.destination + (<usize>(v * taps) << 4)
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

/** dW[taps][channels] from partial [parts][vectors][taps][4], parts in order. One piece is 4 vectors. */
export function joinDepthwise(args: JoinDepthwise, piece: i32, scratch: usize): void {
  const taps = args.taps
  const channels = args.channels
  const parts = args.parts
  const vectors = (channels + 3) >> 2
  const step = (<usize>(vectors * taps)) << 4
  const end = min(vectors, (piece + 1) * DEPTHWISE_JOIN_VECTORS)
  for (let v = piece * DEPTHWISE_JOIN_VECTORS; v < end; v++) {
    const live = min(4, channels - v * 4)
    for (let t = 0; t < taps; t++) {
      let p = args.partial + (<usize>(v * taps + t) << 4)
      let s = v128.load(p)
      for (let part = 1; part < parts; part++) {
        p += step
        s = f32x4.add(s, v128.load(p))
      }
      storeLanes(args.out + ((<usize>(t * channels + v * 4)) << 2), s, live)
    }
  }
}

// The taps that meet the source at each position of a row (or column): [first tap, number of taps, source of the first tap].
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

// Computes rows [row, row + rows) of one vector of a source as a tile at `tile`, or returns their address if they exist.
function fillTile(s: Source, tile: usize, group: i32, height: i32, width: i32, row: i32, rows: i32, vector: i32): usize {
  const kind = s.kind
  const channels = s.channels
  const planes = (channels + 3) >> 2
  const offset = (<usize>vector) << 4
  const shift = s.groupShift
  const pixel = pixelBytes(shift)
  const size = <usize>(rows * width) * pixel
  const together = 1 << shift
  const images = s.images - (group << shift)
  const zero = f32x4.splat(0)
  if (kind == Operand.NHWC) {
    const ld = (<usize>channels) << 2
    for (let n = 0; n < together; n++) {
      let t = tile + ((<usize>n) << 4)
      const end = t + size
      if (n >= images) {
        for (; t < end; t += pixel) v128.store(t, zero)
        continue
      }
      let x = s.address + <usize>((((group << shift) + n) * height + row) * width) * ld + offset
      for (; t < end; t += pixel, x += ld) v128.store(t, v128.load(x))
    }
    return tile
  }
  const at = <usize>(((group * planes + vector) * height + row) * width) * pixel
  const x = s.address + at
  if (kind == Operand.PLAIN) return x
  const v0 = v128.load(s.v0 + offset)
  const v1 = v128.load(s.v1 + offset)
  if (kind == Operand.NORM_BACKWARD) {
    const v2 = v128.load(s.v2 + offset)
    const y = s.y + at
    let i: usize = 0
    for (; i + 32 <= size; i += 32) {
      v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i), v0), f32x4.add(f32x4.mul(v128.load(y + i), v1), v2)))
      v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i, 16), v0), f32x4.add(f32x4.mul(v128.load(y + i, 16), v1), v2)), 16)
    }
    if (i < size) v128.store(tile + i, f32x4.add(f32x4.mul(v128.load(x + i), v0), f32x4.add(f32x4.mul(v128.load(y + i), v1), v2)))
    // Rows of padding images are zero in a gradient.
    for (let n = images; n < together; n++) {
      for (let i = (<usize>n) << 4; i < size; i += pixel) v128.store(tile + i, zero)
    }
    return tile
  }
  switch (s.activation) {
    case Activation.RELU: { fillPlane(Activation.RELU, x, tile, size, v0, v1, zero); break }
    case Activation.RELU6: { fillPlane(Activation.RELU6, x, tile, size, v0, v1, zero); break }
    case Activation.HSWISH: { fillPlane(Activation.HSWISH, x, tile, size, v0, v1, zero); break }
    case Activation.PRELU: { fillPlane(Activation.PRELU, x, tile, size, v0, v1, v128.load(s.v2 + offset)); break }
    default: fillPlane(Activation.NONE, x, tile, size, v0, v1, zero)
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

// The forward pass sums rows of taps separately: its rounding errors decide on which side of a kink an activation is.
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
 */
export function depthwiseForward(args: DepthwiseForward, piece: i32, scratch: usize): void {
  const e = args.epilogue
  const shift = args.source.groupShift
  const pixel = pixelBytes(shift)
  const groups = args.geometry.groups
  const height = args.geometry.height
  const width = args.geometry.width
  const outHeight = args.geometry.outHeight
  const outWidth = args.geometry.outWidth
  const kernel = args.geometry.kernel
  const stride = args.geometry.stride
  const padding = args.geometry.padding
  const dilation = args.geometry.dilation
  const vectors = args.geometry.vectors
  const bands = args.geometry.bands
  const bandRows = args.geometry.bandRows

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
  const inPlace = e.kind != EpilogueKind.ACTIVATE_NHWC
  const target = (group * outHeight + row) * outWidth << shift

  const firstVector = (rest / bands) * args.geometry.vectorsPerPiece
  const lastVector = min(vectors, firstVector + args.geometry.vectorsPerPiece)
  for (let vector = firstVector; vector < lastVector; vector++) {
    const source = fillTile(args.source, tile, group, height, width, first, sourceRows, vector)
    const weights = args.weights + (<usize>(vector * kernel * kernel) << 4)
    const o = inPlace ? e.out + <usize>(((group * vectors + vector) * outHeight + row) * outWidth) * pixel : block
    convolve(shift, true, source, first, width, weights, tableY, tableX, row, rows, outWidth, kernel, 1, dilation, o)
    epilogue(e, o, 0, target, rows * outWidth << shift, vector, 1, group * bands + band)
  }
}

/**
 * The gradients of a depthwise convolution: da, with an epilogue, and partial sums of dW. A piece is a range of vectors of
 * channels, a band of rows and a group of images.
 */
export function depthwiseBackward(args: DepthwiseBackward, piece: i32, scratch: usize): void {
  const e = args.epilogue
  const shift = args.source.groupShift
  const pixel = pixelBytes(shift)
  const groups = args.geometry.groups
  const height = args.geometry.height
  const width = args.geometry.width
  const outHeight = args.geometry.outHeight
  const outWidth = args.geometry.outWidth
  const kernel = args.geometry.kernel
  const stride = args.geometry.stride
  const padding = args.geometry.padding
  const dilation = args.geometry.dilation
  const vectors = args.geometry.vectors
  const bands = args.geometry.bands
  const bandRows = args.geometry.bandRows
  const outBandRows = args.outBandRows
  const partial = args.partial
  const wantsInput = args.wantsInput != 0
  const taps = kernel * kernel

  const group = piece % groups
  const rest = piece / groups
  const band = rest % bands
  // Rows of da; rows of dy whose weight gradient is summed here; the rows of dy and of a that both need.
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
  const tapStep = args.tapStep
  backwardTable(inY, height, kernel, stride, padding, dilation, outHeight, tapStep)
  backwardTable(inX, width, kernel, stride, padding, dilation, outWidth, tapStep)
  forwardTable(outY, outHeight, kernel, stride, padding, dilation, height)
  forwardTable(outX, outWidth, kernel, stride, padding, dilation, width)
  const tile = align64(outX + <usize>outWidth * 12)
  const tileA = tile + <usize>(sourceRows * outWidth) * pixel
  const block = tileA + <usize>(rowsA * width) * pixel
  const inPlace = e.kind != EpilogueKind.ACTIVATE_NHWC
  const target = (group * height + row) * width << shift

  const firstVector = (rest / bands) * args.geometry.vectorsPerPiece
  const lastVector = min(vectors, firstVector + args.geometry.vectorsPerPiece)
  for (let vector = firstVector; vector < lastVector; vector++) {
    const d = fillTile(args.source, tile, group, outHeight, outWidth, first, sourceRows, vector)
    if (partial) {
      const a = fillTile(args.input, tileA, group, height, width, firstA, rowsA, vector)
      const dw = partial + (<usize>(((group * bands + band) * vectors + vector) * taps) << 4)
      memory.fill(dw, 0, (<usize>taps) << 4)
      weightGradient(shift, a, firstA, width, dw, outY, outX, outRow, outRows, outWidth, kernel, dilation, d + <usize>((outRow - first) * outWidth) * pixel)
    }
    if (wantsInput) {
      const weights = args.weights + (<usize>(vector * taps) << 4)
      const o = inPlace ? e.out + <usize>(((group * vectors + vector) * height + row) * width) * pixel : block
      convolve(shift, false, d, first, outWidth, weights, inY, inX, row, rows, width, kernel, tapStep, -args.sourceStep, o)
      epilogue(e, o, 0, target, rows * width << shift, vector, 1, group * bands + band)
    }
  }
}
