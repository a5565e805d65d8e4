/** Softmax cross entropy with label smoothing: the loss of a classifier. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { softmaxCrossEntropy } from "../engine/LossOps.ts"
import { Criterion, type CriterionShape } from "./Criterion.ts"

/** Options of the criterion `cross-entropy`. */
export const Options = Schema.Struct({
  labelSmoothing: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
    .annotate({ description: "Probability spread evenly over all classes instead of the label, from 0 to below 1" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))
})
/** Options of the criterion `cross-entropy`. */
export type Options = typeof Options.Type

/**
 * Mean cross entropy between the softmax of the outputs and the labels; with label smoothing (Szegedy et al. 2016,
 * section 7) the target is `1 - labelSmoothing` on the label plus `labelSmoothing / classes` everywhere.
 *
 * **Example** (Without a preference the loss is the logarithm of the number of classes)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as CrossEntropy from "./CrossEntropy.ts"
 *
 * const criterion = CrossEntropy.make({ labelSmoothing: 0.1 })
 * const loss = criterion.loss({}, tf.zeros([2, 10]), tf.tensor1d([3, 8], "int32"), Key.make(0))
 * loss.dataSync()[0].toFixed(4) // => "2.3026"
 * ```
 */
export const make = (options: Options): CriterionShape => ({
  name: "cross-entropy",
  init: () => ({}),
  loss: (_, outputs, labels) => softmaxCrossEntropy(outputs, labels, options.labelSmoothing)
})

/** The criterion as a Layer. */
export const layer = (options: Options): Layer.Layer<Criterion> => Layer.succeed(Criterion, make(options))

/**
 * The component `cross-entropy`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { Criterion } from "./Criterion.ts"
 * import * as CrossEntropy from "./CrossEntropy.ts"
 *
 * const options = Schema.decodeUnknownSync(CrossEntropy.Options)({})
 * options // => { labelSmoothing: 0 }
 * const name = Effect.map(Criterion, (criterion) => criterion.name)
 * Effect.runSync(Effect.provide(name, CrossEntropy.layer(options))) // => CrossEntropy.component.name
 * ```
 */
export const component = define({
  kind: "criterion",
  name: "cross-entropy",
  description: "Softmax cross entropy, with label smoothing",
  options: Options,
  layer
})
