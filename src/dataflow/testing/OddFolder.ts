/**
 * Makes a folder of images with everything that real ones have: every format in upper and lower case, other files, empty and
 * nested class folders, looping links, odd names; and, on request, broken images. To make one:
 * `node src/dataflow/testing/OddFolder.ts FOLDER [--broken]`. Needs sharp.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Key from "../../random/Key.ts"
import type { RawImage } from "../Netpbm.ts"

/** A smooth coloured picture. */
export const picture = (seed: number, width: number, height: number): RawImage => {
  const [a = 0, b = 0, c = 0] = Key.uniforms(Key.make(seed), 3)
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [u, v] = [x / width, y / height]
      pixels.set([195 * u * a + 60, 200 * v * b + 20 * ((x >> 2) % 2), 255 * c * (1 - u)], (y * width + x) * 3)
    }
  }
  return { width, height, channels: 3, pixels }
}

/** The bytes of a PPM. */
export const ppm = ({ height, pixels, width }: RawImage): Uint8Array =>
  Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels])

/** The bytes of a BMP of 24 bits, bottom-up. */
export const bmp = ({ height, pixels, width }: RawImage): Uint8Array => {
  const stride = Math.ceil((width * 24) / 32) * 4
  const bytes = new Uint8Array(54 + stride * height)
  const view = new DataView(bytes.buffer)
  bytes.set([0x42, 0x4d])
  view.setUint32(2, bytes.length, true)
  view.setUint32(10, 54, true)
  view.setUint32(14, 40, true)
  view.setInt32(18, width, true)
  view.setInt32(22, height, true)
  view.setUint16(26, 1, true)
  view.setUint16(28, 24, true)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (y * width + x) * 3
      bytes.set([pixels[from + 2]!, pixels[from + 1]!, pixels[from]!], 54 + (height - 1 - y) * stride + 3 * x)
    }
  }
  return bytes
}

/** Writes a file and the folders it is in. */
export const write = (file: string, content: Uint8Array | string): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

const composed = "caf\u00e9"
const decomposed = "cafe\u0301"

/** What {@link make} made. */
export interface Made {
  /** Classes in the order of their labels. */
  readonly classes: ReadonlyArray<string>
  readonly trainImages: number
  readonly testImages: number
  /** Broken files, as paths under the folder: only with `broken`. */
  readonly broken: ReadonlyArray<string>
}

/** Adds the broken files: a broken link, truncated and damaged images, a page and an empty file with the ending of one. */
const breakFiles = (root: string, broken: ReadonlyArray<string>, photo: Uint8Array, png: Uint8Array): void => {
  symlinkSync(join("nowhere", "gone.jpg"), join(root, broken[0]!))
  write(join(root, broken[1]!), photo.subarray(0, photo.length - 2))
  write(join(root, broken[2]!), photo.subarray(0, photo.length >> 1))
  write(join(root, broken[3]!), Uint8Array.from(png).fill(0x55, 60, 90))
  write(join(root, broken[4]!), "<html>404</html>")
  write(join(root, broken[5]!), "")
}

/** Makes the folder: `train` and `val` below `root`. */
export const make = async (root: string, options: { readonly broken: boolean }): Promise<Made> => {
  const sharp = (await import("sharp")).default
  const encoder = (seed: number, width = 40, height = 30) => {
    const { pixels } = picture(seed, width, height)
    return sharp(pixels, { raw: { width, height, channels: 3 } })
  }
  const jpeg = (seed: number, width?: number, height?: number) => encoder(seed, width, height).jpeg().toBuffer()
  const train = (...path: ReadonlyArray<string>) => join(root, "train", ...path)
  const val = (...path: ReadonlyArray<string>) => join(root, "val", ...path)
  // Every format, in upper and lower case.
  const formats: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["0.jpg", await jpeg(0, 64, 48)],
    ["1.JPEG", await jpeg(1, 33, 51)],
    ["2.Png", await encoder(2).png().toBuffer()],
    ["3.WEBP", await encoder(3).webp().toBuffer()],
    ["4.gif", await encoder(4).gif().toBuffer()],
    ["5.TIF", await encoder(5).tiff({ compression: "none" }).toBuffer()],
    ["6.tiff", await encoder(6).tiff({ compression: "lzw" }).toBuffer()],
    ["7.avif", await encoder(7).avif().toBuffer()],
    ["8.BMP", bmp(picture(8, 41, 30))],
    ["9.ppm", ppm(picture(9, 20, 20))]
  ]
  for (const [name, bytes] of formats) write(train("cat", name), bytes)
  const odd = ["name with  blanks.jpg", "\u732b \u{1f408}.jpg", `${"long".repeat(55)}.jpg`, "tab\there.jpg"]
  for (const [at, name] of odd.entries()) write(train("cat", name), await jpeg(20 + at))
  symlinkSync("0.jpg", train("cat", "link.jpg"))
  // Files of other formats, and files that systems leave behind.
  for (const name of ["notes.txt", "more.txt", "raw.heic", "layers.psd", "noending"]) write(train("cat", name), "text")
  for (const name of ["Thumbs.db", ".DS_Store", "._0.jpg", "desktop.ini"]) write(train("cat", name), "litter")
  write(train("__MACOSX", "._cat.jpg"), "litter")
  write(train(".ipynb_checkpoints", "0.jpg"), "litter")
  write(train("stray.jpg"), await jpeg(30))
  write(train("README.md"), "text")
  // Nested, empty, looping, deeper.
  for (let i = 0; i < 4; i += 1) write(train("dog", "images", `dog_${i}.JPEG`), await jpeg(40 + i, 64, 64))
  write(train("dog", "dog_boxes.txt"), "dog_0.JPEG\t0\t0\t1\t1\n")
  mkdirSync(train("hollow"), { recursive: true })
  symlinkSync("..", train("loop"))
  symlinkSync("itself", train("itself"))
  write(train("eel", "1.jpg"), await jpeg(50))
  write(train("eel", "2.jpg"), await jpeg(51))
  write(train("eel", "at night", "3.jpg"), await jpeg(52))
  // Names that differ in case alone, or in how they are written.
  for (const [at, name] of ["Bird", "bird", composed].entries()) {
    for (let i = 0; i < 3; i += 1)
      write(
        train(name, `${i}.png`),
        await encoder(60 + 10 * at + i)
          .png()
          .toBuffer()
      )
  }
  for (const [at, name] of ["cat", "Bird", "bird", decomposed].entries()) {
    for (let i = 0; i < 2; i += 1) write(val(name, `${i}.jpg`), await jpeg(100 + 10 * at + i))
  }
  write(val("dog", "images", "val_0.JPEG"), await jpeg(150))
  const broken = [
    join("train", "cat", "gone.jpg"),
    join("train", "dog", "images", "dog_2.JPEG"),
    join("val", "cat", "cut.jpg"),
    join("val", "cat", "middle.png"),
    join("val", "cat", "page.jpg"),
    join("val", "dog", "images", "nothing.png")
  ]
  if (options.broken) breakFiles(root, broken, await jpeg(102), await encoder(103).png().toBuffer())
  return {
    classes: ["Bird", "bird", composed, "cat", "dog", "eel"].sort(),
    trainImages: 10 + 4 + 1 + 4 + 2 + 9,
    testImages: 9 + (options.broken ? 4 : 0),
    broken: options.broken ? broken : []
  }
}

if (import.meta.main) {
  const [folder, flag] = process.argv.slice(2)
  if (folder === undefined) throw new Error("give the folder to make")
  const made = await make(folder, { broken: flag === "--broken" })
  process.stdout.write(`${JSON.stringify(made, undefined, 2)}\n`)
}
