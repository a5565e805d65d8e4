/**
 * Real data and the PyTorch peer, which are too large to ship, for tests and clones of osnas. `OSNAS_DATA` names the folders of
 * the data and `OSNAS_PEER` that of the peer; by default both are next to the clone.
 */
import { existsSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import * as DataFolders from "../src/support/DataFolders.ts"

const root = resolve(import.meta.dirname, "..")
const beside = resolve(root, "../shared")

/** The folder that `OSNAS_PEER` names, or the default next to the clone. */
const peerFolder = process.env["OSNAS_PEER"] ?? join(beside, "peer")

/** The absolute path of real data by its name; it does not exist if the data are missing. */
export const path = (...parts: ReadonlyArray<string>): string => {
  const name = join(...parts)
  const given = process.env[DataFolders.variable]
  const folders = given === undefined ? [join(root, "data"), join(beside, "data")] : DataFolders.parse(given)
  const places = folders.map((folder) => resolve(folder, name))
  return places.find((place) => existsSync(place)) ?? places[0]!
}

/** The path of one of the peer's files. */
export const peer = (...parts: ReadonlyArray<string>): string => resolve(peerFolder, ...parts)

/** Whether the files that tests need exist; if not, one line says what is skipped and why. */
export const has = (file: string, tests: string, variable: string = DataFolders.variable): boolean => {
  if (existsSync(file)) return true
  process.stdout.write(`skipped: ${tests}; ${file} does not exist (${variable} names its folder)\n`)
  return false
}

/** Sets variables that are not set to the defaults next to the clone, for the command started from its sources. */
export const provide = (): void => {
  const data = join(beside, "data")
  if (existsSync(data)) process.env[DataFolders.variable] ??= ["data", data].join(delimiter)
  if (existsSync(peerFolder)) process.env["OSNAS_PEER"] ??= peerFolder
}
