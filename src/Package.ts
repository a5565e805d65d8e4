/** The installed package: its folder, its version, the examples that ship with it. */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const find = (): { readonly root: string; readonly version: string } => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (dirname(folder) !== folder) {
    try {
      const content = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
        readonly name?: string
        readonly version?: string
      }
      if (content.name === "osnas") return { root: folder, version: content.version ?? "0.0.0" }
    } catch {
      // Not here: look one folder up.
    }
    folder = dirname(folder)
  }
  return { root: process.cwd(), version: "0.0.0" }
}

/** The package's folder and version. */
export const { root, version } = find()

/** The configuration that runs when none is named. */
export const quickstart = join(root, "examples", "quickstart.yaml")
