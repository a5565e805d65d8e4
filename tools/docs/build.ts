/** `npm run docs`: updates the generated parts of the documentation, and builds the site in dist/docs. */
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import "./makeDocs.ts"
import * as ApiReference from "./ApiReference.ts"
import * as Made from "./Made.ts"
import * as Site from "./Site.ts"

const root = resolve(import.meta.dirname, "../..")
const docs = join(root, "docs")
const site = join(root, "dist/docs")

const pages = globSync("**/*.md", { cwd: docs })
  .sort()
  .map((file): Site.Page => {
    const path = file.replaceAll("\\", "/")
    const before = readFileSync(join(docs, path), "utf8")
    const text = Made.refresh(root, before)
    if (text !== before) writeFileSync(join(docs, path), text)
    return { path, text }
  })

// Generated files are committed as the formatter has them.
const biome = join(root, "node_modules/@biomejs/biome/bin/biome")
execFileSync(process.execPath, [biome, "format", "--write", "docs"], { cwd: root, stdio: "ignore" })

rmSync(site, { recursive: true, force: true })
const reference = ApiReference.pages(ApiReference.entries, (file) => readFileSync(join(root, file), "utf8"))
for (const [path, html] of await Site.build([...pages, ...reference])) {
  mkdirSync(dirname(join(site, path)), { recursive: true })
  writeFileSync(join(site, path), html)
}
console.log(`${pages.length} pages, ${reference.length} of the API reference: ${join("dist", "docs", "index.html")}`)
