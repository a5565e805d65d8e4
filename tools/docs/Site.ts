/** The documentation as a static site: an HTML page per Markdown page, with one menu. Pure except for drawing diagrams. */
import { instance } from "@viz-js/viz"
import { Marked } from "marked"

/** A page: its path in the documentation folder, ending in `.md`, and its text. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** The menu, in order; pages without a section come last. */
const menu: ReadonlyArray<readonly [section: string, pages: ReadonlyArray<string>]> = [
  ["", ["README.md", "first-run.md", "processes.md", "concepts.md", "examples.md", "programs.md"]],
  [
    "Components",
    [
      "components/search-space.md",
      "components/training-strategy.md",
      "components/search-strategy.md",
      "components/criterion.md",
      "components/dataflow.md",
      "components/training-agent.md",
      "components/estimator.md",
      "components/engine.md"
    ]
  ],
  ["Guides", ["data.md", "faces.md", "ranking.md", "lookup-tables.md", "reproduce.md"]],
  ["Reference", ["configuration.md", "commands.md", "glossary.md", "api/README.md"]],
  ["Background", ["reproducibility.md", "performance.md", "from-osnaslib.md"]]
]

/** A page's title: its first heading. */
export const title = (page: Page): string => /^# (.+)$/m.exec(page.text)?.[1] ?? page.path

/** The path of a page in the site: `README.md` becomes the index of its folder. */
export const htmlPath = (path: string): string =>
  path.replace(/(^|\/)README\.md$/, "$1index.html").replace(/\.md$/, ".html")

/** The anchor of a heading. */
export const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/<[^>]*>|[`*]/g, "")
    .replace(/[^\p{L}\p{N}\s-]/gu, "")
    .trim()
    .replace(/\s/g, "-")

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const upwards = (path: string): string => "../".repeat(path.split("/").length - 1)

/** A Mermaid state diagram as Graphviz source. */
export const dot = (mermaid: string): string => {
  const node = (name: string, end: boolean): string => (name !== "[*]" ? `"${name}"` : end ? '"(end)"' : '"(start)"')
  const edges = [...mermaid.matchAll(/^\s*(\S+) --> (\S+?)(?:: (.*))?$/gm)].map(
    ([, from = "", to = "", label = ""]) => {
      // One event per line, with its guard below: narrow labels keep the drawing legible.
      const text = label.replaceAll(", ", "\\n").replaceAll(" [", "\\n[").replaceAll('"', "'")
      const aside = /^(failed|paused)$/.test(to) ? ', color="#c3ccd6", fontcolor="#75828f"' : ""
      return `  ${node(from, false)} -> ${node(to, true)} [label=" ${text} "${aside}]`
    }
  )
  return `digraph {
  graph [rankdir=TB, bgcolor=transparent, nodesep=0.25, ranksep=0.5]
  node [shape=box, style="rounded,filled", fillcolor="#f2f5f9", color="#47617d", fontname="sans-serif", fontsize=13]
  edge [color="#6b7f95", fontname="sans-serif", fontsize=11, fontcolor="#333333"]
  "(start)" [shape=circle, label="", width=0.15, fillcolor="#333333"]
  "(end)" [shape=doublecircle, label="", width=0.12, fillcolor="#333333"]
${edges.join("\n")}
}`
}

const style = `
:root { color-scheme: light; --line: #dde3ea; --text: #1d2733; --soft: #566577; --link: #1f5f99 }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--text) }
.page { display: grid; grid-template-columns: 15rem minmax(0, 1fr); max-width: 76rem; margin: 0 auto }
nav { min-height: 100vh; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: .93rem }
nav p { margin: 1.1rem 0 .3rem; color: var(--soft); font-weight: 600 }
nav a { display: block; padding: .12rem 0; color: var(--text); text-decoration: none }
nav a[aria-current] { color: var(--link); font-weight: 600 }
nav a:hover, main a:hover { text-decoration: underline }
main { padding: 1.5rem 2rem 4rem }
main a { color: var(--link); text-decoration: none }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 1rem }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line) }
code { font: .88em/1.5 ui-monospace, monospace; background: #f2f5f9; padding: .08em .3em; border-radius: 3px }
pre { background: #f2f5f9; padding: .8rem 1rem; border-radius: 5px; overflow-x: auto }
pre code { background: none; padding: 0 }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .92rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line) }
figure { margin: 1rem 0; overflow-x: auto }
figure svg { max-width: 100%; height: auto }
@media (max-width: 50rem) { .page { display: block } nav { min-height: 0; border-right: 0; border-bottom: 1px solid var(--line) } main { padding: 1rem } }
`

/** All files of the site, by path. */
export const build = async (pages: ReadonlyArray<Page>): Promise<ReadonlyMap<string, string>> => {
  const viz = await instance()
  const byPath = new Map(pages.map((page) => [page.path, page]))
  const listed = new Set(menu.flatMap(([, paths]) => paths))
  // Modules are listed on the first page of the reference.
  const others = pages.map(({ path }) => path).filter((path) => !listed.has(path) && !path.startsWith("api/"))
  const sections = others.length === 0 ? menu : [...menu, ["More", others] as const]

  const navigation = (current: string): string =>
    sections
      .map(([section, paths]) => {
        const links = paths.flatMap((path) => {
          const page = byPath.get(path)
          if (page === undefined) return []
          const here = path === current ? ' aria-current="page"' : ""
          return [`<a href="${upwards(current)}${htmlPath(path)}"${here}>${escapeHtml(title(page))}</a>`]
        })
        return `${section === "" ? "" : `<p>${section}</p>`}${links.join("")}`
      })
      .join("")

  const render = (page: Page): string => {
    const marked = new Marked({
      renderer: {
        heading({ depth, text, tokens }) {
          return `<h${depth} id="${slug(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`
        },
        link({ href, tokens }) {
          const own = !/^[a-z]+:/.test(href)
          // Files outside the documentation, such as the examples, are shown by name.
          if (
            own &&
            href.startsWith("../") &&
            !byPath.has(href.replace(/^(\.\.\/)+/, "").replace(/#.*$/, "")) &&
            upwards(page.path) === ""
          ) {
            return `<code>${this.parser.parseInline(tokens)}</code>`
          }
          const target = own ? href.replace(/README\.md(?=#|$)/, "index.html").replace(/\.md(?=#|$)/, ".html") : href
          return `<a href="${escapeHtml(target)}">${this.parser.parseInline(tokens)}</a>`
        },
        code({ lang, text }) {
          if (lang !== "mermaid") return `<pre><code>${escapeHtml(text)}</code></pre>\n`
          const svg = viz.renderString(dot(text), { format: "svg" })
          return `<figure>${svg.slice(svg.indexOf("<svg"))}</figure>\n`
        },
        html({ text }) {
          return text.startsWith("<!--") ? "" : escapeHtml(text)
        }
      }
    })
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title(page))}${title(page) === "osnas" ? "" : " - osnas"}</title>
<style>${style}</style>
</head>
<body><div class="page"><nav>${navigation(page.path)}</nav><main>
${marked.parse(page.text, { async: false })}</main></div></body>
</html>
`
  }
  return new Map(pages.map((page) => [htmlPath(page.path), render(page)]))
}
