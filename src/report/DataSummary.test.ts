import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { afterAll, describe, expect, it } from "vitest"
import type { DataflowShape } from "../dataflow/Dataflow.ts"
import * as FashionMnist from "../dataflow/FashionMnist.ts"
import * as ImageFolder from "../dataflow/ImageFolder.ts"
import * as InMemory from "../dataflow/InMemory.ts"
import * as OddFolder from "../dataflow/testing/OddFolder.ts"
import * as Key from "../random/Key.ts"
import * as DataSummary from "./DataSummary.ts"
import { html } from "./Html.ts"
import { text } from "./Text.ts"
import { sample } from "./testing/sample.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-summary-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A flow of two classes whose names need care, with files. */
const flow = (listing: ReadonlyArray<readonly [string, number]>): DataflowShape => ({
  name: "made",
  image: [4, 5, 3],
  classes: ["<b>cats</b>", "dogs"],
  count: (split) => (split === "test" ? 3 : 10),
  steps: () => 1,
  batch: () => Effect.die("not asked for"),
  digest: "0123456789abcdef0123",
  notices: ["train: skipped 1 file <x>"],
  inventory: {
    place: "data/made",
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.2, 0.2],
    labels: (split) => Int32Array.from(split === "test" ? [0, 1, 1] : [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]),
    image: () => Effect.die("not asked for"),
    skipped: [{ kind: ".txt", count: 1, names: ["x"] }],
    listing
  }
})
const summary = DataSummary.of(
  flow([
    ["train/cat/1.png", 10],
    ["train/cat/2.png", 20],
    ["val/cat/1.png", 30]
  ])
)

describe("a summary", () => {
  it("counts, and comes back from its text as it was", () => {
    expect(summary.splits.train).toEqual({ images: 10, perClass: [7, 3] })
    expect(summary.splits.test).toEqual({ images: 3, perClass: [1, 2] })
    expect(Object.keys(summary.files ?? {})).toEqual(["train/cat", "val/cat"])
    expect(summary.files?.["train/cat"]?.sizes).toEqual({ "1.png": 10, "2.png": 20 })
    expect(DataSummary.decode(DataSummary.encode(summary))).toEqual(summary)
    for (const damaged of ["", "{}", DataSummary.encode(summary).slice(0, 90), '{"format":"osnas-data-2"}']) {
      expect(DataSummary.decode(damaged)).toBeUndefined()
    }
  })

  it("of images in memory costs milliseconds", async () => {
    const data = await Effect.runPromise(FashionMnist.load(null))
    const options = Schema.decodeUnknownSync(FashionMnist.Options)({ prefetch: 0 })
    const made = await Effect.runPromise(Effect.scoped(InMemory.make(data, options, Key.make(1))))
    const found = DataSummary.of(made)
    // The best of three: others may have the processor in between.
    const times = [0, 1, 2].map(() => {
      const start = performance.now()
      DataSummary.encode(DataSummary.of(made))
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(100)
    expect(found.splits.supernet.perClass).toEqual(new Array(10).fill(800))
    expect(found.splits.test.perClass).toEqual(new Array(10).fill(200))
    expect([found.mean, found.std, found.files]).toEqual([[0.286], [0.353], null])
  })

  it("says which files have changed since", async () => {
    const folder = join(root, "images")
    const write = (path: string, bytes: Uint8Array) => {
      mkdirSync(join(folder, path, ".."), { recursive: true })
      writeFileSync(join(folder, path), bytes)
    }
    const image = (seed: number, width: number) => OddFolder.ppm(OddFolder.picture(seed, width, 4))
    for (const part of ["train", "val"]) {
      for (const name of ["cat", "dog"]) {
        for (let i = 0; i < 3; i += 1) write(join(part, name, `${i}.ppm`), image(i, 5))
      }
    }
    const options = Schema.decodeUnknownSync(ImageFolder.Options)({ folder, size: 8, prefetch: 0 })
    const read = () =>
      Effect.runPromise(
        Effect.scoped(Effect.map(ImageFolder.make(options, Key.make(1)), (made) => DataSummary.of(made).files))
      )
    const before = await read()
    expect(DataSummary.differences(before, await read())).toEqual([])
    write(join("val", "cat", "1.ppm"), image(9, 6))
    write(join("train", "dog", "9.ppm"), image(9, 5))
    rmSync(join(folder, "train", "cat", "0.ppm"))
    expect(DataSummary.differences(before, await read())).toEqual([
      "train/cat/0.ppm is gone",
      "train/dog/9.ppm is new",
      "val/cat/1.ppm has 83 bytes, had 71"
    ])
    expect(DataSummary.differences(null, before)).toEqual([])
    expect(DataSummary.differences({}, before)).toEqual([
      "train/cat is new, with 3 files",
      "train/dog is new, with 3 files",
      "val/cat is new, with 3 files",
      "val/dog is new, with 3 files"
    ])
  })

  it("of more files than can be kept one by one names the folder that has changed", () => {
    const many = (last: number) =>
      DataSummary.of(
        flow(Array.from({ length: 20_001 }, (_, i) => [`train/c${i % 3}/${i}.jpg`, i === 20_000 ? last : i] as const))
      ).files
    expect(DataSummary.differences(many(1), many(1))).toEqual([])
    expect(DataSummary.differences(many(1), many(2))).toEqual([
      "train/c2 has 6,667 files of other names or sizes, had 6,667"
    ])
    const long = (size: number) =>
      DataSummary.of(flow(Array.from({ length: 9 }, (_, i) => [`c/${i}.jpg`, size] as const))).files
    expect(DataSummary.differences(long(1), long(2)).at(-1)).toBe("and 4 more")
  })

  it("is shown in the report, as text and as a page", async () => {
    expect(text(sample)).not.toContain("normalised")
    const shown = text({ ...sample, data: summary })
    expect(shown).toContain("Data\n  data        made, data/made")
    expect(shown).toContain("train       10 images: 3 to 7 of each, median 7")
    expect(shown).toContain("normalised  mean 0.5000 0.4000 0.3000, deviation 0.2000 0.2000 0.2000")
    expect(await html(sample)).not.toContain("<h2>Data</h2>")
    const page = await html({ ...sample, data: summary })
    expect(page).toContain("<h2>Data</h2>")
    expect(page).toContain('aria-label="images per class"')
    expect(page).toContain("train: skipped 1 file &lt;x&gt;")
    expect(page).not.toContain("<b>cats")
    expect(page).not.toMatch(/NaN|undefined/)
  })

  it("draws as many columns as classes, and of many classes an outline", () => {
    const svg = DataSummary.columnsSvg(summary)
    // 7 and 3 of each part of training, 1 and 2 of the test.
    expect(svg.match(/<rect /g)?.length).toBe(6)
    expect(svg).toContain("<title>dogs: test 2</title>")
    const ones = { images: 500, perClass: Array.from({ length: 500 }, (_, i) => 1 + (i % 7)) }
    const many: DataSummary.DataSummary = {
      ...summary,
      classes: ones.perClass.map((_, i) => `class ${i}`),
      splits: { supernet: ones, validation: ones, train: ones, test: ones }
    }
    const outline = DataSummary.columnsSvg(many)
    expect(outline.match(/<path /g)?.length).toBe(3)
    expect(outline.length).toBeLessThan(40_000)
    const bars = DataSummary.bars(many, "train").split("\n")
    expect(bars.length).toBe(31)
    expect(bars[15]).toBe("  … 470 classes between")
    // Nothing to see where all have as many.
    expect(
      DataSummary.bars({ ...many, splits: { ...many.splits, train: { images: 2, perClass: [1, 1] } } }, "train")
    ).toBe("")
  })
})
