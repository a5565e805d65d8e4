/**
 * Resizes byte images with the triangle filter, widened when shrinking so that no pixel is skipped (Pillow's bilinear). It
 * uses only sums and products of doubles, so the bytes are the same everywhere.
 */
import type { RawImage } from "./Netpbm.ts"

/** A part of an image, in pixels. Its edges may be fractional, or beyond the border. */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

interface Taps {
  readonly first: Int32Array
  readonly count: Int32Array
  readonly weights: Float64Array
  readonly most: number
}

/** For each of `to` outputs over [start, start + length): the first of `from` inputs, their number and their weights. */
const taps = (from: number, start: number, length: number, to: number): Taps => {
  const scale = length / to
  const support = Math.max(scale, 1)
  const most = Math.ceil(support) * 2 + 1
  const first = new Int32Array(to)
  const count = new Int32Array(to)
  const weights = new Float64Array(to * most)
  for (let i = 0; i < to; i += 1) {
    const centre = start + (i + 0.5) * scale
    const low = Math.min(Math.max(Math.floor(centre - support + 0.5), 0), from - 1)
    const high = Math.max(Math.min(Math.floor(centre + support + 0.5), from), low + 1)
    let sum = 0
    for (let x = low; x < high && x - low < most; x += 1) {
      const weight = Math.max(1 - Math.abs(x + 0.5 - centre) / support, 0)
      weights[i * most + x - low] = weight
      sum += weight
    }
    const used = Math.min(high - low, most)
    if (sum === 0) {
      // Beyond the border: the nearest input.
      weights[i * most + (centre < 0 ? 0 : used - 1)] = 1
      sum = 1
    }
    for (let t = 0; t < used; t += 1) weights[i * most + t]! /= sum
    first[i] = low
    count[i] = used
  }
  return { first, count, weights, most }
}

/** A part of an image, resized to `width` x `height`. */
export const resize = (image: RawImage, box: Box, width: number, height: number): Uint8Array => {
  const { channels, pixels } = image
  const columns = taps(image.width, box.left, box.width, width)
  const rows = taps(image.height, box.top, box.height, height)
  let top = image.height
  let bottom = 0
  for (let y = 0; y < height; y += 1) {
    top = Math.min(top, rows.first[y]!)
    bottom = Math.max(bottom, rows.first[y]! + rows.count[y]!)
  }
  // First along the rows that are needed, then down the columns. The order of additions is fixed: tap by tap.
  const line = width * channels
  const between = new Float64Array((bottom - top) * line)
  const last = channels - 1
  for (let x = 0; x < width; x += 1) {
    const used = columns.count[x]!
    const from = columns.first[x]! * channels
    const weightsAt = x * columns.most
    for (let y = top; y < bottom; y += 1) {
      const row = y * image.width * channels + from
      const to = (y - top) * line + x * channels
      let [a, b, c] = [0, 0, 0]
      for (let t = 0; t < used; t += 1) {
        const weight = columns.weights[weightsAt + t]!
        const at = row + t * channels
        a += weight * pixels[at]!
        if (last === 2) {
          b += weight * pixels[at + 1]!
          c += weight * pixels[at + 2]!
        }
      }
      between[to] = a
      if (last === 2) {
        between[to + 1] = b
        between[to + 2] = c
      }
    }
  }
  const out = new Uint8Array(width * height * channels)
  const sums = new Float64Array(line)
  for (let y = 0; y < height; y += 1) {
    sums.fill(0)
    for (let t = 0; t < rows.count[y]!; t += 1) {
      const weight = rows.weights[y * rows.most + t]!
      const from = (rows.first[y]! - top + t) * line
      for (let i = 0; i < line; i += 1) sums[i]! += weight * between[from + i]!
    }
    for (let i = 0; i < line; i += 1) {
      out[y * line + i] = Math.min(Math.max(Math.floor(sums[i]! + 0.5), 0), 255)
    }
  }
  return out
}

/** The same image with 1 or 3 channels; grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). */
export const withChannels = (image: RawImage, channels: 1 | 3): RawImage => {
  if (image.channels === channels) return image
  const size = image.width * image.height
  const pixels = new Uint8Array(size * channels)
  for (let i = 0; i < size; i += 1) {
    if (channels === 3) {
      pixels.fill(image.pixels[i]!, 3 * i, 3 * i + 3)
    } else {
      const [r, g, b] = [image.pixels[3 * i]!, image.pixels[3 * i + 1]!, image.pixels[3 * i + 2]!]
      pixels[i] = Math.floor((299 * r + 587 * g + 114 * b) / 1000 + 0.5)
    }
  }
  return { ...image, channels, pixels }
}
