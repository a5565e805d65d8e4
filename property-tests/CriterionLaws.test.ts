import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { describe, expect, it } from "vitest"
import * as Angular from "../src/criterion/Angular.ts"
import type { CriterionShape } from "../src/criterion/Criterion.ts"
import * as CrossEntropy from "../src/criterion/CrossEntropy.ts"
import * as Focal from "../src/criterion/Focal.ts"
import * as Triplet from "../src/criterion/Triplet.ts"
import * as CriterionLaws from "./CriterionLaws.ts"

describe("shipped criteria obey the laws", () => {
  const cases: ReadonlyArray<readonly [string, CriterionShape, CriterionLaws.Options?]> = [
    ["cross entropy", CrossEntropy.make({ labelSmoothing: 0.1 })],
    ["focal", Focal.make({ gamma: 2, alpha: 0.5 })],
    ["angular, raw", Angular.make({ scale: null, margin: 0, marginOn: "cosine" })],
    ["CosFace", Angular.make({ scale: 8, margin: 0.3, marginOn: "cosine" })],
    ["ArcFace", Angular.make({ scale: 8, margin: 0.4, marginOn: "angle" })],
    ["triplet, hardest", Triplet.make({ margin: 30, negatives: "hardest", normalise: false })],
    [
      "triplet, random hard",
      Triplet.make({ margin: 60, negatives: "random-hard", normalise: false }),
      { orderFree: false }
    ]
  ]
  for (const [name, criterion, options] of cases) it(name, () => CriterionLaws.check(criterion, options))
})

describe("wrong twins are caught", () => {
  const good = CrossEntropy.make({ labelSmoothing: 0 })
  const twin = (change: Partial<CriterionShape>) => () => CriterionLaws.check({ ...good, ...change })

  it("one with a wrong gradient", () => {
    const half = tf.customGrad((x, save) => {
      ;(save as tf.GradSaveFunc)([x as tf.Tensor])
      return { value: tf.clone(x as tf.Tensor), gradFunc: (dy) => tf.mul(dy as tf.Tensor, 0.5) }
    })
    expect(twin({ loss: (p, x, y, key) => tf.tidy(() => good.loss(p, half(x) as tf.Tensor2D, y, key)) })).toThrow(
      "finite differences"
    )
  })

  it("one that weighs the first row more", () => {
    const loss: CriterionShape["loss"] = (p, x, y, key) =>
      tf.tidy(() => {
        const first = good.loss(p, tf.slice(x, [0, 0], [1, -1]), tf.slice(y, 0, 1), key)
        return tf.add(good.loss(p, x, y, key), first)
      })
    expect(twin({ loss })).toThrow("order of a batch")
  })

  it("one that remembers", () => {
    let calls = 0
    const loss: CriterionShape["loss"] = (p, x, y, key) =>
      tf.tidy(() => {
        calls += 1
        return tf.mul(good.loss(p, x, y, key), 1 + calls)
      })
    expect(twin({ loss })).toThrow("follows from its arguments")
  })

  it("one that leaks", () => {
    const loss: CriterionShape["loss"] = (p, x, y, key) => {
      tf.keep(tf.zeros([1]))
      return good.loss(p, x, y, key)
    }
    expect(twin({ loss })).toThrow("leaves nothing behind")
  })

  it("one that overflows", () => {
    const loss: CriterionShape["loss"] = (_, x) => tf.tidy(() => tf.mean(tf.log(tf.sum(tf.exp(x), 1))))
    expect(twin({ loss })).toThrow("stay finite")
  })
})
