import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { Criterion } from "../criterion/Criterion.ts"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import { Dataflow, type DataflowShape } from "../dataflow/Dataflow.ts"
import * as Engines from "../engine/Engines.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import { classifier, conv, globalAverage, place } from "../search-space/blocks/Block.ts"
import * as Network from "../search-space/Network.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as Tiny from "../search-space/Tiny.ts"
import * as Classification from "../training-agent/Classification.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { PerformanceEstimator } from "./PerformanceEstimator.ts"
import * as ZeroCost from "./ZeroCost.ts"

const image = [12, 12, 1] as const
const space = Result.getOrThrow(
  Tiny.make({ stemStride: 2 }, { input: image, head: { _tag: "Classifier", classes: 3 } })
)
const dataflow: DataflowShape = {
  name: "made-up",
  image,
  classes: ["a", "b", "c"],
  count: () => 24,
  steps: () => 3,
  batch: ({ batchSize, step }) =>
    Effect.succeed({
      images: Float32Array.from(Key.normals(Key.derive(Key.make(3), step), batchSize * 144)),
      labels: Int32Array.from({ length: batchSize }, (_, i) => i % 3),
      size: batchSize
    }),
  digest: ""
}
const engine = Engines.layer("simd", { threads: 1, mode: "strict" })
const surroundings = Layer.mergeAll(
  Layer.succeed(SearchSpace, space),
  Layer.succeed(Dataflow, dataflow),
  Layer.succeed(TrainingAgent, Classification.agent),
  Layer.succeed(Criterion, CrossEntropy.make({ labelSmoothing: 0 })),
  Layer.succeed(RunKey, Key.make(1)),
  engine
)

describe("the estimator", () => {
  for (const proxy of ZeroCost.proxies) {
    it.effect(
      `${proxy}: finite, the same again in another order, different for different networks, no tensor left`,
      () =>
        Effect.gen(function* () {
          const { score } = yield* PerformanceEstimator
          const clipped = (digit: number) => space.choices.map((names) => Math.min(digit, names.length - 1))
          const [a, b] = [clipped(0), clipped(2)] as const
          yield* score([a])
          const before = tf.memory().numTensors
          const scores = yield* score([a, b])
          assert.deepStrictEqual([...(yield* score([b, a]))].reverse(), [...scores])
          assert.strictEqual(tf.memory().numTensors, before)
          const [one, two] = scores.map(({ objective }) => objective)
          assert.notStrictEqual(one, two)
          assert.strictEqual(one, -scores[0]!.metrics[proxy]!)
        }).pipe(
          Effect.provide(Layer.provideMerge(ZeroCost.layer({ proxy, batchSize: 6 }), surroundings)),
          Effect.scoped
        )
    )
  }
})

describe("the proxies, by what they mean", () => {
  const network: Network.Network = {
    input: [6, 6, 2],
    blocks: [
      { name: "first", block: place(conv({ kernel: 3 }), 2, 4, 2) },
      { name: "second", block: place(conv({ kernel: 1 }), 4, 5, 1) },
      { name: "average", block: place(globalAverage, 5, 5, 1) },
      { name: "linear", block: place(classifier, 5, 3, 1) }
    ]
  }

  it.effect("synflow: every layer of positive weights passes on the same flow, the sum of the outputs", () =>
    Effect.sync(() => {
      const variables = Network.initialise(network, Key.make(4))
      const positive = Object.fromEntries(
        Object.entries(variables.params).map(([name, tensor]) => [name, tf.abs(tensor)])
      )
      const through = (value: number): number => {
        const images = tf.fill([1, 6, 6, 2], value)
        const { output } = Network.apply(network, { params: positive, stats: variables.stats }, images, "eval")
        return tf.sum(output).dataSync()[0]! / value
      }
      // Two convolutions, two scales of a normalisation, a linear layer.
      assert.closeTo(ZeroCost.synapticFlow(network, variables), Math.log(5 * through(1e-3)), 1e-3)
    }).pipe(Effect.provide(engine), Effect.scoped)
  )

  it("the determinant of a kernel of identical images is that of a singular matrix", () => {
    assert.strictEqual(
      ZeroCost.logDeterminant([
        [4, 4],
        [4, 4]
      ]),
      Number.NEGATIVE_INFINITY
    )
    assert.closeTo(
      ZeroCost.logDeterminant([
        [4, 1, 0],
        [1, 3, 1],
        [0, 1, 2]
      ]),
      Math.log(4 * 5 - 2),
      1e-12
    )
  })

  it.effect("gradient norm and SNIP are what they are by definition", () =>
    Effect.sync(() => {
      const params = { a: tf.tensor1d([1, -2]), b: tf.tensor1d([3]) }
      const gradients = { a: tf.tensor1d([2, 1]), b: tf.tensor1d([-2]) }
      assert.strictEqual(ZeroCost.gradientNorm(gradients), 3)
      assert.strictEqual(ZeroCost.saliency(params, gradients), 2 + 2 + 6)
    }).pipe(Effect.provide(engine), Effect.scoped)
  )
})
