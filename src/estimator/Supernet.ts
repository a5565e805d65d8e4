/**
 * Scores a candidate by the trained supernet: its path is evaluated on the validation split, after the statistics of its
 * batch normalisations were gathered anew on its own path. A supernet's running statistics mix all paths and say little
 * about one (Guo et al. 2020, "Single Path One-Shot", section 3.4); ranking by them is a known fault.
 *
 * The objective is what the training agent ranks by: for classification the validation loss, with accuracy beside it.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as Finding from "../component/Finding.ts"
import * as OptionKind from "../component/OptionKind.ts"
import { Criterion } from "../criterion/Criterion.ts"
import { type Batch, Dataflow, type DataflowShape } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import { recalibrated } from "../nn/Normalisation.ts"
import { disposeUnsafe, type ParameterTree, type Variables } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import type { Applied, Mode } from "../search-space/Network.ts"
import { type Genotype, SearchSpace } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"
import { NonNegativeInt, PositiveInt } from "../support/Numbers.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import {
  EstimationError,
  PerformanceEstimator,
  type ScoreArchitectures,
  type TrainedSupernet
} from "./PerformanceEstimator.ts"
import * as PrefixSharing from "./PrefixSharing.ts"

/** Options of the estimator. */
export const Options = Schema.Struct({
  recalibration: NonNegativeInt.annotate({
    description:
      "Batches of the supernet's training images that gather batch-norm statistics for each candidate; 0: take the supernet's"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(4))),
  recalibrationBatchSize: PositiveInt.annotate({ description: "Images of such a batch" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(128))
  ),
  batches: Schema.NullOr(PositiveInt)
    .annotate({ description: "Validation batches a candidate is scored on; null: all of them" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  batchSize: PositiveInt.annotate({ description: "Images of a validation batch" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(250))
  ),
  sharedMegabytes: NonNegativeInt.annotate({
    description:
      "Memory for activations that candidates with the same first layers share; 0: every candidate computes its own",
    ...OptionKind.performance
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(512)))
})
/** Options of the estimator. */
export type Options = typeof Options.Type

/** Images are kept ready up to so many bytes for recalibration, and as many for validation. */
const keptBytes = 256 * 1024 * 1024

/**
 * The same dataflow, with batches read once and kept up to `limit` bytes. Only for requests that repeat; whoever gets
 * a batch gets a copy.
 *
 * **Example** (A batch is read once)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { BatchRequest, DataflowShape } from "../dataflow/Dataflow.ts"
 * import * as Supernet from "./Supernet.ts"
 *
 * let reads = 0
 * const source: DataflowShape = {
 *   name: "one",
 *   image: [1, 1, 1],
 *   classes: ["a"],
 *   count: () => 1,
 *   steps: () => 1,
 *   batch: () =>
 *     Effect.sync(() => {
 *       reads += 1
 *       return { images: Float32Array.of(0), labels: Int32Array.of(0), size: 1 }
 *     }),
 *   digest: ""
 * }
 * const flow = Supernet.keeping(source)
 * const request: BatchRequest = { split: "validation", epoch: 0, step: 0, batchSize: 1, training: false }
 * Effect.runSync(flow.batch(request))
 * Effect.runSync(flow.batch(request))
 * reads // => 1
 * ```
 */
export const keeping = (dataflow: DataflowShape, limit: number = keptBytes): DataflowShape => {
  const kept = new Map<string, Batch>()
  let bytes = 0
  const copy = (batch: Batch): Batch => ({ ...batch, images: batch.images.slice(), labels: batch.labels.slice() })
  return {
    ...dataflow,
    batch: (request) => {
      const name = [request.split, request.epoch, request.step, request.batchSize, request.training].join(" ")
      const known = kept.get(name)
      if (known !== undefined) return Effect.succeed(copy(known))
      return Effect.map(dataflow.batch(request), (batch) => {
        const size = batch.images.byteLength + batch.labels.byteLength
        if (bytes + size > limit) return batch
        bytes += size
        kept.set(name, copy(batch))
        return batch
      })
    }
  }
}

/** The key and the reason where the data hold no batch for recalibration. */
const recalibrationFault = (source: DataflowShape, batchSize: number): readonly [key: string, message: string] => {
  const request = { split: "supernet", epoch: 0, step: 0, batchSize, training: true } as const
  const count = source.count("supernet")
  const reason =
    (count < batchSize ? undefined : source.refusal?.(request)) ??
    `the supernet's ${count} training images hold no batch of ${batchSize} to gather batch-norm statistics; expected at most ${count}`
  return ["estimator.recalibrationBatchSize", `got ${batchSize}: ${reason}`]
}

const findingsOf = (options: Options, source: DataflowShape): ReadonlyArray<Finding.Finding> => {
  const { batches, batchSize, recalibration, recalibrationBatchSize } = options
  const found: Array<Finding.Finding> = []
  const available = source.steps("supernet", recalibrationBatchSize, true)
  if (recalibration > 0 && available === 0) {
    found.push(Finding.error(...recalibrationFault(source, recalibrationBatchSize)))
  } else if (available < recalibration) {
    const what = `got ${recalibration}, and the supernet's training images hold ${available} batches of ${recalibrationBatchSize}, all of which are used`
    found.push(Finding.warning("estimator.recalibration", what))
  }
  const validation = source.steps("validation", batchSize, false)
  if (batches !== null && validation < batches) {
    const what = `got ${batches}, and the validation split holds ${validation} batches of ${batchSize}, all of which are used`
    found.push(Finding.warning("estimator.batches", what))
  }
  return found
}

/** An architecture under evaluation: its path of the supernet, applied to a batch that is known by a name. */
interface Candidate {
  readonly genotype: Genotype
  readonly apply: (batch: string, variables: Variables, images: tf.Tensor, mode: Mode) => Applied
}

const make = (options: Options) =>
  Effect.gen(function* () {
    const space = yield* SearchSpace
    const source = yield* Dataflow
    const agent = yield* TrainingAgent
    const criterion = yield* Criterion
    const key = Key.derive(yield* RunKey, "estimator", "supernet")
    // The kept tensors live on the run's engine, and must go before it does.
    yield* Engine
    const { batches, batchSize, recalibration, recalibrationBatchSize, sharedMegabytes } = options
    const dataflow = keeping(source)

    const ready: Array<tf.Tensor4D> = []
    yield* Effect.addFinalizer(() => Effect.sync(() => tf.dispose(ready)))
    const recalibrationTensors = Effect.gen(function* () {
      const available = source.steps("supernet", recalibrationBatchSize, true)
      let bytes = 0
      for (let step = ready.length; step < Math.min(recalibration, available); step += 1) {
        const batch = yield* source.batch({
          split: "supernet",
          epoch: 0,
          step,
          batchSize: recalibrationBatchSize,
          training: true
        })
        bytes += batch.images.byteLength
        if (step > 0 && bytes > keptBytes) break
        ready.push(tf.tensor4d(batch.images, [batch.size, ...source.image]))
      }
      return ready
    })

    const fail = (genotype: Genotype, reason: string) =>
      new EstimationError({ estimator: "supernet", genotype: space.format(genotype), reason })

    /** Batch-norm statistics of a candidate's own path, and what disposes them. */
    const statisticsOf = Effect.fnUntraced(function* (candidate: Candidate, { params, stats }: Variables) {
      const none: ParameterTree = {}
      if (recalibration === 0) return { stats, own: none }
      const images = yield* recalibrationTensors
      if (images.length === 0) {
        return yield* fail(candidate.genotype, recalibrationFault(source, recalibrationBatchSize).join(": "))
      }
      const collected: Array<Applied["statistics"]> = []
      for (const [index, batch] of images.entries()) {
        const { output, statistics } = candidate.apply(`recalibration ${index}`, { params, stats }, batch, "train")
        output.dispose()
        collected.push(statistics)
        yield* Effect.yieldNow
      }
      const own = recalibrated(collected)
      return { stats: own, own }
    })

    /** The objective that a search minimises. */
    const objectiveOf = (
      genotype: Genotype,
      metrics: Readonly<Record<string, number>>
    ): Effect.Effect<number, EstimationError> => {
      const { direction, metric } = agent.objective
      const value: unknown = metrics[metric]
      if (typeof value !== "number") {
        const reason =
          value === undefined
            ? `the training agent ${agent.name} names ${metric} as its objective, and its metrics are ${Object.keys(metrics).join(", ") || "none"}`
            : `the metric ${metric} of the training agent ${agent.name} must be a number, is ${JSON.stringify(value)}`
        return Effect.fail(fail(genotype, reason))
      }
      if (!Number.isFinite(value)) {
        return Effect.fail(
          fail(
            genotype,
            `its validation ${metric} is ${value}: the supernet has diverged, or the validation split is too small for this metric (for auc it needs two images of one person)`
          )
        )
      }
      return Effect.succeed(direction === "minimise" ? value : -value)
    }

    const scoreOne = Effect.fn("SupernetEstimator.score")(function* (candidate: Candidate, supernet: TrainedSupernet) {
      const { genotype } = candidate
      const { params } = supernet.variables
      const { own, stats } = yield* Effect.catchTag(
        statisticsOf(candidate, supernet.variables),
        "DatasetError",
        (error) => Effect.fail(fail(genotype, error.message))
      )
      let calls = 0
      const metrics = yield* agent
        .evaluate({
          infer: (images) => {
            const batch = `evaluation ${calls} ${images.shape.join("x")}`
            calls += 1
            return candidate.apply(batch, { params, stats }, images, "eval").output as tf.Tensor2D
          },
          criterion,
          criterionParams: supernet.criterion,
          dataflow,
          split: "validation",
          batchSize,
          batches: batches ?? undefined,
          key
        })
        .pipe(
          Effect.catchTag("DatasetError", (error) => Effect.fail(fail(genotype, error.message))),
          Effect.ensuring(Effect.sync(() => disposeUnsafe(own)))
        )
      const objective = yield* objectiveOf(genotype, metrics)
      const finite = Object.fromEntries(Object.entries(metrics).filter(([, one]) => Number.isFinite(one)))
      return { objective, metrics: finite } satisfies Score
    })

    const score: ScoreArchitectures = (architectures, scoring) =>
      Effect.gen(function* () {
        const supernet = scoring?.supernet
        for (const genotype of architectures) {
          const valid = space.validate(genotype)
          if (Result.isFailure(valid)) return yield* fail(genotype, valid.failure.reason)
          if (supernet === undefined) {
            return yield* fail(genotype, "it is scored with a trained supernet, and none was given")
          }
        }
        const networks = architectures.map((genotype) => space.network(genotype))
        const activations = PrefixSharing.make(sharedMegabytes * 2 ** 20)
        const scores = new Array<Score>(architectures.length)
        yield* Effect.forEach(
          PrefixSharing.plan(networks),
          ({ index, shared }) => {
            const candidate: Candidate = {
              genotype: architectures[index]!,
              apply: (batch, variables, images, mode) =>
                activations.apply(batch, shared, networks[index]!, variables, images, mode)
            }
            return Effect.flatMap(scoreOne(candidate, supernet!), (one) => {
              scores[index] = one
              return scoring?.onScore?.(index, one) ?? Effect.void
            })
          },
          { discard: true }
        ).pipe(Effect.ensuring(Effect.sync(activations.release)))
        return scores
      })
    return PerformanceEstimator.of({ name: "supernet", findings: findingsOf(options, source), score })
  })

/** The estimator as a Layer, over the run's supernet. */
export const layer = (options: Options) => Layer.effect(PerformanceEstimator, make(options))

/**
 * `name: supernet`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as Supernet from "./Supernet.ts"
 *
 * const options = Schema.decodeUnknownSync(Supernet.Options)({})
 * options.recalibration // => 4
 * Layer.isLayer(Supernet.layer(options)) // => true
 * Supernet.component.name // => "supernet"
 * ```
 */
export const component = define({
  kind: "estimator",
  name: "supernet",
  description: "Validation loss of the candidate's path in the trained supernet, on batch-norm statistics of its own",
  options: Options,
  layer
})
