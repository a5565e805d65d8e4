import fc from "fast-check"
import { expect, test } from "vitest"
import * as Counting from "./Counting.ts"

const enumerate = (layers: ReadonlyArray<ReadonlyArray<number>>, min: number, max: number) => {
  const out: Array<ReadonlyArray<number>> = []
  const walk = (choice: ReadonlyArray<number>, sum: number) => {
    if (choice.length === layers.length) {
      if (sum >= min && sum <= max) out.push(choice)
      return
    }
    const layer = layers[choice.length]!
    const order = layer.map((_, item) => item).sort((a, b) => layer[a]! - layer[b]! || a - b)
    for (const item of order) walk([...choice, item], sum + layer[item]!)
  }
  walk([], 0)
  return out
}

test("equals enumeration: the count, and every choice at its rank", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.array(
          fc.integer({ min: 0, max: 40 }).map((c) => c * 6 + 1),
          { minLength: 1, maxLength: 5 }
        ),
        {
          minLength: 0,
          maxLength: 6
        }
      ),
      fc.integer({ min: -10, max: 700 }),
      fc.integer({ min: -10, max: 900 }),
      (layers, min, span) => {
        const all = enumerate(layers, min, min + span)
        const counting = Counting.make(layers, min, min + span)
        expect(counting.count).toBe(BigInt(all.length))
        for (let rank = 0; rank < all.length; rank += Math.max(1, Math.floor(all.length / 50))) {
          expect(counting.at(BigInt(rank))).toEqual(all[rank])
        }
      }
    ),
    { seed: 1, numRuns: 300 }
  )
})

test("large costs off any common divisor, where sums are sorted instead of marked", () => {
  const layers = [0, 1, 2, 3, 4, 5].map((l) => [0, 7919 * 10 ** l + 1, 104729 * 11 ** l, 10 ** (l + 5) + 3])
  const all = enumerate(layers, 10 ** 6, 10 ** 10)
  const counting = Counting.make(layers, 10 ** 6, 10 ** 10)
  expect(counting.count).toBe(BigInt(all.length))
  for (let rank = 0; rank < all.length; rank += 97) expect(counting.at(BigInt(rank))).toEqual(all[rank])
})

test("counts far beyond 2^53 are exact", () => {
  // 21 layers of 4095 items: binomial sums by cost 0..1 a layer, known in closed form.
  const layers = Array.from({ length: 21 }, () => Array.from({ length: 4095 }, (_, i) => (i < 4000 ? 0 : 1)))
  const binomial = (n: number, k: number): bigint =>
    k === 0 ? 1n : (binomial(n, k - 1) * BigInt(n - k + 1)) / BigInt(k)
  const term = (k: number) => binomial(21, k) * 4000n ** BigInt(21 - k) * 95n ** BigInt(k)
  expect(Counting.make(layers, 0, 21).count).toBe(4095n ** 21n)
  expect(Counting.make(layers, 3, 5).count).toBe(term(3) + term(4) + term(5))
  expect(Counting.make(layers, 21, 100).count).toBe(95n ** 21n)
})

test("a rank outside is refused", () => {
  expect(() => Counting.make([[1, 2]], 1, 2).at(2n)).toThrow("rank 2 is not in [0, 2)")
  expect(() => Counting.make([[1, 2]], 1, 2).at(-1n)).toThrow(RangeError)
  expect(() => Counting.make([[1, 2]], 5, 9).at(0n)).toThrow("not in [0, 0)")
  const two = [
    [1, 2],
    [1, 2]
  ]
  expect(() => Counting.make(two, 2, 3).at(3n)).toThrow("rank 3 is not in [0, 3)")
  expect(() => Counting.make(two, 5, 9).at(0n)).toThrow("empty")
})

test.each([[[]], [[1, Number.NaN]], [[-1]], [[0.5]]])("costs %j are refused", (layer) => {
  expect(() => Counting.make([layer], 0, 1)).toThrow("integers from 0")
})
