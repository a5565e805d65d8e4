import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as DataflowLaws from "../../property-tests/DataflowLaws.ts"
import * as Key from "../random/Key.ts"
import type { BatchRequest, DatasetError } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as Distortion from "./Distortion.ts"
import * as FileBatch from "./FileBatch.ts"
import * as ImageFolder from "./ImageFolder.ts"
import * as ImageListing from "./ImageListing.ts"
import * as Netpbm from "./Netpbm.ts"
import * as Resample from "./Resample.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-images-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined
)

const ppm = (width: number, height: number, seed: number): Uint8Array => {
  const head = new TextEncoder().encode(`P6\n${width} ${height}\n255\n`)
  const pixels = Uint8Array.from(Key.uniforms(Key.make(seed), width * height * 3), (u) => u * 256)
  return Uint8Array.from([...head, ...pixels])
}

const decode = Schema.decodeUnknownSync(ImageFolder.Options)
const reason = (effect: Effect.Effect<unknown, DatasetError>): Promise<string> =>
  Effect.runPromise(Effect.match(effect, { onFailure: (error) => error.message, onSuccess: () => "no failure" }))

const good = join(root, "good")
const spoilt = join(root, "spoilt")

beforeAll(() => {
  for (const folder of [good, spoilt]) {
    for (const [part, count] of [
      ["train", 9],
      ["val", 4]
    ] as const) {
      for (const [at, label] of ["ant", "bee", "cat"].entries()) {
        mkdirSync(join(folder, part, label), { recursive: true })
        for (let i = 0; i < count; i += 1) {
          const seed = at * 100 + i + (part === "val" ? 50 : 0)
          writeFileSync(join(folder, part, label, `${i}.ppm`), ppm(20 + i, 30 - at, seed))
        }
      }
    }
    writeFileSync(join(folder, "train", "ant", "notes.txt"), "no image")
  }
  writeFileSync(join(spoilt, "train", "bee", "3.ppm"), "P6\n20 30\n255\nshort")
  writeFileSync(join(spoilt, "val", "cat", "0.ppm"), "")
})

const options = (raw: object = {}) => decode({ folder: good, size: 16, prefetch: 0, ...raw })

describe("image-folder", () => {
  it("obeys the laws of dataflows, with and without threads", async () => {
    for (const raw of [
      { jitter: 0.4, cutout: 4 },
      { prefetch: 3, workers: 2 }
    ]) {
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const flow = yield* ImageFolder.make(options(raw), Key.make(1))
            expect([flow.count("train"), flow.count("test"), flow.classes.join()]).toEqual([27, 12, "ant,bee,cat"])
            yield* Effect.promise(() => DataflowLaws.check(flow, { batchSizes: [1, 5], runs: 15 }))
          })
        )
      )
    }
  })

  it("makes the same batches with and without threads", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const one = yield* ImageFolder.make(options({ jitter: 0.3 }), Key.make(1))
          const two = yield* ImageFolder.make(options({ jitter: 0.3, prefetch: 2, workers: 2 }), Key.make(1))
          for (let step = 0; step < 5; step += 1) {
            const request: BatchRequest = { split: "train", epoch: 1, step, batchSize: 5, training: true }
            expect(yield* two.batch(request)).toEqual(yield* one.batch(request))
          }
        })
      )
    ))

  it("fails on a broken image, or replaces it, as configured", async () => {
    const pass = (broken: string, prefetch: number) =>
      Effect.scoped(
        Effect.gen(function* () {
          const flow = yield* ImageFolder.make(options({ folder: spoilt, broken, prefetch }), Key.make(1))
          const sizes: Array<number> = []
          for (const [split, training] of [
            ["train", true],
            ["test", false]
          ] as const) {
            for (let step = 0; step < flow.steps(split, 9, training); step += 1) {
              const batch = yield* flow.batch({ split, epoch: 0, step, batchSize: 9, training })
              sizes.push(batch.size)
            }
          }
          return sizes
        })
      )
    for (const prefetch of [0, 2]) {
      const message = await reason(pass("fail", prefetch))
      expect(message).toContain(join("train", "bee", "3.ppm"))
      expect(message).toContain("samples need 1800 bytes")
      const said: Array<string> = []
      const logger = Logger.make(({ message }) => said.push(String(message)))
      const sizes = await Effect.runPromise(pass("skip", prefetch).pipe(Effect.provide(Logger.layer([logger]))))
      // Training batches stay full; one of the twelve test images is missing.
      expect(sizes).toEqual([9, 9, 9, 8, 3])
      expect(said.filter((line) => line.includes("3.ppm")).length).toBe(1)
      expect(said.some((line) => line.includes(join("val", "cat", "0.ppm")))).toBe(true)
    }
  })

  it("names missing folders and unknown classes", async () => {
    expect(
      await reason(Effect.scoped(ImageFolder.make(options({ folder: join(root, "none") }), Key.make(1))))
    ).toContain("does not exist")
    expect(
      await reason(Effect.scoped(ImageFolder.make(options({ trainFolder: join("train", "ant") }), Key.make(1))))
    ).toContain("one folder per class")
    mkdirSync(join(root, "odd", "train", "a"), { recursive: true })
    mkdirSync(join(root, "odd", "val", "b"), { recursive: true })
    writeFileSync(join(root, "odd", "train", "a", "1.ppm"), ppm(4, 4, 1))
    writeFileSync(join(root, "odd", "val", "b", "1.ppm"), ppm(4, 4, 1))
    expect(
      await reason(Effect.scoped(ImageFolder.make(options({ folder: join(root, "odd") }), Key.make(1))))
    ).toContain("b are not among the classes")
  })
})

describe("DecodeImage", () => {
  it.skipIf(sharp === undefined)(
    "reads JPEG and PNG upright, and refuses other files (skipped without sharp)",
    async () => {
      const raw = Netpbm.parse(ppm(6, 4, 3))
      const image = Result.getOrThrow(raw)
      const encoder = sharp!(image.pixels, { raw: { width: 6, height: 4, channels: 3 } })
      const png = join(root, "x.png")
      await encoder.clone().png().toFile(png)
      expect(await DecodeImage.decode(png)).toEqual(image)
      const jpeg = join(root, "x.jpg")
      await encoder.clone().jpeg({ quality: 100 }).withMetadata({ orientation: 6 }).toFile(jpeg)
      const turned = await DecodeImage.decode(jpeg)
      expect([turned.width, turned.height]).toEqual([4, 6])
      const grey = join(root, "g.jpg")
      await encoder.clone().greyscale().jpeg().toFile(grey)
      expect(new Set(Resample.withChannels(await DecodeImage.decode(grey), 1).pixels).size).toBeGreaterThan(5)
      const broken = join(root, "b.jpg")
      for (const bytes of ["", "not an image", "\xff\xd8\xff\xe0 no"]) {
        writeFileSync(broken, bytes, "latin1")
        await expect(DecodeImage.decode(broken)).rejects.toThrow("is not a readable image")
      }
      await expect(DecodeImage.decode(join(root, "none.png"))).rejects.toThrow("cannot be read")
    }
  )
})

describe("Netpbm", () => {
  it("never throws, whatever the bytes", () => {
    const whole = ppm(5, 4, 1)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(14), fc.nat(255)), { maxLength: 5 }),
        fc.nat(whole.length),
        (changes, cut) => {
          const bytes = whole.slice(0, cut)
          for (const [at, value] of changes) bytes[at] = value
          const parsed = Netpbm.parse(bytes)
          if (Result.isSuccess(parsed)) {
            const { channels, height, pixels, width } = parsed.success
            expect(pixels.length).toBe(width * height * channels)
          } else {
            expect(parsed.failure.length).toBeGreaterThan(5)
          }
        }
      ),
      { seed: 1, numRuns: 3000 }
    )
    expect(Result.getFailure(Netpbm.parse(new TextEncoder().encode("P5 99999 99999 255 ")))._tag).toBe("Some")
  })
})

describe("Resample", () => {
  const image = Result.getOrThrow(Netpbm.parse(ppm(7, 5, 9)))
  const full = { left: 0, top: 0, width: 7, height: 5 }

  it("keeps an image of the same size, and keeps a uniform image uniform", () => {
    expect(Resample.resize(image, full, 7, 5)).toEqual(image.pixels)
    const flat = { ...image, pixels: image.pixels.map(() => 77) }
    for (const [w, h] of [
      [3, 2],
      [20, 11],
      [1, 1]
    ] as const) {
      expect(Resample.resize(flat, full, w, h).every((v) => v === 77)).toBe(true)
      expect(Resample.resize(flat, { left: 2.5, top: -1, width: 3.3, height: 9 }, w, h).every((v) => v === 77)).toBe(
        true
      )
    }
  })

  it("halves with the weights of the triangle filter", () => {
    // Four grey pixels to two: weights 3/8, 3/8, 1/8 and, cut off at the border, renormalised to 3/7, 3/7, 1/7.
    const row: Netpbm.RawImage = { width: 4, height: 1, channels: 1, pixels: Uint8Array.of(0, 70, 140, 210) }
    expect(Array.from(Resample.resize(row, { left: 0, top: 0, width: 4, height: 1 }, 2, 1))).toEqual([50, 160])
  })

  it.skipIf(sharp === undefined)(
    "agrees with another library's linear shrinking (skipped where sharp is absent)",
    async () => {
      const big = Result.getOrThrow(Netpbm.parse(ppm(64, 48, 5)))
      const theirs = await sharp!(big.pixels, { raw: { width: 64, height: 48, channels: 3 } })
        .resize(32, 24, { kernel: "linear", fit: "fill", fastShrinkOnLoad: false })
        .raw()
        .toBuffer()
      const ours = Resample.resize(big, { left: 0, top: 0, width: 64, height: 48 }, 32, 24)
      // Their borders are treated differently, and their weights are fixed-point.
      let worst = 0
      for (let y = 2; y < 22; y += 1) {
        for (let i = 6; i < 90; i += 1) worst = Math.max(worst, Math.abs(ours[y * 96 + i]! - theirs[y * 96 + i]!))
      }
      expect(worst).toBeLessThanOrEqual(2)
    }
  )
})

describe("views", () => {
  const image: Netpbm.RawImage = { width: 8, height: 4, channels: 1, pixels: new Uint8Array(32).fill(200) }

  it("stretches, crops and pads", () => {
    expect(FileBatch.whole(image, "stretch", 4, 4).every((v) => v === 200)).toBe(true)
    expect(FileBatch.whole(image, "crop", 4, 4).every((v) => v === 200)).toBe(true)
    const padded = FileBatch.whole(image, "pad", 4, 4)
    expect(Array.from(padded)).toEqual([0, 0, 0, 0, 200, 200, 200, 200, 200, 200, 200, 200, 0, 0, 0, 0])
  })

  it("draws boxes within the image, of allowed area and aspect ratio", () => {
    const view = {
      _tag: "RandomResizedCrop",
      area: [0.1, 0.6],
      ratio: [0.75, 4 / 3],
      evaluationSide: 8,
      jitter: 0
    } as const
    fc.assert(
      fc.property(
        fc.integer({ min: 40, max: 400 }),
        fc.integer({ min: 40, max: 400 }),
        fc.nat(),
        (width, height, seed) => {
          const box = FileBatch.randomBox({ width, height }, view, Key.make(seed))
          expect(box.left >= 0 && box.top >= 0 && box.left + box.width <= width && box.top + box.height <= height).toBe(
            true
          )
          // Rounding to whole pixels changes both a little.
          expect(box.width / box.height).toBeGreaterThan(0.75 * 0.85)
          expect(box.width / box.height).toBeLessThan((4 / 3) * 1.15)
        }
      ),
      { seed: 1, numRuns: 500 }
    )
    const boxes = Array.from({ length: 300 }, (_, i) =>
      FileBatch.randomBox({ width: 100, height: 100 }, view, Key.make(i))
    )
    const areas = boxes.map((box) => (box.width * box.height) / 10_000)
    expect(Math.min(...areas)).toBeGreaterThan(0.09)
    expect(Math.max(...areas)).toBeLessThan(0.62)
    expect(areas.reduce((a, b) => a + b, 0) / 300).toBeCloseTo(0.35, 1)
  })

  it("jitters colours by their factors, and leaves them at 0", () => {
    const pixels = Uint8Array.of(10, 100, 200, 50, 60, 70)
    expect(Distortion.jittered(pixels, 3, 0, Key.make(1))).toEqual(pixels)
    const changed = new Set(
      Array.from({ length: 20 }, (_, i) => Distortion.jittered(pixels, 3, 0.5, Key.make(i)).join())
    )
    expect(changed.size).toBe(20)
  })
})

describe("ImageListing", () => {
  it("expands ranges, and keeps other names", () => {
    expect(ImageListing.expand(["p08..p11", "x", "a1..b3", "s5..s2"])).toEqual([
      "p08",
      "p09",
      "p10",
      "p11",
      "x",
      "a1..b3",
      "s5..s2"
    ])
  })
})
