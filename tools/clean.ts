/** The first step of a build: removes compiled files, so that one whose source has moved or gone is not packed again. */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join, resolve } from "node:path"

const dist = resolve(import.meta.dirname, "../dist")

// The site of the documentation, made by `npm run docs`, is in `dist` too.
for (const name of existsSync(dist) ? readdirSync(dist) : []) {
  if (name !== "docs") rmSync(join(dist, name), { recursive: true, force: true })
}
