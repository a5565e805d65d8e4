import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll, expect, it } from "vitest"
import * as RealData from "../../tools/RealData.ts"
import * as Run from "./Run.ts"

const root = resolve(import.meta.dirname, "../..")
const orl = RealData.path("orl_faces")
const dir = mkdtempSync(join(tmpdir(), "osnas-orl-"))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const run = (example: string, set: ReadonlyArray<string>, folder = example, quick = true) =>
  Effect.gen(function* () {
    yield* Run.run({
      config: Option.some(join(root, "examples", `${example}.yaml`)),
      seed: Option.none(),
      dir: Option.some(join(dir, folder)),
      name: Option.none(),
      set,
      threads: Option.some(1),
      mode: Option.none(),
      engine: Option.none(),
      quick,
      maxMinutes: Option.none(),
      maxEvaluations: Option.some(2),
      overwrite: false,
      json: false
    })
    return (yield* TestConsole.logLines).join("\n")
  }).pipe(Effect.provide(TestConsole.layer), Effect.runPromise)

// Budget and size make the quick runs of a test quicker.
const small = [`dataflow.folder=${orl}`, "dataflow.size=16", "budget.max=3e6", "estimator.recalibrationBatchSize=32"]

it.skipIf(!RealData.has(orl, "Faces.test.ts, runs on the ORL faces")).each(["faces-orl", "faces-orl-angular"])(
  "%s runs on the ORL faces, its yardsticks beside the result (skipped where they are absent)",
  { timeout: 120_000 },
  async (example) => {
    const told = await run(example, small)
    expect(told).toMatch(/accuracy \d\d\.\d\d % \(raw pixels \d\d\.\d\d %, untrained network \d\d\.\d\d %\)/)
    const { test } = JSON.parse(readFileSync(join(dir, example, "metrics.json"), "utf8")) as {
      readonly test: Readonly<Record<string, number>>
    }
    expect(test["pixelAccuracy"]).toBeGreaterThan(0.7)
    expect(test["untrainedAccuracy"]).toBeGreaterThan(0.5)
  }
)

it("says where faces are missing", async () => {
  await expect(run("faces-orl", ["dataflow.folder=nowhere"], "missing", false)).rejects.toThrow(
    /nowhere: does not exist, nor in .+ \(OSNAS_DATA lists the folders that are searched\)/
  )
})
