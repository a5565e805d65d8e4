/** The published package contains only the product. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { expect, it } from "vitest"
import * as PackedFiles from "./PackedFiles.ts"

it("packs neither development programs, nor testing helpers, nor test data", () => {
  // Checks dist as it would be built; dist itself may be old here, and the build checks it.
  const built = PackedFiles.compiled().map((source) => `dist/${source.replace(/(\.d)?\.ts$/, ".d.ts")}`)
  expect(built.length).toBeGreaterThan(200)
  const beside = PackedFiles.packed().filter((path) => !path.startsWith("dist/"))
  expect(beside).toContain("examples/quickstart.yaml")
  expect(PackedFiles.unwanted([...built, ...beside])).toEqual([])
})

it("compiles every module that the entry points reach", () => {
  const compiled = new Set(PackedFiles.compiled())
  expect([...PackedFiles.reached()].filter((source) => !compiled.has(source))).toEqual([])
})

it("finds files that do not belong", () => {
  const strange = [
    "dist/src/cli/parity.js",
    "dist/src/run/testing/MemoryDisk.js",
    "dist/src/run/Lifecycle.test.js",
    "dist/tools/PackedFiles.js",
    "dist/src/dataflow/data/other/images.gz",
    "examples/examples.test.ts",
    "src/report/testing/sample.ts"
  ]
  expect(
    PackedFiles.unwanted([...strange, "dist/src/run/Lifecycle.js", "dist/src/engine/simd/kernels-strict.wasm"])
  ).toEqual(strange)
})

it("mentions no folder outside the clone in published files", () => {
  const root = resolve(import.meta.dirname, "..")
  // The page of the commands is generated from their help, which is in the sources.
  const texts = PackedFiles.packed().filter(
    (path) => /^(docs|examples|README)/.test(path) && path !== "docs/commands.md"
  )
  const named = [...PackedFiles.reached(), "src/cli/osnas.mjs", ...texts].filter((path) =>
    /\.\.\/shared\b|"shared"/.test(readFileSync(resolve(root, path), "utf8"))
  )
  expect(named).toEqual([])
  expect(texts.length).toBeGreaterThan(30)
})
