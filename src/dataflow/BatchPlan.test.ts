import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Key from "../random/Key.ts"
import * as BatchPlan from "./BatchPlan.ts"

/** 12 images of 5 x 4 x 2 with every byte different from its neighbours. */
const [height, width, channels] = [5, 4, 2]
const length = height * width * channels
const pixels = Uint8Array.from({ length: 12 * length }, (_, i) => (i * 37 + 11) % 256)
const labels = Int32Array.from({ length: 12 }, (_, i) => i % 3)

const planOf = (change: Partial<BatchPlan.BatchPlan> = {}): BatchPlan.BatchPlan => ({
  stored: [height, width, channels],
  image: [height, width, channels],
  train: { pixels, labels },
  test: { pixels, labels },
  splits: {
    supernet: { part: "train", indices: Uint32Array.of(1, 3, 5, 7, 9) },
    validation: { part: "train", indices: Uint32Array.of(0, 2) },
    train: { part: "train", indices: Uint32Array.from(labels, (_, i) => i) },
    test: { part: "test", indices: Uint32Array.of(11, 10) }
  },
  table: BatchPlan.normalisation([0.25, 0.5], [0.5, 2]),
  augmentation: { crop: 0, flip: false, cutout: 0 },
  perIdentity: 0,
  files: null,
  key: Key.make(1),
  ...change
})

const normal = (byte: number, channel: number) =>
  Math.fround(channel === 0 ? (byte / 255 - 0.25) / 0.5 : (byte / 255 - 0.5) / 2)

describe("batch", () => {
  it("normalises bytes and keeps the order outside training", () => {
    const plan = planOf()
    const batch = BatchPlan.batch(plan, { split: "test", epoch: 3, step: 0, batchSize: 5, training: false })
    expect(batch.size).toBe(2)
    expect(Array.from(batch.labels)).toEqual([2, 1])
    for (let i = 0; i < length; i += 1) {
      expect(batch.images[i]).toBe(normal(pixels[11 * length + i]!, i % 2))
      expect(batch.images[length + i]).toBe(normal(pixels[10 * length + i]!, i % 2))
    }
  })

  it("centres an image on a larger, black one", () => {
    const plan = planOf({ image: [8, 7, 2] })
    const { images } = BatchPlan.batch(plan, { split: "validation", epoch: 0, step: 0, batchSize: 1, training: false })
    for (let y = 0; y < 8; y += 1) {
      for (let x = 0; x < 7; x += 1) {
        for (let c = 0; c < 2; c += 1) {
          const inside = y >= 1 && y < 6 && x >= 1 && x < 5
          const byte = inside ? pixels[((y - 1) * width + x - 1) * channels + c]! : 0
          expect(images[(y * 7 + x) * 2 + c]).toBe(normal(byte, c))
        }
      }
    }
  })

  it("crops, mirrors and blanks as a second implementation of the definitions does", () => {
    const crop = 2
    const seen = { mirrored: 0, shifted: new Set<string>(), blanked: 0 }
    const plan = planOf({ augmentation: { crop, flip: true, cutout: 3 } })
    for (let epoch = 0; epoch < 40; epoch += 1) {
      const request = { split: "train", epoch, step: 0, batchSize: 12, training: true } as const
      const batch = BatchPlan.batch(plan, request)
      BatchPlan.indices(plan, request).forEach((index, position) => {
        const key = Key.derive(plan.key, "augment", "train", epoch, index)
        const flip = Key.integer(key, 2, 0) === 1
        const [top, left] = [Key.integer(key, 5, 1), Key.integer(key, 5, 2)]
        const [cy, cx] = [Key.integer(key, height, 3), Key.integer(key, width, 4)]
        if (flip) seen.mirrored += 1
        seen.shifted.add(`${top},${left}`)
        // The padded image, cropped at (top, left), mirrored, blanked around (cy, cx).
        const framed = (y: number, x: number, c: number) => {
          const [row, column] = [y - crop, x - crop]
          const inside = row >= 0 && row < height && column >= 0 && column < width
          return inside ? pixels[index * length + (row * width + column) * channels + c]! : 0
        }
        for (let y = 0; y < height; y += 1) {
          for (let x = 0; x < width; x += 1) {
            for (let c = 0; c < channels; c += 1) {
              const blank = y >= cy - 1 && y < cy + 2 && x >= cx - 1 && x < cx + 2
              // Offsets count from the far side: crop - draw.
              const byte = framed(y - (crop - top) + crop, (flip ? width - 1 - x : x) - (crop - left) + crop, c)
              if (blank) seen.blanked += 1
              expect(batch.images[position * length + (y * width + x) * channels + c]).toBe(blank ? 0 : normal(byte, c))
            }
          }
        }
      })
    }
    expect(seen.shifted.size).toBe(25)
    expect(seen.mirrored).toBeGreaterThan(190)
    expect(seen.mirrored).toBeLessThan(290)
    expect(seen.blanked).toBeGreaterThan(0)
  })

  it("shuffles each epoch differently, each image once", () => {
    const plan = planOf()
    const orders = Array.from({ length: 30 }, (_, epoch) =>
      [0, 1, 2].flatMap((step) => [
        ...BatchPlan.indices(plan, { split: "train", epoch, step, batchSize: 4, training: true })
      ])
    )
    for (const order of orders)
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i))
    expect(new Set(orders.map(String)).size).toBe(30)
  })

  it("depends on the key", () => {
    const request = { split: "train", epoch: 0, step: 0, batchSize: 12, training: true } as const
    expect(BatchPlan.indices(planOf(), request)).not.toEqual(BatchPlan.indices(planOf({ key: Key.make(2) }), request))
  })
})

describe("refusal", () => {
  it("names what is wrong with a request", () => {
    const request = { split: "train", epoch: 0, step: 0, batchSize: 5, training: true } as const
    expect(BatchPlan.refusal(planOf(), request)).toBeUndefined()
    expect(BatchPlan.refusal(planOf(), { ...request, step: 2 })).toContain("2 full batches of 5 (12 images)")
    expect(BatchPlan.refusal(planOf(), { ...request, step: 2, training: false })).toBeUndefined()
    for (const wrong of [{ step: -1 }, { epoch: 0.5 }, { batchSize: 0 }, { step: Number.NaN }]) {
      expect(BatchPlan.refusal(planOf(), { ...request, ...wrong })).toContain("must be integers")
    }
  })
})

describe("stratified", () => {
  it("splits every label by the fraction, every index once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(4), { minLength: 1, maxLength: 80 }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        fc.nat(),
        (numbers, fraction, seed) => {
          const all = Int32Array.from(numbers)
          const [first, second] = BatchPlan.stratified(all, fraction, Key.make(seed))
          expect([...first, ...second].sort((a, b) => a - b)).toEqual(numbers.map((_, i) => i))
          for (const label of new Set(numbers)) {
            const held = numbers.filter((other) => other === label).length
            const got = [...first].filter((index) => all[index] === label).length
            expect(Math.abs(got - held * fraction)).toBeLessThan(1)
            if (held > 1) expect(got > 0 && got < held).toBe(true)
          }
          expect([...first]).toEqual([...first].sort((a, b) => a - b))
        }
      ),
      { seed: 1, numRuns: 200 }
    )
  })
})

describe("byWholeLabels", () => {
  it("splits by whole labels, at least two on either side, every index once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(9), { minLength: 1, maxLength: 80 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.nat(),
        (numbers, fraction, seed) => {
          const labels = Int32Array.from(numbers)
          const different = new Set(numbers).size
          const parts = BatchPlan.byWholeLabels(labels, fraction, Key.make(seed))
          expect(parts === undefined).toBe(different < 4)
          if (parts === undefined) return
          const [first, second] = parts
          expect([...first, ...second].sort((a, b) => a - b)).toEqual(numbers.map((_, i) => i))
          const [a, b] = [first, second].map((part) => new Set([...part].map((index) => labels[index])))
          expect(a!.size + b!.size).toBe(different)
          expect(Math.min(a!.size, b!.size)).toBeGreaterThanOrEqual(2)
          if (different * Math.min(fraction, 1 - fraction) >= 2) {
            expect(Math.abs(a!.size - different * fraction)).toBeLessThanOrEqual(0.5)
          }
        }
      ),
      { seed: 1, numRuns: 200 }
    )
  })
})

describe("balanced", () => {
  it("takes labels in turn, the first of each, in order", () => {
    expect(Array.from(BatchPlan.balanced(Int32Array.of(0, 0, 0, 1, 2, 1), 4))).toEqual([0, 1, 3, 4])
    expect(Array.from(BatchPlan.balanced(Int32Array.of(0, 0, 1), null))).toEqual([0, 1, 2])
    expect(Array.from(BatchPlan.balanced(Int32Array.of(0, 0, 1), 9))).toEqual([0, 1, 2])
  })
})
