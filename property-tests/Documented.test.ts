/** Whatever the package exports is documented: a public export without a doc comment is refused. */
import { readFileSync } from "node:fs"
import { dirname, relative, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const root = resolve(import.meta.dirname, "..")

const declaration =
  /^export (?:declare )?(?:abstract )?(?:const|let|function\*?|class|interface|type|namespace) ([A-Za-z_$][\w$]*)/

interface Missing {
  readonly place: string
  readonly name: string
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
  lines.forEach((line, at) => {
    const name = declaration.exec(line)?.[1]
    if (name === undefined || (names !== undefined && !names.has(name))) return
    if (!isDocumented(lines, at)) missing.push({ place: `${file}:${at + 1}`, name })
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
      ({ name, place }) => `${relative(root, place)}: ${name} has no doc comment`
    )
    expect(missing).toEqual([])
  })

  it("finds one that is not", () => {
    const files: Readonly<Record<string, string>> = {
      "/a.ts":
        '/** A. */\nexport const a = 1\nexport type B = 2\nexport * as C from "./c.ts"\nexport { e } from "./e.ts"\n',
      "/c.ts": "/** C. */\nexport class C {}\n\nexport interface D {}\n",
      "/e.ts": "export const e = 1\nexport const f = 2\n"
    }
    const found = undocumented(files["/a.ts"] ?? "", "/a.ts", (file) => files[file] ?? "")
    expect(found).toEqual([
      { place: "/a.ts:3", name: "B" },
      { place: "/c.ts:4", name: "D" },
      { place: "/e.ts:1", name: "e" }
    ])
  })
})
