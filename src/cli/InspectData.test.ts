import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import { afterAll } from "vitest"
import * as Netpbm from "../dataflow/Netpbm.ts"
import * as OddFolder from "../dataflow/testing/OddFolder.ts"
import { writeSheet } from "./InspectData.ts"
import * as InProcess from "./testing/InProcess.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-inspect-"))
afterAll(() => rmSync(folder, { recursive: true }))

const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined
)

const printed = (...args: ReadonlyArray<string>) =>
  InProcess.printed("inspect-data", ...args).pipe(Effect.provide(Logger.layer([])))
const failure = (...args: ReadonlyArray<string>) => InProcess.failure("inspect-data", ...args)

const config = (name: string, dataflow: string): string => {
  const file = join(folder, `${name}.yaml`)
  writeFileSync(
    file,
    `name: ${name}\ndataflow: ${dataflow}\nsearchSpace: { name: tiny }\nbudget: { metric: flops, max: 1e9 }\n` +
      "supernetTraining: { epochs: 1, batchSize: 8 }\nretraining: { epochs: 1, batchSize: 8 }\n"
  )
  return file
}

describe("inspect-data", () => {
  it.effect("examines the images that ship, and writes their sheet", () =>
    Effect.gen(function* () {
      const file = config("shipped", "{ name: fashion-mnist, trainLimit: 200, testLimit: 40, prefetch: 0 }")
      const sheet = join(folder, "shipped.png")
      const out = yield* printed(file, "--sheet", sheet)
      assert.include(out, "data        fashion-mnist, the subset that ships with osnas")
      assert.include(out, "supernet    160 images: 16 of each")
      assert.include(out, "formats  in memory (240)")
      assert.match(out, /measured {4}mean 0\.2[789]\d\d {2}deviation 0\.3[45]\d\d/)
      assert.include(out, "0 test images are also in training;")
      assert.include(out, "one row per class: T-shirt/top, Trouser, Pullover")
      const written = out.includes(`Contact sheet: ${sheet}\n`) ? sheet : join(folder, "shipped.ppm")
      assert.isTrue(existsSync(written))
      if (sharp !== undefined) {
        const { height, width } = yield* Effect.promise(() => sharp(written).metadata())
        assert.deepStrictEqual([width, height], [10 * 88 + 4, 10 * 88 + 4])
      }
    })
  )

  it.effect.skipIf(sharp === undefined)("shows everything that is wrong with a folder (skipped without sharp)", () =>
    Effect.gen(function* () {
      const images = join(folder, "odd")
      const made = yield* Effect.promise(() => OddFolder.make(images, { broken: true }))
      const file = config("odd", `{ name: image-folder, folder: ${images}, size: 32, prefetch: 0 }`)
      const out = yield* printed(file, "--no-sheet")
      for (const path of made.broken) assert.include(out, `${join(images, path)}: `)
      assert.include(out, "broken   6; a run with `broken: fail` stops at them")
      assert.include(out, `${join(images, "train", "cat", "0.jpg")} = ${join(images, "train", "cat", "link.jpg")}`)
      assert.include(out, `notice      ${join(images, "train")}`)
      assert.notInclude(out, "Contact sheet")
      const found = JSON.parse(yield* printed(file, "--no-sheet", "--json", "--sample", "1000"))
      assert.strictEqual(found.sheet, null)
      assert.deepStrictEqual(found.summary.classes, made.classes)
      assert.deepStrictEqual(found.summary.splits.test.images, made.testImages)
      assert.deepStrictEqual(found.sampled.formats.map((entry: { readonly value: string }) => entry.value).sort(), [
        "avif",
        "bmp",
        "gif",
        "jpeg",
        "png",
        "ppm",
        "tiff",
        "webp"
      ])
      assert.deepStrictEqual(
        found.sampled.broken.map((entry: { readonly file: string }) => entry.file),
        made.broken.map((path) => join(images, path))
      )
      // A run of the same configuration stops.
      const stopped = yield* failure(config("none", `{ name: image-folder, folder: ${join(folder, "absent")} }`))
      assert.include(stopped.message, "does not exist")
    })
  )

  it.effect("takes a user's dataflow that has only the contract", () =>
    Effect.gen(function* () {
      const index = resolve(import.meta.dirname, "../index.ts")
      const own = join(folder, "own.ts")
      writeFileSync(
        own,
        `import * as Effect from ${JSON.stringify(import.meta.resolve("effect/Effect"))}
import * as Layer from ${JSON.stringify(import.meta.resolve("effect/Layer"))}
import * as Schema from ${JSON.stringify(import.meta.resolve("effect/Schema"))}
import { Dataflow, define } from ${JSON.stringify(index)}
const count = (split) => (split === "test" ? 4 : split === "train" ? 20 : 10)
export const component = define({
  kind: "dataflow", name: "own", description: "own", options: Schema.Struct({}),
  layer: () => Layer.succeed(Dataflow.Dataflow, {
    name: "own", image: [8, 8, 1], classes: ["a", "b"], count, digest: "d", notices: ["one is missing"],
    steps: (split, size, training) => (training ? Math.floor : Math.ceil)(count(split) / size),
    batch: ({ batchSize, split, step }) => {
      const size = Math.min(batchSize, count(split) - step * batchSize)
      return Effect.succeed({ images: new Float32Array(64 * size).fill(2), labels: new Int32Array(size).map((_, i) => (step * batchSize + i) % 2), size })
    }
  })
})
`
      )
      const out = yield* printed(config("own", "{ name: ./own.ts }"), "--no-sheet")
      assert.include(out, "data        own")
      assert.include(out, "train       20 images: 10 of each")
      assert.include(out, "notice      one is missing")
      assert.include(out, "Normalised pixels of 20 training images\n  mean 2.0000  deviation 0.0000")
      assert.notInclude(out, "Duplicates")
    })
  )

  it.effect("warns if test has more images than train", () =>
    Effect.gen(function* () {
      const swapped = config("swapped", "{ name: fashion-mnist, trainLimit: 40, testLimit: 60, prefetch: 0 }")
      const warning = "test has more images than train (60 and 40): are they swapped?"
      assert.include(yield* printed(swapped, "--no-sheet"), `\nwarning: ${warning}\n`)
      assert.deepStrictEqual(JSON.parse(yield* printed(swapped, "--no-sheet", "--json")).warnings, [warning])
      const usual = config("usual", "{ name: fashion-mnist, trainLimit: 60, testLimit: 40, prefetch: 0 }")
      assert.notInclude(yield* printed(usual, "--no-sheet"), "warning:")
    })
  )

  it.effect("refuses impossible requests before it reads anything", () =>
    Effect.gen(function* () {
      const file = config("refused", "{ name: fashion-mnist }")
      const absent = join(folder, "nowhere", "x.png")
      assert.deepStrictEqual(yield* failure(file, "--sheet", absent), {
        code: 2,
        message: `--sheet ${absent}: the folder ${join(folder, "nowhere")} does not exist`
      })
      assert.strictEqual(
        (yield* failure(file, "--sheet", folder)).message,
        `--sheet ${folder}: this is a folder; name a file`
      )
      assert.strictEqual((yield* failure(file, "--sheet", "x.png", "--no-sheet")).code, 2)
      assert.include((yield* failure(join(folder, "gone.yaml"))).message, "gone.yaml")
    })
  )

  it.effect("writes a sheet with the bytes of its pixels", () =>
    Effect.gen(function* () {
      const sheet = { width: 2, height: 1, pixels: Uint8Array.of(1, 2, 3, 250, 251, 252), rows: ["a"] }
      const { file } = yield* writeSheet(join(folder, "small.png"), sheet)
      const bytes = new Uint8Array(readFileSync(file))
      const pixels =
        sharp === undefined
          ? Result.getOrThrow(Netpbm.parse(bytes)).pixels
          : new Uint8Array(yield* Effect.promise(() => sharp(bytes).raw().toBuffer()))
      assert.deepStrictEqual(Array.from(pixels), [1, 2, 3, 250, 251, 252])
      mkdirSync(join(folder, "taken.png"))
      const refused = yield* Effect.flip(writeSheet(join(folder, "taken.png"), sheet))
      if (sharp !== undefined) assert.include(refused.message, "cannot be written")
    })
  )
})
