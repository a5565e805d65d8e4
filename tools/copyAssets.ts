/** The last step of a build: copies files that the compiler does not (kernels, shipped images and tables, declarations) into dist. */
import { cpSync, globSync, mkdirSync } from "node:fs"
import { dirname, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const compiled = /(?<!\.d)\.ts$|\.(mjs|md)$/

for (const file of globSync("src/**/*", { cwd: root, withFileTypes: true })) {
  if (!file.isFile() || compiled.test(file.name)) continue
  const path = join(file.parentPath, file.name).slice(root.length + 1)
  if (path.startsWith("src/engine/simd/assembly/")) continue
  const target = join(root, "dist", path)
  mkdirSync(dirname(target), { recursive: true })
  cpSync(join(root, path), target)
}
