/**
 * Where data are searched for. A relative path of a dataflow starts in the working folder. If nothing is there, the folders in
 * the environment variable `OSNAS_DATA`, by default `data`, are searched in order. So a configuration names its data once, and
 * every machine may have them in another place. A path that begins with a dot is not searched for.
 */
import { existsSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"

/** The environment variable with the folders to search, separated as in `PATH`. */
export const variable = "OSNAS_DATA"

/** The folders in a value of the variable; `data` if it is empty. */
export const parse = (value: string | undefined): ReadonlyArray<string> => {
  const folders = (value ?? "").split(delimiter).filter((folder) => folder !== "")
  return folders.length > 0 ? folders : ["data"]
}

/** The folders to search now. */
export const current = (): ReadonlyArray<string> => parse(process.env[variable])

/** Whether a path is searched for: it is relative and does not begin with a dot. */
export const isSearched = (path: string): boolean => path !== "" && !isAbsolute(path) && !path.startsWith(".")

/**
 * The path as given if it exists; otherwise the first that exists below the folders, or else the path as given.
 *
 * **Example** (In the second folder)
 *
 * ```ts
 * import * as DataFolders from "./DataFolders.ts"
 * const exists = (path: string) => path === "/data/faces"
 * DataFolders.find("faces", ["/scratch", "/data"], exists) // => "/data/faces"
 * DataFolders.find("./faces", ["/data"], exists) // => "./faces"
 * ```
 */
export const find = (
  path: string,
  folders: ReadonlyArray<string> = current(),
  exists: (path: string) => boolean = existsSync
): string =>
  !isSearched(path) || exists(path) ? path : (folders.map((folder) => join(folder, path)).find(exists) ?? path)
