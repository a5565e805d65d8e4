import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import * as MakeMini from "../../tools/makeMini.ts"
import * as RealData from "../../tools/RealData.ts"
import { sizeOf } from "../engine/Shape.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import { Dataflow, type DatasetError } from "./Dataflow.ts"
import * as FashionMnist from "./FashionMnist.ts"
import * as Idx from "./Idx.ts"
import * as InMemory from "./InMemory.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-fashion-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const decode = Schema.decodeUnknownSync(FashionMnist.Options)
const reason = (effect: Effect.Effect<unknown, DatasetError>): Promise<string> =>
  Effect.runPromise(Effect.match(effect, { onFailure: (error) => error.message, onSuccess: () => "no failure" }))

const write = (files: Readonly<Record<string, Uint8Array>>) => {
  const folder = mkdtempSync(join(root, "f-"))
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
  return folder
}
const images = (count: number, side = 28) =>
  Idx.format([count, side, side], new Uint8Array(count * side * side).fill(7))
const labels = (...numbers: ReadonlyArray<number>) => Idx.format([numbers.length], Uint8Array.from(numbers))
const whole = {
  "train-images-idx3-ubyte": images(3),
  "train-labels-idx1-ubyte.gz": gzipSync(labels(0, 1, 9)),
  "t10k-images-idx3-ubyte.gz": gzipSync(images(1)),
  "t10k-labels-idx1-ubyte": labels(4)
}

describe("the shipped subset", () => {
  it("is balanced, complete and small", async () => {
    const data = await Effect.runPromise(FashionMnist.load(null))
    for (const [part, each] of [
      ["train", 1000],
      ["test", 200]
    ] as const) {
      const counts = new Array<number>(10).fill(0)
      for (const label of data[part].labels) counts[label]! += 1
      expect(counts).toEqual(new Array(10).fill(each))
      expect(data[part].pixels.length).toBe(each * 7840)
    }
    const bytes = Object.keys(FashionMnist.shippedDigests).map(
      (file) => readFileSync(join(FashionMnist.shippedFolder, file)).length
    )
    expect(bytes.reduce((a, b) => a + b, 0)).toBeLessThan(6_000_000)
    expect(existsSync(join(FashionMnist.shippedFolder, "LICENSE"))).toBe(true)
  })

  it("has the pinned digest, and a Layer with the configured splits", async () => {
    const program = Effect.gen(function* () {
      const flow = yield* Dataflow
      return [
        flow.digest,
        flow.count("supernet"),
        flow.count("validation"),
        flow.count("train"),
        flow.count("test"),
        flow.image.join()
      ]
    })
    const layer = FashionMnist.layer(decode({ supernetFraction: 0.75, size: 32, prefetch: 0 }))
    const found = await Effect.runPromise(
      program.pipe(Effect.provide(layer), Effect.provideService(RunKey, Key.make(1)))
    )
    expect(found).toEqual([
      "90bda7f2d51da97e8c2af11fb0f83fe5d796c84c0c54f2eddc948cc06cc1ff7b",
      7500,
      2500,
      10000,
      2000,
      "32,32,1"
    ])
    const wrong = FashionMnist.layer(decode({ digest: "00" }))
    expect(await reason(program.pipe(Effect.provide(wrong), Effect.provideService(RunKey, Key.make(1))))).toContain(
      "option digest is 00"
    )
  })

  const official = RealData.path("fashion-mnist")
  const hasOfficial = RealData.has(official, "FashionMnist.test.ts, the official files")
  it.skipIf(!hasOfficial)("equals what its script makes of the official files (skipped without them)", () => {
    const read = (folder: string, base: string) => new Uint8Array(gunzipSync(readFileSync(join(folder, `${base}.gz`))))
    const { images, labels } = FashionMnist.files.test
    const made = MakeMini.subset("test", read(official, images), read(official, labels))
    expect(made.images).toEqual(read(FashionMnist.shippedFolder, images))
    expect(made.labels).toEqual(read(FashionMnist.shippedFolder, labels))
  })

  it.skipIf(!hasOfficial)(
    "is read by the flow that reads the official files (skipped where they are absent)",
    async () => {
      const data = await Effect.runPromise(FashionMnist.load(official))
      expect([data.train.labels.length, data.test.labels.length]).toEqual([60_000, 10_000])
    }
  )
})

describe("files", () => {
  it("may be packed or not", async () => {
    const data = await Effect.runPromise(FashionMnist.load(write(whole)))
    expect(Array.from(data.train.labels)).toEqual([0, 1, 9])
    expect(data.test.pixels.every((byte) => byte === 7)).toBe(true)
  })

  it("are found by the names that programs give them, packed or not", async () => {
    const parts = {
      train: { images: images(3), labels: labels(0, 1, 9) },
      test: { images: images(1), labels: labels(4) }
    }
    const named = (name: (base: string) => string, packed: (base: string) => boolean) => {
      const folder = mkdtempSync(join(root, "f-"))
      for (const part of ["train", "test"] as const) {
        for (const kind of ["images", "labels"] as const) {
          const base = FashionMnist.files[part][kind]
          const file = join(folder, name(base))
          mkdirSync(dirname(file), { recursive: true })
          writeFileSync(file, packed(base) ? gzipSync(parts[part][kind]) : parts[part][kind])
        }
      }
      return folder
    }
    const dotted = (base: string) => base.replace("-idx", ".idx")
    for (const folder of [
      named(dotted, () => false),
      named(
        (base) => `${dotted(base)}.gz`,
        () => true
      ),
      named(
        (base) => join("MNIST", "raw", base),
        () => false
      ),
      named(
        (base) => join("raw", `${base}.gz`),
        () => true
      ),
      named(
        (base) => join(base, base),
        () => false
      ),
      // A browser unpacked it and kept its name; or the other way round.
      named(
        (base) => `${base}.gz`,
        () => false
      ),
      named(
        (base) => base,
        () => true
      )
    ]) {
      const data = await Effect.runPromise(FashionMnist.load(folder))
      expect([Array.from(data.train.labels), Array.from(data.test.labels)]).toEqual([[0, 1, 9], [4]])
    }
    expect(await reason(FashionMnist.load(write({ "mnist.npz": Uint8Array.of(1) })))).toContain(
      "each packed or not), it contains mnist.npz"
    )
  })

  it.each([
    ["one is missing", { "t10k-labels-idx1-ubyte": undefined }, "four idx files"],
    ["a label is out of range", { "t10k-labels-idx1-ubyte": labels(10) }, "record 0: label 10; must be from 0 to 9"],
    ["counts differ", { "t10k-labels-idx1-ubyte": labels(1, 2) }, "2 labels for 1 images"],
    ["sides differ", { "t10k-images-idx3-ubyte.gz": gzipSync(images(1, 32)) }, "must be 28 x 28"],
    [
      "a file is cut",
      { "train-images-idx3-ubyte": images(3).slice(0, -1) },
      "3 x 28 x 28 = 2352 bytes, the file has 2351"
    ],
    ["gzip is cut", { "t10k-images-idx3-ubyte.gz": gzipSync(images(1)).subarray(0, 30) }, "not a complete gzip file"],
    ["gzip is a bomb", { "t10k-images-idx3-ubyte.gz": gzipSync(new Uint8Array(200_000_000)) }, "unpacks to more than"]
  ])("that are wrong are named: %s", async (_, change, words) => {
    const files = Object.entries({ ...whole, ...change }).filter(
      (entry): entry is [string, Uint8Array] => entry[1] !== undefined
    )
    const message = await reason(FashionMnist.load(write(Object.fromEntries(files))))
    expect(message).toContain(words)
    expect(message).toContain(Object.keys(change)[0]!)
  })

  it("needs at least two training images and one test image", async () => {
    const part = { pixels: new Uint8Array(784), labels: Int32Array.of(1) }
    const data = { name: "x", stored: [28, 28, 1] as const, classes: FashionMnist.classes, train: part, test: part }
    expect(await reason(Effect.scoped(InMemory.make(data, decode({}), Key.make(1))))).toContain(
      "needs at least 2 and 1"
    )
  })

  it("checks that pixels and labels match, and reports classes without images", async () => {
    const part = (...labels: ReadonlyArray<number>) => ({
      pixels: new Uint8Array(784 * labels.length),
      labels: Int32Array.from(labels)
    })
    const data = {
      name: "x",
      stored: [28, 28, 1] as const,
      classes: ["a", "b", "c"],
      train: part(0, 1, 0, 1),
      test: part(1)
    }
    const make = (change: object) =>
      Effect.scoped(InMemory.make({ ...data, ...change }, decode({ prefetch: 0 }), Key.make(1)))
    const flow = await Effect.runPromise(make({ place: "here", notices: ["said before"] }))
    expect(flow.notices).toEqual([
      "said before",
      "here: no training images of 1 class (c)",
      "here: no test images of 2 classes (a, c)"
    ])
    expect(await reason(make({ test: part(2) }))).toContain("test images of classes without a training image: c")
    // Identities to verify need not be in training.
    const faces = InMemory.make({ ...data, test: part(2, 2, 1) }, decode({ prefetch: 0 }), Key.make(1), {
      perIdentity: 0,
      pairs: 5
    })
    const verified = await Effect.runPromise(Effect.scoped(faces))
    expect([verified.notices, verified.verification?.pairs.length]).toEqual([[], 2])
    expect(await reason(make({ test: part(3) }))).toContain("test image 0: label 3; must be from 0 to 2")
    expect(await reason(make({ train: { ...part(0, 1), pixels: new Uint8Array(9) } }))).toContain(
      "2 training labels and 9 bytes of pixels; images of 28 x 28 x 1 need 1568"
    )
  })

  it("reports all invalid options at once", () => {
    const strict = Schema.decodeUnknownSync(FashionMnist.Options, { errors: "all", onExcessProperty: "error" })
    const attempt = () => strict({ supernetFraction: 1, mean: [1, 2], crop: -1, size: 20, flop: true })
    for (const word of ["supernetFraction", "mean", "crop", "size", "flop"]) expect(attempt).toThrow(word)
  })
})

describe("Idx", () => {
  it("round-trips", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.constantFrom([12], [3, 4], [2, 3, 2]),
        (data, dimensions) => {
          const idx = Result.getOrThrow(Idx.parse(Idx.format(dimensions, data), dimensions.length))
          expect(idx).toEqual({ dimensions, data })
        }
      ),
      { seed: 1 }
    )
  })

  it("never throws, whatever the bytes, and allocates nothing before the size is checked", () => {
    const good = Idx.format([3, 28, 28], new Uint8Array(2352))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(20), fc.nat(255)), { maxLength: 6 }),
        fc.nat(good.length),
        (changes, cut) => {
          const bytes = good.slice(0, cut)
          for (const [at, value] of changes) bytes[at] = value
          const parsed = Idx.parse(bytes, 3)
          if (Result.isSuccess(parsed)) expect(parsed.success.data.length).toBe(sizeOf(parsed.success.dimensions))
          else expect(parsed.failure.length).toBeGreaterThan(5)
        }
      ),
      { seed: 2, numRuns: 2000 }
    )
  })
})
