/** For every search space: the number of threads does not change a bit of the trained weights. */
import { createHash } from "node:crypto"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import type { DataflowShape } from "../dataflow/Dataflow.ts"
import { registerFusedKernels } from "../engine/FusedKernels.ts"
import { registerSimdBackend } from "../engine/simd/Backend.ts"
import { fusedSimdKernels } from "../engine/simd/SimdFusedKernels.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import type { Variables } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import * as Block from "../search-space/blocks/Block.ts"
import * as FbNet from "../search-space/FbNet.ts"
import * as MacroSpace from "../search-space/MacroSpace.ts"
import * as MobileFaceNet from "../search-space/MobileFaceNet.ts"
import * as NasBenchMacro from "../search-space/NasBenchMacro.ts"
import * as Network from "../search-space/Network.ts"
import * as ProxylessNas from "../search-space/ProxylessNas.ts"
import type { NetworkInterface, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as Sgnas from "../search-space/Sgnas.ts"
import * as Spos from "../search-space/Spos.ts"
import * as Tiny from "../search-space/Tiny.ts"
import * as Classification from "../training-agent/Classification.ts"
import type { TrainingStep } from "../training-strategy/TrainingStrategy.ts"
import * as Forwards from "./Forwards.ts"
import { OptimizerConfig } from "./RunConfig.ts"
import * as Trainer from "./Trainer.ts"
import * as TrainingState from "./TrainingState.ts"

const engines = [1, 2, 3, 7].map((threads) => {
  const name = `osnas-simd-determinism-${threads}`
  registerFusedKernels(name, fusedSimdKernels)
  return { name, threads, backend: registerSimdBackend({ mode: "strict", threads }, name) }
})
afterAll(() => Promise.all(engines.map(({ backend }) => backend.runtime.close())))

const classes = 5
/** Sides of 20 are odd after two halvings. */
const task: NetworkInterface = { input: [20, 20, 3], head: { _tag: "Classifier", classes } }

/** Blocks that no published space uses: mixed kernels, pyramids of dilated convolutions, pooling, dilation, PReLU. */
const unusual: MacroSpace.MacroSpec = {
  name: "unusual",
  first: [MacroSpace.fixed(Block.conv({ kernel: 3, activation: "prelu" }), 10, 2)],
  search: MacroSpace.layersOf([
    [14, 1],
    [18, 2],
    [18, 1]
  ]),
  choices: [
    Block.mixed({ kernels: [3, 5, 7], expansion: 3, squeezeExcite: true, activation: "hswish" }),
    Block.separable({ kernel: 5, dilation: 2 }),
    Block.mobile({ kernel: 3, expansion: 4, pointGroups: 2, channelShuffle: true }),
    Block.aspp({ rates: [1, 2] }),
    Block.shuffle({ kernel: 3, xception: true, widening: "keep" })
  ],
  last: [
    MacroSpace.fixed(Block.conv({ kernel: 1 }), 33),
    MacroSpace.fixed(Block.globalAverage),
    MacroSpace.fixed(Block.classifier, "head")
  ]
}

const spaces: Readonly<Record<string, ReturnType<MacroSpace.Make<unknown>>>> = {
  proxylessnas: ProxylessNas.make({ stemStride: 2, widths: null }, task),
  "fbnet-s": FbNet.makeS({ stemStride: 2, channelShuffle: false }, task),
  "fbnet-l": FbNet.makeL({ stemStride: 2, channelShuffle: false }, task),
  "fbnet-l, shuffled": FbNet.makeL({ stemStride: 2, channelShuffle: true }, task),
  spos: Spos.make({ stemStride: 2, variant: "osnas" }, task),
  mobilefacenet: MobileFaceNet.make({ stemStride: 2 }, task),
  sgnas: Sgnas.make({ stemStride: 2, minimum: 1 }, task),
  "nas-bench-macro": NasBenchMacro.make({ widthMultiplier: 1 }, task),
  tiny: Tiny.make({ stemStride: 2 }, task),
  "a space given as data": MacroSpace.fromMacro(unusual, task)
}

/** Noise in batches of 7, 8 and 3 images: a group of eight with an empty place, a full one, and single images. */
const dataflow: DataflowShape = {
  name: "noise",
  image: task.input,
  classes: Array.from({ length: classes }, (_, i) => String(i)),
  count: () => 64,
  steps: () => 10,
  batch: ({ epoch, step }) => {
    const size = [7, 8, 3][step % 3] as number
    return Effect.succeed({
      images: Key.normals(Key.derive(Key.make(4), epoch, step), size * 20 * 20 * 3),
      labels: Int32Array.from({ length: size }, (_, i) => (i + step) % classes),
      size
    })
  },
  digest: ""
}

const optimizer = Schema.decodeUnknownSync(OptimizerConfig)({ learningRate: 0.02, momentum: 0.9, weightDecay: 1e-4 })

/** Initial values of everything that the steps train. */
const startOf = (space: SearchSpaceShape, steps: ReadonlyArray<TrainingStep>): Variables => {
  const networks = steps.flatMap((step) => (step._tag === "Paths" ? step.paths.map(space.network) : [space.supernet]))
  return Network.initialise({ input: task.input, blocks: networks.flatMap(({ blocks }) => blocks) }, Key.make(1))
}

/** The digest of every parameter, statistic and slot that the steps changed. */
const train = Effect.fnUntraced(function* (
  space: SearchSpaceShape,
  engine: string,
  steps: number,
  next: (step: number) => TrainingStep
) {
  tf.setBackend(engine)
  const start = startOf(
    space,
    Array.from({ length: steps }, (_, step) => next(step))
  )
  const setup: Trainer.TrainerSetup = {
    phase: "supernetTraining",
    key: Key.make(3),
    split: "supernet",
    epochs: 1,
    stepsPerEpoch: 10,
    batchSize: 8,
    accumulate: 1,
    bnMomentum: 0.1,
    learningRate: optimizer.learningRate,
    schedule: () => 1,
    optimizer: Optimizer.fromConfig(optimizer),
    agent: Classification.agent,
    criterion: CrossEntropy.make({ labelSmoothing: 0.1 }),
    dataflow,
    sampler: { init: () => ({ step: 0 }), next: (s) => [next(Number(s["step"])), { step: Number(s["step"]) + 1 }] },
    forwards: Forwards.ofStep(space),
    updateStatistics: Network.updateStatistics,
    classifies: true
  }
  const untouched = new Set<tf.Tensor>([...Object.values(start.params), ...Object.values(start.stats)])
  let state = Trainer.init(setup, start, {})
  for (let step = 0; step < steps; step++) {
    const [after] = yield* Trainer.step(setup, state)
    TrainingState.disposeReplacedUnsafe(state, after)
    state = after
  }
  const hash = createHash("sha256")
  let changed = 0
  for (const tree of [state.variables.params, state.variables.stats, ...Object.values(state.optimizer.slots)]) {
    for (const name of Object.keys(tree).sort()) {
      const tensor = tree[name]!
      if (untouched.has(tensor)) continue
      changed++
      hash.update(name).update(new Uint8Array(tensor.dataSync<"float32">().buffer))
    }
  }
  TrainingState.disposeUnsafe(state)
  return { changed, digest: hash.digest("hex") }
})

const sameForAllThreads = Effect.fnUntraced(function* (
  space: SearchSpaceShape,
  steps: number,
  next: (step: number) => TrainingStep
) {
  const [first, ...others] = engines
  const expected = yield* train(space, first!.name, steps, next)
  assert.isAbove(expected.changed, 20)
  for (const { name, threads } of others) {
    assert.deepStrictEqual(yield* train(space, name, steps, next), expected, `${threads} threads`)
  }
})

/** One of four random paths, so that later steps train weights that earlier ones have changed. */
const pathOf = (space: SearchSpaceShape, step: number): TrainingStep => ({
  _tag: "Paths",
  paths: [
    space.choices.map((offered, position) => Key.integer(Key.derive(Key.make(8), step % 4, position), offered.length))
  ]
})

const spaceOf = (name: string): SearchSpaceShape => Result.getOrThrow(spaces[name]!)

describe("1, 2, 3 and 7 threads give the same bytes of all parameters, statistics and slots", {
  timeout: 60_000
}, () => {
  // Six steps: four paths, the first two twice, and every size of batch twice.
  it.live.each(Object.keys(spaces))("in six training steps: %s", (name) => {
    const space = spaceOf(name)
    return sameForAllThreads(space, 6, (step) => pathOf(space, step))
  })

  it.live.each(["tiny", "a space given as data"])("in training steps of a mixture: %s", (name) => {
    const space = spaceOf(name)
    return sameForAllThreads(space, 3, (step) => ({
      _tag: "Mixture",
      weights: space.choices.map((offered, position) => {
        const weights = offered.map((_, i) => 1 + ((i * 7 + position * 3 + step) % 5))
        const total = weights.reduce((a, b) => a + b, 0)
        return weights.map((weight) => weight / total)
      })
    }))
  })
})
