/** A criterion: the Brier score. */
import { section, type Template } from "../Template.ts"

/** The template of a criterion. */
export const template: Template = {
  kind: "criterion",
  module: ({ name }) => `/**
 * The criterion \`${name}\`: the loss of a batch. This one is the Brier score (Brier 1950): the squared distance between
 * the softmax of the outputs and the label.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Criterion, define } from "osnas"

/** Options beside \`name\` in a configuration. */
export const Options = Schema.Struct({
  factor: Schema.Finite.check(Schema.isGreaterThan(0))
    .annotate({ description: "Factor of the whole loss" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/**
 * The criterion. \`init\` returns its own weights, tensors by name, which are trained with the network; this one has
 * none. \`loss\` gets outputs [batch, outputs] and labels [batch].
 */
export const make = (options: Options): Criterion.CriterionShape => ({
  name: "${name}",
  init: () => ({}),
  loss: (_params, outputs, labels) =>
    tf.tidy(() => {
      const target = tf.oneHot(labels, outputs.shape[1])
      const distance = tf.sum(tf.square(tf.sub(tf.softmax(outputs), target)), 1)
      return tf.mul(tf.mean(distance), options.factor)
    })
})

/** The component that configurations name. */
export const component = define({
  kind: "criterion",
  name: "${name}",
  description: "Brier score",
  options: Options,
  layer: (options: Options) => Layer.succeed(Criterion.Criterion, make(options))
})
`,
  test: ({ identifier, name }) => `import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { Key } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const loss = (logits: Array<Array<number>>, factor = 1): number =>
  tf.tidy(() => {
    const criterion = ${identifier}.make({ factor })
    const labels = tf.tensor1d([0, 1], "int32")
    return criterion.loss({}, tf.tensor2d(logits), labels, Key.make(0)).dataSync()[0] ?? Number.NaN
  })

it("is zero for confident right outputs, and two for confident wrong ones", () => {
  expect(
    loss([
      [50, 0],
      [0, 50]
    ])
  ).toBeCloseTo(0)
  expect(
    loss([
      [0, 50],
      [50, 0]
    ])
  ).toBeCloseTo(2)
})

it("grows with its factor", () => {
  const logits = [
    [1, 0],
    [1, 0]
  ]
  expect(loss(logits, 3)).toBeCloseTo(3 * loss(logits))
})
`,
  laws: ({ identifier, name }) => `import { CriterionLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("obeys the laws of criteria", () =>
  CriterionLaws.check(${identifier}.make({ factor: 1 }), { outputs: 4, classes: 4 }))
`,
  yaml: section("criterion", ["factor: 1"])
}
