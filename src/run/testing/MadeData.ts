/**
 * Makes folders and archives in the layouts of published data sets from the Fashion-MNIST images that ship: ImageNet's folders
 * of classes, folders of people with LFW's list of pairs, CIFAR's archives. For tests on real files without the published
 * data.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as tar from "tar"
import type { Variant } from "../../dataflow/Cifar.ts"
import * as FashionMnist from "../../dataflow/FashionMnist.ts"
import { lfwName } from "../../dataflow/VerificationPairs.ts"

const side = 28
const pixelsOf = side * side

/** The shipped images by class: `images[class][index]` are 784 grey bytes. */
export type Images = ReadonlyArray<ReadonlyArray<Uint8Array>>

/** Reads the shipped training images. */
export const shipped = async (): Promise<Images> => {
  const { classes, train } = await Effect.runPromise(FashionMnist.load(null))
  const images: ReadonlyArray<Array<Uint8Array>> = classes.map(() => [])
  train.labels.forEach((label, at) => {
    images[label]?.push(Uint8Array.from(train.pixels.subarray(at * pixelsOf, (at + 1) * pixelsOf)))
  })
  return images
}

/** `count` images of a class, starting at index `from`. */
const some = (images: Images, label: number, from: number, count: number): ReadonlyArray<Uint8Array> => {
  const found = images[label]?.slice(from, from + count) ?? []
  if (found.length < count)
    throw new Error(`class ${label}: ${count} images requested from index ${from}, ${found.length} found`)
  return found
}

/** A grey image as `.png` (by sharp) or as `.pgm`. */
const write = async (file: string, pixels: Uint8Array): Promise<void> => {
  mkdirSync(dirname(file), { recursive: true })
  if (file.endsWith(".pgm")) {
    return writeFileSync(file, Buffer.concat([Buffer.from(`P5\n${side} ${side}\n255\n`), pixels]))
  }
  const { default: sharp } = await import("sharp")
  await sharp(pixels, { raw: { width: side, height: side, channels: 1 } })
    .png()
    .toFile(file)
}

/** Whether PNG files can be written and read here. */
export const hasPng = async (): Promise<boolean> =>
  await import("sharp").then(
    () => true,
    () => false
  )

/** Extensions of the image files; `pgm` needs no sharp. */
export type Ending = "png" | "pgm"

/** ImageNet's layout: `train/<class>` and `val/<class>`. */
export const imageFolder = async (
  folder: string,
  images: Images,
  { classes, ending, test, train }: { classes: number; ending: Ending; test: number; train: number }
): Promise<void> => {
  for (let label = 0; label < classes; label += 1) {
    const name = `n${String(label).padStart(8, "0")}`
    for (const [part, from, count] of [
      ["train", 0, train],
      ["val", train, test]
    ] as const) {
      for (const [at, pixels] of some(images, label, from, count).entries()) {
        await write(join(folder, part, name, `${name}_${at}.${ending}`), pixels)
      }
    }
  }
}

/** Folders of people with images named as in LFW. A person has some of the images of a class of clothes. */
export const faceFolder = async (
  folder: string,
  images: Images,
  { each, ending, first, people }: { each: number; ending: Ending; first: number; people: number }
): Promise<void> => {
  for (let at = 0; at < people; at += 1) {
    const person = personName(first + at)
    const label = (first + at) % images.length
    const from = Math.floor((first + at) / images.length) * each
    for (const [index, pixels] of some(images, label, from, each).entries()) {
      await write(join(folder, person, `${lfwName({ person, number: index + 1 })}.${ending}`), pixels)
    }
  }
}

const personName = (person: number): string => `Person_${String(person).padStart(2, "0")}`

/** A list of pairs as LFW's, of people of {@link faceFolder}: in each fold as many pairs of one person as of two. */
export const pairsList = (first: number, people: number, folds: number): string => {
  const lines = [`${folds}\t${people}`]
  for (let fold = 0; fold < folds; fold += 1) {
    for (let at = 0; at < people; at += 1) lines.push(`${personName(first + at)}\t${fold + 1}\t${fold + 2}`)
    for (let at = 0; at < people; at += 1) {
      lines.push(`${personName(first + at)}\t${fold + 1}\t${personName(first + ((at + 1) % people))}\t${fold + 2}`)
    }
  }
  return `${lines.join("\n")}\n`
}

/** Records of CIFAR's binary files: `count` images of every class, padded to 32 x 32 and with three channels. */
const records = (variant: Variant, images: Images, from: number, count: number): Uint8Array => {
  const size = variant.labelBytes + 3072
  const classes = Math.min(variant.classes.length, images.length)
  const bytes = new Uint8Array(count * classes * size)
  for (let at = 0; at < count * classes; at += 1) {
    const label = at % classes
    const [pixels] = some(images, label, from + Math.floor(at / classes), 1)
    if (pixels === undefined) continue
    bytes[at * size + variant.labelBytes - 1] = label
    for (let y = 0; y < side; y += 1) {
      for (const channel of [0, 1, 2]) {
        const row = pixels.subarray(y * side, (y + 1) * side)
        bytes.set(row, at * size + variant.labelBytes + channel * 1024 + (y + 2) * 32 + 2)
      }
    }
  }
  return bytes
}

/** CIFAR's archive, with `train` images per class in all training files together, and `test` in the test file. */
export const cifarArchive = async (
  folder: string,
  variant: Variant,
  images: Images,
  { test, train }: { test: number; train: number }
): Promise<string> => {
  const inner = join(folder, variant.inner)
  mkdirSync(inner, { recursive: true })
  const each = Math.ceil(train / variant.trainFiles.length)
  for (const [at, file] of variant.trainFiles.entries()) {
    writeFileSync(join(inner, file), records(variant, images, at * each, each))
  }
  for (const file of variant.testFiles) {
    writeFileSync(join(inner, file), records(variant, images, each * variant.trainFiles.length, test))
  }
  const archive = join(folder, variant.archive)
  await tar.create({ cwd: folder, gzip: true, file: archive, portable: true }, [variant.inner])
  return archive
}
