/**
 * Folders of images, one folder per class or person: what they contain, in an order that does not depend on the file
 * system, and what is skipped.
 *
 * | found | what happens |
 * | --- | --- |
 * | a file with an ending of `FolderContents.endings`, in any case | is an image |
 * | any other file | is skipped, counted and named in a notice |
 * | a class folder without images of its own, but with a folder `images` | has the images of that folder |
 * | any other folder in a class folder | is skipped; a notice where it has images |
 * | a class folder without images | is not a class; a notice |
 * | hidden files and folders, `Thumbs.db`, `desktop.ini`, `__MACOSX` and the like | are ignored |
 * | a link to a file or folder | is that file or folder; a broken link is listed in `dangling` |
 */
import { dirname, extname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as DataFolders from "../support/DataFolders.ts"
import { DatasetError, type Skipped } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import { byCodeUnit, type Contents, contents, innerFolder, isImage } from "./FolderContents.ts"
import { type Expectation, kinds, nothingFound, noticesOf, skippedNotices, Tally } from "./ListingNotices.ts"
import { some } from "./Wording.ts"

/** One class or person. */
export interface Group {
  readonly name: string
  /** Paths of its files within its folder, sorted by code unit. */
  readonly files: ReadonlyArray<string>
}

/** What a folder of class folders contains. */
export interface Listing {
  readonly root: string
  /** The folders with images, by name. */
  readonly groups: ReadonlyArray<Group>
  /** Names of the folders without images. */
  readonly empty: ReadonlyArray<string>
  /** Paths under `root` of broken links with the ending of an image. */
  readonly dangling: ReadonlyArray<string>
  /** What was skipped, by kind. */
  readonly skipped: ReadonlyArray<Skipped>
  /** The same in sentences, one per kind of fault. */
  readonly notices: ReadonlyArray<string>
}

/** The images of a class folder: its own, or if it has none those of its folder `images`. */
const imagesOf = async (root: string, name: string, tally: Tally, dangling: Array<string>) => {
  const folder = join(root, name)
  const own = await contents(folder)
  const below = innerFolder(own)
  const nested = below === undefined ? undefined : await contents(join(folder, below))
  const levels: ReadonlyArray<readonly [prefix: string, found: Contents]> =
    nested === undefined
      ? [["", own]]
      : [
          ["", own],
          [below!, nested]
        ]
  const images: Array<string> = []
  for (const [prefix, found] of levels) {
    for (const file of found.files) {
      if (isImage(file)) images.push(join(prefix, file))
      else tally.add(extname(file).toLowerCase() || ".", join(name, prefix, file))
    }
    for (const file of found.dangling) {
      if (isImage(file)) dangling.push(join(name, prefix, file))
      else tally.add(extname(file).toLowerCase() || ".", join(name, prefix, file))
    }
    for (const file of found.special) tally.add(kinds.special, join(name, prefix, file))
  }
  for (const entry of own.folders.filter((entry) => entry !== below)) {
    const images = (await contents(join(folder, entry))).files.filter(isImage)
    if (images.length > 0) tally.add(kinds.deeper, join(name, entry, images[0]!), images.length)
  }
  return images.sort(byCodeUnit)
}

const scan = async (root: string, expected: Expectation): Promise<Listing | string> => {
  const top = await contents(root)
  const tally = new Tally()
  const dangling: Array<string> = []
  const groups: Array<Group> = []
  const empty: Array<string> = []
  for (const file of top.files) {
    if (isImage(file)) tally.add(kinds.beside, file)
    else tally.add(extname(file).toLowerCase() || ".", file)
  }
  for (const name of top.folders) {
    const files = await imagesOf(root, name, tally, dangling)
    if (files.length > 0) groups.push({ name, files })
    else empty.push(name)
  }
  const skipped = tally.all()
  const notices = noticesOf({ root, groups, empty, skipped }, top.dangling, expected)
  const listing: Listing = { root, groups, empty, dangling, skipped, notices }
  return groups.length > 0 || dangling.length > 0 ? listing : nothingFound(root, top, listing, expected)
}

/** Adds to the failure of a missing folder what the folder above it contains. */
const missing = (dataset: string, root: string, option: string) =>
  Effect.fnUntraced(function* (failure: DatasetError) {
    if (failure.reason !== "does not exist") return yield* failure
    const beside = yield* Effect.promise(() => contents(dirname(root)).catch(() => undefined))
    if (beside === undefined) return yield* failure
    const found = beside.folders.length === 0 ? "no folders" : some(beside.folders, 8)
    const searched = DataFolders.isSearched(root)
      ? `, nor in ${DataFolders.current().join(" or ")} (${DataFolders.variable} lists the folders that are searched)`
      : ""
    return yield* new DatasetError({
      dataset,
      file: root,
      reason: `does not exist${searched}; ${dirname(root)} contains ${found}: set ${option} to the folder that contains the folders of images`
    })
  })

/** Lists the folders in `root`. Fails, with the expected layout, if none of them has an image. */
export const list = Effect.fn("ImageListing.list")(function* (dataset: string, root: string, expected: Expectation) {
  const scanned = Effect.tryPromise({ try: () => scan(root, expected), catch: Files.failure(dataset, root) })
  const found = yield* Effect.catch(scanned, missing(dataset, root, expected.option))
  return typeof found === "string" ? yield* new DatasetError({ dataset, file: root, reason: found }) : found
})

/** Images of a folder without class folders, or of its folder `images`, as paths within it. */
export const flat = Effect.fn("ImageListing.flat")(function* (dataset: string, root: string) {
  const found = yield* Effect.tryPromise({
    try: async () => {
      const own = await contents(root)
      const below = innerFolder({ ...own, dangling: [] })
      if (below === undefined) return { prefix: "", ...own }
      return { prefix: below, ...(await contents(join(root, below))) }
    },
    catch: Files.failure(dataset, root)
  })
  const files = found.files.filter(isImage).map((file) => join(found.prefix, file))
  const tally = new Tally()
  for (const file of found.files) if (!isImage(file)) tally.add(extname(file).toLowerCase() || ".", file)
  for (const file of found.special) tally.add(kinds.special, file)
  const skipped = tally.all()
  const dangling = found.dangling.filter(isImage).map((file) => join(found.prefix, file))
  return { files: files.sort(byCodeUnit), dangling, skipped, notices: skippedNotices(root, skipped) }
})

/** The most names that the ranges of a list may expand to. */
const mostNames = 1_000_000
/** The longest name of a folder, in characters. */
const longestName = 255

/**
 * Expands ranges in a list of names: `s1..s30` is s1, s2, … s30. Leading zeros are kept: `p01..p10`.
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

/** The groups with the wanted names, in the order of `all`. Fails if a name is not among them. */
export const pick = (
  dataset: string,
  root: string,
  all: ReadonlyArray<Group>,
  wanted: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Group>, DatasetError> => {
  const there = new Set(all.map((group) => group.name))
  const composed = new Map(all.map((group) => [group.name.normalize("NFC"), group.name]))
  // A name may be written with composed characters and its folder with decomposed ones, or vice versa.
  const names = new Set(
    expand(wanted).map((name) => (there.has(name) ? name : (composed.get(name.normalize("NFC")) ?? name)))
  )
  const missing = [...names].filter((name) => !there.has(name))
  return missing.length === 0
    ? Effect.succeed(all.filter((group) => names.has(group.name)))
    : Effect.fail(
        new DatasetError({ dataset, file: root, reason: `has no folder of images named ${missing.join(", ")}` })
      )
}
