/** Face recognition: the network computes an embedding, and unseen people are verified by the distance of embeddings. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import type { Pair } from "../dataflow/Dataflow.ts"
import * as VerificationPairs from "../dataflow/VerificationPairs.ts"
import { sizeOf } from "../engine/Shape.ts"
import * as Key from "../random/Key.ts"
import { gradientStep } from "./GradientStep.ts"
import { type EvaluateInput, TrainingAgent, type TrainingAgentShape } from "./TrainingAgent.ts"
import * as Verification from "./Verification.ts"

/** Options of the training agent `face-recognition`. */
export const Options = Schema.Struct({
  dimension: Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 4096 }))
    .annotate({ description: "Length of an embedding" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(128))),
  normalise: Schema.Boolean.annotate({ description: "Compare embeddings scaled to unit length" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  ),
  mirror: Schema.Boolean.annotate({
    description: "Verify by the mean embedding of an image and its mirror image"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  objective: Schema.Literals(["loss", "accuracy", "auc"])
    .annotate({
      description: "Objective of the search on validation images: the loss, or a metric of verified pairs"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("loss" as const)))
})
/** Options of the training agent `face-recognition`. */
export type Options = typeof Options.Type

/** False accept rates at which true accepts are reported. */
const rates = [0.1, 0.01, 0.001] as const

/** Most pixels that are kept for the baseline on pixels: a quarter of a gigabyte. */
const mostPixels = 1 << 26

/** Most pairs that are made for a split without a list of its own. */
const madePairs = 3000

/** What an evaluation gathers over the batches of a split. */
interface Gathered {
  readonly images: number
  readonly labels: Int32Array
  /** Sum of the losses of all images; 0 if the criterion has none for the split. */
  readonly loss: number
  readonly dimension: number
  readonly rows: ReadonlyArray<Float32Array>
  /** Input pixels and embeddings of the untrained network, for the baselines; empty without. */
  readonly pixels: ReadonlyArray<Float32Array>
  readonly before: ReadonlyArray<Float32Array>
}

/** Embeds all images of a split. */
const gather = Effect.fnUntraced(function* (
  { batches, batchSize, criterion, criterionParams, dataflow, infer, key, split, untrained }: EvaluateInput,
  mirror: boolean,
  hasLoss: boolean
) {
  const available = dataflow.steps(split, batchSize, false)
  const steps = Math.min(available, batches ?? available)
  const most = Math.min(dataflow.count(split), steps * batchSize)
  const labels = new Int32Array(most)
  const isUnseen = split === "test" && dataflow.verification !== undefined
  const hasBaseline = isUnseen && most * sizeOf(dataflow.image) <= mostPixels
  const pixels: Array<Float32Array> = []
  const rows: Array<Float32Array> = []
  const before: Array<Float32Array> = []
  let dimension = 0
  let images = 0
  let loss = 0
  for (let step = 0; step < steps; step += 1) {
    const batch = yield* dataflow.batch({ split, epoch: 0, step, batchSize, training: false })
    const measured = tf.tidy(() => {
      const shown = tf.tensor4d(batch.images, [batch.size, ...dataflow.image])
      const output = infer(shown)
      const mean = hasLoss
        ? criterion
            .loss(criterionParams, output, tf.tensor1d(batch.labels, "int32"), Key.derive(key, "evaluate", step))
            .dataSync()[0]!
        : 0
      const mirrored = (by: typeof infer, own: tf.Tensor2D): tf.Tensor2D =>
        mirror ? tf.mul(tf.add(own, by(tf.reverse(shown, 2))), 0.5) : own
      return {
        rows: Float32Array.from(mirrored(infer, output).dataSync()),
        before:
          hasBaseline && untrained !== undefined
            ? Float32Array.from(mirrored(untrained, untrained(shown)).dataSync())
            : undefined,
        loss: mean,
        dimension: output.shape[1]
      }
    })
    labels.set(batch.labels, images)
    images += batch.size
    loss += measured.loss * batch.size
    dimension = measured.dimension
    rows.push(measured.rows)
    if (hasBaseline) pixels.push(batch.images)
    if (measured.before !== undefined) before.push(measured.before)
    yield* Effect.yieldNow
  }
  const gathered: Gathered = { images, labels: labels.subarray(0, images), loss, dimension, rows, pixels, before }
  return gathered
})

/** Pairs with the distances of their rows, which are given in parts. */
const withDistances = (
  pairs: ReadonlyArray<Pair>,
  images: number,
  parts: ReadonlyArray<Float32Array>,
  length: number,
  normalise: boolean
): ReadonlyArray<Verification.Judged> => {
  const all = new Float32Array(images * length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return pairs.map(({ first, fold, same, second }) => ({
    distance: Verification.squaredDistance(all, length, first, second, normalise),
    same,
    fold
  }))
}

/**
 * The agent. Metrics of a split: `loss`, and of its pairs `accuracy`, `accuracyStd`, `bestAccuracy`, `threshold`, `auc`,
 * `tarAtFar0.1`, `tarAtFar0.01`, `tarAtFar0.001`. The pairs are those of the dataflow for the test split, otherwise they are
 * made from the labels; with too few pairs, `loss` is the only metric. For unseen people there are two baselines, unless
 * the images are too many to keep: `pixelAccuracy` and `pixelBestAccuracy`, the same on input pixels instead of embeddings;
 * `untrainedAccuracy` and `untrainedBestAccuracy`, on the embeddings of the network before its first training step, if the
 * evaluation is given that network.
 *
 * The loss is the criterion's, with the same weight for every image. If the split has identities for which the criterion
 * has no weights, the loss is the fraction of pairs with a wrong decision.
 */
export const make = (options: Options): TrainingAgentShape => ({
  name: "face-recognition",
  head: () => ({ _tag: "Embedding", dimension: options.dimension }),
  step: gradientStep,
  evaluate: Effect.fn("FaceRecognition.evaluate")(function* (input) {
    const { criterionParams, dataflow, split } = input
    const unseen = split === "test" ? dataflow.verification : undefined
    const isNew = unseen !== undefined || (split === "validation" && dataflow.verification?.newInValidation === true)
    const hasLoss = !isNew || Object.keys(criterionParams).length === 0
    const { before, dimension, images, labels, loss, pixels, rows } = yield* gather(input, options.mirror, hasLoss)
    if (images === 0) return { loss: Number.NaN }
    const pairs = (unseen?.pairs ?? VerificationPairs.made(labels, madePairs)).filter(
      ({ first, second }) => first < images && second < images
    )
    const judged = withDistances(pairs, images, rows, dimension, options.normalise)
    const result = Verification.judge(judged)
    if (result === undefined) return { loss: hasLoss ? loss / images : Number.NaN }
    const resultOf = (parts: ReadonlyArray<Float32Array>, length: number, normalise: boolean) =>
      parts.length > 0 ? Verification.judge(withDistances(pairs, images, parts, length, normalise)) : undefined
    const plain = resultOf(pixels, sizeOf(dataflow.image), false)
    const raw = resultOf(before, dimension, options.normalise)
    return {
      ...result,
      loss: hasLoss ? loss / images : 1 - result.accuracy,
      ...Object.fromEntries(rates.map((rate) => [`tarAtFar${rate}`, Verification.tarAtFar(judged, rate)])),
      ...(plain === undefined ? {} : { pixelAccuracy: plain.accuracy, pixelBestAccuracy: plain.bestAccuracy }),
      ...(raw === undefined ? {} : { untrainedAccuracy: raw.accuracy, untrainedBestAccuracy: raw.bestAccuracy })
    }
  }),
  objective: { metric: options.objective, direction: options.objective === "loss" ? "minimise" : "maximise" },
  headline: "accuracy"
})

/** The training agent as a Layer. */
export const layer = (options: Options): Layer.Layer<TrainingAgent> => Layer.succeed(TrainingAgent, make(options))

/**
 * The component `face-recognition`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { TrainingAgent } from "./TrainingAgent.ts"
 * import * as FaceRecognition from "./FaceRecognition.ts"
 *
 * const options = Schema.decodeUnknownSync(FaceRecognition.Options)({ dimension: 64 })
 * const headline = Effect.map(TrainingAgent, (agent) => agent.headline)
 * Effect.runSync(Effect.provide(headline, FaceRecognition.layer(options))) // => "accuracy"
 * FaceRecognition.component.name // => FaceRecognition.make(options).name
 * ```
 */
export const component = define({
  kind: "trainingAgent",
  name: "face-recognition",
  description: "Embeddings of faces: verification of pairs, 10-fold accuracy, true accepts at false accept rates",
  options: Options,
  layer
})
