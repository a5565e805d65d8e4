/**
 * Checks that the files, scripts and tests that the pages for contributors name exist. PrintedCommands.test.ts runs their `osnas`
 * commands.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import * as Site from "./Site.ts"

const root = resolve(import.meta.dirname, "../..")
const pages = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "src/engine/simd/README.md", "docs/glossary.md"]

const textOf = (page: string): string => readFileSync(join(root, page), "utf8")

/** Paths of the repository that a page names as code: `src/run/Journal.ts`, `machines/`. */
const named = (text: string): ReadonlyArray<string> => [
  ...new Set(
    [...text.matchAll(/`((?:src|machines|generators|property-tests|examples|tools|docs)\/[^`\s]*)`/g)].map(
      ([, path = ""]) => path
    )
  )
]

/** A placeholder for any name, as in `src/cli/NAME.ts`. */
const isPattern = (path: string): boolean => /NAME|FILE|…/.test(path)

/** Paths that a page names but that do not exist. */
const missing = (text: string, exists: (path: string) => boolean): ReadonlyArray<string> =>
  named(text).filter((path) => !isPattern(path) && !exists(path))

/** Broken links of a page. */
const brokenLinks = (page: string, text: string): ReadonlyArray<string> =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, href = ""]) => {
    if (/^[a-z]+:/.test(href)) return []
    const [file = "", anchor] = href.split("#")
    const target = file === "" ? join(root, page) : join(root, dirname(page), file)
    if (!existsSync(target)) return [href]
    if (anchor === undefined) return []
    const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) => Site.slug(text))
    return headings.includes(anchor) ? [] : [href]
  })

const shellLines = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, body = ""]) =>
    body
      .split("\n")
      .map((line) => line.replace(/\s+#.*$/, "").trim())
      .filter((line) => line !== "")
  )

describe.each(pages)("%s", (page) => {
  it("names files that exist", () => {
    expect(missing(textOf(page), (path) => existsSync(join(root, path)))).toEqual([])
  })

  it("has no broken links", () => {
    expect(brokenLinks(page, textOf(page))).toEqual([])
  })
})

it("finds a missing file, and ignores patterns", () => {
  const text = "`src/index.ts` and `src/nothing.ts` and `src/cli/NAME.ts`"
  expect(named(text)).toEqual(["src/index.ts", "src/nothing.ts", "src/cli/NAME.ts"])
  expect(missing(text, (path) => existsSync(join(root, path)))).toEqual(["src/nothing.ts"])
})

describe("commands of CONTRIBUTING.md", () => {
  const lines = shellLines(textOf("CONTRIBUTING.md"))
  const { scripts } = JSON.parse(textOf("package.json")) as { readonly scripts: Readonly<Record<string, string>> }

  it.each(lines)("%s", (line) => {
    const script = /^npm (?:run )?([\w:]+)$/.exec(line)?.[1]
    if (script !== undefined) {
      expect(script === "ci" || script in scripts).toBe(true)
      return
    }
    const [, file, filter] = /^npx vitest run (\S+)(?: -t "(.*)")?$/.exec(line) ?? []
    if (file !== undefined) {
      expect(globSync(file, { cwd: root })).toEqual([file])
      const titles = [...textOf(file).matchAll(/\bit(?:\.\w+)?\(\s*["'`](.*?)["'`]/g)].map(([, title = ""]) => title)
      expect(titles.some((title) => filter === undefined || title.includes(filter))).toBe(true)
      return
    }
    // Run by PrintedCommands.test.ts, or listed there as run elsewhere.
    expect(line).toMatch(/^npx osnas /)
  })
})
