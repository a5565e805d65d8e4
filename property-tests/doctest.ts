/**
 * Runs the examples of doc comments. A block headed `**Example** (Title)` with a fenced `ts` body becomes one test;
 * a line `expression // => value` becomes a deep-equality assertion.
 */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import type { Plugin } from "vitest/config"

const exampleBlock = /\*\*Example\*\* \(([^)]*)\)[\s*]*```ts\n([\s\S]*?)\s*\* ```/g

const absolute = (line: string, folder: string): string =>
  line.replace(/from "(\.{1,2}\/[^"]*)"/, (_, path: string) => `from ${JSON.stringify(resolve(folder, path))}`)

/** The test module made of one source file's examples; the empty string where it has none. */
export const examplesOf = (source: string, file: string): string => {
  const imports = new Set<string>()
  const tests = [...source.matchAll(exampleBlock)].map(([, title, body = ""]) => {
    const code = body
      .replace(/^\s*\* ?/gm, "")
      .split("\n")
      .filter((line) => {
        if (!line.startsWith("import ")) return true
        imports.add(absolute(line, dirname(file)))
        return false
      })
      .map((line) => line.replace(/^(.*?);?\s*\/\/ => (.*)$/, ";expect($1).toEqual($2)"))
      .join("\n")
    return `it(${JSON.stringify(title)}, async () => {\n${code}\n})`
  })
  if (tests.length === 0) return ""
  return `import { describe, expect, it } from "vitest"\n${[...imports].join("\n")}\ndescribe(${JSON.stringify(file)}, () => {\n${tests.join("\n")}\n})`
}

/** The vitest plugin: importing `X.ts?doctest` loads the examples of X.ts instead of X.ts. */
export const doctest = (): Plugin => ({
  name: "osnas-doctest",
  enforce: "pre",
  load(id) {
    if (!id.endsWith("?doctest")) return undefined
    const file = id.slice(0, -"?doctest".length)
    return { code: examplesOf(readFileSync(file, "utf8"), file), moduleType: "ts" } as never
  }
})
