/**
 * Angular softmax: a classifier over identities. Its weights are unit vectors that are trained with the network, so that the
 * embeddings of a person gather around one direction. Without a scale, raw embeddings are compared with unit weights. With a
 * scale it is NormFace (Wang et al. 2017); with a margin, too, CosFace (Wang et al. 2018) or ArcFace (Deng et al. 2019).
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { softmaxCrossEntropy } from "../engine/LossOps.ts"
import "../engine/Gradients.ts"
import * as Deterministic from "../random/Deterministic.ts"
import * as Key from "../random/Key.ts"
import { Positive } from "../support/Numbers.ts"
import { Criterion, type CriterionShape } from "./Criterion.ts"

/** Options of the criterion `angular`. */
export const Options = Schema.Struct({
  scale: Schema.NullOr(Positive)
    .annotate({ description: "Length to which every embedding is scaled, e.g. 30; null: embeddings keep their length" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  margin: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1.5 }))
    .annotate({
      description: "How much closer to its own identity than to the others an embedding must be; needs a scale"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  marginOn: Schema.Literals(["cosine", "angle"])
    .annotate({
      description:
        "cosine: the margin is subtracted from the cosine (CosFace); angle: added to the angle, in radians (ArcFace)"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("cosine" as const)))
}).check(
  Schema.makeFilter(({ margin, scale }) => margin === 0 || scale !== null || "a scale (such as 30) beside the margin")
)
/** Options of the criterion `angular`. */
export type Options = typeof Options.Type

/** Name of the identity weights, [dimension, identities], in the criterion's parameter tree. */
export const weightName = "identities.weight"

const unit = (x: tf.Tensor2D, axis: number): tf.Tensor2D =>
  tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), axis, true), 1e-12)))

/** cos(angle + margin); beyond half a turn the falling line of the implementation of Deng et al. */
const widened = (cosine: tf.Tensor2D, margin: number): tf.Tensor2D => {
  const { cos, sin } = Deterministic.circle(margin / (2 * Math.PI))
  const sine = tf.sqrt(tf.maximum(tf.sub(1, tf.square(cosine)), 1e-7))
  const turned: tf.Tensor2D = tf.sub(tf.mul(cosine, cos), tf.mul(sine, sin))
  return tf.where(tf.greater(cosine, -cos), turned, tf.sub(cosine, sin * margin))
}

/**
 * Angular softmax; see the module's description. Its weights start as random directions.
 *
 * **Example** (Directions of three identities)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as Angular from "./Angular.ts"
 *
 * const criterion = Angular.make({ scale: 30, margin: 0.35, marginOn: "cosine" })
 * const params = criterion.init(Key.make(1), { outputs: 8, classes: 3 })
 * params[Angular.weightName].shape // => [8, 3]
 * const loss = criterion.loss(params, tf.ones([2, 8]), tf.tensor1d([0, 2], "int32"), Key.make(2))
 * loss.dataSync()[0] > 0 // => true
 * ```
 */
export const make = (options: Options): CriterionShape => ({
  name: "angular",
  init: (key, { classes, outputs }) => ({
    [weightName]: tf.tensor2d(Key.normals(Key.derive(key, weightName), outputs * classes), [outputs, classes])
  }),
  loss: (params, outputs, labels) =>
    tf.tidy(() => {
      const weight = params[weightName] as tf.Tensor2D | undefined
      if (weight === undefined || weight.shape[0] !== outputs.shape[1]) {
        throw new RangeError(
          `angular: ${weightName} is ${weight === undefined ? "missing" : `[${weight.shape}]`}; embeddings of ` +
            `[${outputs.shape}] need [${outputs.shape[1]}, identities]`
        )
      }
      const directions = unit(weight, 0)
      if (options.scale === null) return softmaxCrossEntropy(tf.matMul(outputs, directions), labels)
      const cosine: tf.Tensor2D = tf.matMul(unit(outputs, 1), directions)
      if (options.margin === 0) return softmaxCrossEntropy(tf.mul(cosine, options.scale), labels)
      const hit = tf.oneHot(labels, weight.shape[1], 1, 0, "float32") as tf.Tensor2D
      const target = options.marginOn === "cosine" ? tf.sub(cosine, options.margin) : widened(cosine, options.margin)
      const logits = tf.add(cosine, tf.mul(hit, tf.sub(target, cosine)))
      return softmaxCrossEntropy(tf.mul(logits, options.scale), labels)
    })
})

/** The criterion as a Layer. */
export const layer = (options: Options): Layer.Layer<Criterion> => Layer.succeed(Criterion, make(options))

/**
 * The component `angular`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { Criterion } from "./Criterion.ts"
 * import * as Angular from "./Angular.ts"
 *
 * const options = Schema.decodeUnknownSync(Angular.Options)({})
 * options // => { scale: null, margin: 0, marginOn: "cosine" }
 * const name = Effect.map(Criterion, (criterion) => criterion.name)
 * Effect.runSync(Effect.provide(name, Angular.layer(options))) // => Angular.component.name
 * ```
 */
export const component = define({
  kind: "criterion",
  name: "angular",
  description: "Softmax over unit identity weights, for embeddings; scale and margin give NormFace, CosFace, ArcFace",
  options: Options,
  layer
})
