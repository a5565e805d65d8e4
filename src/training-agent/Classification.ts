/** Classification: a network ends in one logit per class; top-1, top-5 and loss measure it. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as Criterion from "../criterion/Criterion.ts"
import * as Key from "../random/Key.ts"
import { gradientStep } from "./GradientStep.ts"
import { TrainingAgent, type TrainingAgentShape } from "./TrainingAgent.ts"

/** The training agent `classification` has no options. */
export const Options = Schema.Struct({})
/** The training agent `classification` has no options. */
export type Options = typeof Options.Type

/**
 * The rank of the label, from 0: how many classes have a larger logit, or the same and a smaller number. NaN ranks before
 * everything, so that a broken network is never right by accident.
 *
 * **Example** (Second of three)
 *
 * ```ts
 * import * as Classification from "./Classification.ts"
 *
 * Classification.rank([0.1, 0.7, 0.2], 2) // => 1
 * ```
 */
export const rank = (logits: ArrayLike<number>, label: number): number => {
  const own = logits[label]
  if (own === undefined) return logits.length
  let before = 0
  for (let other = 0; other < logits.length; other += 1) {
    const value = logits[other]!
    if (other !== label && (!(value <= own) || (value === own && other < label))) before += 1
  }
  return before
}

/**
 * The agent. `evaluate` reads a split once in its fixed order, without augmentation; every image has the same weight, so the
 * size of the last batch does not matter. Metrics: `loss` (of the criterion, with its smoothing), `top1`, `top5` (fractions
 * of 1). Candidates are ranked by loss.
 */
export const agent: TrainingAgentShape = {
  name: "classification",
  head: (dataflow) => ({ _tag: "Classifier", classes: dataflow.classes.length }),
  step: gradientStep,
  evaluate: Effect.fn("Classification.evaluate")(function* (input) {
    const { batchSize, criterion, criterionParams, dataflow, infer, key, split } = input
    const available = dataflow.steps(split, batchSize, false)
    const steps = Math.min(available, input.batches ?? available)
    let images = 0
    let loss = 0
    let top1 = 0
    let top5 = 0
    for (let step = 0; step < steps; step += 1) {
      const batch = yield* dataflow.batch({ split, epoch: 0, step, batchSize, training: false })
      const measured = tf.tidy(() => {
        const labels = tf.tensor1d(batch.labels, "int32")
        const output = infer(tf.tensor4d(batch.images, [batch.size, ...dataflow.image]))
        const mean = Criterion.lossOfUnsafe(
          criterion,
          criterionParams,
          output,
          labels,
          Key.derive(key, "evaluate", step)
        )
        return { logits: output.dataSync(), loss: mean.dataSync()[0]!, classes: output.shape[1] }
      })
      images += batch.size
      loss += measured.loss * batch.size
      batch.labels.forEach((label, row) => {
        const place = rank(measured.logits.subarray(row * measured.classes, (row + 1) * measured.classes), label)
        if (place < 1) top1 += 1
        if (place < 5) top5 += 1
      })
      yield* Effect.yieldNow
    }
    return images === 0
      ? { loss: Number.NaN, top1: Number.NaN, top5: Number.NaN }
      : { loss: loss / images, top1: top1 / images, top5: top5 / images }
  }),
  objective: { metric: "loss", direction: "minimise" },
  headline: "top1"
}

/** The training agent as a Layer. */
export const layer = (_options: Options): Layer.Layer<TrainingAgent> => Layer.succeed(TrainingAgent, agent)

/**
 * The component `classification`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { TrainingAgent } from "./TrainingAgent.ts"
 * import * as Classification from "./Classification.ts"
 *
 * const options = Schema.decodeUnknownSync(Classification.Options)({})
 * const headline = Effect.map(TrainingAgent, (agent) => agent.headline)
 * Effect.runSync(Effect.provide(headline, Classification.layer(options))) // => "top1"
 * Classification.component.name // => Classification.agent.name
 * ```
 */
export const component = define({
  kind: "trainingAgent",
  name: "classification",
  description: "Image classification: top-1, top-5 and loss",
  options: Options,
  layer
})
