/** What is in a folder of images, in an order that does not depend on the file system. */
import type { Dirent } from "node:fs"
import * as fs from "node:fs/promises"
import { extname, join } from "node:path"
import { counted, some } from "./Wording.ts"

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

/** Folders and files that operating systems and programs leave behind. */
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

const innerName = "images"

/** The folder `images` of a class folder without images of its own, as in Tiny ImageNet; undefined if there is none. */
export const innerFolder = ({ dangling, files, folders }: Contents): string | undefined =>
  files.some(isImage) || dangling.some(isImage) ? undefined : folders.find((name) => name.toLowerCase() === innerName)

/** Compares names by their code units. */
export const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** What a folder contains, links followed. Names in the order of their code units. */
export interface Contents {
  readonly folders: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
  /** Links to nothing. */
  readonly dangling: ReadonlyArray<string>
  /** Pipes, sockets and devices. */
  readonly special: ReadonlyArray<string>
}

/**
 * Names that are not UTF-8 are read with replacement characters, and no file can be opened by them. They are refused, not
 * skipped: one may be the folder of a whole class.
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

/** Reads a folder. Rejects if it cannot be read, or if a name in it is not UTF-8. */
export const contents = async (folder: string): Promise<Contents> => {
  const entries = (await fs.readdir(folder, { withFileTypes: true }))
    .filter((entry) => !isLitter(entry.name))
    .sort((a, b) => byCodeUnit(a.name, b.name))
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
