/**
 * Runs the examples of doc comments. A block with the heading `**Example** (Title)` with a fenced `ts` body becomes one test;
 * a line `expression // => value` becomes a deep-equality assertion.
 */
import { readFileSync } from "node:fs"
import { basename, dirname, resolve } from "node:path"
import type { Plugin } from "vitest/config"

const exampleBlock = /\*\*Example\*\* \(([^)]*)\)[\s*]*```ts\n([\s\S]*?)\s*\* ```/g

const importLine = /^import (type )?(?:(?:\* as (\w+)|\{([^}]*)\}) from )?"([^"]+)"$/

/** Turns an import of an example into a statement of its test, so that examples of one file do not clash. */
const dynamicImport = (line: string, folder: string): string => {
  const [, type, namespace, names, from] = line.match(importLine) ?? []
  if (from === undefined) throw new Error(`cannot parse the import of an example: ${line}`)
  if (type !== undefined) return ""
  const path = JSON.stringify(from.startsWith(".") ? resolve(folder, from) : from)
  if (namespace === undefined && names === undefined) return `await import(${path})`
  const binding = namespace ?? `{${names?.replace(/\btype \w+,?/g, "").replace(/ as /g, ": ")}}`
  return `const ${binding} = await import(${path})`
}

/** The test module for the examples of a source file; empty if it has none. */
export const examplesOf = (source: string, file: string): string => {
  const tests = [...source.matchAll(exampleBlock)].map(([, title, body = ""]) => {
    const code = body
      .replace(/^\s*\* ?/gm, "")
      .split("\n")
      .map((line) =>
        line.startsWith("import ")
          ? dynamicImport(line, dirname(file))
          : line.replace(/^;?(.*?);?\s*\/\/ => (.*)$/, ";expect($1).toEqual($2)")
      )
      .join("\n")
    return `it(${JSON.stringify(title)}, async () => {\n${code}\n})`
  })
  if (tests.length === 0) return ""
  return `import { describe, expect, it } from "vitest"\ndescribe(${JSON.stringify(basename(file))}, () => {\n${tests.join("\n")}\n})`
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
