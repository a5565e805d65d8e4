import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as Angular from "../src/criterion/Angular.ts"
import type { CriterionShape } from "../src/criterion/Criterion.ts"
import * as CrossEntropy from "../src/criterion/CrossEntropy.ts"
import * as Focal from "../src/criterion/Focal.ts"
import * as Triplet from "../src/criterion/Triplet.ts"
import * as CriterionLaws from "./CriterionLaws.ts"

const classifier = { outputs: 4, classes: 4 }
const embedding = { outputs: 5, classes: 3 }
const defaults = <A>(schema: Schema.Codec<A, unknown>, given: unknown = {}): A =>
  Schema.decodeUnknownSync(schema)(given)

describe("shipped criteria obey the laws", () => {
  it.each([0, 0.1])("cross entropy, smoothing %s", (labelSmoothing) =>
    CriterionLaws.check(CrossEntropy.make({ labelSmoothing }), classifier)
  )
  it("focal", () => CriterionLaws.check(Focal.make(defaults(Focal.Options)), classifier))
  it.each([{}, { scale: 8 }, { scale: 8, margin: 0.3 }, { scale: 8, margin: 0.3, marginOn: "angle" }])(
    "angular %j",
    (options) => CriterionLaws.check(Angular.make(defaults(Angular.Options, options)), embedding)
  )
  it("triplet", () =>
    CriterionLaws.check(Triplet.make(defaults(Triplet.Options)), { ...embedding, smooth: false, orderFree: false }))
})

describe("wrong twins are caught", () => {
  const right = CrossEntropy.make({ labelSmoothing: 0 })
  const twin = (change: Partial<CriterionShape>, law: string) =>
    expect(CriterionLaws.check({ ...right, ...change }, classifier)).rejects.toThrow(law)

  it("one that is no scalar", () =>
    twin({ loss: (_, outputs) => tf.mean(tf.square(outputs), 1) as unknown as tf.Scalar }, "one number"))
  it("one that remembers", () => {
    let asked = 0
    return twin(
      {
        loss: (...args) => {
          asked += 1
          return tf.add(right.loss(...args), asked)
        }
      },
      "follows from weights"
    )
  })
  it("one that weighs images by their place", () =>
    twin(
      { loss: (_, outputs) => tf.mean(tf.mul(tf.square(outputs), tf.expandDims(tf.range(0, outputs.shape[0]), 1))) },
      "order of a batch"
    ))
  it("one whose gradient is wrong", () => {
    const halved = tf.customGrad((x) => ({
      value: tf.mean(tf.square(x as tf.Tensor)),
      gradFunc: (dy: tf.Tensor) => tf.mul(dy, x as tf.Tensor)
    }))
    return twin({ loss: (_, outputs) => halved(outputs) as tf.Scalar }, "finite differences")
  })
  it("one that disposes what it is given", () =>
    twin(
      {
        loss: (params, outputs, labels, key) => {
          const loss = right.loss(params, outputs, labels, key)
          labels.dispose()
          return loss
        }
      },
      "what is given stays"
    ))
  it("one that leaks", () =>
    twin(
      {
        loss: (params, outputs, labels, key) => {
          tf.keep(tf.zeros([1]))
          return right.loss(params, outputs, labels, key)
        }
      },
      "leaves one tensor"
    ))
  it("one whose weights come from nowhere", () => {
    let made = 0
    return twin(
      {
        init: () => {
          made += 1
          return { w: tf.scalar(made) }
        }
      },
      "follow from the key"
    )
  })
})
