/**
 * Windows bitmaps (BMP) without compression: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits with or without masks,
 * bottom-up and top-down. sharp does not read them. Run-length encoding is refused. Source:
 * https://learn.microsoft.com/windows/win32/gdi/bitmap-storage.
 */
import * as Result from "effect/Result"
import { mostPixels, type RawImage } from "./Netpbm.ts"

/** Whether bytes begin as a BMP. */
export const isBmp = (bytes: Uint8Array): boolean => bytes[0] === 0x42 && bytes[1] === 0x4d

/** The header of a BMP. */
export interface Header {
  readonly width: number
  readonly height: number
  readonly topDown: boolean
  readonly bits: 1 | 4 | 8 | 16 | 24 | 32
  /** Masks of red, green, blue and alpha in a pixel of 16 or 32 bits. */
  readonly masks: readonly [red: number, green: number, blue: number, alpha: number]
  /** Where the palette is, its entries and the bytes of each. */
  readonly palette: { readonly at: number; readonly entries: number; readonly size: 3 | 4 }
  /** Where the pixels are, and the bytes of a row. */
  readonly at: number
  readonly stride: number
}

const depths: ReadonlySet<number> = new Set([1, 4, 8, 16, 24, 32])

/** Enough bytes for every header that is read. */
export const headerBytes = 70

/** Reads a header from a file's first {@link headerBytes} bytes; fails with what is wrong. */
export const header = (bytes: Uint8Array): Result.Result<Header, string> => {
  if (!isBmp(bytes)) return Result.fail("not a BMP: must begin with BM")
  if (bytes.length < 26) return Result.fail(`ends in its header, after ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = view.getUint32(14, true)
  const isCore = size === 12
  if (!isCore && (size < 40 || size > 1024)) return Result.fail(`its header has ${size} bytes; 12 or from 40 are read`)
  if (bytes.length < Math.min(isCore ? 26 : 14 + size, headerBytes)) {
    return Result.fail(`ends in its header, after ${bytes.length} bytes`)
  }
  const width = isCore ? view.getUint16(18, true) : view.getInt32(18, true)
  const signedHeight = isCore ? view.getUint16(20, true) : view.getInt32(22, true)
  const height = Math.abs(signedHeight)
  const bits = view.getUint16(isCore ? 24 : 28, true)
  const compression = isCore ? 0 : view.getUint32(30, true)
  if (width < 1 || height < 1) return Result.fail(`is ${width} x ${height} pixels`)
  if (width * height > mostPixels) return Result.fail(`${width} x ${height} pixels; at most ${mostPixels} are expected`)
  if (!depths.has(bits)) return Result.fail(`has ${bits} bits per pixel; 1, 4, 8, 16, 24 or 32 are read`)
  const hasMasks = compression === 3 || compression === 6
  if (compression !== 0 && !(hasMasks && (bits === 16 || bits === 32))) {
    return Result.fail(`is compressed (method ${compression}); only BMP without compression is read: save it as PNG`)
  }
  if (hasMasks && bytes.length < 66) return Result.fail(`ends in its masks, after ${bytes.length} bytes`)
  const alpha = hasMasks && (size >= 56 || compression === 6) ? view.getUint32(66, true) : 0
  const used = isCore ? 0 : view.getUint32(46, true)
  const entries = bits > 8 ? 0 : used === 0 ? 1 << bits : Math.min(used, 1 << bits)
  return Result.succeed({
    width,
    height,
    topDown: signedHeight < 0,
    bits: bits as Header["bits"],
    masks: hasMasks
      ? [view.getUint32(54, true), view.getUint32(58, true), view.getUint32(62, true), alpha]
      : bits === 16
        ? [0x7c00, 0x3e0, 0x1f, 0]
        : [0xff0000, 0xff00, 0xff, 0],
    palette: { at: 14 + size, entries, size: isCore ? 3 : 4 },
    at: view.getUint32(10, true),
    stride: Math.ceil((width * bits) / 32) * 4
  })
}

/** The size of a file with this header, in bytes. */
export const neededBytes = ({ at, height, stride }: Header): number => at + height * stride

/** Scales the bits of a mask to 0 .. 255. */
const channelOf = (mask: number): ((pixel: number) => number) => {
  if (mask === 0) return () => 0
  const shift = 31 - Math.clz32(mask & -mask)
  const most = mask >>> shift
  return (pixel) => Math.floor((((pixel & mask) >>> shift) * 255) / most + 0.5)
}

/**
 * Reads a BMP; fails with what is wrong. Transparent pixels are blended with black.
 *
 * **Example** (One red pixel)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Bmp from "./Bmp.ts"
 *
 * const bytes = new Uint8Array(58)
 * const view = new DataView(bytes.buffer)
 * bytes.set([0x42, 0x4d])
 * view.setUint32(10, 54, true)
 * view.setUint32(14, 40, true)
 * view.setInt32(18, 1, true)
 * view.setInt32(22, 1, true)
 * view.setUint16(26, 1, true)
 * view.setUint16(28, 24, true)
 * bytes.set([0, 0, 255], 54)
 * Array.from(Result.getOrThrow(Bmp.parse(bytes)).pixels) // => [255, 0, 0]
 * ```
 */
export const parse = (bytes: Uint8Array): Result.Result<RawImage, string> => {
  const read = header(bytes)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const { bits, height, masks, palette, stride, topDown, width } = read.success
  const needed = neededBytes(read.success)
  if (bytes.length < needed) {
    return Result.fail(`${width} x ${height} pixels of ${bits} bits need ${needed} bytes, the file has ${bytes.length}`)
  }
  const pixels = new Uint8Array(width * height * 3)
  const [red, green, blue, alpha] = masks.map(channelOf) as [...Array<(pixel: number) => number>]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let y = 0; y < height; y += 1) {
    const row = read.success.at + (topDown ? y : height - 1 - y) * stride
    for (let x = 0; x < width; x += 1) {
      const to = (y * width + x) * 3
      if (bits === 24) {
        const from = row + 3 * x
        pixels[to] = bytes[from + 2]!
        pixels[to + 1] = bytes[from + 1]!
        pixels[to + 2] = bytes[from]!
      } else if (bits <= 8) {
        const perByte = 8 / bits
        const byte = bytes[row + Math.floor(x / perByte)]!
        const index = (byte >> (8 - bits * ((x % perByte) + 1))) & ((1 << bits) - 1)
        if (index >= palette.entries) {
          return Result.fail(`pixel ${x}, ${y} has colour ${index}; its palette has ${palette.entries}`)
        }
        const from = palette.at + index * palette.size
        pixels[to] = bytes[from + 2]!
        pixels[to + 1] = bytes[from + 1]!
        pixels[to + 2] = bytes[from]!
      } else {
        const pixel = bits === 16 ? view.getUint16(row + 2 * x, true) : view.getUint32(row + 4 * x, true)
        const opacity = masks[3] === 0 ? 255 : alpha!(pixel)
        pixels[to] = Math.floor((red!(pixel) * opacity) / 255 + 0.5)
        pixels[to + 1] = Math.floor((green!(pixel) * opacity) / 255 + 0.5)
        pixels[to + 2] = Math.floor((blue!(pixel) * opacity) / 255 + 0.5)
      }
    }
  }
  return Result.succeed({ width, height, channels: 3, pixels })
}
