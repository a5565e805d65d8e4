/**
 * The API reference: one page of Markdown per public module, from its exports and their doc comments. Text in, text out; the
 * caller reads the files. Relies on the formatter: declarations begin in the first column.
 *
 * **Example** (A module of one function)
 *
 * ```ts
 * import * as ApiReference from "./ApiReference.ts"
 *
 * const files: Readonly<Record<string, string>> = {
 *   "src/index.ts": 'export * as Half from "./nn/Half.ts"\n',
 *   "src/nn/Half.ts": "/** Halves. *\u002f\n\n/** Half of a number. *\u002f\nexport const half = (x: number): number => x / 2\n"
 * }
 * const entries = [{ specifier: "osnas", file: "src/index.ts" }]
 * const pages = ApiReference.pages(entries, (file) => files[file] ?? "")
 * pages.map(({ path }) => path) // => ["api/README.md", "api/Half.md"]
 * pages[1]?.text.includes("export const half = (x: number): number") // => true
 * const [half] = ApiReference.exportsOf("src/nn/Half.ts", (file) => files[file] ?? "")
 * half?.doc.summary // => "Half of a number."
 * ApiReference.signature(half?.code ?? "") // => "export const half = (x: number): number"
 * ApiReference.documentation("/** Halves. *\u002f").summary // => "Halves."
 * ```
 */
import { posix } from "node:path"
import type * as Site from "./Site.ts"

/** Reads a file of the repository by its path from the root, with slashes. */
export type Read = (file: string) => string

/** The parts of a doc comment. */
export interface Documentation {
  /** Its first sentence. */
  readonly summary: string
  /** Its text without the examples, as Markdown. */
  readonly text: string
  readonly examples: ReadonlyArray<{ readonly title: string; readonly code: string }>
}

/** An export: its declaration and its documentation. */
export interface Export {
  readonly name: string
  readonly kind: "const" | "function" | "class" | "interface" | "type" | "namespace"
  /** The whole declaration. */
  readonly code: string
  readonly doc: Documentation
}

/** An entry of the package: `osnas/laws`, and the file behind it. */
export interface Entry {
  readonly specifier: string
  readonly file: string
}

/** A module that users can import. */
interface PublicModule {
  readonly name: string
  readonly file: string
  readonly entry: Entry
  /** How it is imported: `import { Evolution } from "osnas"`. */
  readonly imported: string
  /** Exports that are public; undefined: all. */
  readonly names: ReadonlySet<string> | undefined
}

const exampleBlock = /\*\*Example\*\* \(([^\n]*)\)\s*```ts\n([\s\S]*?)\n```/g

/** A doc comment, from its opening to its end, as Markdown. */
export const documentation = (comment: string): Documentation => {
  const text = comment
    .replace(/^\s*\/\*\*[ \t]?/, "")
    .replace(/\s*\*\/\s*$/, "")
    .replaceAll(/^[ \t]*\* ?/gm, "")
    .replaceAll(/\{@link (\S+?)\}/g, "`$1`")
    .trim()
  const examples = [...text.matchAll(exampleBlock)].map(([, title = "", code = ""]) => ({ title, code }))
  const prose = text.replaceAll(exampleBlock, "").trim()
  const end = /[.!?](?=\s|$)/.exec(prose.replaceAll(/\b(?:e\.g|i\.e|et al|vs)\./g, (word) => `${word.slice(0, -1)} `))
  const at = Math.min(end === null ? prose.length : end.index + 1, prose.search(/\n\n|$/))
  return { summary: prose.slice(0, at).replaceAll("\n", " "), text: prose, examples }
}

const openers = "([{"
const closers = ")]}"

/** Visits the positions of a declaration outside brackets and type arguments, until `visit` returns true. */
const walk = (code: string, visit: (at: number) => boolean): number => {
  let depth = 0
  let angles = 0
  let at = 0
  while (at < code.length) {
    const char = code[at]!
    if (code.startsWith("//", at)) at = code.indexOf("\n", at) < 0 ? code.length : code.indexOf("\n", at)
    else if (code.startsWith("/*", at)) at = code.indexOf("*/", at) + 1
    else if (char === '"' || char === "'" || char === "`") {
      let end = at + 1
      while (end < code.length && code[end] !== char) end += code[end] === "\\" ? 2 : 1
      at = end
    } else {
      if (depth === 0 && angles === 0 && visit(at)) return at
      if (openers.includes(char)) depth += 1
      else if (closers.includes(char)) depth -= 1
      // `name<`, `= <` and `< ` of type arguments; a comparison has a space before and after.
      else if (char === "<" && (/\w/.test(code[at - 1] ?? "") || /[=(]\s$/.test(code.slice(0, at)))) angles += 1
      else if (char === ">" && code[at - 1] !== "=" && angles > 0) angles -= 1
    }
    at += 1
  }
  return code.length
}

/** Most lines shown of an initial value. */
const shownLines = 24

/** A Schema is shown as a whole; other values by their first line. */
const shortened = (code: string): string => {
  const lines = code.split("\n")
  if (lines.length > 3 && !/= Schema\./.test(lines[0]!)) return `${lines[0]} … ${lines.at(-1)}`
  return lines.length <= shownLines ? code : [...lines.slice(0, shownLines - 1), "  // …"].join("\n")
}

/**
 * The part of a declaration that readers need: types and interfaces as a whole, functions without their body, values with their
 * type or, if it is inferred, their initial value.
 */
export const signature = (code: string): string => {
  const text = code.trimEnd()
  if (/^export (?:declare )?(?:abstract )?class /.test(text)) {
    const body = text.search(/\{\}$|\{\n(?! {4})(?![\s\S]*^\}\)(?: |$))/m)
    const fields = /\{\n([\s\S]*?)\n\}\)/.exec(text)
    const head =
      fields === null ? text.slice(0, body < 0 ? undefined : body) : text.slice(0, fields.index + fields[0].length)
    return head.trimEnd()
  }
  if (!/^export (?:const|let|(?:async )?function)/.test(text)) return text
  if (/^export (?:async )?function/.test(text)) {
    return text
      .slice(
        0,
        walk(text, (at) => text[at] === "{" && /[)>\w]\s$/.test(text.slice(0, at)))
      )
      .trimEnd()
  }
  const equals = walk(text, (at) => text[at] === "=" && text[at + 1] !== ">" && text[at - 1] !== "=")
  if (/^export const \w+:/.test(text)) return text.slice(0, equals).trimEnd()
  const value = text.slice(equals + 1)
  if (/^\s*(?:async )?(?:<|\()/.test(value)) {
    const arrow = walk(value, (at) => value.startsWith("=>", at))
    if (arrow < value.length) return text.slice(0, equals + 1 + arrow).trimEnd()
  }
  const generator = /^\s*Effect\.fn(?:Untraced)?(?:\("[^"]*"\))?\(function\* ?/.exec(value)
  if (generator !== null) {
    const rest = value.slice(generator[0].length)
    const end = walk(rest, (at) => rest[at] === "{" && at > 0)
    return text.slice(0, equals + 1 + generator[0].length + end).trimEnd()
  }
  return shortened(text)
}

const declaration =
  /^export (?:declare )?(?:abstract )?(?:async )?(const|let|function\*?|class|interface|type|namespace) ([A-Za-z_$][\w$]*)/

/** The declaration that begins on a line: up to the next line in the first column that does not close it. */
const declarationAt = (lines: ReadonlyArray<string>, from: number): string => {
  let to = from + 1
  while (
    to < lines.length &&
    !/^(?:export |const |let |function |class |interface |type |\/\*\*|\/\/|import )/.test(lines[to]!)
  )
    to += 1
  return lines.slice(from, to).join("\n").trimEnd()
}

/** The doc comment that ends before a line, and the line it begins on. */
const commentBefore = (lines: ReadonlyArray<string>, at: number): string => {
  let end = at - 1
  while (/^\/\/ (?:biome-ignore|@ts-)/.test(lines[end] ?? "")) end -= 1
  if (!(lines[end] ?? "").trimEnd().endsWith("*/")) return ""
  let start = end
  while (start > 0 && !lines[start]!.startsWith("/**")) start -= 1
  return lines.slice(start, end + 1).join("\n")
}

const kindOf = (word: string): Export["kind"] =>
  word === "let" ? "const" : word.startsWith("function") ? "function" : (word as Export["kind"])

const resolved = (file: string, path: string): string => posix.join(posix.dirname(file), path)

const listOf = (list: string): ReadonlyArray<string> =>
  list
    .split(",")
    .map((one) =>
      one
        .trim()
        .replace(/^type /, "")
        .split(" as ")[0]!
        .trim()
    )
    .filter((one) => one !== "")

/** The exports of a module, including re-exports; with `names`, only those. */
export const exportsOf = (file: string, read: Read, names?: ReadonlySet<string>): ReadonlyArray<Export> => {
  const source = read(file)
  const lines = source.split("\n")
  const own = lines.flatMap((line, at): ReadonlyArray<Export> => {
    const [, word = "", name] = declaration.exec(line) ?? []
    if (name === undefined || (names !== undefined && !names.has(name))) return []
    const code = declarationAt(lines, at)
    return [{ name, kind: kindOf(word), code, doc: documentation(commentBefore(lines, at)) }]
  })
  const handed = [...source.matchAll(/^export (?:\*|(?:type )?\{([^}]*)\}) from "(\.[^"]*)"/gm)].flatMap(
    ([, list, path = ""]) => {
      const wanted = list === undefined ? names : new Set(listOf(list).filter((name) => names?.has(name) ?? true))
      return exportsOf(resolved(file, path), read, wanted)
    }
  )
  const seen = new Set<string>()
  return [...own, ...handed].filter(({ kind, name }) => {
    const place = `${kind === "type" || kind === "interface"} ${name}`
    return !seen.has(place) && seen.add(place) !== undefined
  })
}

const baseName = (file: string): string => posix.basename(file, ".ts")

/** The modules that an entry of the package makes public. */
const modulesOf = (entry: Entry, read: Read): ReadonlyArray<PublicModule> => {
  const source = read(entry.file)
  return [...source.matchAll(/^export (?:\* as (\w+)|(\*)|(?:type )?\{([^}]*)\}) from "(\.[^"]*)"/gm)].map(
    ([, namespace, all, list = "", path = ""]) => {
      const file = resolved(entry.file, path)
      const name = namespace ?? baseName(file)
      const names = namespace === undefined && all === undefined ? new Set(listOf(list)) : undefined
      const shown = namespace ?? (names === undefined ? "…" : list.trim().replaceAll(/\s+/g, " "))
      return { name, file, entry, names, imported: `import { ${shown} } from "${entry.specifier}"` }
    }
  )
}

/** Groups of modules, by the folder that they are in. */
const groups: ReadonlyArray<readonly [title: string, folder: RegExp]> = [
  ["Main agent and runs", /^src\/(?:MainAgent\.ts|run\/)/],
  ["What a component is", /^src\/component\//],
  ["Search space", /^src\/search-space\//],
  ["Training strategy", /^src\/training-strategy\//],
  ["Search strategy", /^src\/search-strategy\//],
  ["Criterion", /^src\/criterion\//],
  ["Dataflow", /^src\/dataflow\//],
  ["Training agent", /^src\/training-agent\//],
  ["Estimator", /^src\/estimator\//],
  ["Cost and budget", /^src\/cost\//],
  ["Networks", /^src\/nn\//],
  ["Engine", /^src\/engine\//],
  ["Randomness", /^src\/random\//],
  ["Laws", /^property-tests\//],
  ["Machines", /^machines\//],
  ["Others", /^/]
]

const groupOf = ({ file }: PublicModule): string => groups.find(([, folder]) => folder.test(file))![0]

const pathOf = ({ entry, name }: PublicModule): string => {
  const folder = /\/(.*)$/.exec(entry.specifier)?.[1]
  return folder === undefined ? `api/${name}.md` : `api/${folder}/${name}.md`
}

const fenced = (code: string): string => `\`\`\`ts\n${code}\n\`\`\``

const paragraphs = (doc: Documentation): ReadonlyArray<string> =>
  [doc.text, ...doc.examples.map(({ code, title }) => `**Example**: ${title}\n\n${fenced(code)}`)].filter(
    (text) => text !== ""
  )

/** The header comment of a module, unless it belongs to its first declaration. */
const header = (source: string): Documentation => {
  const [, comment = "", next = ""] = /^(\/\*\*[\s\S]*?\*\/)\n(.*)/.exec(source) ?? []
  return documentation(declaration.test(next) ? "" : comment)
}

/** Values before types of the same name; their signatures distinguish them. */
const sectionsOf = (exports: ReadonlyArray<Export>): ReadonlyArray<string> => {
  const names = [...new Set(exports.map(({ name }) => name))]
  return names.flatMap((name) => {
    const [first, ...others] = exports.filter((one) => one.name === name)
    if (first === undefined) return []
    return [
      `## ${name}`,
      fenced([first, ...others].map(({ code }) => signature(code)).join("\n\n")),
      ...paragraphs(first.doc)
    ]
  })
}

const modulePage = (module: PublicModule, read: Read): Site.Page => ({
  path: pathOf(module),
  text: `${[
    `# ${module.name}`,
    `\`${module.imported}\` · \`${module.file}\``,
    ...paragraphs(header(read(module.file))),
    ...sectionsOf(exportsOf(module.file, read, module.names))
  ].join("\n\n")}\n`
})

const summaryOf = (module: PublicModule, read: Read): string => {
  const { summary } = header(read(module.file))
  return summary === "" ? (exportsOf(module.file, read, module.names)[0]?.doc.summary ?? "") : summary
}

const indexPage = (modules: ReadonlyArray<PublicModule>, read: Read): Site.Page => {
  const sections = groups.flatMap(([title]) => {
    const own = modules.filter((module) => groupOf(module) === title)
    if (own.length === 0) return []
    const rows = own.map((module) => {
      const summary = summaryOf(module, read).replaceAll("|", "\\|")
      return `| [${module.name}](${posix.relative("api", pathOf(module))}) | ${summary} |`
    })
    return [`## ${title}`, ["| module | |", "| --- | --- |", ...rows].join("\n")]
  })
  const about =
    "Every public module, from its source: signatures, documentation, and examples, which the tests run. [Programs](../programs.md) shows how they are used together."
  return { path: "api/README.md", text: `${["# API reference", about, ...sections].join("\n\n")}\n` }
}

/** All pages of the reference; the first lists the others. */
export const pages = (entries: ReadonlyArray<Entry>, read: Read): ReadonlyArray<Site.Page> => {
  const modules = entries.flatMap((entry) => modulesOf(entry, read))
  const byPath = new Map<string, PublicModule>()
  for (const module of modules) {
    const known = byPath.get(pathOf(module))
    // Two lines that export from one file are one module.
    if (known?.names === undefined || module.names === undefined) byPath.set(pathOf(module), known ?? module)
    else byPath.set(pathOf(module), { ...known, names: new Set([...known.names, ...module.names]) })
  }
  const all = [...byPath.values()]
  return [indexPage(all, read), ...all.map((module) => modulePage(module, read))]
}

/** The package's entries. */
export const entries: ReadonlyArray<Entry> = [
  { specifier: "osnas", file: "src/index.ts" },
  { specifier: "osnas/laws", file: "property-tests/index.ts" },
  { specifier: "osnas/machines", file: "machines/index.ts" }
]
