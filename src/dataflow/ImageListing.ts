/**
 * Folders of images, one folder a class or person: what is there, in an order that no file system decides, and what is
 * left out of it.
 *
 * | found | what happens |
 * | --- | --- |
 * | a file with an ending of {@link endings}, in any case | is an image |
 * | any other file | is skipped, counted and named in a notice |
 * | a class folder without images of its own but with a folder `images` | the images of that folder |
 * | any other folder in a class folder | is skipped; a notice where it has images |
 * | a class folder without images | is no class; a notice |
 * | hidden files and folders, `Thumbs.db`, `desktop.ini`, `__MACOSX` and their like | are passed over |
 * | a link to a file or folder | is what it leads to; one that leads nowhere is named in `dangling` |
 */
import type { Dirent } from "node:fs"
import * as fs from "node:fs/promises"
import { dirname, extname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as DataFolders from "../support/DataFolders.ts"
import { DatasetError, type Skipped } from "./Dataflow.ts"
import * as Files from "./Files.ts"

/** One class or person. */
export interface Group {
  readonly name: string
  /** Paths of its files within its folder, sorted by code unit. */
  readonly files: ReadonlyArray<string>
}

/** What a folder of class folders holds. */
export interface Listing {
  readonly root: string
  /** The folders with images, by name. */
  readonly groups: ReadonlyArray<Group>
  /** Names of the folders without images. */
  readonly empty: ReadonlyArray<string>
  /** Paths under `root` of links with an image's ending that lead nowhere. */
  readonly dangling: ReadonlyArray<string>
  /** What was left out, by kind. */
  readonly skipped: ReadonlyArray<Skipped>
  /** The same in sentences, one a kind of fault. */
  readonly notices: ReadonlyArray<string>
}

/** Endings of the formats that are read, in lower case. */
export const endings: ReadonlyArray<string> = [
  ".jpg",
  ".jpeg",
  ".jpe",
  ".jfif",
  ".png",
  ".webp",
  ".bmp",
  ".gif",
  ".tif",
  ".tiff",
  ".avif",
  ".pgm",
  ".ppm"
]
const known: ReadonlySet<string> = new Set(endings)

/** Whether a file's name has the ending of a format that is read. */
export const isImage = (file: string): boolean => known.has(extname(file).toLowerCase())

/** Folders and files that systems and programs leave behind. */
const litter: ReadonlySet<string> = new Set([
  "__macosx",
  "@eadir",
  "thumbs.db",
  "ehthumbs.db",
  "desktop.ini",
  "$recycle.bin",
  "system volume information",
  "lost+found"
])
const isLitter = (name: string): boolean => name.startsWith(".") || litter.has(name.toLowerCase())

/** The name of a folder that may stand between a class folder and its images, as in Tiny ImageNet. */
const inner = "images"

/** Where a class folder is expected to be within a folder: for messages. */
export interface Expectation {
  /** What a folder stands for. */
  readonly of: "class" | "person"
  /** The option that names the folder, for a hint to set it right. */
  readonly option: string
}

const naturally = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const plurals: Readonly<Record<string, string>> = { class: "classes", person: "people" }

/** A count and its noun. */
export const counted = (count: number, noun: string): string =>
  `${String(count).replace(/\B(?=(\d{3})+$)/g, ",")} ${count === 1 ? noun : (plurals[noun] ?? `${noun}s`)}`

/** The first names of a list, and a sign that there are more. */
export const some = (names: ReadonlyArray<string>, most = 3): string => {
  const shown = names
    .slice(0, most)
    .map((name) => (/^[\x21-\x7e\u00a1-\uffff]+$/.test(name) ? name : JSON.stringify(name)))
  return shown.join(", ") + (names.length > most ? ", …" : "")
}

/** What a folder holds, links followed. */
interface Contents {
  readonly folders: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
  readonly dangling: ReadonlyArray<string>
  /** Pipes, sockets and devices. */
  readonly special: ReadonlyArray<string>
}

/**
 * Names that are not UTF-8 come with replacement characters, under which no file can be opened: they are refused, not
 * skipped, because a whole class may have one.
 */
const refuseForeignNames = async (folder: string, names: ReadonlyArray<string>): Promise<void> => {
  const foreign: Array<string> = []
  for (const name of names.filter((name) => name.includes("\ufffd"))) {
    const isThere = await fs.lstat(join(folder, name)).then(
      () => true,
      () => false
    )
    if (!isThere) foreign.push(name)
  }
  if (foreign.length > 0) {
    throw new Error(
      `${counted(foreign.length, "name")} in ${folder} ${foreign.length === 1 ? "is" : "are"} not UTF-8 (${some(foreign)}); rename the ${foreign.length === 1 ? "file or folder" : "files or folders"}`
    )
  }
}

const contents = async (folder: string): Promise<Contents> => {
  const entries = (await fs.readdir(folder, { withFileTypes: true }))
    .filter((entry) => !isLitter(entry.name))
    .sort((a, b) => naturally(a.name, b.name))
  const found = {
    folders: [] as Array<string>,
    files: [] as Array<string>,
    dangling: [] as Array<string>,
    special: [] as Array<string>
  }
  const kindOf = async (entry: Dirent): Promise<keyof Contents> => {
    if (entry.isDirectory()) return "folders"
    if (entry.isFile()) return "files"
    if (!entry.isSymbolicLink()) return "special"
    try {
      const target = await fs.stat(join(folder, entry.name))
      return target.isDirectory() ? "folders" : target.isFile() ? "files" : "special"
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      if (code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR") return "dangling"
      throw cause
    }
  }
  await refuseForeignNames(
    folder,
    entries.map(({ name }) => name)
  )
  for (const entry of entries) found[await kindOf(entry)].push(entry.name)
  return found
}

/** Files that were left out, by kind, with their first names. */
class Tally {
  private readonly kinds = new Map<string, { count: number; readonly names: Array<string> }>()
  add(kind: string, name: string, count = 1): void {
    const entry = this.kinds.get(kind)
    if (entry === undefined) this.kinds.set(kind, { count, names: [name] })
    else {
      entry.count += count
      if (entry.names.length < 4) entry.names.push(name)
    }
  }
  all(): ReadonlyArray<Skipped> {
    return [...this.kinds]
      .sort(([a, x], [b, y]) => y.count - x.count || naturally(a, b))
      .map(([kind, entry]) => ({ kind, ...entry }))
  }
}

/** Kinds of what was left out that are not the ending of a file. */
const kinds = {
  deeper: "image one folder deeper",
  beside: "image beside the class folders",
  special: "pipe, socket or device"
}

const reads = `it reads ${endings.join(" ")}`

/** Sentences about what was left out of a folder. */
const sentences = (root: string, skipped: ReadonlyArray<Skipped>): ReadonlyArray<string> => {
  const files = skipped.filter(({ kind }) => kind.startsWith("."))
  const total = files.reduce((sum, { count }) => sum + count, 0)
  const each = files.map(
    ({ count, kind, names }) => `${count} ${kind === "." ? "without an ending" : kind} (${some(names)})`
  )
  return [
    ...(total === 0
      ? []
      : [
          `${root}: skipped ${counted(total, "file")} with an ending that osnas does not read: ${each.join(", ")}; ${reads}`
        ]),
    ...skipped
      .filter(({ kind }) => !kind.startsWith("."))
      .map(({ count, kind, names }) => `${root}: skipped ${counted(count, "file")}, ${kind} (${some(names)})`)
  ]
}

/** Names that differ in nothing but upper and lower case, in pairs. */
const alike = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const seen = new Map<string, string>()
  const pairs: Array<string> = []
  for (const name of names) {
    const key = name.normalize("NFC").toLowerCase()
    const before = seen.get(key)
    if (before === undefined) seen.set(key, name)
    else pairs.push(`${before} and ${name}`)
  }
  return pairs
}

/** Images in the folders of a folder: where they are, so that a message can point there. */
const imagesBelow = async (folder: string): Promise<{ readonly count: number; readonly first: string } | undefined> => {
  let count = 0
  let first: string | undefined
  for (const name of (await contents(folder)).folders) {
    const images = (await contents(join(folder, name))).files.filter(isImage)
    count += images.length
    if (first === undefined && images.length > 0) first = join(name, images[0]!)
  }
  return first === undefined ? undefined : { count, first }
}

const drawing = (root: string, of: Expectation["of"]): string => {
  const [a, b] = of === "class" ? ["cat", "dog"] : ["ann", "bob"]
  return [`  ${root}/`, `    ${a}/   1.jpg  2.jpg  …`, `    ${b}/   1.jpg  2.jpg  …`].join("\n")
}

/** The images of a class folder: its own, or where it has none those of its folder `images`. */
const imagesOf = async (root: string, name: string, tally: Tally, dangling: Array<string>) => {
  const folder = join(root, name)
  const own = await contents(folder)
  const hasOwn = own.files.some(isImage) || own.dangling.some(isImage)
  const below = hasOwn ? undefined : own.folders.find((entry) => entry.toLowerCase() === inner)
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
  return images.sort(naturally)
}

/** Why a folder has no class folder with images: what was found, what to do, what is expected. */
const nothingFound = async (root: string, top: Contents, listing: Listing, { of, option }: Expectation) => {
  const flat = top.files.filter(isImage)
  const found: Array<string> = []
  if (top.folders.length > 0)
    found.push(`${counted(top.folders.length, "folder")} (${some(top.folders)}) without images of their own`)
  if (flat.length > 0)
    found.push(
      `${counted(flat.length, "image")} ${top.folders.length > 0 ? "beside them" : "in the folder itself"} (${some(flat)})`
    )
  for (const { count, kind, names } of listing.skipped) {
    if (kind.startsWith(".")) found.push(`${count} ${kind === "." ? "files without an ending" : kind} (${some(names)})`)
  }
  if (listing.dangling.length > 0)
    found.push(`${counted(listing.dangling.length, "link")} to nowhere (${some(listing.dangling)})`)
  const hints: Array<string> = []
  for (const name of top.folders) {
    const below = await imagesBelow(join(root, name))
    if (below === undefined) continue
    hints.push(
      `${join(root, name, below.first)} is one folder deeper than expected: set ${option} to the folder that holds the ${of} folders, as ${join(root, name)}`
    )
    break
  }
  const said = found.length === 0 ? "it is empty" : `found ${found.join(", ")}`
  return [
    `holds no folder with images; ${said}.`,
    ...hints.map((hint) => `${hint}.`),
    `Expected is one folder a ${of} (osnas reads ${endings.join(" ")}):`,
    drawing(root, of)
  ].join("\n")
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
  const sameFolders = alike(groups.map(({ name }) => name))
  const sameFiles = groups.flatMap(({ files, name }) => alike(files).map((pair) => `${pair} in ${name}`))
  const notices = [
    ...sentences(root, skipped),
    ...(empty.length === 0
      ? []
      : [
          `${root}: ${counted(empty.length, "folder")} without images, left out of the ${expected.of === "class" ? "classes" : "people"} (${some(empty, 5)})`
        ]),
    ...(top.dangling.length === 0
      ? []
      : [`${root}: skipped ${counted(top.dangling.length, "link")} to nowhere (${some(top.dangling)})`]),
    ...(sameFolders.length === 0
      ? []
      : [
          `${root}: folders that differ in upper and lower case alone are different ${expected.of === "class" ? "classes" : "people"} (${some(sameFolders)})`
        ]),
    ...(sameFiles.length === 0
      ? []
      : [`${root}: files that differ in upper and lower case alone are different images (${some(sameFiles)})`])
  ]
  const listing: Listing = { root, groups, empty, dangling, skipped, notices }
  return groups.length > 0 || dangling.length > 0 ? listing : nothingFound(root, top, listing, expected)
}

/** A folder that is not there: what its folder holds instead. */
const missing = (dataset: string, root: string, option: string) => (failure: DatasetError) =>
  Effect.gen(function* () {
    if (failure.reason !== "does not exist") return yield* failure
    const beside = yield* Effect.promise(() => contents(dirname(root)).catch(() => undefined))
    if (beside === undefined) return yield* failure
    const held = beside.folders.length === 0 ? "no folders" : some(beside.folders, 8)
    const searched = DataFolders.isSearched(root)
      ? `, nor in ${DataFolders.current().join(" or ")} (${DataFolders.variable} names where data is looked for)`
      : ""
    return yield* new DatasetError({
      dataset,
      file: root,
      reason: `does not exist${searched}; ${dirname(root)} holds ${held}: set ${option} to the folder that holds the images' folders`
    })
  })

/** What the folders in `root` hold. A root without any image in a folder of its own is a failure that shows the layout. */
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
      const hasOwn = own.files.some(isImage)
      const below = hasOwn ? undefined : own.folders.find((entry) => entry.toLowerCase() === inner)
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
  return { files: files.sort(naturally), dangling, skipped, notices: sentences(root, skipped) }
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
  const there = new Set(all.map((group) => group.name))
  const composed = new Map(all.map((group) => [group.name.normalize("NFC"), group.name]))
  // A name may be written with composed characters and its folder with decomposed ones, or the other way round.
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
