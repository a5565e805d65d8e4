/** Yarn's Plug'n'Play keeps the package in a zip, where a file cannot be read by a handle. Here `open` fails. */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { expect, it, vi } from "vitest"
import * as FashionMnist from "./FashionMnist.ts"
import * as Files from "./Files.ts"

vi.mock("node:fs/promises", async (original) => ({
  ...(await original<typeof import("node:fs/promises")>()),
  open: () => Promise.reject(new Error("a handle on a file in a zip"))
}))

it("reads the shipped images by their path, within the limit", async () => {
  const data = await Effect.runPromise(FashionMnist.load(null))
  expect([data.train.labels.length, data.test.labels.length]).toEqual([10_000, 2000])
  const file = join(FashionMnist.shippedFolder, "LICENSE")
  expect((await Effect.runPromise(Files.read("x", file, 1 << 20))).length).toBeGreaterThan(500)
  const failure = await Effect.runPromise(Effect.flip(Files.read("x", file, 10)))
  expect(failure.reason).toMatch(/^has \d+ bytes; at most 10 are expected$/)
})
