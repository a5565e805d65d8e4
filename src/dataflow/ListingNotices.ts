/** What a listing of image folders says: about skipped files, empty folders, names, and a layout that is not as expected. */
import { join } from "node:path"
import type { Skipped } from "./Dataflow.ts"
import { byCodeUnit, type Contents, contents, endings, isImage } from "./FolderContents.ts"
import { counted, some } from "./Wording.ts"

/** What the folders are, for messages. */
export interface Expectation {
  /** What each folder is. */
  readonly of: "class" | "person"
  /** The option that names the folder that contains them. */
  readonly option: string
}

/** How the message about a folder without images begins. */
export const noFolders = "has no folder with images"

/** Counts skipped files by kind, with their first names. */
export class Tally {
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
      .sort(([a, x], [b, y]) => y.count - x.count || byCodeUnit(a, b))
      .map(([kind, entry]) => ({ kind, ...entry }))
  }
}

/** Kinds of skipped files that are not an ending. */
export const kinds = {
  deeper: "image one folder deeper",
  beside: "image beside the class folders",
  special: "pipe, socket or device"
}

const reads = `it reads ${endings.join(" ")}`

/** Notices about the files that were skipped in a folder. */
export const skippedNotices = (root: string, skipped: ReadonlyArray<Skipped>): ReadonlyArray<string> => {
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

/** Pairs of names that differ only in case. */
const differingInCase = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
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

/** The notices of a listing, in this order: skipped files, empty folders, broken links, names that differ only in case. */
export const noticesOf = (
  {
    empty,
    groups,
    root,
    skipped
  }: {
    readonly root: string
    readonly groups: ReadonlyArray<{ readonly name: string; readonly files: ReadonlyArray<string> }>
    readonly empty: ReadonlyArray<string>
    readonly skipped: ReadonlyArray<Skipped>
  },
  brokenLinks: ReadonlyArray<string>,
  { of }: Expectation
): ReadonlyArray<string> => {
  const groupNoun = of === "class" ? "classes" : "people"
  const sameFolders = differingInCase(groups.map(({ name }) => name))
  const sameFiles = groups.flatMap(({ files, name }) => differingInCase(files).map((pair) => `${pair} in ${name}`))
  const unless = (isEmpty: boolean, notice: () => string) => (isEmpty ? [] : [`${root}: ${notice()}`])
  return [
    ...skippedNotices(root, skipped),
    ...unless(
      empty.length === 0,
      () => `${counted(empty.length, "folder")} without images, left out of the ${groupNoun} (${some(empty, 5)})`
    ),
    ...unless(
      brokenLinks.length === 0,
      () => `skipped ${counted(brokenLinks.length, "broken link")} (${some(brokenLinks)})`
    ),
    ...unless(
      sameFolders.length === 0,
      () => `folders whose names differ only in case are different ${groupNoun} (${some(sameFolders)})`
    ),
    ...unless(
      sameFiles.length === 0,
      () => `files whose names differ only in case are different images (${some(sameFiles)})`
    )
  ]
}

/** The images one level deeper than expected: how many, and the first, for a hint. */
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

/** The expected layout. */
const drawing = (root: string, of: Expectation["of"]): string => {
  const [a, b] = of === "class" ? ["cat", "dog"] : ["ann", "bob"]
  return [`  ${root}/`, `    ${a}/   1.jpg  2.jpg  …`, `    ${b}/   1.jpg  2.jpg  …`].join("\n")
}

/** The message for a folder without a class folder with images: what was found, what to do, what is expected. */
export const nothingFound = async (
  root: string,
  top: Contents,
  { dangling, skipped }: { readonly dangling: ReadonlyArray<string>; readonly skipped: ReadonlyArray<Skipped> },
  { of, option }: Expectation
): Promise<string> => {
  const flat = top.files.filter(isImage)
  const found: Array<string> = []
  if (top.folders.length > 0)
    found.push(`${counted(top.folders.length, "folder")} (${some(top.folders)}) without images of their own`)
  if (flat.length > 0)
    found.push(
      `${counted(flat.length, "image")} ${top.folders.length > 0 ? "beside them" : "in the folder itself"} (${some(flat)})`
    )
  for (const { count, kind, names } of skipped) {
    if (kind.startsWith(".")) found.push(`${count} ${kind === "." ? "files without an ending" : kind} (${some(names)})`)
  }
  if (dangling.length > 0) found.push(`${counted(dangling.length, "broken link")} (${some(dangling)})`)
  const hints: Array<string> = []
  for (const name of top.folders) {
    const below = await imagesBelow(join(root, name))
    if (below === undefined) continue
    hints.push(
      `${join(root, name, below.first)} is one folder deeper than expected: set ${option} to the folder that contains the ${of} folders, here ${join(root, name)}`
    )
    break
  }
  const said = found.length === 0 ? "it is empty" : `found ${found.join(", ")}`
  return [
    `${noFolders}: ${said}.`,
    ...hints.map((hint) => `${hint}.`),
    `Expected one folder per ${of} (osnas reads ${endings.join(" ")}):`,
    drawing(root, of)
  ].join("\n")
}
