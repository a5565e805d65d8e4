/** Face recognition: a network ends in an embedding; people it never saw are verified by the distance of embeddings. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as VerificationPairs from "../dataflow/VerificationPairs.ts"
import * as Key from "../random/Key.ts"
import { gradientStep } from "./GradientStep.ts"
import { TrainingAgent, type TrainingAgentShape } from "./TrainingAgent.ts"
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
    description: "Verify by the mean of the embeddings of an image and of its mirror image"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  objective: Schema.Literals(["loss", "accuracy", "auc"])
    .annotate({
      description: "What the search goes by, on validation images: the loss, or how pairs of them are verified"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("loss" as const)))
})
/** Options of the training agent `face-recognition`. */
export type Options = typeof Options.Type

/** False accept rates at which true accepts are reported. */
const rates = [0.1, 0.01, 0.001] as const

// The yardstick needs all images at once; beyond a quarter of a gigabyte it is left out.
const mostPixels = 1 << 26

// Pairs made for splits without a list of their own.
const madePairs = 3000

/**
 * The agent. Metrics of a split: `loss`; and of its pairs (those of the dataflow for the test split, made from the
 * labels otherwise) `accuracy`, `accuracyStd`, `bestAccuracy`, `threshold`, `auc`, `tarAtFar0.1`, `tarAtFar0.01`,
 * `tarAtFar0.001`. Where the pairs are too few to judge, `loss` is the only metric. For people never seen, unless their images
 * are too many to keep, also two yardsticks: `pixelAccuracy` and `pixelBestAccuracy`, what the same judgement reaches on
 * the input pixels instead of embeddings, and `untrainedAccuracy` and `untrainedBestAccuracy`, what it reaches on the
 * embeddings of the network before its first training step, where the evaluation is given that network.
 *
 * The loss is the criterion's, every image counting alike; where the split shows identities that a criterion with
 * identity weights has none for, it is the share of pairs judged wrongly.
 */
export const make = (options: Options): TrainingAgentShape => ({
  name: "face-recognition",
  head: () => ({ _tag: "Embedding", dimension: options.dimension }),
  step: gradientStep,
  evaluate: Effect.fn("FaceRecognition.evaluate")(function* (input) {
    const { batchSize, criterion, criterionParams, dataflow, infer, key, split, untrained } = input
    const unseen = split === "test" ? dataflow.verification : undefined
    const isNew = unseen !== undefined || (split === "validation" && dataflow.verification?.newInValidation === true)
    const hasLoss = !isNew || Object.keys(criterionParams).length === 0
    const available = dataflow.steps(split, batchSize, false)
    const steps = Math.min(available, input.batches ?? available)
    const inputLength = dataflow.image[0] * dataflow.image[1] * dataflow.image[2]
    const most = Math.min(dataflow.count(split), steps * batchSize)
    const labels = new Int32Array(most)
    const hasYardstick = unseen !== undefined && most * inputLength <= mostPixels
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
          options.mirror ? tf.mul(tf.add(own, by(tf.reverse(shown, 2))), 0.5) : own
        return {
          rows: Float32Array.from(mirrored(infer, output).dataSync()),
          before:
            hasYardstick && untrained !== undefined
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
      if (hasYardstick) pixels.push(batch.images)
      if (measured.before !== undefined) before.push(measured.before)
      yield* Effect.yieldNow
    }
    if (images === 0) return { loss: Number.NaN }
    const pairs = (unseen?.pairs ?? VerificationPairs.made(labels.subarray(0, images), madePairs)).filter(
      ({ first, second }) => first < images && second < images
    )
    const judgedBy = (parts: ReadonlyArray<Float32Array>, length: number, normalise: boolean) => {
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
    const judged = judgedBy(rows, dimension, options.normalise)
    const result = Verification.judge(judged)
    if (result === undefined) return { loss: hasLoss ? loss / images : Number.NaN }
    const plain = hasYardstick ? Verification.judge(judgedBy(pixels, inputLength, false)) : undefined
    const raw = before.length > 0 ? Verification.judge(judgedBy(before, dimension, options.normalise)) : undefined
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
