import { expect, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Criterion } from "../criterion/Criterion.ts"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import { type Batch, Dataflow, type DataflowShape } from "../dataflow/Dataflow.ts"
import * as Engines from "../engine/Engines.ts"
import { disposeUnsafe, type Variables } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import { apply, initialise, type Network, recalibrated } from "../search-space/Network.ts"
import { type Genotype, SearchSpace } from "../search-space/SearchSpace.ts"
import * as Tiny from "../search-space/Tiny.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"
import * as Classification from "../training-agent/Classification.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { type EstimationError, PerformanceEstimator, type PerformanceEstimatorShape } from "./PerformanceEstimator.ts"
import * as Supernet from "./Supernet.ts"

const image = [12, 12, 1] as const
const space = Result.getOrThrow(
  Tiny.make({ stemStride: 2 }, { input: image, head: { _tag: "Classifier", classes: 3 } })
)

/** Cross entropy of images whose labels are 0, 1, 2, 0, 1, 2, … */
const lossOf = (network: Network, variables: Variables, images: tf.Tensor4D): number => {
  const logits = apply(network, variables, images, "eval").output as tf.Tensor2D
  const rows = tf.softmax(logits).arraySync()
  return rows.reduce((sum, row, i) => sum - Math.log(row[i % 3]!), 0) / rows.length
}

/** Random images whose mean depends on the class. */
const madeUp = (reads: Array<string>): DataflowShape => {
  const batch = (label: string, count: number): Batch => {
    const key = Key.derive(Key.make(3), label)
    const labels = Int32Array.from({ length: count }, (_, i) => i % 3)
    const images = Key.normals(key, count * 144).map((x, i) => x + 2 * labels[Math.floor(i / 144)]! + 1)
    return { images, labels, size: count }
  }
  return {
    name: "made-up",
    image,
    classes: ["a", "b", "c"],
    count: () => 24,
    steps: (_, batchSize, training) => (training ? Math.floor(24 / batchSize) : Math.ceil(24 / batchSize)),
    batch: (request) =>
      Effect.sync(() => {
        const label = `${request.split} ${request.step}`
        reads.push(label)
        return batch(label, request.batchSize)
      }),
    digest: ""
  }
}

const withEstimator = <A, E>(
  options: Partial<Supernet.Options>,
  body: (
    score: (genotype: Genotype) => Effect.Effect<Score, EstimationError>,
    surroundings: {
      readonly variables: Variables
      readonly reads: ReadonlyArray<string>
      readonly estimator: PerformanceEstimatorShape
    }
  ) => Effect.Effect<A, E>,
  given?: object
) => {
  const reads: Array<string> = []
  const decoded = Schema.decodeUnknownSync(Supernet.Options)({
    recalibrationBatchSize: 6,
    recalibration: 2,
    batchSize: 8,
    ...options
  })
  return Effect.gen(function* () {
    const variables = initialise(space.supernet, Key.make(1))
    const result = yield* Effect.gen(function* () {
      const estimator = yield* PerformanceEstimator
      const supernet = { digest: "untrained", variables, criterion: {} }
      const score = (genotype: Genotype) =>
        Effect.map(estimator.score([genotype], { supernet }), ([one]) => one as Score)
      return yield* body(score, { variables, reads, estimator })
    }).pipe(
      Effect.provide(
        Supernet.layer(decoded).pipe(
          Layer.provide(
            Layer.mergeAll(
              Layer.succeed(SearchSpace, space),
              Layer.succeed(Dataflow, madeUp(reads)),
              Layer.succeed(RunKey, Key.make(0)),
              Layer.succeed(Criterion, CrossEntropy.make({ labelSmoothing: 0 })),
              given === undefined
                ? Classification.layer({})
                : Layer.succeed(TrainingAgent, {
                    ...Classification.agent,
                    evaluate: () => Effect.succeed(given as never)
                  })
            )
          )
        )
      )
    )
    disposeUnsafe(variables.params)
    disposeUnsafe(variables.stats)
    return result
  }).pipe(Effect.provide(Engines.layer("cpu", { mode: "strict", threads: 1 })))
}

it.effect("scores a path after recalibration, always the same, and leaks no tensor", () =>
  withEstimator({}, (score, { reads, variables }) =>
    Effect.gen(function* () {
      const genotype = [0, 1, 2, 6, 0, 1]
      const first = yield* score(genotype)
      const tensors = tf.memory().numTensors
      const readBefore = reads.length
      const again = yield* score(genotype)
      const other = yield* score([3, 3, 3, 3, 3, 3])
      expect(again).toEqual(first)
      expect(other.objective).not.toBe(first.objective)
      expect(tf.memory().numTensors).toBe(tensors)
      // Batches were read once: two for the statistics, three for validation.
      expect(readBefore).toBe(5)
      expect(reads).toHaveLength(5)
      expect(first.objective).toBe(first.metrics["loss"])
      expect(Object.keys(first.metrics).sort()).toEqual(["loss", "top1", "top5"])

      const network = space.network(genotype)
      const images = (label: string, count: number) =>
        tf.tensor4d(
          Key.normals(Key.derive(Key.make(3), label), count * 144).map((x, i) => x + 2 * (Math.floor(i / 144) % 3) + 1),
          [count, ...image]
        )
      const byHand = tf.tidy(() => {
        const passes = [0, 1].map(
          (step) => apply(network, variables, images(`supernet ${step}`, 6), "train").statistics
        )
        const own = { params: variables.params, stats: recalibrated(passes) }
        return [0, 1, 2].reduce((sum, step) => sum + lossOf(network, own, images(`validation ${step}`, 8)) / 3, 0)
      })
      expect(first.objective).toBeCloseTo(byHand, 5)
    })
  )
)

it.effect("without recalibration, uses the running statistics of the supernet", () =>
  withEstimator({ recalibration: 0 }, (score, { variables }) =>
    Effect.gen(function* () {
      const genotype = [0, 0, 0, 0, 0, 0]
      const { metrics } = yield* score(genotype)
      const loss = tf.tidy(() =>
        [0, 1, 2].reduce((sum, step) => {
          const images = Key.normals(Key.derive(Key.make(3), `validation ${step}`), 8 * 144).map(
            (x, i) => x + 2 * (Math.floor(i / 144) % 3) + 1
          )
          return sum + lossOf(space.network(genotype), variables, tf.tensor4d(images, [8, ...image])) / 3
        }, 0)
      )
      expect(metrics["loss"]).toBeCloseTo(loss, 4)
    })
  )
)

it.effect("recalibration changes the score, and more batches change it less", () =>
  Effect.gen(function* () {
    const genotype = [1, 6, 1, 6, 1, 6]
    const loss = (recalibration: number) =>
      withEstimator({ recalibration }, (score) => Effect.map(score(genotype), ({ objective }) => objective))
    const [none, two, four] = [yield* loss(0), yield* loss(2), yield* loss(4)]
    expect(two).not.toBe(none)
    expect(Math.abs(four - two)).toBeLessThan(Math.abs(two - none))
  })
)

it.effect("scores on fewer validation batches on request", () =>
  withEstimator({ batches: 1 }, (score, { reads }) =>
    Effect.gen(function* () {
      yield* score([0, 0, 0, 0, 0, 0])
      expect(reads.filter((read) => read.startsWith("validation"))).toEqual(["validation 0"])
    })
  )
)

it.effect("fails with the reason if an architecture cannot be scored", () =>
  withEstimator({ recalibrationBatchSize: 100 }, (score, { estimator }) =>
    Effect.gen(function* () {
      const without = yield* Effect.flip(estimator.score([[0, 0, 0, 0, 0, 0]]))
      expect(without.reason).toBe("it needs a trained supernet, and none was given")
      const outside = yield* Effect.flip(score([9, 9]))
      expect(outside.message).toMatch(/^estimator supernet, architecture 9,9: /)
      const small = yield* Effect.flip(score([0, 0, 0, 0, 0, 0]))
      expect(small.reason).toContain("24 training images do not fill a batch of 100")
    })
  )
)

it.effect("kept batches are copied, and their size is limited", () =>
  Effect.gen(function* () {
    const reads: Array<string> = []
    const request = { split: "validation", epoch: 0, step: 0, batchSize: 8, training: false } as const
    const flow = Supernet.keeping(madeUp(reads), 8 * 144 * 4 + 8 * 4)
    const first = yield* flow.batch(request)
    first.images.fill(0)
    const second = yield* flow.batch(request)
    expect(second.images.some((x) => x !== 0)).toBe(true)
    yield* flow.batch({ ...request, step: 1 })
    yield* flow.batch({ ...request, step: 1 })
    expect(reads).toEqual(["validation 0", "validation 1", "validation 1"])
  })
)

it.effect("names the training agent whose objective is missing or not a number", () =>
  Effect.gen(function* () {
    const reason = (given: object) =>
      withEstimator({}, (score) => Effect.map(Effect.flip(score([0, 1, 2, 6, 0, 1])), ({ message }) => message), given)
    expect(yield* reason({ loss: "0.5" })).toContain(
      'the metric loss of the training agent classification must be a number, got "0.5"'
    )
    expect(yield* reason({ top1: 1, other: 2 })).toContain(
      "the objective of the training agent classification is loss, and its metrics are top1, other"
    )
    expect(yield* reason({ loss: Number.NaN })).toContain("its validation loss is NaN: the supernet has diverged")
  })
)
