/**
 * Zero-cost proxies: an architecture is scored by its untrained network on one batch, in place of any training (Abdelfattah
 * et al. 2021, "Zero-Cost Proxies for Lightweight NAS"). They serve a search that must cost seconds, and as a yardstick: a
 * supernet that does not rank better than they do is not worth its training.
 *
 * - `gradient-norm`: the norm of the loss's gradient (the same, section 3.2);
 * - `snip`: the sum of |weight x gradient| (Lee et al. 2019, equation 4);
 * - `synflow`: the logarithm of the sum of weight x gradient where all weights are positive, the input is constant, and
 *   the loss is the sum of the outputs (Tanaka et al. 2020, section 6);
 * - `naswot`: the logarithm of the determinant of the kernel that counts, for every two images, the units that are active
 *   for both or for neither (Mellor et al. 2021, section 4).
 *
 * Architectures start from the same weights wherever they share a block, so the scores of two architectures differ by the
 * architectures alone.
 *
 * **Example** (What the proxies are made of)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Layer from "effect/Layer"
 * import * as Key from "../random/Key.ts"
 * import { classifier, globalAverage, place } from "../search-space/blocks/Block.ts"
 * import * as Network from "../search-space/Network.ts"
 * import * as ZeroCost from "./ZeroCost.ts"
 *
 * ZeroCost.proxies // => ["gradient-norm", "snip", "synflow", "naswot"]
 * const [params, gradients] = [{ w: tf.tensor1d([2, -1]) }, { w: tf.tensor1d([3, 4]) }]
 * ZeroCost.gradientNorm(gradients) // => 5
 * ZeroCost.saliency(params, gradients) // => 10
 * const blocks = [{ name: "a", block: place(globalAverage, 2, 2, 1) }, { name: "b", block: place(classifier, 2, 3, 1) }]
 * const network = { input: [4, 4, 2] as const, blocks }
 * Number.isFinite(ZeroCost.synapticFlow(network, Network.initialise(network, Key.make(1)))) // => true
 * Layer.isLayer(ZeroCost.layer({ proxy: "naswot", batchSize: 8 })) // => true
 * ```
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CholeskyDecomposition, Matrix } from "ml-matrix"
import { define } from "../component/Component.ts"
import * as Finding from "../component/Finding.ts"
import { Criterion } from "../criterion/Criterion.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { differentiate } from "../engine/Autodiff.ts"
import { Engine } from "../engine/Engine.ts"
import { disposeStatisticsUnsafe } from "../nn/Normalisation.ts"
import { disposeUnsafe, names, type ParameterTree, type Variables } from "../nn/ParameterTree.ts"
import { scoped } from "../nn/Scope.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as Network from "../search-space/Network.ts"
import { type Genotype, SearchSpace } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"
import { PositiveInt } from "../support/Numbers.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { EstimationError, oneByOne, PerformanceEstimator } from "./PerformanceEstimator.ts"

/** The proxies. */
export const proxies = ["gradient-norm", "snip", "synflow", "naswot"] as const
/** The name of a proxy. */
export type Proxy = (typeof proxies)[number]

/** Options of the estimator. */
export const Options = Schema.Struct({
  proxy: Schema.Literals(proxies)
    .annotate({ description: "What an untrained network is scored by" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("synflow" as const))),
  batchSize: PositiveInt.annotate({ description: "Images of the batch (synflow uses none)" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(64))
  )
})
/** Options of the estimator. */
export type Options = typeof Options.Type

const numberOf = (make: () => tf.Tensor): number => tf.tidy(() => make().dataSync()[0]!)

/** The norm of all gradients together. */
export const gradientNorm = (gradients: ParameterTree): number =>
  Math.sqrt(names(gradients).reduce((sum, name) => sum + numberOf(() => tf.sum(tf.square(gradients[name]!))), 0))

/** The sum of |weight x gradient| over the weights that have a gradient. */
export const saliency = (params: ParameterTree, gradients: ParameterTree): number =>
  names(gradients).reduce(
    (sum, name) => sum + numberOf(() => tf.sum(tf.abs(tf.mul(params[name]!, gradients[name]!)))),
    0
  )

/** So small that no activation reaches the bound of a ReLU6 on its way. */
const constantInput = 1e-25

/** The logarithm of the synaptic flow through a network. */
export const synapticFlow = (network: Network.Network, { params, stats }: Variables): number => {
  const own = names(params)
  const positive = scoped(() => own.map((name) => tf.abs(params[name]!)))
  const variables = { params: Object.fromEntries(own.map((name, index) => [name, positive[index]!])), stats }
  const images = tf.fill([1, ...network.input], constantInput)
  const { gradients, value } = differentiate(
    () => tf.sum(Network.apply(network, variables, images, "eval").output) as tf.Scalar,
    positive
  )
  let flow = 0
  for (const [index, gradient] of gradients.entries()) {
    if (gradient !== undefined) flow += numberOf(() => tf.sum(tf.mul(positive[index]!, gradient))) / constantInput
  }
  tf.dispose([images, value, ...positive, ...gradients.filter((gradient) => gradient !== undefined)])
  return Math.log(flow)
}

/**
 * The logarithm of the determinant of a symmetric matrix, row by row; negative infinity where it is singular, as it is
 * for two images that activate the same units.
 *
 * **Example** (Two images, half of the units active for both or for neither)
 *
 * ```ts
 * import * as ZeroCost from "./ZeroCost.ts"
 *
 * Math.exp(ZeroCost.logDeterminant([[2, 1], [1, 2]])).toFixed(4) // => "3.0000"
 * ZeroCost.logDeterminant([[1, 1], [1, 1]]) // => Number.NEGATIVE_INFINITY
 * ```
 */
export const logDeterminant = (matrix: ReadonlyArray<ReadonlyArray<number>>): number => {
  const cholesky = new CholeskyDecomposition(new Matrix(matrix.map((row) => [...row])))
  if (!cholesky.isPositiveDefinite()) return Number.NEGATIVE_INFINITY
  return cholesky.lowerTriangularMatrix.diagonal().reduce((sum, value) => sum + 2 * Math.log(value), 0)
}

/** The kernel of activation patterns: for every two images, how many units are active for both or for neither. */
const patternKernel = (network: Network.Network, variables: Variables, images: tf.Tensor4D): tf.Tensor2D =>
  scoped(() => {
    const count = images.shape[0]
    const sums: Array<tf.Tensor2D> = []
    Network.observe(network, variables, images, (activation) => {
      const kernel = tf.tidy(() => {
        const active = tf.cast(tf.greater(tf.reshape(activation, [count, -1]), 0), "float32") as tf.Tensor2D
        const inactive = tf.sub(1, active) as tf.Tensor2D
        return tf.add(tf.matMul(active, active, false, true), tf.matMul(inactive, inactive, false, true)) as tf.Tensor2D
      })
      sums.push(tf.keep(kernel))
    })
    const total = sums.length === 0 ? tf.zeros([count, count]) : tf.addN(sums)
    tf.dispose(sums)
    return total as tf.Tensor2D
  })

const make = (options: Options) =>
  Effect.gen(function* () {
    const space = yield* SearchSpace
    const dataflow = yield* Dataflow
    const agent = yield* TrainingAgent
    const criterion = yield* Criterion
    const key = Key.derive(yield* RunKey, "estimator", "zero-cost")
    yield* Engine
    const { batchSize, proxy } = options
    const request = { split: "supernet", epoch: 0, step: 0, batchSize, training: true } as const
    const { head } = space.interface
    const outputs = head._tag === "Classifier" ? head.classes : head.dimension

    const gradientScore = (
      network: Network.Network,
      variables: Variables,
      images: tf.Tensor4D,
      labels: tf.Tensor1D
    ) => {
      const criterionParams = criterion.init(Key.derive(key, "criterion"), {
        outputs,
        classes: dataflow.classes.length
      })
      const { criterionGradients, gradients, loss, output, statistics } = agent.step({
        forward: (own, x, mode) => Network.apply(network, own, x, mode),
        variables,
        criterion,
        criterionParams,
        images,
        labels,
        key: Key.derive(key, "step")
      })
      const value = proxy === "snip" ? saliency(variables.params, gradients) : gradientNorm(gradients)
      for (const tree of [gradients, criterionGradients, criterionParams]) disposeUnsafe(tree)
      disposeStatisticsUnsafe(statistics)
      tf.dispose([loss, output])
      return value
    }

    const scoreOne = Effect.fn("ZeroCost.score")(function* (genotype: Genotype) {
      const fail = (reason: string) =>
        new EstimationError({ estimator: `zero-cost ${proxy}`, genotype: space.format(genotype), reason })
      const valid = space.validate(genotype)
      if (Result.isFailure(valid)) return yield* fail(valid.failure.reason)
      const network = space.network(genotype)
      const variables = Network.initialise(network, Key.derive(key, "initialise"))
      const batch =
        proxy === "synflow"
          ? { images: new Float32Array(0), labels: new Int32Array(0), size: 0 }
          : yield* Effect.mapError(dataflow.batch(request), (error) => fail(error.message))
      const images = tf.tensor4d(batch.images, [batch.size, ...dataflow.image])
      const labels = tf.tensor1d(batch.labels, "int32")
      const value = ((): number => {
        switch (proxy) {
          case "synflow":
            return synapticFlow(network, variables)
          case "naswot": {
            const kernel = patternKernel(network, variables, images)
            const rows = kernel.arraySync()
            kernel.dispose()
            return logDeterminant(rows)
          }
          default:
            return gradientScore(network, variables, images, labels)
        }
      })()
      tf.dispose([images, labels])
      for (const tree of [variables.params, variables.stats]) disposeUnsafe(tree)
      yield* Effect.yieldNow
      if (!Number.isFinite(value)) return yield* fail(`its ${proxy} is ${value}`)
      return { objective: -value, metrics: { [proxy]: value } } satisfies Score
    })
    const count = dataflow.count("supernet")
    const reason =
      (count < batchSize ? undefined : dataflow.refusal?.(request)) ??
      `the supernet's ${count} training images do not fill a batch of ${batchSize}; expected at most ${count}`
    const isRefused = proxy !== "synflow" && dataflow.steps("supernet", batchSize, true) === 0
    const findings = isRefused ? [Finding.error("estimator.batchSize", `got ${batchSize}: ${reason}`)] : []
    return PerformanceEstimator.of({ name: "zero-cost", needsSupernet: false, findings, score: oneByOne(scoreOne) })
  })

/** The estimator as a Layer. */
export const layer = (options: Options) => Layer.effect(PerformanceEstimator, make(options))

/**
 * `name: zero-cost`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as ZeroCost from "./ZeroCost.ts"
 *
 * Schema.decodeUnknownSync(ZeroCost.Options)({ proxy: "naswot" }).batchSize // => 64
 * ZeroCost.component.name // => "zero-cost"
 * ```
 */
export const component = define({
  kind: "estimator",
  name: "zero-cost",
  description:
    "Scores an untrained network by one batch: gradient norm, SNIP, SynFlow or NASWOT; no supernet is trained",
  options: Options,
  layer
})
