/// <reference types="vite/client" />
/** Every example in a doc comment is run, and there are some. */
import { expect, it } from "vitest"
import { examplesOf } from "../tools/docs/doctest.ts"

import.meta.glob(
  [
    "../src/**/*.ts",
    "../machines/**/*.ts",
    "../generators/**/*.ts",
    "../tools/**/*.ts",
    "./*.ts",
    "!../**/*.test.ts",
    "!../src/engine/simd/assembly/**",
    "!../tools/docs/doctest.ts"
  ],
  { query: "?doctest", eager: true }
)

it("turns an example into an assertion", () => {
  const source =
    '/**\n * **Example** (Adding)\n *\n * ```ts\n * import { a } from "./a.ts"\n * a + 1 // => 2\n * ```\n */'
  const code = examplesOf(source, "/x/b.ts")
  expect(code).toContain('const { a } = await import("/x/a.ts")')
  expect(code).toContain("expect(a + 1).toEqual(2)")
})
