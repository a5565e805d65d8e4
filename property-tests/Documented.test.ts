/**
 * Whatever the package exports is documented: a public export without a doc comment is refused, and so is a public value
 * that no example of its module uses. (The examples themselves are run in Documentation.test.ts; a type has nothing to run.)
 */
import { readFileSync } from "node:fs"
import { basename, dirname, relative, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { examplesOf } from "../tools/docs/doctest.ts"

const root = resolve(import.meta.dirname, "..")

const declaration =
  /^export (?:declare )?(?:abstract )?(const|let|function\*?|class|interface|type|namespace) ([A-Za-z_$][\w$]*)/

interface Missing {
  readonly place: string
  readonly name: string
  readonly lacks: "doc comment" | "example"
}

/** Names of a module's own exports that its examples use: by `import * as Name`, or by `import { name }`. */
const exemplified = (source: string, file: string): ReadonlySet<string> => {
  const code = examplesOf(source, file)
  const used = new Set<string>()
  const own = JSON.stringify(resolve(dirname(file), `./${basename(file)}`)).replaceAll(".", "\\.")
  for (const [, binding = ""] of code.matchAll(new RegExp(`const ([^=]+) = await import\\(${own}\\)`, "g"))) {
    const names = /^\{(.*)\}$/.exec(binding.trim())?.[1]
    for (const name of names?.split(",") ?? []) used.add(name.split(":")[0]?.trim() ?? "")
    if (names !== undefined) continue
    for (const [, name = ""] of code.matchAll(new RegExp(`\\b${binding.trim()}\\.(\\w+)`, "g"))) used.add(name)
    // Taken apart: `const { a, b } = Name`.
    for (const [, list = ""] of code.matchAll(new RegExp(`const \\{([^}]*)\\} = ${binding.trim()}\\n`, "g"))) {
      for (const name of list.split(",")) used.add(name.trim())
    }
  }
  return used
}

/** Whether the line before a declaration ends a doc comment; lint directives between the two do not count. */
const isDocumented = (lines: ReadonlyArray<string>, at: number): boolean => {
  let before = at - 1
  while (/^\s*\/\/ (biome-ignore|@ts-)/.test(lines[before] ?? "")) before -= 1
  return (lines[before] ?? "").trimEnd().endsWith("*/")
}

/** Exports of a module without documentation; with `names`, only those. Follows `export … from`. */
const undocumented = (
  source: string,
  file: string,
  read: (file: string) => string,
  names?: ReadonlySet<string>,
  seen: Set<string> = new Set()
): ReadonlyArray<Missing> => {
  const place = `${file} ${names === undefined ? "*" : [...names].join()}`
  if (seen.has(place)) return []
  seen.add(place)
  const lines = source.split("\n")
  const missing: Array<Missing> = []
  const shown = exemplified(source, file)
  lines.forEach((line, at) => {
    const [, kind, name] = declaration.exec(line) ?? []
    if (name === undefined || (names !== undefined && !names.has(name))) return
    const place = `${file}:${at + 1}`
    const isValue = kind !== "interface" && kind !== "type"
    if (!isDocumented(lines, at)) missing.push({ place, name, lacks: "doc comment" })
    else if (isValue && !shown.has(name)) missing.push({ place, name, lacks: "example" })
  })
  const follow = (path: string, wanted?: ReadonlySet<string>): void => {
    const target = resolve(dirname(file), path)
    missing.push(...undocumented(read(target), target, read, wanted, seen))
  }
  for (const [, path = ""] of source.matchAll(/^export \*(?: as \w+)? from "(\.[^"]*)"/gm)) follow(path)
  for (const [, list = "", path = ""] of source.matchAll(/^export (?:type )?\{([^}]*)\} from "(\.[^"]*)"/gm)) {
    const wanted = list.split(",").map((entry) =>
      (
        entry
          .trim()
          .replace(/^type /, "")
          .split(" as ")[0] ?? ""
      ).trim()
    )
    follow(path, new Set(wanted.filter((name) => name !== "")))
  }
  return missing
}

const read = (file: string): string => readFileSync(file, "utf8")

describe("public exports are documented", () => {
  it.each(["src/index.ts", "property-tests/index.ts", "machines/index.ts"])("from %s", (entry) => {
    const file = resolve(root, entry)
    const missing = undocumented(read(file), file, read).map(
      ({ lacks, name, place }) => `${relative(root, place)}: ${name} has no ${lacks}`
    )
    expect(missing).toEqual([])
  })

  it("finds one that is not, and one that no example uses", () => {
    const shown = (use: string, file: string) =>
      `/**\n * Shown.\n *\n * **Example** (Use)\n *\n * \`\`\`ts\n * import * as It from "./${file}"\n * ${use}\n * \`\`\`\n */\n`
    const files: Readonly<Record<string, string>> = {
      "/a.ts": `${shown("It.a + It.nothing", "a.ts")}export const a = 1\nexport type B = 2\nexport * as C from "./c.ts"\nexport { e } from "./e.ts"\n`,
      "/c.ts": `${shown("new It.D()", "c.ts")}export class C {}\n\nexport interface D {}\n\n/** E. */\nexport interface E {}\n`,
      "/e.ts": "export const e = 1\nexport const f = 2\n"
    }
    const found = undocumented(files["/a.ts"] ?? "", "/a.ts", (file) => files[file] ?? "")
    expect(found).toEqual([
      { place: "/a.ts:12", name: "B", lacks: "doc comment" },
      { place: "/c.ts:11", name: "C", lacks: "example" },
      { place: "/c.ts:13", name: "D", lacks: "doc comment" },
      { place: "/e.ts:1", name: "e", lacks: "doc comment" }
    ])
  })
})
