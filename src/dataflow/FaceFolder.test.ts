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
import * as RealData from "../../tools/RealData.ts"
import * as Key from "../random/Key.ts"
import type { DataflowShape, DatasetError } from "./Dataflow.ts"
import * as FaceFolder from "./FaceFolder.ts"
import * as VerificationPairs from "./VerificationPairs.ts"

const root = mkdtempSync(join(tmpdir(), "osnas-faces-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const pgm = (width: number, height: number, seed: number): Uint8Array => {
  const head = new TextEncoder().encode(`P5 ${width} ${height} 255\n`)
  return Uint8Array.from([...head, ...Uint8Array.from(Key.uniforms(Key.make(seed), width * height), (u) => u * 256)])
}

const faces = join(root, "faces")
beforeAll(() => {
  // Person i has 3 + i % 4 images.
  for (let person = 1; person <= 12; person += 1) {
    mkdirSync(join(faces, `p${person}`), { recursive: true })
    for (let i = 1; i <= 3 + (person % 4); i += 1) {
      writeFileSync(
        join(faces, `p${person}`, `p${person}_${String(i).padStart(4, "0")}.pgm`),
        pgm(9, 11, 100 * person + i)
      )
    }
  }
})

const decode = Schema.decodeUnknownSync(FaceFolder.Options)
const options = (raw: object = {}) => decode({ folder: faces, testPeople: ["p10..p12"], size: 8, prefetch: 0, ...raw })
const make = (raw: object = {}) => FaceFolder.make(options(raw), Key.make(1))
const withFlow = <A>(raw: object, use: (flow: DataflowShape) => Promise<A>): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(make(raw), (flow) => Effect.promise(() => use(flow)))))
const reason = (raw: object): Promise<string> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.match(make(raw), { onFailure: (error: DatasetError) => error.message, onSuccess: () => "no failure" })
    )
  )

describe("face-folder", () => {
  it.each([
    ["shuffled", {}],
    ["from files, prefetched", { memory: 0, prefetch: 2, workers: 2, fit: "pad" }],
    ["grey", { channels: 1, crop: 1, cutout: 2, fit: "crop" }],
    ["zoomed and jittered", { zoom: 0.2, jitter: 0.3 }],
    ["moved, scaled, lit, from files, prefetched", { zoom: 0.2, jitter: 0.3, memory: 0, prefetch: 2, workers: 2 }]
  ])("obeys the laws of dataflows: %s", (_, raw) =>
    withFlow(raw, (flow) => DataflowLaws.check(flow, { batchSizes: [1, 5], runs: 15 }))
  )

  it.each([2, 3, 4])("balances batches: %d images of each person, exactly", (perIdentity) =>
    withFlow({ perIdentity }, async (flow) => {
      for (const people of [2, 5, 9]) await DataflowLaws.balanced(flow, "train", people * perIdentity, perIdentity)
      await DataflowLaws.check(flow, { batchSizes: [perIdentity * 2, perIdentity * 9], runs: 10, onceAnEpoch: false })
    })
  )

  it("breaks the law of balanced batches if they are shuffled", () =>
    withFlow({}, async (flow) => {
      await expect(DataflowLaws.balanced(flow, "train", 8, 4)).rejects.toThrow("dataflow law broken")
    }))

  it("shows every person, with new images in every round", () =>
    withFlow({ perIdentity: 2, flip: false }, async (flow) => {
      const seen = new Map<number, Set<string>>()
      for (let epoch = 0; epoch < 6; epoch += 1) {
        for (let step = 0; step < flow.steps("train", 18, true); step += 1) {
          const request = { split: "train", epoch, step, batchSize: 18, training: true } as const
          const batch = await Effect.runPromise(flow.batch(request))
          batch.labels.forEach((label, i) => {
            const own = seen.get(label) ?? new Set()
            seen.set(label, own.add(batch.images.subarray(i * 192, (i + 1) * 192).join()))
          })
        }
      }
      // People 1 .. 9 sort as p1, …, p9; person i has 3 + i % 4 images.
      expect([...seen].sort(([a], [b]) => a - b).map(([, images]) => images.size)).toEqual([4, 5, 6, 3, 4, 5, 6, 3, 4])
    }))

  it("refuses batch sizes that cannot be balanced, and names the possible ones", () =>
    withFlow({ perIdentity: 4 }, async (flow) => {
      for (const batchSize of [6, 40]) {
        const request = { split: "train", epoch: 0, step: 0, batchSize, training: true } as const
        const message = await Effect.runPromise(
          Effect.match(flow.batch(request), { onFailure: (e) => e.message, onSuccess: () => "" })
        )
        expect(message).toContain("4 times a number of identities up to 9")
      }
    }))

  it("has pairs of people who are not trained on, the same for every seed", async () => {
    const of = (seed: number) =>
      Effect.runPromise(
        Effect.scoped(Effect.map(FaceFolder.make(options(), Key.make(seed)), (flow) => flow.verification))
      )
    const one = await of(1)
    expect(one?.identities).toEqual(["p10", "p11", "p12"])
    // 5, 6 and 3 images: 10 + 15 + 3 pairs of the same person.
    expect(one?.pairs.filter(({ same }) => same).length).toBe(28)
    expect(one?.pairs.length).toBe(56)
    expect(await of(2)).toEqual(one)
  })

  it("reads LFW's list", async () => {
    const list = join(root, "pairs.txt")
    writeFileSync(list, "2\t1\np10\t1\t2\np10\t1\tp11\t3\np11\t2\t6\np12\t3\tp10\t5\n")
    await withFlow({ pairs: list }, async (flow) => {
      expect(flow.verification?.pairs).toEqual([
        { first: 0, second: 1, same: true, fold: 0 },
        { first: 0, second: 7, same: false, fold: 0 },
        { first: 6, second: 10, same: true, fold: 1 },
        { first: 13, second: 4, same: false, fold: 1 }
      ])
    })
    writeFileSync(list, "1\t1\np10\t1\t2\np10\t1\tp11\t9\n")
    expect(await reason({ pairs: list })).toContain(
      `line 3: there is no image p11_0009 of p11 in ${join(faces, "p11")} (with any of .jpg `
    )
    writeFileSync(list, "1\t1\np10\t1\t2\np10\t1\tp1\t1\n")
    expect(await reason({ pairs: list })).toContain(
      `line 3: p1 is not among the people to verify: looked for p1_0001 in ${join(faces, "p1")}`
    )
  })

  it("zooms and jitters training images only, the same from memory and from files", async () => {
    const request = { split: "train", epoch: 0, step: 0, batchSize: 6 } as const
    const batches = (raw: object) =>
      withFlow({ flip: false, ...raw }, (flow) =>
        Promise.all(
          [true, false].map((training) => Effect.runPromise(flow.batch({ ...request, training })).then((b) => b.images))
        )
      )
    const plain = await batches({})
    for (const raw of [{ zoom: 0.2 }, { jitter: 0.3 }]) {
      const [trained, shown] = await batches(raw)
      expect(trained).not.toEqual(plain[0])
      expect(shown).toEqual(plain[1])
      expect(await batches({ ...raw, memory: 0 })).toEqual([trained, shown])
    }
  })

  it("has the same listing digest whatever `memory` is, and a digest of the pixels if they are in memory", async () => {
    const of = (raw: object) => withFlow(raw, async ({ digest, listingDigest }) => [digest, listingDigest])
    const [pixels, listing] = await of({})
    expect(pixels).not.toBe(listing)
    expect(await of({ memory: 0 })).toEqual([listing, listing])
    const file = join(faces, "p11", "p11_0001.pgm")
    // Another image of the same size in bytes.
    writeFileSync(file, pgm(9, 11, 9999))
    try {
      expect(await of({ memory: 0 })).toEqual([listing, listing])
      expect((await of({}))[0]).not.toBe(pixels)
    } finally {
      writeFileSync(file, pgm(9, 11, 1101))
    }
    expect(await of({})).toEqual([pixels, listing])
  })

  it("recognises a test folder that is the training folder by another path", async () => {
    const same = join(faces, "..", "faces")
    expect(await reason({ testFolder: same, testPeople: null })).toContain("set testPeople")
    expect(await reason({ testFolder: same, people: ["p1..p10"] })).toContain(
      "people to train on and to verify overlap: p10"
    )
    await withFlow({ testFolder: same }, async (flow) => {
      expect(flow.classes.length).toBe(9)
    })
  })

  it("reads a list of pairs in UTF-16, and refuses a file that is not text", async () => {
    const list = join(root, "wide.txt")
    writeFileSync(list, Buffer.from("\ufeff1\t1\r\np10\t1\t2\r\np10\t1\tp11\t3\r\n", "utf16le"))
    await withFlow({ pairs: list }, async (flow) => expect(flow.verification?.pairs.length).toBe(2))
    writeFileSync(list, Buffer.from("1\t1\np10\t1\t2\nAndr\xe9\t1\tp11\t3\n", "latin1"))
    expect(await reason({ pairs: list })).toContain("line 3 has the byte 0xE9, which is not UTF-8")
  })

  it("splits by person on request: the people in validation are new", () =>
    withFlow({ splitBy: "person", supernetFraction: 0.7 }, async (flow) => {
      const people = async (split: "supernet" | "validation") => {
        const request = { split, epoch: 0, step: 0, batchSize: 100, training: false } as const
        return new Set((await Effect.runPromise(flow.batch(request))).labels)
      }
      const [trained, scored] = [await people("supernet"), await people("validation")]
      expect([trained.size, scored.size]).toEqual([6, 3])
      expect([...trained].filter((person) => scored.has(person))).toEqual([])
      expect(flow.verification?.newInValidation).toBe(true)
    }))

  it("reports what is wrong", async () => {
    expect(await reason({ splitBy: "person", people: ["p1..p3"] })).toContain("needs 4 people to train on, there are 3")
    expect(await reason({ testPeople: null })).toContain("set testPeople")
    expect(await reason({ testPeople: ["p77"] })).toContain("no folder of images named p77")
    expect(await reason({ people: ["p1..p10"] })).toContain("people to train on and to verify overlap: p10")
    expect(await reason({ people: ["p1"] })).toContain("needs at least 2")
  })

  it("limits the number of people; those with pairs come first", () =>
    withFlow({ peopleLimit: 4, testPeopleLimit: 2 }, async (flow) => {
      expect(flow.classes).toEqual(["p1", "p2", "p3", "p4"])
      // People to verify beyond the limit are not trained on, either.
      expect(flow.verification?.identities).toEqual(["p10", "p11"])
    }))

  it("replaces a broken image file in training, and fails if it is to be verified", async () => {
    const read = (broken: string, split: "train" | "test") => {
      const file = join(faces, broken.slice(0, broken.indexOf("_")), broken)
      writeFileSync(file, "P5 3 3 255\n")
      const said: Array<string> = []
      return Effect.runPromise(
        Effect.scoped(
          Effect.flatMap(make({ memory: 0, broken: "skip" }), (flow) =>
            Effect.map(
              flow.batch({ split, epoch: 0, step: 0, batchSize: flow.count(split), training: split === "train" }),
              (batch) => ({ size: batch.size, all: flow.count(split) })
            )
          )
        ).pipe(
          Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])),
          Effect.match({
            onFailure: (error: DatasetError) => error.message,
            onSuccess: (found) => ({ ...found, said })
          })
        )
      ).finally(() => writeFileSync(file, pgm(9, 11, 301)))
    }
    const trained = await read("p3_0002.pgm", "train")
    expect(trained).toMatchObject({ size: typeof trained === "string" ? -1 : trained.all })
    expect(JSON.stringify(trained)).toContain("p3_0002.pgm")
    expect(await read("p11_0001.pgm", "test")).toContain("p11_0001.pgm")
  })

  it("names a broken image, and leaves it out on request", async () => {
    const broken = join(faces, "p3", "p3_0001.pgm")
    writeFileSync(broken, "P5 3 3 255\n")
    try {
      expect(await reason({})).toContain(broken)
      const found = await withFlow({ broken: "skip" }, async (flow) => [flow.count("train"), flow.notices])
      expect(found).toEqual([
        39,
        [`${faces}: 1 file cannot be read, left out (broken: skip) (${join("p3", "p3_0001.pgm")})`]
      ])
    } finally {
      writeFileSync(broken, pgm(9, 11, 301))
    }
  })
})

const orl = RealData.path("orl_faces")

it.skipIf(!RealData.has(orl, "FaceFolder.test.ts, the ORL faces"))(
  "reads the ORL faces (skipped where they are absent)",
  () =>
    withFlow({ folder: orl, people: ["s1..s30"], testPeople: ["s31..s40"], channels: 1, size: 32 }, async (flow) => {
      expect([flow.count("supernet"), flow.count("validation"), flow.count("test")]).toEqual([240, 60, 100])
      expect(flow.verification?.pairs.length).toBe(900)
    })
)

describe("VerificationPairs", () => {
  it("makes as many pairs of both kinds, each once, spread over the folds", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 40 }), fc.integer({ min: 1, max: 60 }), (labels, limit) => {
        const pairs = VerificationPairs.made(labels, limit)
        expect(new Set(pairs.map(({ first, second }) => `${first},${second}`)).size).toBe(pairs.length)
        for (const pair of pairs) {
          expect(pair.first).toBeLessThan(pair.second)
          expect(labels[pair.first] === labels[pair.second]).toBe(pair.same)
        }
        const same = pairs.filter((pair) => pair.same)
        expect(same.length * 2).toBe(pairs.length)
        expect(same.length).toBeLessThanOrEqual(limit)
        for (let fold = 0; fold < 10; fold += 1) {
          const [a, b] = [true, false].map(
            (kind) => pairs.filter((pair) => pair.fold === fold && pair.same === kind).length
          )
          expect(a).toBe(b)
          expect(Math.abs(a! - same.length / 10)).toBeLessThan(1)
        }
      }),
      { seed: 1, numRuns: 200 }
    )
  })

  it("draws from many images without listing all pairs", () => {
    const pairs = VerificationPairs.made(
      Int32Array.from({ length: 4000 }, (_, i) => i % 2000),
      500
    )
    expect(pairs.length).toBe(1000)
    expect(new Set(pairs.map(({ first, second }) => `${first},${second}`)).size).toBe(1000)
  })

  it("names the wrong line of a list, and never throws", () => {
    const text = "2\t2\nA\t1\t2\nA\t2\t3\nA\t1\tB\t1\nA\t2\tB\t2\nC\t1\t2\nC\t2\t3\nC\t1\tB\t1\nC\t2\tB\t2\n"
    expect(Result.getOrThrow(VerificationPairs.parseLfw(text)).length).toBe(8)
    const failure = (wrong: string) => {
      const parsed = VerificationPairs.parseLfw(wrong)
      return Result.isFailure(parsed) ? parsed.failure : "none"
    }
    // Line ends and marks of Windows, old Macs and editors.
    for (const written of [text.replaceAll("\n", "\r\n"), text.replaceAll("\n", "\r"), `\ufeff${text}\n \n`]) {
      expect(VerificationPairs.parseLfw(written)).toEqual(VerificationPairs.parseLfw(text))
    }
    expect(VerificationPairs.parseLfw(text.replaceAll("\t", "  "))).toEqual(VerificationPairs.parseLfw(text))
    // In a line with tabs, a name may have blanks.
    const spaced = Result.getOrThrow(VerificationPairs.parseLfw("1\t1\nAnn van Ek\t1\t2\nAnn van Ek\t1\tBob\t3\r\n"))
    expect(spaced.map(({ first }) => VerificationPairs.lfwName(first))).toEqual(["Ann van Ek_0001", "Ann van Ek_0001"])
    expect(failure("")).toContain("line 1")
    expect(failure("1 2 3")).toContain("line 1")
    expect(failure(`${text}\nZ\t1\t2\n`)).toBe('line 11: follows the 8 pairs that line 1 announces (2 2): "Z\\t1\\t2"')
    expect(failure(text.split("\n").slice(0, 6).join("\n"))).toBe(
      "line 7: the list ends here, after 5 of the 8 pairs that line 1 announces"
    )
    expect(failure(text.replace("A\t2\t3", "A\t2\t3\t4"))).toContain("line 3: expected `name n m`")
    expect(failure(text.replace("A\t2\t3", "\t2\t3"))).toContain("line 3: expected `name n m`")
    expect(failure(text.replace("A\t2\t3", ""))).toContain('line 3: expected `name n m`, got ""')
    expect(failure("-1 5")).toContain("line 1")
    expect(failure(text.replace("A\t2\t3", "A\t0x2\t3"))).toContain("line 3: expected `name n m`")
    expect(failure(text.replace("A\t2\t3", "A\t2\t2"))).toBe(
      'line 3: expected two images of one person, got the same image twice: "A\\t2\\t2"'
    )
    expect(failure(text.replace("A\t1\tB\t1", "A\t1\tA\t2"))).toContain("line 4: expected images of two people")
    expect(failure(text.replace("A\t2\t3", "A\t2"))).toContain("line 3: expected `name n m`")
    expect(failure(text.replace("A\t1\tB\t1", "A\t1\tB\tx"))).toContain("line 4: expected `name n other m`")
    fc.assert(
      fc.property(fc.nat(text.length), fc.string({ maxLength: 4 }), (at, put) => {
        const parsed = VerificationPairs.parseLfw(text.slice(0, at) + put + text.slice(at + put.length))
        expect(Result.isResult(parsed)).toBe(true)
      }),
      { seed: 1, numRuns: 1000 }
    )
  })
})
