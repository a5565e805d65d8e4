/** Focal loss: cross entropy with less weight on examples that are already classified well. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { Positive } from "../support/Numbers.ts"
import { Criterion, type CriterionShape } from "./Criterion.ts"

/** Options of the criterion `focal`. */
export const Options = Schema.Struct({
  gamma: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 16 }))
    .annotate({ description: "Focusing parameter; 0 is cross entropy" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2))),
  alpha: Positive.annotate({ description: "Factor of the whole loss" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1))
  )
})
/** Options of the criterion `focal`. */
export type Options = typeof Options.Type

/** x to a power. Integer powers are products, which have the same bits everywhere. */
const power = (x: tf.Tensor, exponent: number): tf.Tensor => {
  if (!Number.isInteger(exponent)) return tf.pow(x, exponent)
  let result = tf.onesLike(x)
  for (let i = 0; i < exponent; i += 1) result = tf.mul(result, x)
  return result
}

/**
 * Mean over a batch of `-alpha (1 - p)^gamma log p`, p the softmax probability of the label (Lin et al. 2017, equation
 * 5). The derivative is explicit: that of the power is infinite at p = 1 if gamma is below 1.
 *
 * **Example** (With gamma 0 it is cross entropy)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as Focal from "./Focal.ts"
 *
 * const criterion = Focal.make({ gamma: 0, alpha: 1 })
 * criterion.loss({}, tf.zeros([2, 10]), tf.tensor1d([3, 8], "int32"), Key.make(0)).dataSync()[0].toFixed(4) // => "2.3026"
 * ```
 */
export const make = ({ alpha, gamma }: Options): CriterionShape => ({
  name: "focal",
  init: () => ({}),
  loss: (_, outputs, labels) => {
    const [batch, classes] = outputs.shape
    const focal = tf.customGrad((input, save) => {
      const { gradient, loss } = tf.tidy(() => {
        const logits = input as tf.Tensor2D
        const shifted = tf.sub(logits, tf.max(logits, 1, true))
        const exponentials = tf.exp(shifted)
        const sums = tf.sum(exponentials, 1, true)
        const probabilities = tf.div(exponentials, sums)
        const hit = tf.oneHot(labels, classes, 1, 0, "float32")
        const logP = tf.sum(tf.mul(hit, tf.sub(shifted, tf.log(sums))), 1, true)
        const p = tf.sum(tf.mul(hit, probabilities), 1, true)
        const miss = tf.sum(tf.mul(tf.sub(1, hit), probabilities), 1, true)
        const weight = power(miss, gamma)
        // d loss / d log p, with (1 - p)^(gamma - 1) taken as (1 - p)^gamma / (1 - p).
        const slope = tf.mul(
          tf.mul(weight, alpha / batch),
          tf.sub(tf.div(tf.mul(tf.mul(p, logP), gamma), tf.maximum(miss, 1e-20)), 1)
        )
        return {
          loss: tf.mean(tf.mul(tf.mul(weight, logP), -alpha)) as tf.Scalar,
          gradient: tf.mul(slope, tf.sub(hit, probabilities))
        }
      })
      ;(save as tf.GradSaveFunc)([gradient])
      return {
        value: loss,
        gradFunc: (dy, saved) => tf.mul((saved as ReadonlyArray<tf.Tensor>)[0]!, dy as tf.Scalar)
      }
    })
    return focal(outputs) as tf.Scalar
  }
})

/** The criterion as a Layer. */
export const layer = (options: Options): Layer.Layer<Criterion> => Layer.succeed(Criterion, make(options))

/**
 * The component `focal`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { Criterion } from "./Criterion.ts"
 * import * as Focal from "./Focal.ts"
 *
 * const options = Schema.decodeUnknownSync(Focal.Options)({})
 * options // => { gamma: 2, alpha: 1 }
 * const name = Effect.map(Criterion, (criterion) => criterion.name)
 * Effect.runSync(Effect.provide(name, Focal.layer(options))) // => Focal.component.name
 * ```
 */
export const component = define({
  kind: "criterion",
  name: "focal",
  description: "Focal loss: cross entropy with less weight on easy examples",
  options: Options,
  layer
})
