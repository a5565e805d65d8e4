/**
 * Makes the shipped subset of Fashion-MNIST from the official files: the first 1,000 training and 200 test images of
 * every class, in the official order. `node tools/makeMini.ts FOLDER`; prints the SHA-256 of the files written.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { gunzipSync, gzipSync } from "node:zlib"
import * as Result from "effect/Result"
import * as BatchPlan from "../src/dataflow/BatchPlan.ts"
import { files, shippedFolder } from "../src/dataflow/FashionMnist.ts"
import * as Files from "../src/dataflow/Files.ts"
import * as Idx from "../src/dataflow/Idx.ts"

/** Number of images per part of the subset. */
export const sizes = { train: 10_000, test: 2_000 } as const

/** The subset of one part of the official files, as uncompressed idx files. */
export const subset = (
  part: "train" | "test",
  images: Uint8Array,
  labels: Uint8Array
): { readonly images: Uint8Array; readonly labels: Uint8Array } => {
  const allImages = Result.getOrThrow(Idx.parse(images, 3))
  const allLabels = Result.getOrThrow(Idx.parse(labels, 1))
  const chosen = BatchPlan.balanced(Int32Array.from(allLabels.data), sizes[part])
  const pixels = new Uint8Array(chosen.length * 784)
  chosen.forEach((index, position) => {
    pixels.set(allImages.data.subarray(index * 784, (index + 1) * 784), position * 784)
  })
  return {
    images: Idx.format([chosen.length, 28, 28], pixels),
    labels: Idx.format(
      [chosen.length],
      Uint8Array.from(chosen, (index) => allLabels.data[index]!)
    )
  }
}

const main = (folder: string) => {
  mkdirSync(shippedFolder, { recursive: true })
  for (const part of ["train", "test"] as const) {
    const read = (base: string) => gunzipSync(readFileSync(join(folder, `${base}.gz`)))
    const mini = subset(part, read(files[part].images), read(files[part].labels))
    for (const kind of ["images", "labels"] as const) {
      const packed = gzipSync(mini[kind], { level: 9, memLevel: 9 })
      const base = `${files[part][kind]}.gz`
      writeFileSync(join(shippedFolder, base), packed)
      console.log(`"${base}": "${Files.sha256(packed)}", // ${packed.length} bytes`)
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const folder = process.argv[2]
  if (folder === undefined) throw new Error("usage: node tools/makeMini.ts FOLDER_OF_THE_OFFICIAL_FILES")
  main(folder)
}
