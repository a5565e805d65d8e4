/**
 * Image files to bytes. PGM, PPM and BMP are read here. JPEG, PNG, WebP, GIF, TIFF and AVIF are read by the optional
 * dependency `sharp`, which is loaded for the first such file: the first page, upright, as sRGB, transparent pixels blended
 * with black. Colours are converted to grey later (`Resample.withChannels`), so the result does not depend on the format.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as Result from "effect/Result"
import type * as BatchPlan from "./BatchPlan.ts"
import * as Bmp from "./Bmp.ts"
import * as Netpbm from "./Netpbm.ts"

/** An image file that cannot be read, and why. */
export class ImageFailure extends Error {
  readonly file: string
  constructor(file: string, reason: string) {
    super(reason)
    this.name = "ImageFailure"
    this.file = file
  }
}

/** The most pixels that an image may have. */
export const mostPixels: number = Netpbm.mostPixels

// Larger than a photograph of any camera. Larger files are refused before they are read.
const mostBytes = 1 << 28

type Sharp = typeof import("sharp").default
let sharp: Promise<Sharp> | undefined

const loadSharp = (): Promise<Sharp> => {
  sharp ??= import("sharp").then((module) => {
    const loaded = module.default
    // One thread per image: several workers decode in parallel already.
    loaded.concurrency(1)
    loaded.cache(false)
    return loaded
  })
  return sharp
}

/** The message of an error in one line, without repeated lines. */
const inOneLine = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  const text = [...new Set(message.split("\n").map((line) => line.trim()))].filter((line) => line !== "").join("; ")
  return text.includes("exceeds pixel limit")
    ? `it has more than ${Netpbm.mostPixels} pixels, the limit; make it smaller`
    : text
}

/** Whether `sharp` is installed. */
export const hasSharp = (): Promise<boolean> =>
  loadSharp().then(
    () => true,
    () => false
  )

const bySharp = async (file: string, bytes: Uint8Array): Promise<Netpbm.RawImage> => {
  const library = await loadSharp().catch(() => {
    throw new ImageFailure(file, "the optional package sharp, which reads JPEG and PNG, is missing: npm install sharp")
  })
  try {
    const image = library(bytes, { limitInputPixels: Netpbm.mostPixels, failOn: "error" }).autoOrient()
    const { data, info } = await image
      .flatten({ background: "#000000" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true })
    if (info.channels !== 1 && info.channels !== 3) {
      throw new Error(`has ${info.channels} channels; 1 or 3 are expected`)
    }
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return { width: info.width, height: info.height, channels: info.channels, pixels }
  } catch (cause) {
    throw new ImageFailure(file, `is not a readable image: ${inOneLine(cause)}`)
  }
}

/** Decodes the bytes of an image file; rejects with an {@link ImageFailure}. */
export const decodeBytes = async (file: string, bytes: Uint8Array): Promise<Netpbm.RawImage> => {
  if (bytes.length === 0) throw new ImageFailure(file, "is not a readable image: the file is empty")
  if (!Netpbm.isNetpbm(bytes) && !Bmp.isBmp(bytes)) return bySharp(file, bytes)
  const parsed = Netpbm.isNetpbm(bytes) ? Netpbm.parse(bytes) : Bmp.parse(bytes)
  if (Result.isFailure(parsed)) throw new ImageFailure(file, parsed.failure)
  return parsed.success
}

/** Reads and decodes an image file; rejects with an {@link ImageFailure}. */
export const decode = async (file: string): Promise<Netpbm.RawImage> => {
  const bytes = await (async () => {
    try {
      const { size } = await fs.stat(file)
      if (size > mostBytes) throw new Error(`has ${size} bytes; at most ${mostBytes} are expected`)
      return new Uint8Array(await fs.readFile(file))
    } catch (cause) {
      throw new ImageFailure(file, `cannot be read: ${cause instanceof Error ? cause.message : cause}`)
    }
  })()
  return decodeBytes(file, bytes)
}

/** Format, width and height (upright) of an image file, by its header; rejects with an {@link ImageFailure}. */
export const facts = async (
  file: string
): Promise<{ readonly format: string; readonly width: number; readonly height: number }> => {
  const head = new Uint8Array(512)
  const { bytesRead, size } = await (async () => {
    const handle = await fs.open(file)
    try {
      const { size } = await handle.stat()
      return { ...(await handle.read(head, 0, head.length, 0)), size }
    } finally {
      await handle.close()
    }
  })().catch((cause: unknown) => {
    throw new ImageFailure(file, `cannot be read: ${cause instanceof Error ? cause.message : cause}`)
  })
  const start = head.subarray(0, bytesRead)
  if (size === 0) throw new ImageFailure(file, "is not a readable image: the file is empty")
  if (Netpbm.isNetpbm(start) || Bmp.isBmp(start)) {
    const readHeader = (bytes: Uint8Array): Result.Result<Netpbm.Header | Bmp.Header, string> =>
      Bmp.isBmp(bytes) ? Bmp.header(bytes) : Netpbm.header(bytes)
    const short = readHeader(start)
    // Comments of any length may precede the numbers.
    const parsed = Result.isFailure(short) ? readHeader(new Uint8Array(await fs.readFile(file))) : short
    if (Result.isFailure(parsed)) throw new ImageFailure(file, parsed.failure)
    const format = Bmp.isBmp(start) ? "bmp" : start[1] === 0x35 ? "pgm" : "ppm"
    return { format, width: parsed.success.width, height: parsed.success.height }
  }
  const library = await loadSharp().catch(() => {
    throw new ImageFailure(file, "the optional package sharp, which reads JPEG and PNG, is missing: npm install sharp")
  })
  try {
    const { autoOrient, format } = await library(file, { limitInputPixels: Netpbm.mostPixels }).metadata()
    return { format: format === "heif" ? "avif" : format, width: autoOrient.width, height: autoOrient.height }
  } catch (cause) {
    throw new ImageFailure(file, `is not a readable image: ${inOneLine(cause)}`)
  }
}

/** Decodes the image of a plan. */
export const decodePlanned = (files: BatchPlan.ImageFiles, path: string): Promise<Netpbm.RawImage> =>
  decode(join(files.root, path))
