import * as Option from "effect/Option"
import * as Result from "effect/Result"
import fc from "fast-check"
import { expect, test } from "vitest"
import { fakeSpace } from "../../property-tests/testing/FakeSpace.ts"
import * as Key from "../random/Key.ts"
import * as FeasibleSet from "./FeasibleSet.ts"

const feasible = (
  layers: ReadonlyArray<ReadonlyArray<number>>,
  min: number,
  max: number,
  base = 0,
  metric: "flops" | "latency" = "flops"
) => {
  const space = fakeSpace({ name: "fake", layers: layers.map((layer) => layer.length) })
  return FeasibleSet.make(space, { base, layers }, { metric, min, max })
}

test("says at once that nothing fits, with the smallest and the largest cost", () => {
  const refused = feasible(
    [
      [10, 20],
      [5, 50]
    ],
    80,
    90,
    100
  )
  expect(Result.isFailure(refused) && refused.failure.message).toBe(
    "no architecture of fake has flops between 80 and 90: the smallest has 115, the largest 170"
  )
  // Within the range of costs, but between two of them.
  const gap = feasible(
    [
      [10, 20],
      [5, 50]
    ],
    126,
    154,
    100
  )
  expect(Result.isFailure(gap) && [gap.failure.smallest, gap.failure.largest]).toEqual([115, 170])
  expect(Result.isFailure(feasible([[1, 2]], 2, 1))).toBe(true)
})

test("both ends of the band belong to it", () => {
  const both = Result.getOrThrow(
    feasible(
      [
        [10, 20],
        [5, 50]
      ],
      115,
      125,
      100
    )
  )
  expect(both.count).toBe(2n)
  expect([both.at(0n), both.at(1n)]).toEqual([
    [0, 0],
    [1, 0]
  ])
  expect([both.cost([1, 0]), both.contains([1, 0]), both.contains([0, 1]), both.contains([9, 9])]).toEqual([
    125,
    true,
    false,
    false
  ])
})

test("composed layers are drawn by their selections", () => {
  const space = fakeSpace({
    name: "composed",
    layers: [
      2,
      {
        width: 2,
        selections: [
          [0, 1],
          [1, 0],
          [1, 1]
        ]
      }
    ]
  })
  const entries = {
    base: 0,
    layers: [
      [1, 2],
      [1, 1, 2]
    ]
  }
  const within = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min: 0, max: 3 }))
  expect(within.count).toBe(5n)
  const all = Array.from({ length: 5 }, (_, rank) => within.at(BigInt(rank)).join(""))
  expect(new Set(all)).toEqual(new Set(["001", "010", "011", "101", "110"]))
})

const measured = fc.array(
  fc.array(
    fc.integer({ min: 1, max: 300 }).map((cost) => cost / 97),
    { minLength: 1, maxLength: 4 }
  ),
  {
    minLength: 1,
    maxLength: 6
  }
)

test("measured costs: every sample is truly inside, and next to none of the band is lost", () => {
  fc.assert(
    fc.property(measured, fc.double({ min: 0.2, max: 0.9, noNaN: true }), (layers, share) => {
      const base = 0.5
      const low = layers.reduce((sum, layer) => sum + Math.min(...layer), base)
      const high = layers.reduce((sum, layer) => sum + Math.max(...layer), base)
      const [min, max] = [low + (high - low) * share * 0.5, low + (high - low) * share]
      const costs = layers.reduce((sums, layer) => layer.flatMap((c) => sums.map((sum) => sum + c)), [base])
      const hair = (high - low) * 1e-3
      const surely = costs.filter((cost) => cost >= min + hair && cost <= max - hair).length
      const atMost = costs.filter((cost) => cost >= min - 1e-9 && cost <= max + 1e-9).length
      const made = feasible(layers, min, max, base, "latency")
      if (Result.isFailure(made)) {
        expect(surely).toBe(0)
        return
      }
      expect(Number(made.success.count)).toBeGreaterThanOrEqual(surely)
      expect(Number(made.success.count)).toBeLessThanOrEqual(atMost)
      for (let draw = 0; draw < 20; draw += 1) {
        const genotype = made.success.sample(Key.make(draw))
        expect(made.success.contains(genotype)).toBe(true)
      }
    }),
    { seed: 2, numRuns: 100 }
  )
})

test("measured costs on a dyadic grid are counted exactly", () => {
  const layers = [
    [1 / 1024, 3 / 1024],
    [0.25, 0.5],
    [0.125, 0.25]
  ]
  const exact = Result.getOrThrow(feasible(layers, 0, 0.25 + 0.125 + 1 / 1024, 0, "latency"))
  expect(exact.count).toBe(1n)
  expect(exact.at(0n)).toEqual([0, 0, 0])
})

test("a band narrower than the rounding is distinguished from an empty one", () => {
  const layers = [
    [0.1, 0.2, 0.7],
    [0.3, 0.6, 0.9]
  ]
  const narrow = feasible(layers, 0.4999, 0.5001, 0, "latency")
  expect(Result.isSuccess(narrow) && narrow.success.at(0n)).toEqual([1, 0])
})

test("restricting samples exactly the restricted part of the band", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.array(fc.record({ cost: fc.integer({ min: 0, max: 30 }), allowed: fc.boolean() }), {
          minLength: 1,
          maxLength: 4
        }),
        { minLength: 1, maxLength: 5 }
      ),
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 0, max: 60 }),
      (layers, min, span) => {
        const made = feasible(
          layers.map((layer) => layer.map(({ cost }) => cost)),
          min,
          min + span
        )
        if (Result.isFailure(made)) return
        const all = Array.from({ length: Number(made.success.count) }, (_, rank) => made.success.at(BigInt(rank)))
        const allowed = layers.map((layer) => layer.flatMap((option, index) => (option.allowed ? [index] : [])))
        const expected = all.filter((genotype) => genotype.every((digit, layer) => allowed[layer]!.includes(digit)))
        const restricted = made.success.restrict(allowed)
        expect(Option.isSome(restricted)).toBe(expected.length > 0)
        if (Option.isNone(restricted)) return
        const drawn = Array.from({ length: Number(restricted.value.count) }, (_, rank) =>
          restricted.value.at(BigInt(rank))
        )
        expect(new Set(drawn.map(String))).toEqual(new Set(expected.map(String)))
        expect(drawn).toHaveLength(expected.length)
      }
    ),
    { seed: 3, numRuns: 200 }
  )
})

test("the same key draws the same architecture, other keys draw others", () => {
  const many = Result.getOrThrow(
    feasible(
      Array.from({ length: 20 }, (_, l) => [0, l + 1, 2 * l + 5]),
      50,
      200
    )
  )
  expect(many.sample(Key.make(1))).toEqual(many.sample(Key.make(1)))
  expect(new Set(Array.from({ length: 100 }, (_, seed) => many.sample(Key.make(seed)).join())).size).toBe(100)
})
