import { defineConfig } from "vitest/config"
import type { Reporter, TestModule } from "vitest/node"
import { doctest } from "./tools/docs/doctest.ts"

/** The closing line of a test run, for people and for continuous integration alike. */
const closingLine: Reporter = {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const count = (state: string) => tests.filter((test) => test.result().state === state).length
    const broken = modules.filter((module) => module.errors().length > 0).length + errors.length
    const skipped = count("skipped")
    console.log(
      `\n${count("passed")} passed, ${count("failed") + broken} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
    )
  }
}

export default defineConfig({
  plugins: [doctest()],
  test: {
    include: ["{src,machines,generators,property-tests,tools,examples}/**/*.test.ts"],
    exclude: ["**/node_modules/**", "dist/**"],
    testTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default", closingLine]
  }
})
