import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "machines/**/*.test.ts", "generators/**/*.test.ts", "property-tests/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2
  }
})
