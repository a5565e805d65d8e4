/** A training agent: classification, measured class by class. */
import { section, type Template } from "../Template.ts"

/** The template of a training agent. */
export const template: Template = {
  kind: "trainingAgent",
  module: ({ name }) => `/**
 * The training agent \`${name}\`: the task. This one is classification measured by balanced accuracy: the mean of the accuracies
 * per class, in which rare classes count as much as common ones.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define, GradientStep, Key, TrainingAgent } from "osnas"

/** Options beside \`name\` in a configuration; none yet. */
export const Options = Schema.Struct({})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** Mean accuracy over the classes that have images. */
export const balancedAccuracy = (right: ReadonlyArray<number>, all: ReadonlyArray<number>): number => {
  const fractions = all.flatMap((count, label) => (count === 0 ? [] : [(right[label] ?? 0) / count]))
  return fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length
}

/**
 * The agent. \`head\` is the head of the networks, \`step\` one step of training (loss and gradients), \`evaluate\` the metrics of
 * a pass over a split; candidates are ranked by the metric that \`objective\` names.
 */
export const agent: TrainingAgent.TrainingAgentShape = {
  name: "${name}",
  head: (dataflow) => ({ _tag: "Classifier", classes: dataflow.classes.length }),
  step: GradientStep.gradientStep,
  evaluate: Effect.fnUntraced(function* (input) {
    const { batchSize, criterion, criterionParams, dataflow, key, split } = input
    const right = dataflow.classes.map(() => 0)
    const all = dataflow.classes.map(() => 0)
    const steps = Math.min(dataflow.steps(split, batchSize, false), input.batches ?? Number.POSITIVE_INFINITY)
    let images = 0
    let loss = 0
    for (let step = 0; step < steps; step += 1) {
      const batch = yield* dataflow.batch({ split, epoch: 0, step, batchSize, training: false })
      const measured = tf.tidy(() => {
        const labels = tf.tensor1d(batch.labels, "int32")
        const outputs = input.infer(tf.tensor4d(batch.images, [batch.size, ...dataflow.image]))
        const mean = criterion.loss(criterionParams, outputs, labels, Key.derive(key, step))
        return { guesses: tf.argMax(outputs, 1).dataSync(), loss: mean.dataSync()[0] ?? Number.NaN }
      })
      images += batch.size
      loss += measured.loss * batch.size
      batch.labels.forEach((label, at) => {
        all[label] = (all[label] ?? 0) + 1
        if (measured.guesses[at] === label) right[label] = (right[label] ?? 0) + 1
      })
    }
    return { loss: loss / images, balanced: balancedAccuracy(right, all) }
  }),
  objective: { metric: "balanced", direction: "maximise" },
  headline: "balanced"
}

/** The component that configurations name. */
export const component = define({
  kind: "trainingAgent",
  name: "${name}",
  description: "Classification by balanced accuracy",
  options: Options,
  layer: (_options: Options) => Layer.succeed(TrainingAgent.TrainingAgent, agent)
})
`,
  test: ({ identifier, name }) => `import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("gives every class the same weight", () => {
  expect(${identifier}.balancedAccuracy([90, 0], [90, 10])).toBe(0.5)
})

it("leaves out classes without images", () => {
  expect(${identifier}.balancedAccuracy([3, 0], [4, 0])).toBe(0.75)
})
`,
  laws: ({ identifier, name }) => `import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CrossEntropy, FashionMnist, InMemory, Key } from "osnas"
import { TrainingAgentLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("obeys the laws of training agents", () =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const options = Schema.decodeUnknownSync(FashionMnist.Options)({ trainLimit: 100, testLimit: 20, prefetch: 0 })
        const dataflow = yield* InMemory.make(yield* FashionMnist.load(null), options, Key.make(1))
        const criterion = CrossEntropy.make({ labelSmoothing: 0 })
        yield* Effect.promise(() => TrainingAgentLaws.check(${identifier}.agent, { dataflow, criterion }))
      })
    )
  ))
`,
  yaml: section("trainingAgent")
}
