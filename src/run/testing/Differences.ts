/** What must be the same however a run came to its end, compared file by file. */
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

/** Parts of the files that also say when and where the run was. */
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

/** Names of the files, and of parts of them, in which the folders of two finished runs differ. */
export const between = (expected: string, got: string): ReadonlyArray<string> => [
  ...compared.filter((name) => !bytes(expected, name).equals(bytes(got, name))),
  ...parts.flatMap(([name, ...keys]) =>
    part(expected, name, keys) === part(got, name, keys) ? [] : [[name, ...keys].join(" ")]
  )
]

/** Files of a run's folder that only a process at work may have there. */
export const leftovers = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => /\.part$|run\.lock/.test(file))
