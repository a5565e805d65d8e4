import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import type { BatchRequest, DatasetError } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as FashionMnist from "./FashionMnist.ts"
import * as Idx from "./Idx.ts"
import * as ImageFolder from "./ImageFolder.ts"
import type { RawImage } from "./Netpbm.ts"
import * as Resample from "./Resample.ts"

const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined
)

const root = mkdtempSync(join(tmpdir(), "osnas-photos-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const shipped = Result.getOrThrow(
  Idx.parse(gunzipSync(readFileSync(join(FashionMnist.shippedFolder, "t10k-images-idx3-ubyte.gz"))), 3)
)

/** A shipped image, enlarged unevenly and tinted: smooth like a photograph, and without symmetry. */
const picture = (index: number, width: number, height: number): RawImage => {
  const grey = shipped.data.subarray(index * 784, (index + 1) * 784)
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const shade = grey[Math.floor((y * 28) / height) * 28 + Math.floor((x * 28) / width)]!
      pixels.set(
        [shade, Math.floor((shade + (255 * x) / width) / 2), Math.floor((255 * y) / height)],
        (y * width + x) * 3
      )
    }
  }
  return { width, height, channels: 3, pixels }
}

const encoder = (image: RawImage) =>
  sharp!(image.pixels, { raw: { width: image.width, height: image.height, channels: 3 } })

/** Mean absolute difference of the bytes of two images. */
const apart = (a: RawImage, b: RawImage): number => {
  expect([a.width, a.height, a.channels]).toEqual([b.width, b.height, b.channels])
  return a.pixels.reduce((sum, byte, i) => sum + Math.abs(byte - b.pixels[i]!), 0) / a.pixels.length
}

/** An upright image as a camera stores it with an EXIF orientation. */
const storedAs = (image: RawImage, orientation: number): RawImage => {
  const swapped = orientation >= 5
  const [width, height] = swapped ? [image.height, image.width] : [image.width, image.height]
  const pixels = new Uint8Array(image.pixels.length)
  const [right, bottom] = [image.width - 1, image.height - 1]
  for (let y = 0; y <= bottom; y += 1) {
    for (let x = 0; x <= right; x += 1) {
      // Position of the stored row 0 and column 0 in the upright image: TIFF 6.0, tag 274.
      const [column, row] = [
        [x, y],
        [right - x, y],
        [right - x, bottom - y],
        [x, bottom - y],
        [y, x],
        [y, right - x],
        [bottom - y, right - x],
        [bottom - y, x]
      ][orientation - 1]!
      pixels.set(
        image.pixels.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3),
        (row! * width + column!) * 3
      )
    }
  }
  return { width, height, channels: 3, pixels }
}

const options = (raw: object) =>
  Schema.decodeUnknownSync(ImageFolder.Options)({ folder: join(root, "photos"), size: 24, prefetch: 0, ...raw })

const truncated = join(root, "photos", "train", "shirt", "6.jpg")

describe.skipIf(sharp === undefined)("real photographs (skipped without sharp)", () => {
  beforeAll(async () => {
    for (const [part, label, first] of [
      ["train", "shirt", 0],
      ["train", "shoe", 20],
      ["val", "shirt", 40],
      ["val", "shoe", 60]
    ] as const) {
      const folder = join(root, "photos", part, label)
      mkdirSync(folder, { recursive: true })
      const to = (file: string) => join(folder, file)
      const of = (at: number, width: number, height: number) => encoder(picture(first + at, width, height))
      await of(0, 40, 61).jpeg({ quality: 95 }).toFile(to("0.jpg"))
      await of(1, 97, 33).jpeg({ progressive: true, chromaSubsampling: "4:2:0" }).toFile(to("1.JPEG"))
      await of(2, 28, 28).greyscale().jpeg().toFile(to("2.jpg"))
      await of(3, 50, 30).jpeg().withMetadata({ orientation: 6 }).toFile(to("3.jpeg"))
      await of(4, 31, 45).toColourspace("cmyk").jpeg().toFile(to("4.jpg"))
      await of(5, 64, 64).png({ palette: true }).toFile(to("5.png"))
      await of(6, 80, 80).jpeg().toFile(to("6.jpg"))
      // A PNG with the ending of a JPEG, which is common.
      await of(7, 33, 47).png().toFile(to("7.png"))
      writeFileSync(to("7.jpg"), readFileSync(to("7.png")))
      rmSync(to("7.png"))
    }
    truncateSync(truncated, Math.floor(readFileSync(truncated).length / 2))
  })

  it("are upright, whatever the orientation of the camera", async () => {
    const upright = picture(3, 50, 30)
    for (let orientation = 1; orientation <= 8; orientation += 1) {
      const stored = storedAs(upright, orientation)
      const bytes = await encoder(stored)
        .jpeg({ quality: 100, chromaSubsampling: "4:4:4" })
        .withMetadata({ orientation })
        .toBuffer()
      expect(apart(await DecodeImage.decodeBytes(`${orientation}.jpg`, bytes), upright)).toBeLessThan(2)
    }
  })

  it("have the requested channels and their own colours: grey, CMYK, 16 bits, a palette, half transparent", async () => {
    const image = picture(9, 45, 32)
    const own = encoder(image)
    const jpeg = { quality: 100, chromaSubsampling: "4:4:4" } as const
    const cases: ReadonlyArray<readonly [string, Buffer, number]> = [
      ["jpeg", await own.clone().jpeg(jpeg).toBuffer(), 2],
      [
        "progressive",
        await own
          .clone()
          .jpeg({ ...jpeg, progressive: true })
          .toBuffer(),
        2
      ],
      // Its inks reach fewer colours. Inverted inks would be five times as far.
      ["cmyk", await own.clone().toColourspace("cmyk").jpeg(jpeg).toBuffer(), 20],
      ["png", await own.clone().png().toBuffer(), 0],
      ["16 bits", await own.clone().toColourspace("rgb16").png().toBuffer(), 1],
      ["palette", await own.clone().png({ palette: true, quality: 100 }).toBuffer(), 8],
      ["opaque", await own.clone().ensureAlpha().png().toBuffer(), 0]
    ]
    for (const [name, bytes, most] of cases) {
      expect(apart(await DecodeImage.decodeBytes(name, bytes), image), name).toBeLessThanOrEqual(most)
      // Its grey is the same in any other format.
      const grey = Resample.withChannels(await DecodeImage.decodeBytes(name, bytes), 1)
      expect(apart(grey, Resample.withChannels(image, 1)), `${name}, grey`).toBeLessThanOrEqual(most)
    }
    // Transparent pixels are black.
    const clear = await own.clone().ensureAlpha(0).png().toBuffer()
    expect((await DecodeImage.decodeBytes("clear", clear)).pixels.every((byte) => byte === 0)).toBe(true)
    // A grey file has three equal channels.
    const shades = Resample.withChannels(image, 1)
    const three = Resample.withChannels(shades, 3)
    const raw = { raw: { width: 45, height: 32, channels: 1 } } as const
    for (const bytes of [
      await sharp!(shades.pixels, raw).jpeg({ quality: 100 }).toBuffer(),
      await sharp!(shades.pixels, raw).toColourspace("b-w").png().toBuffer(),
      await sharp!(shades.pixels, raw).toColourspace("b-w").ensureAlpha().png().toBuffer()
    ]) {
      const found = await DecodeImage.decodeBytes("grey", bytes)
      expect(apart(Resample.withChannels(found, 3), three)).toBeLessThan(1)
      expect(apart(Resample.withChannels(found, 1), shades)).toBeLessThan(1)
    }
  })

  it("of all sizes and kinds make full batches, the same with and without threads", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const one = yield* ImageFolder.make(options({ broken: "skip", jitter: 0.2 }), Key.make(1))
          const two = yield* ImageFolder.make(options({ broken: "skip", jitter: 0.2, prefetch: 2 }), Key.make(1))
          expect([one.count("train"), one.count("test"), one.classes.join()]).toEqual([16, 16, "shirt,shoe"])
          for (const request of [
            { split: "train", epoch: 0, step: 0, batchSize: 8, training: true },
            { split: "train", epoch: 0, step: 1, batchSize: 8, training: true },
            { split: "test", epoch: 0, step: 0, batchSize: 16, training: false }
          ] satisfies ReadonlyArray<BatchRequest>) {
            const batch = yield* one.batch(request)
            expect(batch.size).toBe(request.batchSize)
            expect(batch.images.length).toBe(batch.size * 24 * 24 * 3)
            expect(batch.images.every(Number.isFinite)).toBe(true)
            // No image is uniform, and no two are equal.
            const each = Array.from({ length: batch.size }, (_, i) => batch.images.subarray(i * 1728, (i + 1) * 1728))
            for (const image of each) expect(new Set(image).size).toBeGreaterThan(20)
            expect(yield* two.batch(request)).toEqual(batch)
          }
        })
      ).pipe(Effect.provide(Logger.layer([])))
    ))

  it("that are truncated are reported: they end the run, or another image replaces them", async () => {
    const pass = (broken: string) =>
      Effect.scoped(
        Effect.gen(function* () {
          const flow = yield* ImageFolder.make(options({ broken }), Key.make(1))
          const sizes: Array<number> = []
          for (let step = 0; step < 2; step += 1) {
            sizes.push((yield* flow.batch({ split: "train", epoch: 0, step, batchSize: 8, training: true })).size)
          }
          return sizes
        })
      )
    const message = await Effect.runPromise(
      Effect.match(pass("fail"), { onFailure: (error: DatasetError) => error.message, onSuccess: () => "no failure" })
    )
    expect(message).toContain(`${truncated}: is not a readable image: `)
    // Damaged after the run began, or unchecked: the failure of the batch names the remedy.
    const unchecked = Effect.scoped(
      Effect.flatMap(ImageFolder.make(options({ check: "none" }), Key.make(1)), (flow) =>
        flow.batch({ split: "train", epoch: 0, step: 0, batchSize: 16, training: true })
      )
    )
    const late = await Effect.runPromise(Effect.flip(unchecked))
    expect([late.file, late.reason]).toEqual([
      truncated,
      expect.stringMatching(/^is not a readable image: .*\. Set `broken: skip` to continue without it$/)
    ])
    const said: Array<string> = []
    const logger = Logger.make(({ message }) => said.push(String(message)))
    expect(await Effect.runPromise(pass("skip").pipe(Effect.provide(Logger.layer([logger]))))).toEqual([8, 8])
    expect(said).toHaveLength(1)
    expect(said[0]).toContain(`skipped ${truncated}`)
    // Truncated at any point.
    const whole = await encoder(picture(1, 60, 60))
      .jpeg()
      .toBuffer()
    for (const share of [0.1, 0.5, 0.9, 0.99]) {
      const cut = whole.subarray(0, Math.floor(whole.length * share))
      await expect(DecodeImage.decodeBytes("cut.jpg", cut), `${share}`).rejects.toThrow("is not a readable image")
    }
  })
})
