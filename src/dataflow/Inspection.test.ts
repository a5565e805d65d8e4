import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Key from "../random/Key.ts"
import type { DataflowShape } from "./Dataflow.ts"
import * as ImageFolder from "./ImageFolder.ts"
import * as InMemory from "./InMemory.ts"
import * as Inspection from "./Inspection.ts"
import * as OddFolder from "./testing/OddFolder.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-inspection-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const silent: Inspection.Report = () => Effect.void
const Options = Schema.Struct(InMemory.optionFields({ mean: [0.5], std: [0.25], crop: 0, flip: false, side: 2 }))

/** Images of 2 x 2 grey pixels: each of one level. */
const inMemory = (train: ReadonlyArray<number>, test: ReadonlyArray<number>) => {
  const part = (levels: ReadonlyArray<number>) => ({
    pixels: Uint8Array.from(levels.flatMap((level) => [level, level, level, level])),
    labels: Int32Array.from(levels, (_, at) => at % 2)
  })
  const options = { ...Schema.decodeUnknownSync(Options)({}), prefetch: 0 }
  const data = {
    name: "levels",
    stored: [2, 2, 1] as const,
    classes: ["even", "odd"],
    train: part(train),
    test: part(test)
  }
  return Effect.scoped(InMemory.make(data, options, Key.make(1)))
}

describe("of images in memory", () => {
  it.live("mean and standard deviation are those of the pixels", () =>
    Effect.gen(function* () {
      const flow = yield* inMemory([0, 255, 0, 255], [51])
      const found = yield* Inspection.sampled(flow, flow.inventory!, 100, silent)
      expect(found).toEqual({
        images: 5,
        of: 5,
        pixels: { images: 4, mean: [0.5], std: [0.5] },
        sizes: [{ value: "2 x 2", count: 5 }],
        widths: [2, 2, 2],
        heights: [2, 2, 2],
        formats: [{ value: "in memory", count: 5 }],
        broken: []
      })
      const part = yield* Inspection.sampled(flow, flow.inventory!, 2, silent)
      expect([part.images, part.pixels?.mean]).toEqual([3, [0]])
    })
  )

  it.live("duplicates are found by their pixels, those across the parts first", () =>
    Effect.gen(function* () {
      const flow = yield* inMemory([1, 2, 3, 1], [9, 3, 9])
      expect(yield* Inspection.duplicates(flow, flow.inventory!, silent)).toEqual({
        by: "pixels",
        compared: 7,
        of: 7,
        across: 1,
        withinTrain: 1,
        withinTest: 1,
        examples: [
          { first: { split: "train", at: 2 }, second: { split: "test", at: 1 } },
          { first: { split: "train", at: 0 }, second: { split: "train", at: 3 } },
          { first: { split: "test", at: 0 }, second: { split: "test", at: 2 } }
        ]
      })
    })
  )

  it.live("the sheet has one row per class, without normalisation", () =>
    Effect.gen(function* () {
      const flow = yield* inMemory([100, 200, 100, 200, 100, 200, 100, 200], [1])
      const made = yield* Inspection.sheet(flow, 2)
      // Cells of 64 pixels, 4 between them.
      expect([made?.width, made?.height, made?.rows]).toEqual([10 * 68 + 4, 2 * 68 + 4, ["even", "odd"]])
      const at = (x: number, y: number) =>
        Array.from(made!.pixels.subarray((y * made!.width + x) * 3, (y * made!.width + x) * 3 + 3))
      expect(at(0, 0)).toEqual([40, 40, 40])
      expect(at(4, 4)).toEqual([100, 100, 100])
      expect(at(67, 67)).toEqual([100, 100, 100])
      expect(at(4 + 68, 4 + 68)).toEqual([200, 200, 200])
    })
  )

  it.live("the speed is measured on full batches; without one it is undefined", () =>
    Effect.gen(function* () {
      const flow = yield* inMemory([1, 2, 3, 4, 5, 6, 7, 8], [1])
      const speed = yield* Inspection.speed(flow, 2)
      expect(speed?.batchSize).toBe(2)
      expect(speed!.batches).toBeGreaterThanOrEqual(3)
      expect(yield* Inspection.speed(flow, 100)).toBeUndefined()
    })
  )
})

describe("warnings", () => {
  const warningsOf = Effect.fnUntraced(function* (train: ReadonlyArray<number>, test: ReadonlyArray<number>) {
    const flow = yield* inMemory(train, test)
    return Inspection.warnings(flow, yield* Inspection.duplicates(flow, flow.inventory!, silent))
  })

  it.live("ask whether train and test are swapped if test has more images", () =>
    Effect.gen(function* () {
      expect(yield* warningsOf([1, 2], [3, 4, 5])).toEqual([
        "test has more images than train (3 and 2): are they swapped?"
      ])
      expect(yield* warningsOf([1, 2], [3, 4])).toEqual([])
    })
  )

  it.live("ask whether train and test read the same files if all test images are in training", () =>
    Effect.gen(function* () {
      expect(yield* warningsOf([1, 2, 3], [3, 1])).toEqual([
        "all 2 test images are also in training: do train and test read the same files?"
      ])
      expect(yield* warningsOf([1, 2, 3], [3, 4])).toEqual([])
    })
  )
})

it.live("classes and normalised pixels of a dataflow without an inventory come from its batches", () =>
  Effect.gen(function* () {
    const flow = yield* inMemory([0, 255, 0, 255, 0], [51, 51])
    const { inventory: _, ...rest } = flow
    const bare: DataflowShape = rest
    const train = yield* Inspection.throughBatches(bare, "train", 100, silent)
    expect([train.images, train.perClass]).toEqual([5, [3, 2]])
    // (0.4 - 0.5) / 0.25.
    expect(train.normalised?.mean[0]).toBeCloseTo(-0.4, 5)
    // Scaled to black and white, because the normalisation is unknown.
    const sheet = yield* Inspection.sheet(bare, 1)
    expect(new Set(sheet?.pixels)).toEqual(new Set([40, 0, 255]))
  })
)

it.live("sizes, formats and duplicates of images in files are those of the files", () =>
  Effect.gen(function* () {
    const write = (path: string, seed: number, width: number, bmp = false) => {
      const picture = OddFolder.picture(seed, width, 6)
      OddFolder.write(join(root, path), bmp ? OddFolder.bmp(picture) : OddFolder.ppm(picture))
    }
    for (const name of ["cat", "dog"]) {
      for (let i = 0; i < 4; i += 1) write(join("train", name, `${i}.ppm`), i + (name === "cat" ? 10 : 20), 5)
    }
    write(join("train", "cat", "4.bmp"), 30, 7, true)
    write(join("val", "cat", "0.ppm"), 12, 5)
    write(join("val", "dog", "0.ppm"), 41, 9)
    const options = Schema.decodeUnknownSync(ImageFolder.Options)({ folder: root, size: 8, prefetch: 0 })
    const flow = yield* Effect.scoped(ImageFolder.make(options, Key.make(1)))
    const reports: Array<string> = []
    const report: Inspection.Report = (stage, done, total) =>
      Effect.sync(() => {
        reports.push(`${stage} ${done}/${total}`)
      })
    const sampled = yield* Inspection.sampled(flow, flow.inventory!, 100, report)
    expect(sampled.formats).toEqual([
      { value: "ppm", count: 10 },
      { value: "bmp", count: 1 }
    ])
    expect(sampled.sizes[0]).toEqual({ value: "5 x 6", count: 9 })
    expect([sampled.widths, sampled.heights, sampled.broken]).toEqual([[5, 5, 9], [6, 6, 6], []])
    expect(reports.at(-1)).toBe("Reading images 11/11")
    const found = yield* Inspection.duplicates(flow, flow.inventory!, report)
    expect([found.by, found.across, found.withinTrain, found.withinTest]).toEqual(["files", 1, 0, 0])
    const [pair] = found.examples
    const { file } = flow.inventory!
    expect([file!(pair!.first.split, pair!.first.at), file!(pair!.second.split, pair!.second.at)]).toEqual([
      join(root, "train", "cat", "2.ppm"),
      join(root, "val", "cat", "0.ppm")
    ])
  })
)
