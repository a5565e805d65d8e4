/**
 * A complete run of one second, on the `cpu` engine: a space of 81 architectures, made-up images of 8x8 pixels, a few epochs
 * per phase. Small enough to be stopped and resumed a hundred times in a test.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CostModel } from "../../cost/CostModel.ts"
import * as CrossEntropy from "../../criterion/CrossEntropy.ts"
import { type BatchRequest, Dataflow, type DataflowShape, type Split } from "../../dataflow/Dataflow.ts"
import * as Engines from "../../engine/Engines.ts"
import { oneByOne, PerformanceEstimator, type TrainedSupernet } from "../../estimator/PerformanceEstimator.ts"
import * as Key from "../../random/Key.ts"
import { RunKey } from "../../random/RunKey.ts"
import { classifier, conv, globalAverage, mobile, skip } from "../../search-space/blocks/Block.ts"
import { fixed, fromMacro, layersOf, type MacroSpec } from "../../search-space/MacroSpace.ts"
import * as Network from "../../search-space/Network.ts"
import { SearchSpace, type SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import { Scored, SearchStrategy, type SearchStrategyShape } from "../../search-strategy/SearchStrategy.ts"
import * as Classification from "../../training-agent/Classification.ts"
import { TrainingStrategy } from "../../training-strategy/TrainingStrategy.ts"
import * as Uniform from "../../training-strategy/Uniform.ts"
import { RunConfig } from "../RunConfig.ts"
import { RunEvents } from "../RunEvents.ts"

const macro: MacroSpec = {
  name: "small",
  first: [fixed(conv({ kernel: 3 }), 4, 2)],
  search: layersOf([
    [4, 1],
    [6, 2],
    [6, 1],
    [6, 1]
  ]),
  choices: [mobile({ kernel: 3, expansion: 1 }), mobile({ kernel: 3, expansion: 2 }), skip],
  last: [fixed(globalAverage), fixed(classifier, "head")]
}

/** The search space. It handles a skip with stride 2 itself. */
export const space: SearchSpaceShape = Result.getOrThrow(
  fromMacro(macro, { input: [8, 8, 1], head: { _tag: "Classifier", classes: 3 } })
)

const counts: Readonly<Record<Split, number>> = { supernet: 24, validation: 12, train: 36, test: 15 }

/** Noise with a bright upper half, left half, or middle: three classes. */
export const makeDataflow = (key: Key.Key): DataflowShape => {
  const image = (split: Split, index: number, label: number): Float32Array => {
    const noise = Key.normals(Key.derive(key, "image", split, index), 64)
    return noise.map((value, at) => {
      const [row, column] = [Math.floor(at / 8), at % 8]
      const bright =
        label === 0 ? row < 4 : label === 1 ? column < 4 : Math.abs(row - 3.5) < 2 && Math.abs(column - 3.5) < 2
      return 0.7 * value + (bright ? 1 : 0)
    })
  }
  const steps = (split: Split, batchSize: number, training: boolean) =>
    training ? Math.floor(counts[split] / batchSize) : Math.ceil(counts[split] / batchSize)
  return {
    name: "made-up",
    image: [8, 8, 1],
    classes: ["above", "left", "middle"],
    count: (split) => counts[split],
    steps,
    digest: "0".repeat(64),
    batch: ({ batchSize, epoch, split, step, training }: BatchRequest) =>
      Effect.sync(() => {
        const order = training
          ? Key.permutation(Key.derive(key, "order", split, epoch), counts[split])
          : Uint32Array.from({ length: counts[split] }, (_, index) => index)
        const indices = order.subarray(step * batchSize, (step + 1) * batchSize)
        const images = new Float32Array(indices.length * 64)
        const labels = new Int32Array(indices.length)
        indices.forEach((index, at) => {
          labels[at] = index % 3
          images.set(image(split, index, index % 3), at * 64)
        })
        return { images, labels, size: indices.length }
      })
  }
}

const State = Schema.Struct({ key: Key.Key, generation: Schema.Int, scored: Schema.Array(Scored) })
const decodeState = Schema.decodeUnknownSync(State)

/** Length of a search. */
export interface SearchSize {
  readonly generations: number
  readonly candidates: number
}

/** Generations of architectures drawn at random. */
export const searchStrategy = ({ candidates, generations }: SearchSize): SearchStrategyShape => ({
  name: "drawn",
  evaluations: generations * candidates,
  distinct: false,
  init: (key) => ({ key: { k0: key.k0, k1: key.k1 }, generation: 0, scored: [] }),
  ask: (state) => {
    const { generation, key } = decodeState(state)
    if (generation === generations) return [[], state]
    const drawn = Array.from({ length: candidates }, (_, index) =>
      space.choices.map((choices, position) =>
        Key.integer(Key.derive(key, generation, index), choices.length, position)
      )
    )
    return [drawn, state]
  },
  tell: (state, scored) => {
    const { generation, key, scored: before } = decodeState(state)
    return JSON.parse(
      JSON.stringify({ key, generation: generation + 1, scored: [...before, ...scored] })
    ) as Schema.Json
  },
  best: (state) => {
    const { scored } = decodeState(state)
    return Option.fromUndefinedOr(
      [...scored].sort(
        (a, b) =>
          a.score.objective - b.score.objective || a.cost - b.cost || (a.genotype.join() < b.genotype.join() ? -1 : 1)
      )[0]
    )
  }
})

const costs = CostModel.of({
  metrics: ["flops", "params"],
  entries: () => ({ base: 0, layers: [] }),
  cost: (metric, genotype) => {
    const { macs, params } = Network.count(space.network(genotype))
    return metric === "flops" ? macs : params
  }
})

const variablesOf = (supernet: TrainedSupernet | undefined) => {
  if (supernet === undefined) throw new RangeError("the small run scores with a trained supernet, and none was given")
  return supernet.variables
}

const estimator = Layer.effect(
  PerformanceEstimator,
  Effect.gen(function* () {
    const dataflow = yield* Dataflow
    const key = yield* RunKey
    return PerformanceEstimator.of({
      name: "supernet",
      score: oneByOne((genotype, supernet) =>
        Classification.agent
          .evaluate({
            infer: (images) =>
              Network.apply(space.network(genotype), variablesOf(supernet), images, "eval").output as tf.Tensor2D,
            criterion: CrossEntropy.make({ labelSmoothing: 0 }),
            criterionParams: supernet?.criterion ?? {},
            dataflow,
            split: "validation",
            batchSize: 12,
            batches: undefined,
            key
          })
          .pipe(
            Effect.orDie,
            Effect.map((metrics) => ({ objective: metrics["loss"] ?? 0, metrics }))
          )
      )
    })
  })
)

const optimizer = { learningRate: 0.1, momentum: 0.9, weightDecay: 1e-4 }

/** A configuration with both training phases. */
export type SmallConfig = RunConfig & Required<Pick<RunConfig, "supernetTraining" | "retraining">>

/** The configuration, with overrides. */
export const config = (overrides: Readonly<Record<string, unknown>> = {}): SmallConfig =>
  Schema.decodeUnknownSync(RunConfig)({
    name: "small",
    seed: 7,
    engine: { name: "cpu" },
    dataflow: { name: "made-up" },
    searchSpace: { name: "small" },
    budget: { max: 1e9 },
    supernetTraining: { epochs: 3, batchSize: 6, optimizer },
    retraining: { epochs: 4, batchSize: 6, optimizer },
    ...overrides
  }) as SmallConfig

/** All services of a run but the disk. */
export const layer = (seed: number, search: SearchSize = { generations: 2, candidates: 3 }) => {
  const key = Layer.succeed(RunKey, Key.make(seed))
  const dataflow = Layer.effect(
    Dataflow,
    Effect.map(RunKey, (root) => makeDataflow(Key.derive(root, "dataflow")))
  )
  return estimator.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        dataflow,
        Layer.succeed(SearchSpace, space),
        Layer.succeed(TrainingStrategy, Uniform.make(space)),
        Layer.succeed(SearchStrategy, searchStrategy(search)),
        Layer.succeed(CostModel, costs),
        CrossEntropy.layer({ labelSmoothing: 0 }),
        Classification.layer({}),
        Engines.layer("cpu", { mode: "strict", threads: 1 }),
        RunEvents.layer
      )
    ),
    Layer.provideMerge(key)
  )
}

/** Number of tensors in memory. */
export const liveTensors = (): number => tf.engine().state.numTensors
