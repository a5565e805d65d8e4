/**
 * Where data is looked for. A relative path of a dataflow is one from the working folder; where there is nothing, the
 * folders that the environment variable `OSNAS_DATA` names are searched in order, by default `data`. So a configuration
 * names its data once, and every machine keeps them where it likes. A path that begins with a dot is taken as it is.
 */
import { existsSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"

/** The environment variable with the folders to search, separated as in PATH. */
export const variable = "OSNAS_DATA"

/** The folders that a value of the variable names; `data` where it names none. */
export const parse = (value: string | undefined): ReadonlyArray<string> => {
  const folders = (value ?? "").split(delimiter).filter((folder) => folder !== "")
  return folders.length > 0 ? folders : ["data"]
}

/** The folders to search now. */
export const current = (): ReadonlyArray<string> => parse(process.env[variable])

/** Whether a path is searched for: it is relative, and does not begin with a dot. */
export const isSearched = (path: string): boolean => path !== "" && !isAbsolute(path) && !path.startsWith(".")

/**
 * The path as given where something is there, else the first that exists below the folders, else the path as given.
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
