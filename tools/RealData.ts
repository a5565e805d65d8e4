/**
 * Real data and the PyTorch peer, for tests and for a clone of osnas: what is too large to ship. `OSNAS_DATA` names the
 * folders of the data and `OSNAS_PEER` the peer's; without them both are looked for beside the clone.
 */
import { existsSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import * as DataFolders from "../src/support/DataFolders.ts"

const root = resolve(import.meta.dirname, "..")
const beside = resolve(root, "../shared")

/** Where `OSNAS_PEER` says the peer is, else its place beside the clone. */
const peerFolder = process.env["OSNAS_PEER"] ?? join(beside, "peer")

/** The path of real data by its name, absolute; one that does not exist where the data is not here. */
export const path = (...parts: ReadonlyArray<string>): string => {
  const name = join(...parts)
  const given = process.env[DataFolders.variable]
  const folders = given === undefined ? [join(root, "data"), join(beside, "data")] : DataFolders.parse(given)
  const places = folders.map((folder) => resolve(folder, name))
  return places.find((place) => existsSync(place)) ?? places[0]!
}

/** The path of one of the peer's files. */
export const peer = (...parts: ReadonlyArray<string>): string => resolve(peerFolder, ...parts)

/** Whether what tests need is here; where it is not, one line says what is skipped and why. */
export const has = (file: string, tests: string, variable: string = DataFolders.variable): boolean => {
  if (existsSync(file)) return true
  process.stdout.write(`skipped: ${tests}; ${file} does not exist (${variable} names its folder)\n`)
  return false
}

/** Sets the variables that are not set to what is beside the clone, for the command started from its sources. */
export const provide = (): void => {
  const data = join(beside, "data")
  if (existsSync(data)) process.env[DataFolders.variable] ??= ["data", data].join(delimiter)
  if (existsSync(peerFolder)) process.env["OSNAS_PEER"] ??= peerFolder
}
