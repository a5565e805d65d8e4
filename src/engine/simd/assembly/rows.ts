// Operands of products, computed on the fly from kept tensors.
//
// Tensors inside a chain are "planes": [group of images][vector of 4 channels][pixel][image of the group][4 channels],
// channels and images padded. A group has eight images, or one in small batches (1 << shift). A row is a position:
// row = (group * pixels + pixel << shift) + image of the group. Within a vector, the rows of a group and the images of a pixel
// are contiguous. Chains begin and end in NHWC.
//
// A block of rows is packed for the inner loops as [group of 6 rows][vector][6 rows][4]. So the splats of a product's left
// operand, and the vectors of a weight gradient's operand, are at constant offsets.
//
// The operand that a product packs is described by a Source (../Signatures.ts).

import { Activation, Operand, Source } from "./generated/signatures"
import { activate, keepLanes } from "./math"

const SIX: usize = 96

// @ts-ignore: decorator
@inline
function value(kind: i32, act: i32, x: usize, y: usize, offset: usize, v0: v128, v1: v128, v2: v128): v128 {
  const a = v128.load(x + offset)
  if (kind == Operand.ACTIVATED) return activate(f32x4.add(f32x4.mul(a, v0), v1), act, v2)
  if (kind == Operand.NORM_BACKWARD) return f32x4.add(f32x4.mul(a, v0), f32x4.add(f32x4.mul(v128.load(y + offset), v1), v2))
  return a
}

// Rows of planes, vector by vector. A block of rows may span several groups of images; within a run addresses are contiguous.
// @ts-ignore: decorator
@inline
function packPlanes(kind: i32, act: i32, s: Source, row: i32, rows: i32, vector: i32, vectors: i32, dst: usize): void {
  const planes = (s.channels + 3) >> 2
  const perGroup = s.pixels << s.groupShift
  const step = <usize>vectors * SIX
  const zero = f32x4.splat(0)
  for (let j = 0; j < vectors; j++) {
    const channel = (<usize>(vector + j)) << 4
    const v0 = kind == Operand.PLAIN ? zero : v128.load(s.v0 + channel)
    const v1 = kind == Operand.PLAIN ? zero : v128.load(s.v1 + channel)
    const v2 = kind == Operand.NORM_BACKWARD || act == Activation.PRELU ? v128.load(s.v2 + channel) : zero
    let d = dst + <usize>j * SIX
    let filled = 0
    let group = row / perGroup
    let start = row - group * perGroup
    let left = rows
    while (left > 0) {
      const length = min(left, perGroup - start)
      const at = (<usize>((group * planes + vector + j) * perGroup + start)) << 4
      let x = s.address + at
      let y = s.y + at
      let i = 0
      while (i < length && filled != 0) {
        v128.store(d, value(kind, act, x, y, 0, v0, v1, v2))
        x += 16
        y += 16
        d += 16
        i++
        if (++filled == 6) {
          filled = 0
          d += step - SIX
        }
      }
      for (; i + 6 <= length; i += 6) {
        v128.store(d, value(kind, act, x, y, 0, v0, v1, v2))
        v128.store(d, value(kind, act, x, y, 16, v0, v1, v2), 16)
        v128.store(d, value(kind, act, x, y, 32, v0, v1, v2), 32)
        v128.store(d, value(kind, act, x, y, 48, v0, v1, v2), 48)
        v128.store(d, value(kind, act, x, y, 64, v0, v1, v2), 64)
        v128.store(d, value(kind, act, x, y, 80, v0, v1, v2), 80)
        x += SIX
        y += SIX
        d += step
      }
      for (; i < length; i++) {
        v128.store(d, value(kind, act, x, y, 0, v0, v1, v2))
        x += 16
        y += 16
        d += 16
        filled++
      }
      left -= length
      start = 0
      group++
    }
    if (filled != 0) for (; filled < 6; filled++, d += 16) v128.store(d, zero)
  }
}

function packNhwc(s: Source, row: i32, rows: i32, channel: i32, channels: i32, dst: usize): void {
  const ld = (<usize>s.channels) << 2
  const pixels = s.pixels
  const images = s.images
  const shift = s.groupShift
  const vectors = (channels + 3) >> 2
  const step = <usize>vectors * SIX
  const tail = channels & 3
  const zero = f32x4.splat(0)
  let d = dst
  let filled = 0
  const together = 1 << shift
  let group = (row >> shift) / pixels
  let pixel = (row >> shift) - group * pixels
  let n = row & (together - 1)
  for (let r = 0; r < rows; r++) {
    const image = (group << shift) + n
    let p = d
    if (image < images) {
      let x = s.address + <usize>(image * pixels + pixel) * ld + ((<usize>channel) << 2)
      const full = channels >> 2
      for (let j = 0; j < full; j++) {
        v128.store(p, v128.load(x))
        x += 16
        p += SIX
      }
      if (tail) v128.store(p, keepLanes(v128.load(x), tail))
    } else {
      for (let j = 0; j < vectors; j++, p += SIX) v128.store(p, zero)
    }
    d += 16
    if (++filled == 6) {
      filled = 0
      d += step - SIX
    }
    if (++n == together) {
      n = 0
      if (++pixel == pixels) {
        pixel = 0
        group++
      }
    }
  }
  if (filled != 0) {
    for (; filled < 6; filled++, d += 16) {
      let p = d
      for (let j = 0; j < vectors; j++, p += SIX) v128.store(p, zero)
    }
  }
}

// Copies n floats in whole vectors: it writes up to 12 bytes too many, which the next copy overwrites.
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

// One im2col patch to `line`, [ky][kx][channels]: zeros where a tap meets padding or, in the backward pass, falls between strides.
// @ts-ignore: decorator
@inline
function gatherPatch(backward: bool, joined: bool, base: usize, gridRow: i32, gridCol: i32, height: i32, width: i32, ld: i32, kernel: i32, stride: i32, padding: i32, dilation: i32, channels: i32, line: usize): void {
  let d = line
  for (let ky = 0; ky < kernel; ky++) {
    let iy: i32
    let inside: bool
    if (backward) {
      const t = gridRow + padding - ky * dilation
      iy = t / stride
      inside = t >= 0 && iy * stride == t && iy < height
    } else {
      iy = gridRow * stride - padding + ky * dilation
      inside = iy >= 0 && iy < height
    }
    if (!inside) {
      zeroOver(d, kernel * channels)
      d += <usize>(kernel * channels) << 2
      continue
    }
    const source = base + ((<usize>iy * <usize>(width * ld)) << 2)
    const ix0 = gridCol * stride - padding
    if (joined && ix0 >= 0 && ix0 + kernel <= width) {
      copyOver(d, source + ((<usize>(ix0 * ld)) << 2), kernel * channels)
      d += <usize>(kernel * channels) << 2
      continue
    }
    for (let kx = 0; kx < kernel; kx++) {
      let ix: i32
      if (backward) {
        const t = gridCol + padding - kx * dilation
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
  // The bytes that the last copy wrote too many have to be zero.
  zeroOver(d, 1)
}

// Patches, one row at a time, through scratch at `line`.
function packGather(s: Source, row: i32, rows: i32, channel: i32, dst: usize, line: usize): void {
  const backward = s.kind == Operand.GATHER_BACKWARD
  const ld = s.channels
  const pixels = s.pixels
  const images = s.images
  const shift = s.groupShift
  const height = s.height
  const width = s.width
  const gridCols = s.gridWidth
  const kernel = s.kernel
  const stride = s.stride
  const padding = s.padding
  const dilation = s.dilation
  const channels = s.tapChannels
  const x = s.address + ((<usize>channel) << 2)
  const joined = !backward && dilation == 1 && ld == channels
  const vectors = (kernel * kernel * channels + 3) >> 2
  const step = <usize>vectors * SIX
  const zero = f32x4.splat(0)
  let q = dst
  let filled = 0
  const end = (rows + 5) / 6 * 6
  for (let r = 0; r < end; r++) {
    const at = (row + r) >> shift
    const n = row + r - (at << shift)
    const group = at / pixels
    const image = (group << shift) + n
    let p = q
    if (r < rows && image < images) {
      const pixel = at - group * pixels
      const gridRow = pixel / gridCols
      const gridCol = pixel - gridRow * gridCols
      const base = x + ((<usize>image * <usize>(height * width) * <usize>ld) << 2)
      gatherPatch(backward, joined, base, gridRow, gridCol, height, width, ld, kernel, stride, padding, dilation, channels, line)
      let l = line
      for (let j = 0; j < vectors; j++) {
        v128.store(p, v128.load(l))
        l += 16
        p += SIX
      }
    } else {
      for (let j = 0; j < vectors; j++, p += SIX) v128.store(p, zero)
    }
    q += 16
    if (++filled == 6) {
      filled = 0
      q += step - SIX
    }
  }
}

// Rows of padding images are zero in a gradient; its constant term would make them nonzero.
function clearMissing(s: Source, row: i32, rows: i32, vectors: i32, dst: usize): void {
  const pixels = s.pixels
  const images = s.images
  const shift = s.groupShift
  const last = (1 << shift) - 1
  if ((images & last) == 0) return
  const zero = f32x4.splat(0)
  for (let r = 0; r < rows; r++) {
    if ((((row + r) >> shift) / pixels << shift) + ((row + r) & last) < images) continue
    let p = dst + <usize>(r / 6) * (<usize>vectors * SIX) + ((<usize>(r % 6)) << 4)
    for (let j = 0; j < vectors; j++, p += SIX) v128.store(p, zero)
  }
}

/**
 * Packs rows [row, row + rows) of the source at `s`: for planes, `vectors` vectors from `vector`; for NHWC, `channels` channels from
 * `channel`; always whole patches, of the group that starts at `channel`. Rows are padded with zeros to a multiple of six.
 * `line` is scratch for one patch.
 */
export function packRows(s: Source, row: i32, rows: i32, channel: i32, channels: i32, dst: usize, line: usize): void {
  const kind = s.kind
  if (kind >= Operand.GATHER) {
    packGather(s, row, rows, channel, dst, line)
    return
  }
  if (kind == Operand.NHWC) {
    packNhwc(s, row, rows, channel, channels, dst)
    return
  }
  const vector = channel >> 2
  const vectors = (channels + 3) >> 2
  if (kind == Operand.PLAIN) packPlanes(Operand.PLAIN, Activation.NONE, s, row, rows, vector, vectors, dst)
  else if (kind == Operand.NORM_BACKWARD) {
    packPlanes(Operand.NORM_BACKWARD, Activation.NONE, s, row, rows, vector, vectors, dst)
    clearMissing(s, row, rows, vectors, dst)
  } else {
    switch (s.activation) {
      case Activation.RELU: { packPlanes(Operand.ACTIVATED, Activation.RELU, s, row, rows, vector, vectors, dst); break }
      case Activation.RELU6: { packPlanes(Operand.ACTIVATED, Activation.RELU6, s, row, rows, vector, vectors, dst); break }
      case Activation.HSWISH: { packPlanes(Operand.ACTIVATED, Activation.HSWISH, s, row, rows, vector, vectors, dst); break }
      case Activation.PRELU: { packPlanes(Operand.ACTIVATED, Activation.PRELU, s, row, rows, vector, vectors, dst); break }
      default: packPlanes(Operand.ACTIVATED, Activation.NONE, s, row, rows, vector, vectors, dst)
    }
  }
}
