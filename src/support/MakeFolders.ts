/** Folders on the machine's own disk. */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * Makes a folder and those above it. Node's own recursive mode never ends where a folder that exists refuses new ones as if
 * it did not (/proc), and gives ENOENT on a read-only file system.
 */
export const makeFolders = (folder: string): void => {
  try {
    fs.mkdirSync(folder)
  } catch (cause) {
    const isFolder = (at: string): boolean => fs.statSync(at, { throwIfNoEntry: false })?.isDirectory() === true
    if (isFolder(folder)) return
    const above = path.dirname(folder)
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT") || above === folder || isFolder(above))
      throw cause
    makeFolders(above)
    // Another process may have made it meanwhile.
    fs.mkdirSync(folder, { recursive: true })
  }
}
