import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import * as Differences from "../run/testing/Differences.ts"
import * as MadeData from "../run/testing/MadeData.ts"
import * as StoppedExample from "./testing/StoppedExample.ts"
import * as stoppedExamples from "./testing/stoppedExamples.ts"
import * as Verify from "./Verify.ts"

stoppedExamples.declare(1)

const home = mkdtempSync(join(tmpdir(), "osnas-folders-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const verified = Effect.fnUntraced(function* (dir: string) {
  yield* Verify.run({ dir, from: Option.none(), steps: Option.none(), threads: Option.none(), json: false })
  return (yield* TestConsole.logLines).join("\n")
}, Effect.provide(TestConsole.layer))

describe("examples on folders of images", () => {
  const images = MadeData.shipped()
  it.live.each([
    [
      "osnaslib/imagenet.yaml",
      async (folder: string) => {
        await MadeData.imageFolder(folder, await images, { classes: 4, ending: "pgm", test: 5, train: 10 })
        return { folder }
      }
    ],
    [
      "osnaslib/face-triplet-evolution.yaml",
      async (folder: string) => {
        const [train, test] = [join(folder, "people"), join(folder, "others")]
        await MadeData.faceFolder(train, await images, { each: 6, ending: "pgm", first: 0, people: 12 })
        await MadeData.faceFolder(test, await images, { each: 4, ending: "pgm", first: 12, people: 5 })
        return { folder: train, testFolder: test }
      }
    ]
  ] as const)(
    "%s is resumed and verified",
    ([file, make]) =>
      Effect.gen(function* () {
        const folder = join(home, file.replaceAll("/", "-"))
        const data = yield* Effect.promise(() => make(join(folder, "data")))
        const { outcomes, stop, taken, whole } = yield* StoppedExample.trial(
          yield* StoppedExample.load(file, data),
          folder,
          2
        )
        assert.deepStrictEqual([outcomes[0], outcomes[2], stop.phase], ["Done", "Done", "retraining"], String(outcomes))
        assert.include(
          readFileSync(join(taken, "manifest.json"), "utf8"),
          file.includes("face") ? "face-folder" : "image-folder"
        )
        assert.deepStrictEqual(Differences.between(whole, taken), [])
        assert.include(yield* verified(taken), "reproduced, bit for bit, through evaluation")
      }),
    300_000
  )
})
