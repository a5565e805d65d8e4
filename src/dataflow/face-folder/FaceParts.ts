/** The images of a part of a face folder: decoded into memory, or checked where they are. */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as CheckImages from "../CheckImages.ts"
import * as DecodeImage from "../DecodeImage.ts"
import * as FileBatch from "../FileBatch.ts"
import * as Files from "../Files.ts"
import { mostDecoded } from "../FolderOptions.ts"
import type * as ImageListing from "../ImageListing.ts"
import * as InMemory from "../InMemory.ts"
import * as Resample from "../Resample.ts"
import * as Wording from "../Wording.ts"
import { name, type Options } from "./FaceFolderOptions.ts"

/** The images of a part: training, or verification. */
export interface Listed {
  readonly root: string
  readonly paths: ReadonlyArray<string>
  readonly labels: Int32Array
}

/** The images of groups, labelled by the position of their group. */
export const listed = (root: string, groups: ReadonlyArray<ImageListing.Group>): Listed => {
  const labels = InMemory.sharedLabels(groups.reduce((sum, group) => sum + group.files.length, 0))
  const paths: Array<string> = []
  groups.forEach((group, label) => {
    for (const file of group.files) {
      labels[paths.length] = label
      paths.push(join(group.name, file))
    }
  })
  return { root, paths, labels }
}

/** A part without its broken images. `pixels` is empty if images stay in their files. */
export interface FacePart extends Listed {
  readonly pixels: Uint8Array
  readonly faults: ReadonlyArray<CheckImages.Fault>
}

/** Decodes all images of a part into shared memory. Broken images fail, or are left out with `broken: skip`. */
export const decodeAll = Effect.fnUntraced(function* (part: Listed, options: Options) {
  const { channels, fit, size } = options
  const length = size * size * channels
  const faults: Array<CheckImages.Fault & { readonly at: number }> = []
  let done = 0
  const decoding = Effect.forEach(
    part.paths,
    (path, at) =>
      Effect.promise(async () => {
        try {
          const raw = await DecodeImage.decode(join(part.root, path))
          return FileBatch.whole(Resample.withChannels(raw, channels), fit, size, size)
        } catch (cause) {
          faults.push({ at, path, reason: cause instanceof Error ? cause.message : String(cause) })
          return undefined
        } finally {
          done += 1
        }
      }),
    { concurrency: 8 }
  )
  const all = Wording.counted(part.paths.length, "image")
  const images = yield* CheckImages.reporting(() => `${name}: decoded ${done} of ${all} in ${part.root}`, decoding)
  faults.sort((a, b) => a.at - b.at)
  if (faults.length > 0 && options.broken === "fail") return yield* CheckImages.failure(name, part.root, faults, true)
  const kept = Array.from(images.keys()).filter((at) => images[at] !== undefined)
  const pixels = InMemory.sharedBytes(kept.length * length)
  const labels = InMemory.sharedLabels(kept.length)
  kept.forEach((at, position) => {
    pixels.set(images[at]!, position * length)
    labels[position] = part.labels[at]!
  })
  const decoded: FacePart = { root: part.root, paths: kept.map((at) => part.paths[at]!), labels, pixels, faults }
  return decoded
})

/** Checks the files of a part that stays on disk. Broken images fail, or are reported if they can be replaced. */
export const checkFiles = Effect.fnUntraced(function* (part: Listed, isTest: boolean, options: Options) {
  const thorough =
    isTest && (options.check === "decode" || (options.check === "auto" && part.paths.length <= mostDecoded))
  const level = options.check === "none" ? "none" : thorough ? "decode" : "headers"
  const { faults } = yield* CheckImages.check(
    name,
    part.root,
    part.paths.map((path) => ({ path, level }))
  )
  // Pairs refer to images to verify by position, so none may be left out.
  if (faults.length > 0 && (isTest || options.broken === "fail")) {
    return yield* CheckImages.failure(name, part.root, faults, !isTest)
  }
  const checked: FacePart = { ...part, pixels: new Uint8Array(0), faults }
  return checked
})

/** Sizes of the files of each part, with their paths. */
export const sizesOf = Effect.fnUntraced(function* (parts: ReadonlyArray<Listed>) {
  const found: Array<ReadonlyArray<readonly [path: string, size: number]>> = []
  for (const { paths, root } of parts) {
    const looked = paths.map((path) => ({ path, level: "none" as const }))
    const { faults, sizes } = yield* CheckImages.check(name, root, looked)
    if (faults.length > 0) return yield* CheckImages.failure(name, root, faults, false)
    found.push(paths.map((path, at) => [path, sizes[at]!]))
  }
  return found
})

/** SHA-256 of paths and sizes, hex. */
export const digestOfFiles = (parts: ReadonlyArray<ReadonlyArray<readonly [path: string, size: number]>>): string =>
  Files.sha256(parts.flatMap((files) => [...files.map(([path, size]) => `${path}\t${size}`), ""]).join("\n"))
