/** `--quick` without the data uses the images that ship, and says so. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import * as Yaml from "yaml"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import { osnas } from "./Commands.ts"
import { Signals } from "./Signals.ts"
import * as StandIn from "./StandIn.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-stand-in-"))
afterAll(() => rmSync(folder, { recursive: true }))

const faces = `
name: faces
engine: { name: simd, threads: 1 }
dataflow: { name: face-folder, folder: ${join(folder, "casia")}, testFolder: ${join(folder, "lfw")}, pairs: ${join(folder, "lfw/pairs.txt")}, size: 32, perIdentity: 2 }
searchSpace: { name: tiny }
budget: { max: 5e6 }
trainingAgent: { name: face-recognition, dimension: 16 }
criterion: { name: triplet }
supernetTraining: { epochs: 9, batchSize: 64 }
retraining: { epochs: 9, batchSize: 64 }
`

const decoded = (dataflow: Readonly<Record<string, unknown>>, rest: Readonly<Record<string, unknown>> = {}) =>
  Load.decode(
    ConfigFile.fromValue("x", {
      name: "x",
      dataflow,
      searchSpace: { name: "tiny" },
      budget: { max: 1e9 },
      supernetTraining: { epochs: 1 },
      retraining: { epochs: 1 },
      ...rest
    }),
    folder
  )

describe("the replacement for a missing dataset", () => {
  it.effect("is used only if the data are missing", () =>
    Effect.gen(function* () {
      const here = join(folder, "here")
      mkdirSync(join(here, "train/cat"), { recursive: true })
      const absent = (dataflow: Readonly<Record<string, unknown>>) => Effect.map(decoded(dataflow), StandIn.absent)
      assert.isUndefined(yield* absent({ name: "fashion-mnist" }))
      assert.strictEqual(yield* absent({ name: "cifar10", folder: join(folder, "no") }), join(folder, "no"))
      assert.strictEqual(yield* absent({ name: "image-folder", folder: here }), join(here, "val"))
      assert.isUndefined(yield* absent({ name: "cifar100", folder: here }))
      assert.isUndefined(yield* absent({ name: "cifar100", folder: join(folder, "no"), download: true }))
      assert.isUndefined(yield* absent({ name: "face-folder", folder: here }))
    })
  )

  it.effect("has the shape of the missing images, and at most one person per class in a batch", () =>
    Effect.gen(function* () {
      const standIn = (dataflow: Readonly<Record<string, unknown>>) =>
        Effect.map(decoded(dataflow), (loaded) => StandIn.assignments(loaded)[0]?.[1])
      const common = { name: "fashion-mnist", supernetFraction: 0.8, crop: 0 }
      assert.deepStrictEqual(yield* standIn({ name: "image-folder", folder: "no" }), {
        ...common,
        size: 224,
        channels: 3,
        perIdentity: 0,
        verificationPairs: 0
      })
      assert.deepStrictEqual(yield* standIn({ name: "face-folder", folder: "no", channels: 1, perIdentity: 2 }), {
        ...common,
        size: 112,
        channels: 1,
        perIdentity: 4,
        verificationPairs: 100
      })
    })
  )

  it.effect(
    "completes a run of faces, and its folder records the replacement",
    () =>
      Effect.gen(function* () {
        writeFileSync(join(folder, "faces.yaml"), faces)
        const run = join(folder, "run")
        yield* Command.runWith(osnas, { version: "0.0.0" })([
          "run",
          join(folder, "faces.yaml"),
          "--quick",
          "--dir",
          run
        ]).pipe(Effect.provide(NodeServices.layer), Effect.provideService(Signals, Signals.make()))
        const errors = (yield* TestConsole.errorLines).map(String).join("\n")
        assert.include(errors, `Dataset face-folder not found (${join(folder, "casia")} is missing or empty)`)
        assert.include(errors, "Fashion-MNIST, which ships with osnas, at 32x32x3")
        const manifest = JSON.parse(readFileSync(join(run, "manifest.json"), "utf8"))
        assert.include(manifest.notes.standIn, "results are a smoke test only")
        const config = Yaml.parse(readFileSync(join(run, "config.yaml"), "utf8"))
        assert.deepInclude(config.dataflow, { name: "fashion-mnist", trainLimit: 400, perIdentity: 4 })
        assert.strictEqual(config.supernetTraining.batchSize, 32)
        const metrics = JSON.parse(readFileSync(join(run, "metrics.json"), "utf8"))
        assert.include(JSON.stringify(metrics), "tarAtFar0.01")
      }),
    120_000
  )
})
