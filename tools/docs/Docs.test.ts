import { execFile, execFileSync } from "node:child_process"
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import { beforeAll, describe, expect, it } from "vitest"
import * as Made from "./Made.ts"
import * as ReferenceDocs from "./ReferenceDocs.ts"
import * as Site from "./Site.ts"

const root = resolve(import.meta.dirname, "../..")
const docs = join(root, "docs")
const pages = globSync("**/*.md", { cwd: docs })
  .sort()
  .map((file): Site.Page => ({ path: file.replaceAll("\\", "/"), text: readFileSync(join(docs, file), "utf8") }))
const stale = "out of date: npm run docs"

describe("pages", () => {
  it.each(pages)("$path: generated parts are up to date", ({ text }) => {
    expect(Made.refresh(root, text) === text, stale).toBe(true)
  })

  it("the reference pages are up to date", async () => {
    const [configuration, commands] = await Effect.runPromise(
      Effect.all([ReferenceDocs.configuration, ReferenceDocs.commands])
    )
    expect(readFileSync(join(docs, "configuration.md"), "utf8") === configuration, stale).toBe(true)
    expect(readFileSync(join(docs, "commands.md"), "utf8") === commands, stale).toBe(true)
  })

  it("has no broken links", () => {
    const broken = pages.flatMap(({ path, text }) =>
      [...text.replaceAll(/```[\s\S]*?```/g, "").matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, href = ""]) => {
        if (/^[a-z]+:/.test(href)) return []
        const [file = "", anchor] = href.split("#")
        const target = file === "" ? join(docs, path) : join(docs, dirname(path), file)
        if (!existsSync(target)) return [`${path}: ${href}`]
        if (anchor === undefined) return []
        const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) =>
          Site.slug(text)
        )
        return headings.includes(anchor) ? [] : [`${path}: ${href}`]
      })
    )
    expect(broken).toEqual([])
  })

  it("prints only commands and flags that exist", () => {
    const reference = readFileSync(join(docs, "commands.md"), "utf8")
    const known = new Map(
      [...reference.matchAll(/^## `osnas ([\w-]+)`\n([\s\S]*?)(?=^## |$(?![\s\S]))/gm)].map(
        ([, name = "", text = ""]) => [name, new Set([...text.matchAll(/--[\w-]+/g)].map(([flag]) => flag))]
      )
    )
    expect(known.size).toBeGreaterThan(8)
    const wrong = pages
      .filter(({ path }) => path !== "commands.md")
      .flatMap(({ path, text }) =>
        [...text.matchAll(/(?:npx |`)osnas ([a-z][\w-]*)([^`\n]*)/g)].flatMap(([whole, command = "", rest = ""]) => {
          const flags = known.get(command)
          if (flags === undefined) return [`${path}: ${whole}: there is no such command`]
          return [...rest.matchAll(/--[\w-]+/g)]
            .filter(([flag]) => !flags.has(flag))
            .map(([flag]) => `${path}: ${whole}: there is no flag ${flag}`)
        })
      )
    expect(wrong).toEqual([])
  })
})

describe("the site", () => {
  let site: ReadonlyMap<string, string>
  beforeAll(async () => {
    site = await Site.build(pages)
  })

  it("has every page, with diagrams drawn and links to pages", () => {
    expect(site.size).toBe(pages.length)
    expect(site.get("concepts.html")).toContain("<svg")
    expect(site.get("concepts.html")).toContain(">supernetTraining</text>")
    expect(site.get("components/engine.html")).toContain('href="../index.html"')
    for (const [path, html] of site) {
      for (const [, href = ""] of html.matchAll(/href="([^"#]+)[^"]*"/g)) {
        if (/^[a-z]+:/.test(href)) continue
        expect(site.has(join(dirname(path), href).replaceAll("\\", "/")), `${path}: ${href}`).toBe(true)
      }
    }
  })

  const browser = ["chromium", "chromium-browser", "google-chrome"].find((name) => {
    try {
      execFileSync("which", [name], { stdio: "ignore" })
      return true
    } catch {
      return false
    }
  })

  it.skipIf(browser === undefined)("opens in a browser (skipped without one)", { timeout: 120_000 }, async () => {
    const out = join(tmpdir(), "osnas-docs")
    rmSync(out, { recursive: true, force: true })
    mkdirSync(join(out, "components"), { recursive: true })
    for (const [path, html] of site) writeFileSync(join(out, path), html)
    for (const page of ["index", "concepts"]) {
      const picture = join(out, `${page}.png`)
      await promisify(execFile)(browser ?? "", [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,1600",
        `--screenshot=${picture}`,
        `file://${join(out, `${page}.html`)}`
      ])
      expect(readFileSync(picture).length).toBeGreaterThan(20_000)
      console.log(`screenshot: ${picture}`)
    }
  })
})
