/** Compares the results of two runs, file by file: they must be equal however the runs were stopped and resumed. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import * as RunFolder from "../RunFolder.ts"

const { architecture, config, lookupTable, manifest, metrics, network, search, searcher, snapshot, supernet } =
  RunFolder.files

/** Files that are compared byte for byte. */
export const compared: ReadonlyArray<string> = [
  config,
  architecture,
  metrics,
  search,
  lookupTable,
  network,
  supernet,
  searcher
]

/** Files of which only a part is compared: the rest depends on time and place. */
const parts: ReadonlyArray<readonly [file: string, ...keys: ReadonlyArray<string>]> = [
  [manifest, "identity"],
  [manifest, "input"],
  [snapshot, "snapshot", "context", "results"]
]

const bytes = (folder: string, name: string): Buffer => {
  const file = path.join(folder, name)
  return existsSync(file) ? readFileSync(file) : Buffer.from("missing")
}

const part = (folder: string, name: string, keys: ReadonlyArray<string>): string => {
  let value: unknown = JSON.parse(bytes(folder, name).toString("utf8"))
  for (const key of keys) value = (value as Readonly<Record<string, unknown>>)[key]
  return JSON.stringify(value)
}

/** Names of the files, and parts of files, that differ between the folders of two finished runs. */
export const between = (expected: string, got: string): ReadonlyArray<string> => [
  ...compared.filter((name) => !bytes(expected, name).equals(bytes(got, name))),
  ...parts.flatMap(([name, ...keys]) =>
    part(expected, name, keys) === part(got, name, keys) ? [] : [[name, ...keys].join(" ")]
  )
]

/** Files that a run's folder may only have while a process uses it. */
export const leftovers = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => /\.part$|run\.lock/.test(file))
