/** Folders of images, one folder a class or person: what is there, in an order that no file system decides. */
import * as fs from "node:fs/promises"
import { extname, join } from "node:path"
import * as Effect from "effect/Effect"
import { DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"

/** One class or person. */
export interface Group {
  readonly name: string
  /** File names within the folder, sorted by code unit. */
  readonly files: ReadonlyArray<string>
}

const endings = new Set([".jpg", ".jpeg", ".png", ".webp", ".pgm", ".ppm"])

/** The folders in `root` that hold images, by name; other files and hidden folders are passed over. */
export const groups = Effect.fn("ImageListing.groups")(function* (dataset: string, root: string) {
  const entries = yield* Effect.tryPromise({
    try: () => fs.readdir(root, { withFileTypes: true }),
    catch: Files.failure(dataset, root)
  })
  const folders = entries
    .filter((entry) => !entry.name.startsWith(".") && (entry.isDirectory() || entry.isSymbolicLink()))
    .map((entry) => entry.name)
    .sort()
  const found: Array<Group> = []
  for (const name of folders) {
    const files = yield* Files.list(dataset, join(root, name))
    const images = files.filter((file) => !file.startsWith(".") && endings.has(extname(file).toLowerCase()))
    if (images.length > 0) found.push({ name, files: images })
  }
  if (found.length === 0) {
    return yield* new DatasetError({
      dataset,
      file: root,
      reason: `holds no folder with images (${[...endings].join(", ")}); must hold one folder a class or person`
    })
  }
  return found
})

/** How many names the ranges of a list may stand for. */
const mostNames = 1_000_000
/** No folder has a longer name. */
const longestName = 255

/**
 * Names, where `s1..s30` stands for s1, s2, … s30; with leading zeros, `p01..p10` keeps them.
 *
 * **Example** (A range and a name)
 *
 * ```ts
 * import * as ImageListing from "./ImageListing.ts"
 *
 * ImageListing.expand(["s8..s10", "anna"]) // => ["s8", "s9", "s10", "anna"]
 * ```
 */
export const expand = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  let made = 0
  return names.flatMap((name) => {
    const range = name.length > 2 * longestName ? null : /^(.*?)(\d+)\.\.(.*?)(\d+)$/.exec(name)
    if (range === null || range[1] !== range[3]) return [name]
    const [from, to] = [Number(range[2]), Number(range[4])]
    if (to < from || made + to - from >= mostNames) return [name]
    made += to - from + 1
    const digits = range[2]!.length
    return Array.from({ length: to - from + 1 }, (_, i) => `${range[1]}${String(from + i).padStart(digits, "0")}`)
  })
}

/** The groups of the wanted names, in the order of `all`; a name that is not there is a failure. */
export const pick = (
  dataset: string,
  root: string,
  all: ReadonlyArray<Group>,
  wanted: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Group>, DatasetError> => {
  const names = new Set(expand(wanted))
  const missing = [...names].filter((name) => !all.some((group) => group.name === name))
  return missing.length === 0
    ? Effect.succeed(all.filter((group) => names.has(group.name)))
    : Effect.fail(
        new DatasetError({ dataset, file: root, reason: `has no folder of images named ${missing.join(", ")}` })
      )
}
