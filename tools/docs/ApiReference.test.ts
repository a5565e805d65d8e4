/** The API reference covers all exports of the package, and its pages are valid Markdown without broken links. */
import { readFileSync } from "node:fs"
import { join, posix, resolve } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import * as ApiReference from "./ApiReference.ts"
import * as Site from "./Site.ts"

const root = resolve(import.meta.dirname, "../..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

describe("signature", () => {
  it.each([
    ["export const a = <A>(x: (y: A) => A): A => x(1)", "export const a = <A>(x: (y: A) => A): A"],
    [
      "export const a = (x: number = 1 << 2): ReadonlyArray<() => A> => {\n  return []\n}",
      "export const a = (x: number = 1 << 2): ReadonlyArray<() => A>"
    ],
    ["export const a: ReadonlyArray<A> = [\n  1\n]", "export const a: ReadonlyArray<A>"],
    ["export const a = Schema.Literals([1])", "export const a = Schema.Literals([1])"],
    [
      'export const a = Effect.fn("a")(function* (x: { y: 1 }) {\n  yield* x\n})',
      'export const a = Effect.fn("a")(function* (x: { y: 1 })'
    ],
    ["export const a = define({\n  b: 1,\n  c: 2\n})", "export const a = define({ … })"],
    ["export function a(x: { y: 1 }): A {\n  return x\n}", "export function a(x: { y: 1 }): A"],
    ["export interface A {\n  readonly b: 1\n}", "export interface A {\n  readonly b: 1\n}"],
    ['export class A extends Service<A, B>()("a") {}', 'export class A extends Service<A, B>()("a")'],
    [
      'export class E extends TaggedError<E>()("E", {\n  reason: String\n}) {\n  override get message() {\n    return ""\n  }\n}',
      'export class E extends TaggedError<E>()("E", {\n  reason: String\n})'
    ]
  ])("%s", (code, signature) => {
    expect(ApiReference.signature(code)).toBe(signature)
  })
})

describe("documentation", () => {
  it("splits a comment into its parts", () => {
    const comment =
      "/**\n * First (Guo et al. 2020). See {@link other}.\n *\n * - a\n *\n * **Example** (Use (it))\n *\n * ```ts\n * f() // => 1\n * ```\n */"
    expect(ApiReference.documentation(comment)).toEqual({
      summary: "First (Guo et al. 2020).",
      text: "First (Guo et al. 2020). See `other`.\n\n- a",
      examples: [{ title: "Use (it)", code: "f() // => 1" }]
    })
  })
})

describe("exportsOf", () => {
  const files: Readonly<Record<string, string>> = {
    "a/A.ts":
      '/** One. */\nexport const one = 1\n\nconst hidden = 2\n\n/** Two. */\n// biome-ignore lint: a reason\nexport type Two = 2\nexport * from "./B.ts"\nexport { type d } from "../C.ts"\n',
    "a/B.ts": "/** Three. */\nexport const three = 3\n",
    "C.ts": "/** Four. */\nexport type d = 4\n\n/** Not handed on. */\nexport const e = 5\n"
  }
  const from = (names?: ReadonlySet<string>) =>
    ApiReference.exportsOf("a/A.ts", (file) => files[file] ?? "", names).map(
      ({ doc, name }) => `${name}: ${doc.summary}`
    )

  it("finds own exports and re-exports of a module", () => {
    expect(from()).toEqual(["one: One.", "Two: Two.", "three: Three.", "d: Four."])
  })

  it("finds only the named ones", () => {
    expect(from(new Set(["one", "d"]))).toEqual(["one: One.", "d: Four."])
  })
})

describe("the reference", () => {
  const pages = ApiReference.pages(ApiReference.entries, read)
  const pageOf = (path: string) => pages.find((page) => page.path === path)?.text ?? ""

  it("has a page for every module that the package exports, once", () => {
    const exported = [...read("src/index.ts").matchAll(/^export \* as (\w+)/gm)].map(
      ([, name = ""]) => `api/${name}.md`
    )
    expect(exported.length).toBeGreaterThan(50)
    const paths = pages.map(({ path }) => path)
    expect(exported.filter((path) => !paths.includes(path))).toEqual([])
    expect(new Set(paths).size).toBe(paths.length)
    expect(paths).toContain("api/laws/SearchStrategyLaws.md")
    expect(paths).toContain("api/machines/AgentMachine.md")
  })

  it("documents every module and every export", () => {
    const index = pageOf("api/README.md")
    expect([...index.matchAll(/^\| \[.*\| *\|$/gm)].map(([row]) => row)).toEqual([])
    const silent = pages.slice(1).flatMap(({ path, text }) =>
      text
        .split(/^## /m)
        .slice(1)
        .filter((section) => /^\w+\n\n```ts\n(?:(?!```)[^\n]*\n)*```\s*$/.test(section))
        .map((section) => `${path}: ${section.split("\n")[0]}`)
    )
    expect(silent).toEqual([])
  })

  it("shows a searcher with its signature, text and example", () => {
    const text = pageOf("api/Evolution.md")
    expect(text).toContain('`import { Evolution } from "osnas"` · `src/search-strategy/Evolution.ts`')
    expect(text).toContain("## make\n\n```ts\nexport const make = (")
    expect(text).toContain("**Example**: ")
    expect(text).not.toContain("{@link")
  })

  it("names the exports of a module of which only some are public", () => {
    const text = pageOf("api/Component.md")
    expect(text).toContain('`import { type Component, type ComponentKind, define } from "osnas"`')
    expect([...text.matchAll(/^## (\w+)$/gm)].map(([, name]) => name).sort()).toEqual([
      "Component",
      "ComponentKind",
      "define"
    ])
  })

  it("closes every code block, and does not show function bodies", () => {
    for (const { path, text } of pages) {
      expect((text.match(/^```/gm) ?? []).length % 2, path).toBe(0)
      for (const [, code = ""] of text.matchAll(/^## \w+\n\n```ts\n([\s\S]*?)\n```/gm)) {
        expect(code.split("\n").length, `${path}: ${code.slice(0, 60)}`).toBeLessThan(140)
      }
    }
  })

  describe("as a site", () => {
    let site: ReadonlyMap<string, string>
    beforeAll(async () => {
      site = await Site.build([{ path: "programs.md", text: "# Programs\n" }, ...pages])
    })

    it("has no broken links, and only its first page is in the menu", () => {
      for (const [path, html] of site) {
        for (const [, href = ""] of html.matchAll(/href="([^"#]+)[^"]*"/g)) {
          if (!/^[a-z]+:/.test(href))
            expect(site.has(posix.join(posix.dirname(path), href)), `${path}: ${href}`).toBe(true)
        }
      }
      const menu = /<nav>(.*?)<\/nav>/s.exec(site.get("programs.html") ?? "")?.[1] ?? ""
      expect(menu).toContain('href="api/index.html"')
      expect(menu).not.toContain("Evolution")
    })
  })
})
