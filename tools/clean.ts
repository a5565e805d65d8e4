/** The first step of a build: removes compiled files, so that none whose source has moved or was deleted is packed. */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join, resolve } from "node:path"

const dist = resolve(import.meta.dirname, "../dist")

// `npm run docs` builds the site of the documentation in `dist` too.
for (const name of existsSync(dist) ? readdirSync(dist) : []) {
  if (name !== "docs") rmSync(join(dist, name), { recursive: true, force: true })
}
