import * as Schema from "effect/Schema"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Deterministic from "./Deterministic.ts"
import * as Key from "./Key.ts"

const seeded = { seed: 20261122, numRuns: 300 }

/** Upper 1e-6 quantile of chi-square, by Wilson and Hilferty. */
const chiSquareLimit = (degrees: number): number =>
  degrees * (1 - 2 / (9 * degrees) + 4.753 * Math.sqrt(2 / (9 * degrees))) ** 3

const chiSquare = (counts: ReadonlyArray<number>): number => {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

const tally = (values: Iterable<number>, bins: number): Array<number> => {
  const counts = new Array<number>(bins).fill(0)
  for (const value of values) counts[value]! += 1
  return counts
}

const pathPart = fc.oneof(fc.integer(), fc.string({ maxLength: 9 }), fc.double({ noNaN: true }), fc.maxSafeInteger())

describe("Threefry-2x32-20", () => {
  // Known-answer vectors of the Random123 distribution (kat_vectors, threefry2x32 20).
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe]
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7]
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0]
    ]
  ] as const)("gives the published answer for key %j, counter %j", (key, counter, answer) => {
    expect(Key.threefry2x32(key, counter)).toEqual(answer)
  })
})

describe("derive", () => {
  it("is pinned: these keys are part of every run's results", () => {
    expect([
      Key.make(0),
      Key.make(7),
      Key.derive(Key.make(7), "supernet", 3, "flip"),
      Key.derive(Key.make(7), ""),
      Key.derive(Key.make(7), -1.5)
    ]).toMatchInlineSnapshot(`
      [
        {
          "k0": 917456828,
          "k1": 636652529,
        },
        {
          "k0": 1274953414,
          "k1": 3729195273,
        },
        {
          "k0": 480801577,
          "k1": 2652483702,
        },
        {
          "k0": 3796241166,
          "k1": 1028532175,
        },
        {
          "k0": 1414715548,
          "k1": 36108359,
        },
      ]
    `)
  })

  it("composes", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.array(pathPart), fc.array(pathPart), (seed, a, b) => {
        expect(Key.derive(Key.derive(Key.make(seed), ...a), ...b)).toEqual(Key.derive(Key.make(seed), ...a, ...b))
      }),
      seeded
    )
  })

  it("gives different keys to different paths", () => {
    const canonical = (path: ReadonlyArray<string | number>) =>
      JSON.stringify(
        path.map((part) =>
          typeof part === "number"
            ? { n: `${part + 0}` }
            : { s: [...part].length, t: part.split("").map((c) => c.charCodeAt(0)) }
        )
      )
    const seen = new Map<string, string>()
    fc.assert(
      fc.property(fc.array(pathPart, { maxLength: 4 }), (path) => {
        const { k0, k1 } = Key.derive(Key.make(1), ...path)
        const name = canonical(path)
        const other = seen.get(`${k0},${k1}`)
        expect(other ?? name).toBe(name)
        seen.set(`${k0},${k1}`, name)
      }),
      { seed: 5, numRuns: 5000 }
    )
    const tricky: ReadonlyArray<ReadonlyArray<string | number>> = [
      [],
      [""],
      ["", ""],
      ["\u0000"],
      ["\u0000\u0000"],
      ["a", "b"],
      ["ab"],
      ["ab", ""],
      ["", "ab"],
      [1],
      ["1"],
      [-1],
      [1.5],
      ["1", "1"],
      [11],
      [1, 1],
      [2 ** 32],
      [2 ** 32, 0],
      [2 ** 53 - 1],
      [-(2 ** 53 - 1)],
      [2 ** 53],
      [Infinity],
      ["\ud800"],
      ["\ufffd"]
    ]
    const keys = new Set(tricky.map((path) => JSON.stringify(Key.derive(Key.make(1), ...path))))
    expect(keys.size).toBe(tricky.length)
    expect(Key.derive(Key.make(1), -0)).toEqual(Key.derive(Key.make(1), 0))
  })

  it("refuses NaN and a seed that is not an integer", () => {
    expect(() => Key.derive(Key.make(1), Number.NaN)).toThrow(RangeError)
    expect(() => Key.make(1.5)).toThrow("integer")
  })

  it("gives children whose words look uniform", () => {
    const root = Key.make(3)
    const words = Array.from({ length: 20000 }, (_, i) => Key.derive(root, "image", i))
    expect(
      chiSquare(
        tally(
          words.map((k) => k.k0 >>> 26),
          64
        )
      )
    ).toBeLessThan(chiSquareLimit(63))
    expect(
      chiSquare(
        tally(
          words.map((k) => k.k1 & 63),
          64
        )
      )
    ).toBeLessThan(chiSquareLimit(63))
  })
})

describe("draws", () => {
  it("survive JSON and the Schema", () => {
    const key = Key.derive(Key.make(9), "x")
    const back = Schema.decodeUnknownSync(Key.Key)(JSON.parse(JSON.stringify(key)))
    expect(back).toEqual(key)
    expect(() => Schema.decodeUnknownSync(Key.Key)({ k0: -1, k1: 0 })).toThrow()
    expect(() => Schema.decodeUnknownSync(Key.Key)({ k0: 2 ** 32, k1: 0 })).toThrow()
  })

  it("depend on nothing but key and index", () => {
    const key = Key.make(4)
    const all = Key.uniforms(key, 50)
    for (const i of [49, 3, 17, 0]) expect(Key.uniform(key, i)).toBe(all[i])
    const short = Key.normals(key, 10)
    expect(Array.from(Key.normals(key, 50).subarray(0, 10))).toEqual(Array.from(short))
    expect(Math.fround(Key.normal(key, 7))).toBe(short[7])
  })

  it("are uniform words", () => {
    const key = Key.make(11)
    const words = Array.from({ length: 65536 }, (_, i) => Key.uint32(key, i))
    for (const shift of [0, 8, 16, 24]) {
      expect(
        chiSquare(
          tally(
            words.map((w) => (w >>> shift) & 255),
            256
          )
        )
      ).toBeLessThan(chiSquareLimit(255))
    }
    // Pairs of neighbours, and of the same index under neighbouring keys.
    expect(
      chiSquare(
        tally(
          words.map((w, i) => (w >>> 28) * 16 + (words[(i + 1) % 65536]! >>> 28)),
          256
        )
      )
    ).toBeLessThan(chiSquareLimit(255))
    const crossed = Array.from(
      { length: 65536 },
      (_, i) => (Key.uint32(Key.derive(key, i)) >>> 28) * 16 + (Key.uint32(Key.derive(key, i + 1)) >>> 28)
    )
    expect(chiSquare(tally(crossed, 256))).toBeLessThan(chiSquareLimit(255))
  })

  it("are uniform numbers in [0, 1)", () => {
    const values = Key.uniforms(Key.make(12), 100000)
    expect(values.every((u) => u >= 0 && u < 1)).toBe(true)
    expect(
      chiSquare(
        tally(
          Array.from(values, (u) => Math.floor(u * 100)),
          100
        )
      )
    ).toBeLessThan(chiSquareLimit(99))
    // Mean 1/2 and second moment 1/3, each within five standard errors.
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    const second = values.reduce((a, b) => a + b * b, 0) / values.length
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / values.length))
    expect(Math.abs(second - 1 / 3)).toBeLessThan(5 * Math.sqrt(4 / 45 / values.length))
  })

  it("are normal numbers", () => {
    const n = 100000
    const values = Key.normals(Key.make(13), n)
    const moment = (k: number) => values.reduce((a, b) => a + b ** k, 0) / n
    expect(Math.abs(moment(1))).toBeLessThan(5 / Math.sqrt(n))
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n))
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n))
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n))
    const edges = Array.from({ length: 49 }, (_, i) => Deterministic.normalQuantile((i + 1) / 50))
    const bins = Array.from(values, (z) => edges.filter((edge) => z >= edge).length)
    expect(chiSquare(tally(bins, 50))).toBeLessThan(chiSquareLimit(49))
  })

  it("are pinned: the same bits on every machine", () => {
    expect(Array.from(Key.normals(Key.make(1), 4))).toMatchInlineSnapshot(`
      [
        -0.44874757528305054,
        1.660773515701294,
        -1.4867510795593262,
        -1.553685188293457,
      ]
    `)
    expect([
      Key.uint32(Key.make(1)),
      Key.uniform(Key.make(1)),
      Key.integer(Key.make(1), 1000),
      Key.bigint(Key.make(1), 10n ** 30n)
    ]).toMatchInlineSnapshot(`
      [
        1309258858,
        0.9657261688195014,
        601,
        39079263913550856380388651250n,
      ]
    `)
    expect(Array.from(Key.permutation(Key.make(1), 10))).toMatchInlineSnapshot(`
      [
        5,
        6,
        0,
        3,
        9,
        4,
        1,
        7,
        8,
        2,
      ]
    `)
  })

  it("are integers without bias", () => {
    const key = Key.make(14)
    for (const bound of [3, 7, 10, 100]) {
      const values = Array.from({ length: 50000 }, (_, i) => Key.integer(key, bound, i))
      expect(chiSquare(tally(values, bound))).toBeLessThan(chiSquareLimit(bound - 1))
    }
    // With this bound a remainder of 32-bit words would hit the lower half twice as often as the upper.
    const large = 3 * 2 ** 30
    const thirds = Array.from({ length: 30000 }, (_, i) => Math.floor(Key.integer(key, large, i) / 2 ** 30))
    expect(chiSquare(tally(thirds, 3))).toBeLessThan(chiSquareLimit(2))
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: 1, max: 2 ** 53 - 1 }), fc.nat(), (seed, bound, index) => {
        const value = Key.integer(Key.make(seed), bound, index)
        expect(Number.isInteger(value) && value >= 0 && value < bound).toBe(true)
      }),
      seeded
    )
  })

  it("refuse bounds and indices that are not positive integers in range", () => {
    for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 54])
      expect(() => Key.integer(Key.make(1), bound)).toThrow(RangeError)
    for (const index of [-1, 0.5, Number.NaN, 2 ** 53])
      expect(() => Key.uniform(Key.make(1), index)).toThrow(RangeError)
    expect(() => Key.bigint(Key.make(1), 0n)).toThrow(RangeError)
    expect(() => Key.choice(Key.make(1), [])).toThrow(RangeError)
    expect(() => Key.permutation(Key.make(1), -1)).toThrow(RangeError)
  })

  it("are big integers below their bound, uniform", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.bigInt({ min: 1n, max: 1n << 200n }), (seed, bound) => {
        const value = Key.bigint(Key.make(seed), bound)
        expect(value >= 0n && value < bound).toBe(true)
      }),
      seeded
    )
    const size = 558545864083284007n
    const root = Key.make(15)
    const bins = Array.from({ length: 40000 }, (_, i) => Number((Key.bigint(Key.derive(root, i), size) * 50n) / size))
    expect(chiSquare(tally(bins, 50))).toBeLessThan(chiSquareLimit(49))
    const small = Array.from({ length: 30000 }, (_, i) => Number(Key.bigint(Key.derive(root, "s", i), 5n)))
    expect(chiSquare(tally(small, 5))).toBeLessThan(chiSquareLimit(4))
  })

  it("are permutations, all equally likely", () => {
    const root = Key.make(16)
    const counts = new Map<string, number>()
    for (let i = 0; i < 24000; i += 1) {
      const name = Key.permutation(Key.derive(root, i), 4).join()
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    expect(counts.size).toBe(24)
    expect(chiSquare([...counts.values()])).toBeLessThan(chiSquareLimit(23))
    expect(Array.from(Key.permutation(root, 1000)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i)
    )
    expect(Key.permutation(root, 0).length).toBe(0)
  })

  it("choose each item equally often", () => {
    const items = ["a", "b", "c"] as const
    const chosen = Array.from({ length: 9000 }, (_, i) => items.indexOf(Key.choice(Key.make(17), items, i)))
    expect(chiSquare(tally(chosen, 3))).toBeLessThan(chiSquareLimit(2))
  })
})

describe("Deterministic", () => {
  it("agrees with the host's functions", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e308, noNaN: true }), (x) => {
        if (x > 0) {
          expect(Math.abs(Deterministic.log(x) - Math.log(x))).toBeLessThanOrEqual(
            4e-16 * Math.max(1e-3, Math.abs(Math.log(x)))
          )
        }
        expect(Math.abs(Deterministic.sqrt(x) - Math.sqrt(x))).toBeLessThanOrEqual(1e-15 * Math.sqrt(x))
      }),
      { seed: 1, numRuns: 3000 }
    )
    fc.assert(
      fc.property(fc.double({ min: -4, max: 4, noNaN: true }), (turns) => {
        const { cos, sin } = Deterministic.circle(turns)
        expect(Math.abs(cos - Math.cos(2 * Math.PI * turns))).toBeLessThan(1e-14)
        expect(Math.abs(sin - Math.sin(2 * Math.PI * turns))).toBeLessThan(1e-14)
      }),
      { seed: 1, numRuns: 1000 }
    )
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        expect(Math.abs(Deterministic.exp(x) - Math.exp(x))).toBeLessThanOrEqual(4e-16 * Math.exp(x))
      }),
      { seed: 1, numRuns: 2000 }
    )
    expect([Deterministic.exp(1000), Deterministic.exp(-1000)]).toEqual([Number.POSITIVE_INFINITY, 0])
    expect([Deterministic.log(0), Deterministic.log(Infinity), Deterministic.sqrt(0)]).toEqual([-Infinity, Infinity, 0])
    expect(Deterministic.log(-1)).toBeNaN()
  })

  // Reference values of another implementation of the quantile (statistics.NormalDist().inv_cdf of Python).
  it.each([
    [0.975, 1.9599639845400536],
    [0.2, -0.8416212335729142],
    [0.075, -1.4395314709384557],
    [1e-10, -6.361340902404056],
    [1e-15, -7.941345326170995],
    [2 ** -53, -8.209536151601386]
  ])("has the normal quantile of %d", (p, z) => {
    expect(Math.abs(Deterministic.normalQuantile(p) - z)).toBeLessThan(2e-15 * Math.abs(z))
  })
})
