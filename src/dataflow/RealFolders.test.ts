import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import * as Bmp from "./Bmp.ts"
import * as CheckImages from "./CheckImages.ts"
import type { DataflowShape } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as FaceFolder from "./FaceFolder.ts"
import * as ImageFolder from "./ImageFolder.ts"
import * as LabelFile from "./LabelFile.ts"
import * as OddFolder from "./testing/OddFolder.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-real-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined
)

/** The result of using the dataflow, or the message of the failure. */
const outcome = <A>(
  make: Effect.Effect<DataflowShape, { readonly message: string }, never>,
  use: (flow: DataflowShape) => A
) => Effect.runPromise(Effect.match(make, { onFailure: (error): string | A => error.message, onSuccess: use }))

const images = <A>(raw: object, use: (flow: DataflowShape) => A): Promise<string | A> => {
  const options = Schema.decodeUnknownSync(ImageFolder.Options)({ size: 16, prefetch: 0, ...raw })
  return outcome(Effect.scoped(ImageFolder.make(options, Key.make(1))), use)
}
const faces = <A>(raw: object, use: (flow: DataflowShape) => A): Promise<string | A> => {
  const options = Schema.decodeUnknownSync(FaceFolder.Options)({ size: 8, prefetch: 0, ...raw })
  return outcome(Effect.scoped(FaceFolder.make(options, Key.make(1))), use)
}
const counts = (flow: DataflowShape) => [flow.classes.join(), flow.count("train"), flow.count("test")]
const notices = (flow: DataflowShape) => (flow.notices ?? []).join("\n")

const ppm = (seed: number): Uint8Array => OddFolder.ppm(OddFolder.picture(seed, 9, 8))

/** A folder with these files: a string is the content of a text file, a number the seed of an image. */
const folder = (files: Readonly<Record<string, string | number | Uint8Array>>): string => {
  const made = mkdtempSync(join(root, "f-"))
  for (const [path, content] of Object.entries(files)) {
    OddFolder.write(join(made, path), typeof content === "number" ? ppm(content) : content)
  }
  return made
}
const whole = {
  "train/cat/0.ppm": 1,
  "train/cat/1.ppm": 2,
  "train/dog/0.ppm": 3,
  "train/dog/1.ppm": 4,
  "val/cat/0.ppm": 5,
  "val/dog/0.ppm": 6
}

describe.skipIf(sharp === undefined)("a folder with everything that real ones have (skipped without sharp)", () => {
  let made: OddFolder.Made
  let spoilt: OddFolder.Made
  const good = join(root, "good")
  const bad = join(root, "bad")
  beforeAll(async () => {
    made = await OddFolder.make(good, { broken: false })
    spoilt = await OddFolder.make(bad, { broken: true })
  })

  it("has its images read, and everything else reported with a count", async () => {
    expect(await images({ folder: good }, counts)).toEqual([made.classes.join(), made.trainImages, made.testImages])
    const said = await images({ folder: good }, notices)
    for (const words of [
      "skipped 7 files with an ending that osnas does not read: 3 .txt (cat/more.txt, cat/notes.txt, dog/dog_boxes.txt)",
      "1 .heic (cat/raw.heic)",
      "1 without an ending (cat/noending)",
      'image one folder deeper ("eel/at night/3.jpg"',
      "image beside the class folders (stray.jpg)",
      "2 folders without images, left out of the classes (hollow, loop)",
      "skipped 1 broken link (itself)",
      'differ only in case are different classes ("Bird and bird")',
      "no test images of 1 class (eel)"
    ]) {
      expect(said).toContain(words)
    }
    for (const litter of ["Thumbs.db", "DS_Store", "__MACOSX", "ipynb", "desktop.ini"])
      expect(said).not.toContain(litter)
  })

  it("gives the pixels of every format", async () => {
    // Lossless formats: the original pixels.
    for (const [file, seed, width, height] of [
      ["2.Png", 2, 40, 30],
      ["5.TIF", 5, 40, 30],
      ["6.tiff", 6, 40, 30],
      ["8.BMP", 8, 41, 30],
      ["9.ppm", 9, 20, 20]
    ] as const) {
      expect(await DecodeImage.decode(join(good, "train", "cat", file)), file).toEqual(
        OddFolder.picture(seed, width, height)
      )
    }
    for (const [file, seed] of [
      ["3.WEBP", 3],
      ["4.gif", 4],
      ["7.avif", 7]
    ] as const) {
      const found = await DecodeImage.decode(join(good, "train", "cat", file))
      const wanted = OddFolder.picture(seed, 40, 30)
      const apart = found.pixels.reduce((sum, byte, i) => sum + Math.abs(byte - wanted.pixels[i]!), 0)
      expect([found.width, found.height, found.channels]).toEqual([40, 30, 3])
      expect(apart / found.pixels.length, file).toBeLessThan(12)
    }
  })

  it("has its broken images reported at the start, with the remedy", async () => {
    const failed = await images({ folder: bad }, counts)
    expect(failed).toContain(`${join(bad, spoilt.broken[0]!)}: is a broken link; 5 more files cannot be read`)
    for (const path of spoilt.broken.slice(1)) expect(failed).toContain(path)
    expect(failed).toContain("Repair or remove the broken files, or set `broken: skip`")
    const said = await images({ folder: bad, broken: "skip" }, notices)
    expect(said).toContain("6 files cannot be read, replaced in training and left out of the test (broken: skip)")
  })

  it("is checked as thoroughly as `check` says", async () => {
    rmSync(join(bad, spoilt.broken[0]!))
    const found = async (check: string) => {
      const said = await images({ folder: bad, check }, counts)
      return spoilt.broken.filter((path) => typeof said === "string" && said.includes(path))
    }
    const [, , , middle] = spoilt.broken
    expect(await found("none")).toEqual([])
    // A file damaged in the middle has both its ends.
    expect(await found("headers")).toEqual(spoilt.broken.slice(1).filter((path) => path !== middle))
    expect(await found("decode")).toEqual(spoilt.broken.slice(1))
    expect(await found("auto")).toEqual(spoilt.broken.slice(1))
  })

  it("is read as faces, too", async () => {
    const options = { folder: join(good, "train"), testPeople: ["cat", "dog"] }
    // Without cat and dog; a person with one image can be trained on.
    expect(await faces(options, (flow) => [flow.classes.join(), flow.count("train"), flow.count("test")])).toEqual([
      ["Bird", "bird", "caf\u00e9", "eel"].sort().join(),
      11,
      19
    ])
    expect(await faces(options, notices)).toContain("2 folders without images, left out of the people (hollow, loop)")
    // Composed and decomposed characters.
    expect(await faces({ ...options, people: ["bird", "cafe\u0301"] }, (flow) => flow.classes.join())).toBe(
      "bird,caf\u00e9"
    )
    const broken = { ...options, folder: join(bad, "train"), memory: 0 }
    expect(await faces(broken, counts)).toContain("dog_2.JPEG")
    // Pairs refer to images to verify by position.
    expect(await faces({ ...broken, broken: "skip" }, counts)).toContain("an image to verify cannot be skipped")
    expect(await faces({ ...broken, broken: "skip", memory: 100 }, notices)).toContain(
      `1 file cannot be read, left out (broken: skip) (${join("dog", "images", "dog_2.JPEG")})`
    )
  })
})

describe("layouts", () => {
  it("other than one folder per class: the message shows what is expected, what was found and what to set", async () => {
    const deep = folder({ "train/train/cat/0.ppm": 1, "train/train/dog/0.ppm": 2, "val/cat/0.ppm": 3 })
    const said = await images({ folder: deep }, counts)
    expect(said).toContain(
      `${join(deep, "train")}: has no folder with images: found 1 folder (train) without images of their own.`
    )
    expect(said).toContain(
      `${join(deep, "train", "train", "cat", "0.ppm")} is one folder deeper than expected: set trainFolder to the folder that contains the class folders, here ${join(deep, "train", "train")}.`
    )
    expect(said).toContain(`  ${join(deep, "train")}/\n    cat/   1.jpg  2.jpg  …\n    dog/   1.jpg  2.jpg  …`)
    expect(
      await images({ folder: deep, trainFolder: "train/train", check: "none" }, (flow) => flow.classes.join())
    ).toBe("cat,dog")
    const flat = folder({ ...whole, "flat/0.ppm": 1, "flat/1.ppm": 2, "flat/list.txt": "0 cat\n" })
    const told = await images({ folder: flat, testFolder: "flat" }, counts)
    expect(told).toContain("found 2 images in the folder itself (0.ppm, 1.ppm), 1 .txt (list.txt)")
    expect(told).toContain("set testLabels to a file with a line `name class` for each")
    const none = folder({ ...whole, "none/cat/a.heic": "x", "none/dog/b.heic": "x" })
    const heic = await images({ folder: none, testFolder: "none" }, counts)
    expect(heic).toContain("found 2 folders (cat, dog) without images of their own, 2 .heic (cat/a.heic, dog/b.heic)")
    mkdirSync(join(none, "empty"))
    expect(await images({ folder: none, testFolder: "empty" }, counts)).toContain("it is empty")
    expect(await faces({ folder: join(flat, "flat"), testPeople: ["a"] }, counts)).toContain("one folder per person")
    expect(await images({ folder: flat, testFolder: "test" }, counts)).toContain(
      `${join(flat, "test")}: does not exist; ${flat} contains flat, train, val: set testFolder to the folder`
    )
  })

  it("with a class in one part only: an error in the test part, a notice in training", async () => {
    const more = folder({ ...whole, "train/eel/0.ppm": 7, "train/eel/1.ppm": 8 })
    expect(await images({ folder: more }, notices)).toBe(`${join(more, "val")}: no test images of 1 class (eel)`)
    const unknown = folder({ ...whole, "val/eel/0.ppm": 7, "train/eel/readme.txt": "none" })
    expect(await images({ folder: unknown }, counts)).toContain(
      `${join(unknown, "val")}: eel are not among the classes of train, where eel has no image: 1 class of val without a training image`
    )
  })

  it("as Tiny ImageNet's: nested training images, a flat test folder with annotations", async () => {
    const tiny = folder({
      "train/n01/images/n01_0.ppm": 1,
      "train/n01/images/n01_1.ppm": 2,
      "train/n01/n01_boxes.txt": "n01_0.JPEG\t0\t0\t62\t62\n",
      "train/n02/images/n02_0.ppm": 3,
      "train/n02/images/n02_1.ppm": 4,
      "val/images/val_0.ppm": 5,
      "val/images/val_1.ppm": 6,
      "val/images/val_2.ppm": 7,
      "val/val_annotations.txt":
        "val_0.ppm\tn02\t0\t32\t44\t62\r\nval_1.ppm\tn01\t52\t55\t57\t59\r\nval_2.ppm\tn02\t0\t1\t2\t3\r\n"
    })
    const list = join(tiny, "val", "val_annotations.txt")
    const read = (flow: DataflowShape) => [...counts(flow), Array.from(flow.inventory!.labels("test")).join()]
    expect(await images({ folder: tiny, testLabels: list }, read)).toEqual(["n01,n02", 4, 3, "1,0,1"])
    // The labels are part of the digest.
    const digests = new Set<unknown>()
    digests.add(await images({ folder: tiny, testLabels: list }, (flow) => flow.digest))
    const other = join(tiny, "other.txt")
    for (const [text, words] of [
      ["val_0.ppm n01\nval_1.ppm n01\nval_2.ppm n02\n", ""],
      ["val_0 n01\nval_1 n01\nval_2 n01\n", ""],
      ["val_0.ppm n01\n", "has no line for 2 images"],
      ["val_0.ppm n01\nval_9.ppm n01\n", `line 2: there is no image val_9.ppm in ${join(tiny, "val")}`],
      ["val_0.ppm n01\nval_0.ppm n02\n", "line 2: images/val_0.ppm has a class already"],
      ["val_0.ppm n03\n", "line 1: n03 is not among the 2 classes of train (n01, n02)"],
      ["val_0.ppm 3\n", "set testClasses to a file that says which class each number means"],
      ["val_0.ppm\n", "line 1: expected `name class`"],
      ["\n\n", "is empty"]
    ] as const) {
      writeFileSync(other, text)
      const found = await images({ folder: tiny, testLabels: other }, (flow) => flow.digest)
      if (words === "") digests.add(found)
      else expect(found).toContain(words)
    }
    expect(digests.size).toBe(3)
    expect(await images({ folder: tiny, testLabels: join(tiny, "gone.txt") }, counts)).toContain(
      "gone.txt: does not exist"
    )
  })

  it("with labels as spreadsheets and PowerShell write them; a file that is not text, and a header, are reported", async () => {
    const flat = folder({ ...whole, "val/cat/0.ppm": "", "val/dog/0.ppm": "", "val/a.ppm": 5, "val/b.ppm": 6 })
    const list = join(flat, "labels.csv")
    const read = async (text: string, encoding: BufferEncoding = "utf8", raw: object = {}) => {
      writeFileSync(list, Buffer.from(text, encoding))
      return images({ folder: flat, testLabels: list, ...raw }, ({ inventory }) => inventory?.labels("test").join())
    }
    for (const text of ["a.ppm cat\nb.ppm dog\n", '"a.ppm","cat"\r\n"b.ppm","dog"\r\n']) {
      expect(await read(text)).toBe("0,1")
      expect(await read(`\ufeff${text}`, "utf16le")).toBe("0,1")
    }
    expect(await read("filename,label\na.ppm,cat\n")).toContain(
      `line 1: there is no image filename in ${join(flat, "val")}; if the first line is a header, remove it`
    )
    expect(await read("a.ppm caf\xe9\n", "latin1")).toContain("line 1 has the byte 0xE9, which is not UTF-8")
    const testClasses = join(flat, "classes.txt")
    writeFileSync(testClasses, "cat 1\ndog 2\n")
    expect(await read("a.ppm 1\nb.ppm 3\n", "utf8", { testClasses })).toContain(
      `line 2: ${testClasses} has no class of the number 3; it has 2, from 1 to 2`
    )
  })

  it("with the same folder for training and test, and options without effect: a notice", async () => {
    const folders = folder(whole)
    expect(await images({ folder: folders, testFolder: "./train/" }, notices)).toContain(
      "trainFolder and testFolder are the same folder: every test image is trained on"
    )
    expect(await images({ folder: folders, testClasses: "classes.txt" }, notices)).toBe(
      "classes.txt: testClasses has no effect without testLabels"
    )
    expect(await images({ folder: folders }, notices)).toBe("")
  })

  it("with names that are not UTF-8 are refused", async () => {
    const foreign = folder(whole)
    const name = Buffer.concat([Buffer.from(join(foreign, "train", "cat", "c")), Buffer.of(0xe9), Buffer.from(".ppm")])
    const isMade = await writeFile(name, ppm(9)).then(
      () => true,
      () => false
    )
    // Some file systems do not allow such a name.
    if (!isMade) return
    const told = await images({ folder: foreign }, counts)
    expect(told).toContain(`1 name in ${join(foreign, "train", "cat")} is not UTF-8 (c\ufffd.ppm); rename`)
  })

  it.skipIf(sharp === undefined)("with an image of too many pixels: it is reported at the start", async () => {
    const large = folder(whole)
    const picture = { create: { width: 8200, height: 8200, channels: 3 as const, background: "red" } }
    const paths = ["a.png", "b.jpg"].map((name) => join(large, "train", "cat", name))
    for (const path of paths) await sharp!({ ...picture, limitInputPixels: false }).toFile(path)
    const told = await images({ folder: large, check: "headers" }, counts)
    expect(told).toContain(`${paths[0]}: is not a readable image: it has more than 67108864 pixels`)
    expect(told).toContain("1 more file cannot be read (train/cat/b.jpg)")
  })

  it("as ImageNet's: a flat val with names, or with the numbers of a list of classes", async () => {
    const net = folder({
      "train/n01/a.ppm": 1,
      "train/n01/b.ppm": 2,
      "train/n02/a.ppm": 3,
      "train/n02/b.ppm": 4,
      "val/ILSVRC2012_val_00000001.ppm": 5,
      "val/ILSVRC2012_val_00000002.ppm": 6,
      "kaggle.csv":
        "ImageId,PredictionString\nILSVRC2012_val_00000002,n01 85 1 499 272\nILSVRC2012_val_00000001,n02 1 2 3 4 n02 5 6 7 8\n",
      "truth.txt": "2\n1\n",
      "caffe.txt": "ILSVRC2012_val_00000001.ppm 1\nILSVRC2012_val_00000002.ppm 0\n",
      "half.txt": "1\n1\n",
      "words.txt": "n01 tench, Tinca tinca\nn02 goldfish\n",
      "numbers.txt": "n01 2 tench\nn02 1 goldfish\n",
      "three.txt": "n01\nn02\nn03\n"
    })
    const read = (testLabels: string, testClasses: string | null = null) =>
      images(
        {
          folder: net,
          testLabels: join(net, testLabels),
          testClasses: testClasses === null ? null : join(net, testClasses)
        },
        (flow) => Array.from(flow.inventory!.labels("test")).join()
      )
    expect(await read("kaggle.csv")).toBe("1,0")
    expect(await read("truth.txt", "words.txt")).toBe("1,0")
    expect(await read("truth.txt", "numbers.txt")).toBe("0,1")
    expect(await read("caffe.txt", "words.txt")).toBe("1,0")
    expect(await read("half.txt", "three.txt")).toContain(
      "they may count from 0 or from 1; give every class its number"
    )
    expect(await read("caffe.txt", "numbers.txt")).toContain("has no class of the number 0; it has 2, from 1 to 2")
  })
})

describe("Bmp", () => {
  it.skipIf(sharp === undefined)("round-trips at any width", () => {
    for (const width of [1, 2, 3, 5, 41]) {
      const image = OddFolder.picture(width, width, 7)
      expect(Result.getOrThrow(Bmp.parse(OddFolder.bmp(image)))).toEqual(image)
    }
  })

  /** A header of 40 bytes, masks or palette, and the pixels. */
  const bmp = (
    bits: number,
    width: number,
    height: number,
    compression: number,
    between: ReadonlyArray<number>,
    pixels: ReadonlyArray<number>
  ) => {
    const bytes = new Uint8Array(54 + between.length + pixels.length)
    const view = new DataView(bytes.buffer)
    bytes.set([0x42, 0x4d])
    view.setUint32(10, 54 + between.length, true)
    view.setUint32(14, 40, true)
    view.setInt32(18, width, true)
    view.setInt32(22, height, true)
    view.setUint16(28, bits, true)
    view.setUint32(30, compression, true)
    view.setUint32(46, bits <= 8 ? between.length / 4 : 0, true)
    bytes.set([...between, ...pixels], 54)
    return bytes
  }
  const pixelsOf = (bytes: Uint8Array) => Array.from(Result.getOrThrow(Bmp.parse(bytes)).pixels)
  const red = [0, 0, 255, 0]
  const blue = [255, 0, 0, 0]

  it("reads palettes of 1, 4 and 8 bits, 16 and 32 bits with masks, and rows from the top or the bottom", () => {
    const two = [0, 0, 255, 255, 0, 0]
    expect(pixelsOf(bmp(1, 2, 1, 0, [...red, ...blue], [0b1000_0000, 0, 0, 0]))).toEqual(two)
    expect(pixelsOf(bmp(4, 2, 1, 0, [...red, ...blue], [0x10, 0, 0, 0]))).toEqual(two)
    expect(pixelsOf(bmp(8, 2, 1, 0, [...red, ...blue], [1, 0, 0, 0]))).toEqual(two)
    expect(pixelsOf(bmp(16, 2, 1, 0, [], [0x1f, 0, 0, 0x7c]))).toEqual(two)
    // 5, 6 and 5 bits: the largest green is 255.
    const masks565 = [0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0]
    expect(pixelsOf(bmp(16, 1, 1, 3, masks565, [0xe0, 7, 0, 0]))).toEqual([0, 255, 0])
    expect(pixelsOf(bmp(32, 2, 1, 0, [], [...blue, ...red]))).toEqual(two)
    const rows = [...blue, ...red]
    expect(pixelsOf(bmp(32, 1, 2, 0, [], rows))).toEqual([255, 0, 0, 0, 0, 255])
    expect(pixelsOf(bmp(32, 1, -2, 0, [], rows))).toEqual([0, 0, 255, 255, 0, 0])
  })

  it("reports what it does not read, and never throws", () => {
    const failed = (bytes: Uint8Array) => Result.getFailure(Bmp.parse(bytes))
    expect(failed(bmp(8, 2, 1, 1, red, [1, 0, 0, 0]))).toMatchObject({
      value: expect.stringContaining("is compressed (method 1)")
    })
    expect(failed(bmp(8, 2, 1, 0, red, [1, 0, 0, 0]))).toMatchObject({
      value: "pixel 0, 0 has colour 1; its palette has 1"
    })
    expect(failed(bmp(24, 9, 9, 0, [], [1, 2, 3]))).toMatchObject({
      value: "9 x 9 pixels of 24 bits need 306 bytes, the file has 57"
    })
    const good = OddFolder.bmp(OddFolder.picture(1, 5, 4))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
        fc.nat(good.length),
        (changes, cut) => {
          const bytes = good.slice(0, cut)
          for (const [at, value] of changes) bytes[at] = value
          const parsed = Bmp.parse(bytes)
          if (Result.isSuccess(parsed)) {
            expect(parsed.success.pixels.length).toBe(parsed.success.width * parsed.success.height * 3)
          } else expect(parsed.failure.length).toBeGreaterThan(5)
        }
      ),
      { seed: 1, numRuns: 2000 }
    )
  })
})

describe("CheckImages", () => {
  it("accepts every complete file, and no truncated one", () => {
    const made: ReadonlyArray<Uint8Array> = [ppm(1), OddFolder.bmp(OddFolder.picture(1, 6, 5))]
    for (const bytes of made) {
      const seen = (size: number) =>
        CheckImages.looksWhole(
          bytes.subarray(0, Math.min(size, 256)),
          bytes.subarray(Math.max(size - 16, 0), size),
          size
        )
      expect(seen(bytes.length)).toEqual({ whole: true, foreign: false })
      for (const size of [3, 30, bytes.length - 1]) expect(seen(size).whole, `${size}`).toBe(false)
    }
  })

  it("reports files that cannot be opened, and the sizes of the others", async () => {
    const made = folder({ "a.ppm": 1, "b.ppm": "P6 3 3 255\n" })
    symlinkSync("nowhere.ppm", join(made, "c.ppm"))
    const level = "headers" as const
    const found = await Effect.runPromise(
      CheckImages.check(
        "test",
        made,
        ["a.ppm", "b.ppm", "c.ppm"].map((path) => ({ path, level }))
      )
    )
    expect(found.sizes).toEqual([readFileSync(join(made, "a.ppm")).length, 11, -1])
    expect(found.faults).toEqual([
      { path: "b.ppm", reason: "3 x 3 x 3 samples need 27 bytes, 0 follow" },
      { path: "c.ppm", reason: "does not exist" }
    ])
  })
})

describe("LabelFile", () => {
  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, classes) => {
        const parsed = LabelFile.parse(text)
        expect(Result.isResult(parsed)).toBe(true)
        expect(Result.isResult(LabelFile.parseClasses(classes, ["0", "3"]))).toBe(true)
      }),
      { seed: 1, numRuns: 500 }
    )
  })
})
