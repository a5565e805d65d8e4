/** Makes folders on the disk of the machine. */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * Makes a folder and its parents. Node's recursive mode never ends if an existing folder, such as /proc, refuses new ones with
 * ENOENT, and it reports ENOENT on a read-only file system.
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
    // Another process may have made it in the meantime.
    fs.mkdirSync(folder, { recursive: true })
  }
}
