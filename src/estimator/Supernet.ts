/**
 * Scores an architecture with the trained supernet: its path is evaluated on the validation split after recalibration. The
 * supernet's running statistics mix all paths and say little about one (Guo et al. 2020, "Single Path One-Shot", section 3.4),
 * so ranking with them is a known mistake.
 *
 * The objective is that of the training agent: for classification the validation loss; accuracy is one of the metrics.
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
import { TrainingAgent, type TrainingAgentShape } from "../training-agent/TrainingAgent.ts"
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
      "Recalibration: batches of the supernet's training images to gather the batch statistics of each architecture; 0: use the supernet's running statistics"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(4))),
  recalibrationBatchSize: PositiveInt.annotate({ description: "Images per batch of the recalibration" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(128))
  ),
  batches: Schema.NullOr(PositiveInt)
    .annotate({ description: "Validation batches to score an architecture on; null: all" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  batchSize: PositiveInt.annotate({ description: "Images per validation batch" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(250))
  ),
  sharedMegabytes: NonNegativeInt.annotate({
    description:
      "Memory for activations that architectures with the same first layers share; 0: each is computed on its own",
    ...OptionKind.performance
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(512)))
})
/** Options of the estimator. */
export type Options = typeof Options.Type

/** Largest size of the images that are kept in memory for recalibration, and again for validation. */
const keptBytes = 256 * 1024 * 1024

/**
 * The same dataflow, with batches read once and kept in memory up to `limit` bytes. Only useful for requests that repeat.
 * Returns copies of the batches.
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

/** The key and the reason if the data do not fill a batch for recalibration. */
const recalibrationFault = (source: DataflowShape, batchSize: number): readonly [key: string, message: string] => {
  const request = { split: "supernet", epoch: 0, step: 0, batchSize, training: true } as const
  const count = source.count("supernet")
  const reason =
    (count < batchSize ? undefined : source.refusal?.(request)) ??
    `the supernet's ${count} training images do not fill a batch of ${batchSize} for recalibration; expected at most ${count}`
  return ["estimator.recalibrationBatchSize", `got ${batchSize}: ${reason}`]
}

const findingsOf = (options: Options, source: DataflowShape): ReadonlyArray<Finding.Finding> => {
  const { batches, batchSize, recalibration, recalibrationBatchSize } = options
  const found: Array<Finding.Finding> = []
  const available = source.steps("supernet", recalibrationBatchSize, true)
  if (recalibration > 0 && available === 0) {
    found.push(Finding.error(...recalibrationFault(source, recalibrationBatchSize)))
  } else if (available < recalibration) {
    const what = `got ${recalibration}, and the supernet's training images fill ${available} batches of ${recalibrationBatchSize}; all are used`
    found.push(Finding.warning("estimator.recalibration", what))
  }
  const validation = source.steps("validation", batchSize, false)
  if (batches !== null && validation < batches) {
    const what = `got ${batches}, and the validation split has ${validation} batches of ${batchSize}; all are used`
    found.push(Finding.warning("estimator.batches", what))
  }
  return found
}

/** The recalibration's batches as tensors: read when first needed, and kept until the scope closes. */
const recalibrationImages = Effect.fnUntraced(function* (
  source: DataflowShape,
  { recalibration, recalibrationBatchSize: batchSize }: Options
) {
  const ready: Array<tf.Tensor4D> = []
  yield* Effect.addFinalizer(() => Effect.sync(() => tf.dispose(ready)))
  return Effect.gen(function* () {
    const available = source.steps("supernet", batchSize, true)
    let bytes = 0
    for (let step = ready.length; step < Math.min(recalibration, available); step += 1) {
      const batch = yield* source.batch({ split: "supernet", epoch: 0, step, batchSize, training: true })
      bytes += batch.images.byteLength
      if (step > 0 && bytes > keptBytes) break
      ready.push(tf.tensor4d(batch.images, [batch.size, ...source.image]))
    }
    return ready
  })
})

/** An architecture being scored: its path of the supernet, applied to a batch that is known by a name. */
interface Candidate {
  readonly genotype: Genotype
  readonly apply: (batch: string, variables: Variables, images: tf.Tensor, mode: Mode) => Applied
}

/** Running statistics of a path, gathered from these images; the caller disposes of them. */
const recalibrate = Effect.fnUntraced(function* (
  candidate: Candidate,
  variables: Variables,
  images: ReadonlyArray<tf.Tensor4D>
) {
  const collected: Array<Applied["statistics"]> = []
  for (const [index, batch] of images.entries()) {
    const { output, statistics } = candidate.apply(`recalibration ${index}`, variables, batch, "train")
    output.dispose()
    collected.push(statistics)
    yield* Effect.yieldNow
  }
  return recalibrated(collected)
})

/** The score of an evaluation's metrics, or why they do not have one. */
const scoreOf = (
  { name, objective }: TrainingAgentShape,
  metrics: Readonly<Record<string, number>>
): Result.Result<Score, string> => {
  const { direction, metric } = objective
  const value: unknown = metrics[metric]
  if (value === undefined) {
    const names = Object.keys(metrics).join(", ") || "none"
    return Result.fail(`the objective of the training agent ${name} is ${metric}, and its metrics are ${names}`)
  }
  if (typeof value !== "number") {
    return Result.fail(
      `the metric ${metric} of the training agent ${name} must be a number, got ${JSON.stringify(value)}`
    )
  }
  if (!Number.isFinite(value)) {
    return Result.fail(
      `its validation ${metric} is ${value}: the supernet has diverged, or the validation split is too small for this metric (for auc it needs two images of one person)`
    )
  }
  const finite = Object.fromEntries(Object.entries(metrics).filter(([, one]) => Number.isFinite(one)))
  return Result.succeed({ objective: direction === "minimise" ? value : -value, metrics: finite })
}

const make = Effect.fnUntraced(function* (options: Options) {
  const space = yield* SearchSpace
  const source = yield* Dataflow
  const agent = yield* TrainingAgent
  const criterion = yield* Criterion
  const key = Key.derive(yield* RunKey, "estimator", "supernet")
  // The kept tensors are on the run's engine: release them before it.
  yield* Engine
  const { batches, batchSize, recalibration, recalibrationBatchSize, sharedMegabytes } = options
  const dataflow = keeping(source)
  const kept = yield* recalibrationImages(source, options)
  const failOf = (genotype: Genotype) => (reason: string) =>
    new EstimationError({ estimator: "supernet", genotype: space.format(genotype), reason })

  const scoreOne = Effect.fn("SupernetEstimator.score")(function* (candidate: Candidate, supernet: TrainedSupernet) {
    const fail = failOf(candidate.genotype)
    const { params } = supernet.variables
    const gathered: Array<ParameterTree> = []
    const evaluate = Effect.gen(function* () {
      let { stats } = supernet.variables
      if (recalibration > 0) {
        const images = yield* kept
        if (images.length === 0) return yield* fail(recalibrationFault(source, recalibrationBatchSize).join(": "))
        stats = yield* recalibrate(candidate, supernet.variables, images)
        gathered.push(stats)
      }
      let calls = 0
      return yield* agent.evaluate({
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
    })
    const metrics = yield* evaluate.pipe(
      Effect.catchTag("DatasetError", (error) => Effect.fail(fail(error.message))),
      Effect.ensuring(Effect.sync(() => gathered.forEach(disposeUnsafe)))
    )
    return yield* Effect.mapError(Effect.fromResult(scoreOf(agent, metrics)), fail)
  })

  const score: ScoreArchitectures = Effect.fnUntraced(function* (architectures, scoring) {
    const supernet = scoring?.supernet
    for (const genotype of architectures) {
      const valid = space.validate(genotype)
      if (Result.isFailure(valid)) return yield* failOf(genotype)(valid.failure.reason)
      if (supernet === undefined) return yield* failOf(genotype)("it needs a trained supernet, and none was given")
    }
    const networks = architectures.map((genotype) => space.network(genotype))
    const activations = PrefixSharing.make(sharedMegabytes * 2 ** 20)
    const scores = new Array<Score>(architectures.length)
    const scoreAll = Effect.forEach(
      PrefixSharing.plan(networks),
      Effect.fnUntraced(function* ({ index, shared }: PrefixSharing.Planned) {
        const candidate: Candidate = {
          genotype: architectures[index]!,
          apply: (batch, variables, images, mode) =>
            activations.apply(batch, shared, networks[index]!, variables, images, mode)
        }
        const one = yield* scoreOne(candidate, supernet!)
        scores[index] = one
        if (scoring?.onScore !== undefined) yield* scoring.onScore(index, one)
      }),
      { discard: true }
    )
    yield* Effect.ensuring(scoreAll, Effect.sync(activations.release))
    return scores
  })
  return PerformanceEstimator.of({ name: "supernet", findings: findingsOf(options, source), score })
})

/** The estimator as a Layer. */
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
  description: "Validation loss of the architecture's path in the trained supernet, after recalibration",
  options: Options,
  layer
})
