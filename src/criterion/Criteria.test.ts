import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { gradientMismatch } from "../engine/FiniteDifferences.ts"
import * as Key from "../random/Key.ts"
import * as Angular from "./Angular.ts"
import type { CriterionShape } from "./Criterion.ts"
import * as Criterion from "./Criterion.ts"
import * as CrossEntropy from "./CrossEntropy.ts"
import * as Focal from "./Focal.ts"
import * as Triplet from "./Triplet.ts"

const key = Key.make(1)

const batchOf = (seed: number, rows: number, columns: number, labels: number, spread = 1) => {
  const root = Key.make(seed)
  return {
    outputs: tf.tensor2d(
      Key.normals(Key.derive(root, "outputs"), rows * columns).map((v) => v * spread),
      [rows, columns]
    ),
    labels: tf.tensor1d(
      Array.from({ length: rows }, (_, i) => Key.integer(Key.derive(root, "labels"), labels, i)),
      "int32"
    )
  }
}

const value = (criterion: CriterionShape, outputs: tf.Tensor2D, labels: tf.Tensor1D, params = {}): number =>
  tf.tidy(() => criterion.loss(params, outputs, labels, key).dataSync()[0]!)

let before = 0
beforeEach(() => {
  before = tf.memory().numTensors
})
const made: Array<tf.Tensor> = []
const own = <T extends { readonly [name: string]: tf.Tensor }>(tensors: T): T => {
  made.push(...Object.values(tensors))
  return tensors
}
afterEach(() => {
  for (const tensor of made.splice(0)) tensor.dispose()
  expect(tf.memory().numTensors).toBe(before)
})

const criteria: ReadonlyArray<readonly [string, CriterionShape]> = [
  ["cross entropy", CrossEntropy.make({ labelSmoothing: 0 })],
  ["cross entropy, smoothed", CrossEntropy.make({ labelSmoothing: 0.1 })],
  ["focal, gamma 2", Focal.make({ gamma: 2, alpha: 1 })],
  ["focal, gamma 0.5", Focal.make({ gamma: 0.5, alpha: 0.25 })],
  ["angular, raw", Angular.make({ scale: null, margin: 0, marginOn: "cosine" })],
  ["angular, NormFace", Angular.make({ scale: 8, margin: 0, marginOn: "cosine" })],
  ["angular, CosFace", Angular.make({ scale: 8, margin: 0.35, marginOn: "cosine" })],
  ["angular, ArcFace", Angular.make({ scale: 8, margin: 0.5, marginOn: "angle" })],
  ["triplet, hardest", Triplet.make({ margin: 4, negatives: "hardest", normalise: false })],
  ["triplet, hardest, unit", Triplet.make({ margin: 1.5, negatives: "hardest", normalise: true })]
]

describe.each(criteria)("%s", (_, criterion) => {
  it("has the gradient of its finite differences", () => {
    for (const seed of [1, 2, 3]) {
      const { labels, outputs } = own(batchOf(seed, 6, 5, 3))
      const params = own(criterion.init(key, { outputs: 5, classes: 4 }) as Record<string, tf.Tensor>)
      const names = Object.keys(params)
      const loss = (x: tf.Tensor, ...weights: Array<tf.Tensor>) =>
        criterion.loss(Object.fromEntries(names.map((name, i) => [name, weights[i]!])), x as tf.Tensor2D, labels, key)
      const found = gradientMismatch(loss, [outputs, ...Object.values(params)], { step: 1e-2 })
      expect(found.error, JSON.stringify(found)).toBeLessThan(2e-3)
    }
  })

  it("does not depend on the order of the batch", () => {
    const { labels, outputs } = own(batchOf(4, 12, 5, 3))
    const params = own(criterion.init(key, { outputs: 5, classes: 4 }) as Record<string, tf.Tensor>)
    const order = own({ o: tf.tensor1d(Array.from(Key.permutation(Key.make(8), 12)), "int32") }).o as tf.Tensor1D
    const shuffled = own({ outputs: tf.gather(outputs, order), labels: tf.gather(labels, order) })
    const [a, b] = [
      value(criterion, outputs, labels, params),
      value(criterion, shuffled.outputs, shuffled.labels, params)
    ]
    expect(Math.abs(a - b)).toBeLessThan(1e-6 * Math.max(1, Math.abs(a)))
  })

  it("stays finite for outputs far apart", () => {
    const { labels, outputs } = own(batchOf(5, 6, 5, 3, 300))
    const params = own(criterion.init(key, { outputs: 5, classes: 4 }) as Record<string, tf.Tensor>)
    expect(Number.isFinite(value(criterion, outputs, labels, params))).toBe(true)
    const gradient = own({
      g: tf.grad((x: tf.Tensor) => criterion.loss(params, x as tf.Tensor2D, labels, key))(outputs)
    }).g!
    expect(gradient.dataSync().every(Number.isFinite)).toBe(true)
  })
})

describe("cross entropy", () => {
  // Values of torch.nn.functional.cross_entropy on the same numbers.
  it("equals PyTorch's", () => {
    const outputs = own({
      o: tf.tensor2d([
        [1, 2, 3],
        [0.5, -1, 0]
      ])
    }).o as tf.Tensor2D
    const labels = own({ l: tf.tensor1d([0, 2], "int32") }).l as tf.Tensor1D
    expect(value(CrossEntropy.make({ labelSmoothing: 0 }), outputs, labels)).toBeCloseTo(1.7558682848905545, 6)
    expect(value(CrossEntropy.make({ labelSmoothing: 0.1 }), outputs, labels)).toBeCloseTo(1.714201618223888, 6)
    expect(value(Focal.make({ gamma: 2, alpha: 1 }), outputs, labels)).toBeCloseTo(1.2435167398690439, 6)
  })

  it("is what focal loss is with gamma 0", () => {
    const { labels, outputs } = own(batchOf(6, 7, 4, 4))
    const a = value(CrossEntropy.make({ labelSmoothing: 0 }), outputs, labels)
    expect(Math.abs(a - value(Focal.make({ gamma: 0, alpha: 1 }), outputs, labels))).toBeLessThan(1e-6)
  })
})

describe("angular", () => {
  it("refuses a margin without a scale", () => {
    const decode = Schema.decodeUnknownSync(Angular.Options)
    expect(() => decode({ margin: 0.3 })).toThrow("scale")
    expect(decode({})).toEqual({ scale: null, margin: 0, marginOn: "cosine" })
  })

  it("costs more with a margin, and ignores the length of embeddings once scaled", () => {
    const { labels, outputs } = own(batchOf(7, 6, 5, 3))
    const twice = own({ t: tf.mul(outputs, 2) }).t as tf.Tensor2D
    const plain = Angular.make({ scale: 8, margin: 0, marginOn: "cosine" })
    const params = own(plain.init(key, { outputs: 5, classes: 3 }) as Record<string, tf.Tensor>)
    const base = value(plain, outputs, labels, params)
    expect(Math.abs(value(plain, twice, labels, params) - base)).toBeLessThan(1e-5)
    for (const marginOn of ["cosine", "angle"] as const) {
      expect(value(Angular.make({ scale: 8, margin: 0.3, marginOn }), outputs, labels, params)).toBeGreaterThan(base)
    }
  })

  it("has the loss of its definitions, angles taken by the host's functions", () => {
    const { labels, outputs } = own(batchOf(9, 5, 4, 3))
    const params = own(
      Angular.make({ scale: 8, margin: 0, marginOn: "cosine" }).init(key, { outputs: 4, classes: 3 }) as Record<
        string,
        tf.Tensor
      >
    )
    const rows = outputs.arraySync()
    const weights = (params[Angular.weightName] as tf.Tensor2D).arraySync()
    const numbers = Array.from(labels.dataSync())
    const expected = (logit: (angle: number, hit: boolean) => number): number => {
      const losses = rows.map((row, i) => {
        const logits = [0, 1, 2].map((c) => {
          const column = weights.map((line) => line[c]!)
          const dot = row.reduce((sum, v, d) => sum + v * column[d]!, 0)
          return 8 * logit(Math.acos(dot / (Math.hypot(...row) * Math.hypot(...column))), numbers[i] === c)
        })
        return Math.log(logits.reduce((sum, v) => sum + Math.exp(v), 0)) - logits[numbers[i]!]!
      })
      return losses.reduce((a, b) => a + b, 0) / losses.length
    }
    // ArcFace continues along a line where angle and margin pass half a turn.
    const arc = (angle: number) =>
      angle + 0.5 < Math.PI ? Math.cos(angle + 0.5) : Math.cos(angle) - 0.5 * Math.sin(0.5)
    const cases = [
      [Angular.make({ scale: 8, margin: 0, marginOn: "cosine" }), (angle: number) => Math.cos(angle)],
      [
        Angular.make({ scale: 8, margin: 0.3, marginOn: "cosine" }),
        (a: number, hit: boolean) => Math.cos(a) - (hit ? 0.3 : 0)
      ],
      [
        Angular.make({ scale: 8, margin: 0.5, marginOn: "angle" }),
        (a: number, hit: boolean) => (hit ? arc(a) : Math.cos(a))
      ]
    ] as const
    for (const [criterion, logit] of cases)
      expect(value(criterion, outputs, labels, params)).toBeCloseTo(expected(logit), 4)
  })

  it("says what is wrong with its weights", () => {
    const { labels, outputs } = own(batchOf(7, 6, 5, 3))
    expect(() => value(Angular.make({ scale: 8, margin: 0, marginOn: "cosine" }), outputs, labels)).toThrow("missing")
  })
})

describe("triplet", () => {
  const options = { margin: 0.3, normalise: true }

  it("gives zero loss and gradient, and says why, where there is no triplet", () => {
    const { outputs } = own(batchOf(8, 4, 3, 1))
    const cases: ReadonlyArray<readonly [ReadonlyArray<number>, string]> = [
      [[1, 1, 1, 1], "single identity"],
      [[0, 1, 2, 3], "several images"]
    ]
    for (const negatives of ["hardest", "random-hard", "semihard"] as const) {
      const criterion = Triplet.make({ ...options, negatives })
      for (const [numbers, reason] of cases) {
        const labels = own({ l: tf.tensor1d([...numbers], "int32") }).l as tf.Tensor1D
        expect(value(criterion, outputs, labels)).toBe(0)
        const gradient = own({
          g: tf.grad((x: tf.Tensor) => criterion.loss({}, x as tf.Tensor2D, labels, key))(outputs)
        }).g!
        expect(Array.from(gradient.dataSync())).toEqual(new Array(12).fill(0))
        expect(criterion.warning?.({}, outputs, labels, key)).toContain(reason)
      }
    }
    const apart = own({
      o: tf.tensor2d([
        [1, 0],
        [1, 0],
        [-1, 0],
        [-1, 0]
      ]),
      l: tf.tensor1d([0, 0, 1, 1], "int32")
    })
    const criterion = Triplet.make({ ...options, negatives: "hardest" })
    expect(criterion.warning?.({}, apart.o as tf.Tensor2D, apart.l as tf.Tensor1D, key)).toContain("margin 0.3")
  })

  it("chooses negatives as their names say", () => {
    const points = fc.array(
      fc.tuple(fc.float({ min: -1, max: 1, noNaN: true }), fc.float({ min: -1, max: 1, noNaN: true }), fc.nat(2)),
      { minLength: 2, maxLength: 9 }
    )
    fc.assert(
      fc.property(points, fc.nat(), (rows, seed) => {
        const distances = Triplet.squaredDistances(rows.map(([x, y]) => Float64Array.of(x, y)))
        const labels = rows.map(([, , label]) => label)
        const margin = 0.4
        const violation = (a: number, p: number, n: number) => distances[a]![p]! - distances[a]![n]! + margin
        const pairs = rows.flatMap((_, a) =>
          rows.flatMap((_, p) => (a !== p && labels[a] === labels[p] ? [[a, p] as const] : []))
        )
        for (const negatives of ["hardest", "random-hard", "semihard"] as const) {
          const chosen = Triplet.select(distances, labels, { margin, negatives }, Key.make(seed))
          const fits = (a: number, p: number, n: number) =>
            labels[n] !== labels[a] &&
            violation(a, p, n) > 0 &&
            (negatives !== "semihard" || violation(a, p, n) < margin)
          // Exactly the pairs that have a fitting negative, each once.
          const wanted = pairs.filter(([a, p]) => labels.some((_, n) => fits(a, p, n)))
          expect(chosen.map(([a, p]) => `${a},${p}`)).toEqual(wanted.map(([a, p]) => `${a},${p}`))
          for (const [a, p, n] of chosen) {
            expect(fits(a, p, n)).toBe(true)
            if (negatives === "hardest") {
              expect(
                labels.every((label, other) => label === labels[a] || distances[a]![other]! >= distances[a]![n]!)
              ).toBe(true)
            }
          }
        }
      }),
      { seed: 3, numRuns: 200 }
    )
  })
})

describe("a loss that is not one number", () => {
  it.each([
    ["a tensor of shape [2]: reduce it with tf.mean or tf.sum", () => tf.zeros([2])],
    ["a Promise: the function must not be async", async () => Promise.reject(new Error("later"))],
    ["3", () => 3],
    ["undefined", () => undefined],
    ["an object that is not a tensor", () => ({ shape: [] })]
  ])("is refused with the criterion's name: %s", (got, loss) => {
    const mine = { name: "mine", loss: loss as unknown as Criterion.CriterionShape["loss"] }
    const of = () => Criterion.lossOfUnsafe(mine, {}, tf.zeros([2, 3]), tf.tensor1d([0, 1], "int32"), Key.make(0))
    tf.tidy(() => {
      expect(of).toThrow(new TypeError(`criterion mine: loss must return a tensor of one number, got ${got}`))
    })
  })
})
