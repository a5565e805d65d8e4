import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { gzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import * as tar from "tar"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as RealData from "../../tools/RealData.ts"
import * as Key from "../random/Key.ts"
import * as Cifar from "./Cifar.ts"
import * as Cifar10 from "./Cifar10.ts"
import * as Cifar100 from "./Cifar100.ts"
import type { DatasetError } from "./Dataflow.ts"
import * as Download from "./Download.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-cifar-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Records with keyed pixels; label of record i is i % classes. */
const records = (variant: Cifar.Variant, count: number, seed: number): Uint8Array => {
  const size = variant.labelBytes + 3072
  const bytes = Uint8Array.from(Key.uniforms(Key.make(seed), count * size), (u) => u * 256)
  for (let i = 0; i < count; i += 1) {
    if (variant.labelBytes === 2) bytes[i * size] = i % 20
    bytes[i * size + variant.labelBytes - 1] = i % variant.classes.length
  }
  return bytes
}

const decode10 = Schema.decodeUnknownSync(Cifar10.Options)
const decode100 = Schema.decodeUnknownSync(Cifar100.Options)

const folder10 = join(root, "ten", "cifar-10-batches-bin")
const folder100 = join(root, "hundred")
const archive = join(root, "cifar-10-binary.tar.gz")
let checksum = ""

beforeAll(async () => {
  mkdirSync(folder10, { recursive: true })
  mkdirSync(folder100)
  for (const [i, file] of Cifar10.variant.trainFiles.entries()) {
    writeFileSync(join(folder10, file), records(Cifar10.variant, 20, i))
  }
  writeFileSync(join(folder10, "test_batch.bin"), records(Cifar10.variant, 30, 9))
  writeFileSync(join(folder10, "readme.html"), "nothing")
  writeFileSync(join(folder100, "train.bin"), records(Cifar100.variant, 200, 11))
  writeFileSync(join(folder100, "test.bin"), records(Cifar100.variant, 100, 12))
  await tar.create({ cwd: join(root, "ten"), gzip: true, file: archive, portable: true }, ["cifar-10-batches-bin"])
  checksum = `sha256:${createHash("sha256").update(readFileSync(archive)).digest("hex")}`
})

const reason = (effect: Effect.Effect<unknown, DatasetError>): Promise<string> =>
  Effect.runPromise(Effect.match(effect, { onFailure: (error) => error.message, onSuccess: () => "no failure" }))

describe("files", () => {
  it("converts planes to channels last, and takes the fine label", async () => {
    const ten = await Effect.runPromise(Cifar.load(Cifar10.variant, decode10({ folder: join(root, "ten") })))
    expect(ten.train.labels.length).toBe(100)
    expect(ten.test.labels.length).toBe(30)
    const raw = records(Cifar10.variant, 20, 2)
    for (const [image, at, c] of [
      [0, 0, 0],
      [7, 1023, 2],
      [19, 500, 1]
    ] as const) {
      expect(ten.train.pixels[(40 + image) * 3072 + at * 3 + c]).toBe(raw[image * 3073 + 1 + c * 1024 + at])
      expect(ten.train.labels[40 + image]).toBe(image % 10)
    }
    const hundred = await Effect.runPromise(Cifar.load(Cifar100.variant, decode100({ folder: folder100 })))
    expect(Array.from(hundred.train.labels)).toEqual(Array.from({ length: 200 }, (_, i) => i % 100))
    expect(Cifar100.variant.classes.length).toBe(100)
  })

  it("reports published files with fewer images than were published", async () => {
    const { notices } = await Effect.runPromise(Cifar.load(Cifar10.variant, decode10({ folder: join(root, "ten") })))
    expect(notices?.length).toBe(6)
    expect(notices?.[0]).toBe("data_batch_1.bin: has 20 images, the published file has 10,000 images")
    expect(notices?.at(-1)).toBe("test_batch.bin: has 30 images, the published file has 10,000 images")
  })

  it("reads the same data from the archive as from the folder", async () => {
    const fromFolder = await Effect.runPromise(Cifar.load(Cifar10.variant, decode10({ folder: folder10 })))
    for (const folder of [archive, root]) {
      expect(await Effect.runPromise(Cifar.load(Cifar10.variant, decode10({ folder, checksum })))).toEqual(fromFolder)
    }
  })

  it("names file, record and what is expected", async () => {
    const good = records(Cifar10.variant, 4, 1)
    const parse = (bytes: Uint8Array) => reason(Cifar.parse(Cifar10.variant, [{ file: "a.bin", bytes }]))
    expect(await parse(good.slice(0, -1))).toBe(
      "dataset cifar10: a.bin: 12291 bytes are 3 records of 3073 bytes and 3072 bytes more"
    )
    expect(await parse(new Uint8Array(0))).toContain("is empty")
    const label = good.slice()
    label[2 * 3073] = 10
    expect(await parse(label)).toContain("record 2: label 10; must be from 0 to 9")
    const coarse = records(Cifar100.variant, 3, 1)
    coarse[3074] = 20
    expect(await reason(Cifar.parse(Cifar100.variant, [{ file: "b", bytes: coarse }]))).toContain(
      "record 1: coarse label 20"
    )
    expect(await reason(Cifar.load(Cifar10.variant, decode10({ folder: join(root, "nowhere") })))).toContain(
      `${join(root, "nowhere")}: does not exist; set \`download: true\``
    )
    expect(await reason(Cifar.load(Cifar10.variant, decode10({ folder: archive })))).toContain(
      "expected c32a1d4ab5d03f1284b67883e8d13530"
    )
    const missing = decode10({ folder: folder10, testFiles: ["other.bin"] })
    expect(await reason(Cifar.load(Cifar10.variant, missing))).toContain("other.bin: does not exist")
    const lacking = decode10({ folder: archive, checksum, testFiles: ["other.bin"] })
    expect(await reason(Cifar.load(Cifar10.variant, lacking))).toContain("the archive lacks other.bin")
  })

  it("names the form of the data that it found, and the one it expects", async () => {
    const place = (files: ReadonlyArray<string>) => {
      const folder = mkdtempSync(join(root, "form-"))
      for (const file of files) {
        mkdirSync(dirname(join(folder, file)), { recursive: true })
        writeFileSync(join(folder, file), "\x80\x02}q\x01(")
      }
      return folder
    }
    const ten = (folder: string, raw: object = {}) => reason(Cifar.load(Cifar10.variant, decode10({ folder, ...raw })))
    const hundred = (folder: string) => reason(Cifar.load(Cifar100.variant, decode100({ folder })))
    const wanted =
      "; expected the binary version, cifar-10-binary.tar.gz: set `download: true`, or download it from https://"
    const python = place(["data_batch_1", "data_batch_2", "test_batch", "batches.meta"])
    expect(await ten(python)).toContain(`${python}: is CIFAR-10 for Python${wanted}`)
    const above = place(["cifar-10-batches-py/data_batch_1"])
    expect(await ten(above)).toContain(`${join(above, "cifar-10-batches-py")}: is CIFAR-10 for Python${wanted}`)
    const packed = place(["cifar-10-python.tar.gz"])
    expect(await ten(packed)).toContain(`${join(packed, "cifar-10-python.tar.gz")}: is CIFAR-10 for Python`)
    expect(await ten(place(["data_batch_1.mat", "test_batch.mat"]))).toContain("is CIFAR-10 for Matlab")
    expect(await ten(folder100)).toContain("is CIFAR-100 in the binary version")
    expect(await hundred(join(root, "ten"))).toContain("is CIFAR-10 in the binary version")
    expect(await hundred(place(["train", "test", "meta"]))).toContain("is CIFAR-100 for Python")
    // An archive is recognised by its content, whatever its name, with or without a check of its digest.
    const renamed = join(root, "images.tar.gz")
    await tar.create({ cwd: python, gzip: true, file: renamed, portable: true }, [
      "data_batch_1",
      "test_batch",
      "batches.meta"
    ])
    for (const raw of [{}, { checksum: null }]) {
      expect(await ten(renamed, raw)).toContain(`${renamed}: is CIFAR-10 for Python${wanted}`)
    }
    // Image folders can have such names, too.
    const other = place(["train/a.txt", "test/a.txt"])
    expect(await hundred(other)).toContain("cifar-100-binary.tar.gz (it contains test, train); set `download: true`")
  })

  it("survives damaged archives: a failure that names the archive, or the correct data", async () => {
    const whole = readFileSync(archive)
    const damaged = join(root, "damaged.tar.gz")
    const expected = await Effect.runPromise(Cifar.load(Cifar10.variant, decode10({ folder: folder10 })))
    const load = Cifar.load(Cifar10.variant, decode10({ folder: damaged, checksum: null }))
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
        const bytes = Buffer.from(whole)
        bytes[at] = value
        writeFileSync(damaged, cut ? bytes.subarray(0, at) : bytes)
        const outcome = await Effect.runPromise(
          Effect.match(load, { onFailure: (e) => e.message, onSuccess: (data) => data })
        )
        // A flipped bit in a name or time of a header may leave the data intact.
        if (typeof outcome === "string") expect(outcome).toContain("dataset cifar10: ")
        else expect(outcome).toEqual(expected)
      }),
      { seed: 1, numRuns: 40 }
    )
  })

  it("refuses bombs and repeated members before they use memory", async () => {
    const bomb = join(root, "bomb.tar.gz")
    const header = (name: string, size: number): Buffer => {
      const block = Buffer.alloc(512)
      block.write(name, 0)
      block.write("0000644\0", 100)
      block.write(`${size.toString(8).padStart(11, "0")}\0`, 124)
      block.write("00000000000\0", 136)
      block.write("        0", 148)
      block.write("ustar\0" + "00", 257)
      block.write(
        `${block
          .reduce((a, b) => a + b, 0)
          .toString(8)
          .padStart(6, "0")}\0 `,
        148
      )
      return block
    }
    writeFileSync(bomb, gzipSync(header("data_batch_1.bin", 2 ** 33 - 1)))
    expect(await reason(Cifar.load(Cifar10.variant, decode10({ folder: bomb, checksum: null })))).toContain(
      "at most 614600000"
    )
    const twice = Buffer.concat([
      header("data_batch_1.bin", 512),
      Buffer.alloc(512),
      header("x/data_batch_1.bin", 512),
      Buffer.alloc(512 * 3)
    ])
    writeFileSync(bomb, gzipSync(twice))
    expect(await reason(Cifar.load(Cifar10.variant, decode10({ folder: bomb, checksum: null })))).toContain(
      "contains data_batch_1.bin twice"
    )
  })
})

const unpack = RealData.path("unpack.mjs")

describe.skipIf(!RealData.has(unpack, "Cifar.test.ts, real images"))(
  "real images (skipped where they are absent)",
  () => {
    it.each([
      ["cifar10", Cifar10.variant, decode10, 1000],
      ["cifar100", Cifar100.variant, decode100, 100]
    ] as const)(
      "%s: 10,000 test images, as many of each class, with the known mean",
      async (name, variant, decode, each) => {
        const out = join(root, `real-${name}`)
        execFileSync(process.execPath, [unpack, RealData.path(name), out, "test"])
        const files = { trainFiles: ["test.bin"], testFiles: ["test.bin"] }
        const data = await Effect.runPromise(Cifar.load(variant, decode({ folder: out, ...files })))
        const counts = new Array<number>(variant.classes.length).fill(0)
        for (const label of data.test.labels) counts[label]! += 1
        expect(counts.every((count) => count === each)).toBe(true)
        for (let c = 0; c < 3; c += 1) {
          let sum = 0
          for (let i = c; i < data.test.pixels.length; i += 3) sum += data.test.pixels[i]!
          expect(Math.abs(sum / (10_000 * 1024) / 255 - variant.mean[c]!)).toBeLessThan(0.01)
        }
      }
    )
  }
)

describe("download", () => {
  const payload = Buffer.from(Uint8Array.from(Key.uniforms(Key.make(5), 300_000), (u) => u * 256))
  const digest = `sha256:${createHash("sha256").update(payload).digest("hex")}`
  let server: Server
  let url = ""
  let seen: Array<string | undefined> = []
  let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined

  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request.headers.range)
      answer(request, response)
    })
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/data.tar.gz`
  })
  afterAll(() => new Promise<void>((done) => server.close(() => done())))

  /** A server that supports ranges; `cut` ends the connection after that many bytes of an answer. */
  const ranged =
    (body: Buffer, cut = Number.POSITIVE_INFINITY): typeof answer =>
    (request, response) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0)
      if (from >= body.length) {
        response.writeHead(416, { "content-range": `bytes */${body.length}` }).end()
        return
      }
      const rest = body.subarray(from)
      const headers = {
        "content-length": rest.length,
        "content-range": `bytes ${from}-${body.length - 1}/${body.length}`
      }
      response.writeHead(request.headers.range === undefined ? 200 : 206, headers)
      if (rest.length <= cut) response.end(rest)
      else response.write(rest.subarray(0, cut), () => setTimeout(() => response.destroy(), 5))
    }

  const get = (file: string, change: Partial<Download.Options> = {}) => {
    seen = []
    const options = {
      dataset: "d",
      url,
      file,
      checksum: digest,
      limit: 1 << 20,
      attempts: 4,
      delay: 1,
      onProgress: () => undefined
    }
    return Download.download({ ...options, ...change })
  }

  it("downloads, reports progress, and leaves only the file", async () => {
    const file = join(root, "fresh", "data.tar.gz")
    const progress: Array<readonly [number, number | undefined]> = []
    answer = ranged(payload)
    await Effect.runPromise(get(file, { onProgress: (received, total) => progress.push([received, total]) }))
    expect(readFileSync(file).equals(payload)).toBe(true)
    expect(progress.at(-1)).toEqual([payload.length, payload.length])
    expect(existsSync(`${file}.part`)).toBe(false)
  })

  it("continues where the connection broke, as long as there is progress", async () => {
    const file = join(root, "broken.tar.gz")
    answer = ranged(payload, 90_000)
    await Effect.runPromise(get(file))
    expect(readFileSync(file).equals(payload)).toBe(true)
    // An attempt may fail before anything arrives; then there is another one.
    expect([...new Set(seen)]).toEqual([undefined, "bytes=90000-", "bytes=180000-", "bytes=270000-"])
  })

  it("continues from the part file of an earlier run, also with a server without ranges", async () => {
    const file = join(root, "later.tar.gz")
    writeFileSync(`${file}.part`, payload.subarray(0, 1000))
    answer = ranged(payload)
    await Effect.runPromise(get(file))
    expect(seen).toEqual(["bytes=1000-"])
    expect(readFileSync(file).equals(payload)).toBe(true)
    writeFileSync(`${file}.part`, payload.subarray(0, 1000))
    answer = (_, response) => response.end(payload)
    await Effect.runPromise(get(file))
    expect(readFileSync(file).equals(payload)).toBe(true)
    writeFileSync(`${file}.part`, payload)
    answer = ranged(payload)
    await Effect.runPromise(get(file))
    expect(readFileSync(file).equals(payload)).toBe(true)
    // More than the server has: the part file is of another file.
    writeFileSync(`${file}.part`, Buffer.alloc(payload.length + 5))
    await Effect.runPromise(get(file))
    expect(readFileSync(file).equals(payload)).toBe(true)
  })

  it("deletes a file with the wrong digest, and reports both digests", async () => {
    const file = join(root, "wrong.tar.gz")
    answer = ranged(Buffer.concat([payload, Buffer.from("x")]))
    const message = await reason(get(file))
    expect(message).toContain(`expected ${digest.slice(7)}`)
    expect(existsSync(file) || existsSync(`${file}.part`)).toBe(false)
  })

  it("fails at once on a permanent error, and tries again after a temporary one", async () => {
    const file = join(root, "never.tar.gz")
    answer = (_, response) => response.writeHead(404).end()
    expect(await reason(get(file))).toContain("answers 404")
    expect(seen.length).toBe(1)
    answer = (_, response) => response.writeHead(503).end()
    expect(await reason(get(file))).toContain("answers 503")
    expect(seen.length).toBe(4)
    answer = ranged(payload)
    expect(await reason(get(file, { limit: 1000 }))).toContain("at most 1000 are expected")
    answer = (_, response) => {
      response.write(payload)
      response.end()
    }
    expect(await reason(get(file, { limit: 1000 }))).toContain("sends more than 1000 bytes")
    expect(await reason(get(file, { url: "http://127.0.0.1:1/" }))).toContain("download failed")
  })

  it("serves the dataflow: the archive is downloaded once, then read from disk", async () => {
    answer = ranged(readFileSync(archive))
    const folder = join(root, "downloaded")
    const options = decode10({ folder, download: true, url, checksum })
    const quiet = Effect.provide(Logger.layer([]))
    const first = await Effect.runPromise(quiet(Cifar.load(Cifar10.variant, options)))
    expect(first.train.labels.length).toBe(100)
    seen = []
    expect(await Effect.runPromise(Cifar.load(Cifar10.variant, options))).toEqual(first)
    expect(seen).toEqual([])
    truncateSync(join(folder, "cifar-10-binary.tar.gz"), 1000)
    expect(await reason(Cifar.load(Cifar10.variant, options))).toContain("damaged")
  })

  it("accepts digests by their form", () => {
    const accepts = Schema.is(Download.Checksum)
    expect([digest, `md5:${"0".repeat(32)}`, "md5:12", "sha1:00", ""].map((text) => accepts(text))).toEqual([
      true,
      true,
      false,
      false,
      false
    ])
  })
})
