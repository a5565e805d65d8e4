/**
 * Grey and colour images in the binary Netpbm formats PGM (P5) and PPM (P6), 8 bits per sample. Source:
 * https://netpbm.sourceforge.net/doc/pgm.html.
 */
import * as Result from "effect/Result"

/** An image as bytes, channels last. */
export interface RawImage {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly pixels: Uint8Array
}

/** The most pixels that an image may have. More is an attack, not a photograph. */
export const mostPixels = 1 << 26

/** Whether bytes begin as a binary PGM or PPM. */
export const isNetpbm = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && (bytes[1] === 0x35 || bytes[1] === 0x36)

/** The header of a PGM or PPM. */
export interface Header {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  /** The largest sample. */
  readonly most: number
  /** Where the samples begin. */
  readonly at: number
}

/** Reads a header; fails with what is wrong. */
export const header = (bytes: Uint8Array): Result.Result<Header, string> => {
  if (!isNetpbm(bytes)) return Result.fail("not a binary PGM or PPM: must begin with P5 or P6")
  const channels = bytes[1] === 0x35 ? 1 : 3
  let at = 2
  const number = (): number => {
    for (;;) {
      const byte = bytes[at]
      if (byte === 0x23) {
        while (at < bytes.length && bytes[at] !== 0x0a) at += 1
      } else if (byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)) {
        at += 1
      } else {
        break
      }
    }
    let value = 0
    let digits = 0
    while (digits < 9 && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) {
      value = value * 10 + bytes[at]! - 0x30
      digits += 1
      at += 1
    }
    return digits === 0 ? Number.NaN : value
  }
  const [width, height, most] = [number(), number(), number()]
  if (!(width > 0 && height > 0 && most > 0)) return Result.fail(`its header is broken at byte ${at}`)
  if (most > 255) return Result.fail(`has ${most} as largest sample; only 8 bits (255) are read`)
  if (width * height > mostPixels) return Result.fail(`${width} x ${height} pixels; at most ${mostPixels} are expected`)
  // One white space, then the samples.
  return Result.succeed({ width, height, channels, most, at: at + 1 })
}

/**
 * Reads a binary PGM or PPM; fails with what is wrong. Samples are scaled to 0 .. 255 if the maximum in the header is less.
 *
 * **Example** (Two grey pixels)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Netpbm from "./Netpbm.ts"
 *
 * const bytes = new TextEncoder().encode("P5\n# a comment\n2 1\n255\nAB")
 * Array.from(Result.getOrThrow(Netpbm.parse(bytes)).pixels) // => [65, 66]
 * ```
 */
export const parse = (bytes: Uint8Array): Result.Result<RawImage, string> => {
  const read = header(bytes)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const { at, channels, height, most, width } = read.success
  const size = width * height * channels
  if (bytes.length - at < size) {
    return Result.fail(
      `${width} x ${height} x ${channels} samples need ${size} bytes, ${Math.max(bytes.length - at, 0)} follow`
    )
  }
  const samples = bytes.subarray(at, at + size)
  const pixels = most === 255 ? samples.slice() : samples.map((v) => Math.min(Math.floor((v * 255) / most + 0.5), 255))
  return Result.succeed({ width, height, channels, pixels })
}
