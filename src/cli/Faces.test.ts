import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import * as RealData from "../../tools/RealData.ts"
import * as Run from "./Run.ts"

const root = resolve(import.meta.dirname, "../..")
const orl = RealData.path("orl_faces")
const dir = mkdtempSync(join(tmpdir(), "osnas-orl-"))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const run = Effect.fnUntraced(function* (example: string, set: ReadonlyArray<string>, folder = example, quick = true) {
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
})

// A small budget and image size make the quick runs even shorter.
const small = [`dataflow.folder=${orl}`, "dataflow.size=16", "budget.max=3e6", "estimator.recalibrationBatchSize=32"]

describe.skipIf(!RealData.has(orl, "Faces.test.ts, runs on the ORL faces"))(
  "on the ORL faces (skipped without them)",
  () => {
    it.live.each(["faces-orl", "faces-orl-angular"])(
      "%s runs, and shows its baselines next to the result",
      (example) =>
        Effect.gen(function* () {
          const output = yield* run(example, small)
          assert.match(output, /accuracy \d\d\.\d\d % \(raw pixels \d\d\.\d\d %, untrained network \d\d\.\d\d %\)/)
          const { test } = JSON.parse(readFileSync(join(dir, example, "metrics.json"), "utf8")) as {
            readonly test: Readonly<Record<string, number>>
          }
          assert.isAbove(test["pixelAccuracy"]!, 0.7)
          assert.isAbove(test["untrainedAccuracy"]!, 0.5)
        }).pipe(Effect.provide(TestConsole.layer)),
      120_000
    )
  }
)

it.live("names the folder of missing faces", () =>
  Effect.gen(function* () {
    const { message } = yield* Effect.flip(run("faces-orl", ["dataflow.folder=nowhere"], "missing", false))
    assert.match(message, /nowhere: does not exist, nor in .+ \(OSNAS_DATA lists the folders that are searched\)/)
  }).pipe(Effect.provide(TestConsole.layer))
)
