import "@tensorflow/tfjs-backend-cpu"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CriterionShape } from "../criterion/Criterion.ts"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import { registerGradients } from "../engine/Gradients.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import type { ParameterTree } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import * as Network from "../search-space/Network.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import * as Classification from "../training-agent/Classification.ts"
import type { Forward } from "../training-agent/TrainingAgent.ts"
import type { TrainingStep } from "../training-strategy/TrainingStrategy.ts"
import * as Uniform from "../training-strategy/Uniform.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Forwards from "./Forwards.ts"
import { OptimizerConfig } from "./RunConfig.ts"
import * as Trainer from "./Trainer.ts"
import * as TrainingCheckpoint from "./TrainingCheckpoint.ts"
import * as TrainingState from "./TrainingState.ts"
import * as SmallRun from "./testing/SmallRun.ts"

beforeAll(async () => {
  registerGradients()
  await tf.setBackend("cpu")
})

const { space } = SmallRun
const optimizerOf = (fields: Readonly<Record<string, unknown>>) =>
  Optimizer.fromConfig(Schema.decodeUnknownSync(OptimizerConfig)(fields))

const setup = (overrides: Partial<Trainer.TrainerSetup> = {}): Trainer.TrainerSetup => ({
  phase: "supernetTraining",
  key: Key.make(3),
  split: "supernet",
  epochs: 4,
  stepsPerEpoch: 2,
  batchSize: 12,
  accumulate: 1,
  bnMomentum: 0.1,
  learningRate: 0.05,
  schedule: () => 1,
  optimizer: optimizerOf({ momentum: 0, weightDecay: 0 }),
  agent: Classification.agent,
  criterion: CrossEntropy.make({ labelSmoothing: 0 }),
  dataflow: SmallRun.makeDataflow(Key.make(5)),
  sampler: Uniform.make(space),
  forwards: Forwards.ofStep(space),
  updateStatistics: Network.updateStatistics,
  classifies: true,
  ...overrides
})

const fresh = (using: Trainer.TrainerSetup) =>
  Trainer.init(
    using,
    Network.initialise(space.supernet, Key.make(1)),
    using.criterion.init(Key.make(2), { outputs: 3, classes: 3 })
  )

const shapes: TrainingCheckpoint.Shapes = new Map(
  Network.parameterSpecs(space.supernet).map((spec) => [spec.name, spec.shape])
)

const only = (...paths: ReadonlyArray<Genotype>): Trainer.TrainerSetup["sampler"] => ({
  init: () => ({}),
  next: (state) => [{ _tag: "Paths", paths }, state]
})

const values = (tree: ParameterTree): Readonly<Record<string, ReadonlyArray<number>>> =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [name, Array.from(tensor.dataSync())]))

/** A number of steps, freeing what each replaces. */
const steps = Effect.fnUntraced(function* (
  using: Trainer.TrainerSetup,
  from: TrainingState.TrainingState,
  count: number
) {
  let state = from
  for (let index = 0; index < count; index++) {
    const [next] = yield* Trainer.step(using, state)
    TrainingState.disposeReplacedUnsafe(state, next)
    state = next
  }
  return state
})

const digest = (state: TrainingState.TrainingState) =>
  Effect.map(TrainingCheckpoint.fromState(state, {}), (checkpoint) => Checkpoint.encode(checkpoint).digest)

const closeTo = (got: ReadonlyArray<number>, expected: ReadonlyArray<number>, tolerance: number, what: string) => {
  got.forEach((value, index) => {
    assert.isAtMost(Math.abs(value - (expected[index] ?? Number.NaN)), tolerance, `${what}[${index}]`)
  })
}

describe("Trainer", () => {
  it.effect("changes the tensors of the trained path and no others", () =>
    Effect.gen(function* () {
      const using = setup({ sampler: only([0, 1, 2, 0]) })
      const state = fresh(using)
      const [next, report] = yield* Trainer.step(using, state)
      const path = new Set(Network.parameterSpecs(space.network([0, 1, 2, 0])).map((spec) => spec.name))
      for (const [name, tensor] of Object.entries(next.variables.params)) {
        assert.strictEqual(tensor !== state.variables.params[name], path.has(name), name)
      }
      for (const [name, tensor] of Object.entries(next.variables.stats)) {
        assert.strictEqual(tensor !== state.variables.stats[name], path.has(name), name)
      }
      assert.strictEqual(next.step, 1)
      assert.isAbove(report.loss, 0)
      assert.strictEqual(report.learningRate, 0.05)
      TrainingState.disposeReplacedUnsafe(state, next)
      TrainingState.disposeUnsafe(next)
    })
  )

  it.effect("sums the gradients of several paths into one update", () =>
    Effect.gen(function* () {
      const change = Effect.fnUntraced(function* (...paths: ReadonlyArray<Genotype>) {
        const using = setup({ sampler: only(...paths) })
        const state = fresh(using)
        const before = values(state.variables.params)
        const next = yield* steps(using, state, 1)
        const after = values(next.variables.params)
        TrainingState.disposeUnsafe(next)
        return Object.fromEntries(
          Object.entries(after).map(([name, list]) => [name, list.map((v, i) => v - (before[name]?.[i] ?? 0))])
        )
      })
      const [one, two] = [yield* change([0, 0, 0, 0]), yield* change([1, 1, 1, 1])]
      const both = yield* change([0, 0, 0, 0], [1, 1, 1, 1])
      for (const [name, list] of Object.entries(both)) {
        closeTo(
          list,
          list.map((_, index) => (one[name]?.[index] ?? 0) + (two[name]?.[index] ?? 0)),
          2e-7,
          name
        )
      }
    })
  )

  it.effect("with a teacher, the first path learns from the labels and the others from its outputs", () =>
    Effect.gen(function* () {
      const paths = [
        [0, 0, 0, 0],
        [1, 1, 1, 1]
      ]
      const before = tf.memory().numTensors
      const trained = (teacher: 0 | undefined, accumulate: number) =>
        Effect.gen(function* () {
          const sampler = { init: () => ({}), next: () => [{ _tag: "Paths", paths, teacher }, {}] as const }
          const next = yield* steps(setup({ sampler, accumulate }), fresh(setup()), 1)
          const after = values(next.variables.params)
          TrainingState.disposeUnsafe(next)
          return after
        })
      for (const accumulate of [1, 2]) {
        const [labelled, distilled] = [yield* trained(undefined, accumulate), yield* trained(0, accumulate)]
        const own = (index: number) => Network.parameterSpecs(space.network(paths[index]!)).map(({ name }) => name)
        const differs = (name: string) => JSON.stringify(labelled[name]) !== JSON.stringify(distilled[name])
        const firstAlone = own(0).filter((name) => name in labelled && !own(1).includes(name))
        // A scale before a normalisation has no gradient but rounding errors.
        const secondAlone = own(1).filter((name) => name.endsWith(".weight") && !own(0).includes(name))
        assert.isAbove(Math.min(firstAlone.length, secondAlone.length), 0)
        assert.deepStrictEqual(firstAlone.filter(differs), [])
        assert.deepStrictEqual(secondAlone.filter(differs), secondAlone)
      }
      assert.strictEqual(tf.memory().numTensors, before)
    })
  )

  it.effect("gives the same gradient for a batch in parts, if nothing normalises over the batch", () =>
    Effect.gen(function* () {
      const linear: Forward = (variables, images) => ({
        output: tf.matMul(tf.reshape(images, [-1, 64]), variables.params["w"] as tf.Tensor2D),
        statistics: {}
      })
      const trained = Effect.fnUntraced(function* (accumulate: number) {
        const using = setup({ accumulate, forwards: () => [linear] })
        const start = { params: { w: tf.tensor2d(Key.normals(Key.make(8), 192), [64, 3]) }, stats: {} }
        const next = yield* steps(using, Trainer.init(using, start, {}), 3)
        const out = values(next.variables.params)["w"] ?? []
        TrainingState.disposeUnsafe(next)
        return out
      })
      const whole = yield* trained(1)
      for (const parts of [2, 3, 5, 12, 50]) closeTo(yield* trained(parts), whole, 1e-5, `in ${parts} parts`)
    })
  )

  for (const name of ["sgd", "adam", "rmsprop"]) {
    it.effect(`a state read back from its checkpoint continues to the same bits: ${name}`, () =>
      Effect.gen(function* () {
        const using = setup({ optimizer: optimizerOf({ name, learningRate: 0.01, nesterov: name === "sgd" }) })
        const straight = yield* steps(using, fresh(using), 7)
        const half = yield* steps(using, fresh(using), 3)
        const { bytes } = Checkpoint.encode(yield* TrainingCheckpoint.fromState(half, { note: "x" }))
        TrainingState.disposeUnsafe(half)
        const read = yield* Checkpoint.decode(bytes, "half")
        const again = yield* steps(using, yield* TrainingCheckpoint.toState("half", read, shapes), 4)
        assert.strictEqual(yield* digest(again), yield* digest(straight))
        assert.strictEqual(again.history.length, 3)
        assert.deepStrictEqual(again.history, straight.history)
        TrainingState.disposeUnsafe(again)
        TrainingState.disposeUnsafe(straight)
      })
    )
  }

  it.effect("leaks no tensor, whether a step succeeds or diverges", () =>
    Effect.gen(function* () {
      const using = setup({
        accumulate: 2,
        optimizer: optimizerOf({ name: "adam" }),
        sampler: only([0, 0, 0, 0], [1, 1, 2, 1])
      })
      const before = tf.memory().numTensors
      const first = yield* steps(using, fresh(using), 1)
      const settled = tf.memory().numTensors
      const later = yield* steps(using, first, 3)
      assert.strictEqual(tf.memory().numTensors, settled)
      const broken: CriterionShape = {
        ...using.criterion,
        loss: (...input) => tf.mul(using.criterion.loss(...input), Number.NaN)
      }
      const error = yield* Effect.flip(Trainer.step({ ...using, criterion: broken }, later))
      assert.instanceOf(error, Trainer.TrainingDiverged)
      assert.match(error.message, /supernetTraining diverged in epoch 3, step 1: the loss is NaN/)
      assert.strictEqual(tf.memory().numTensors, settled)
      const after = yield* steps(using, later, 1)
      TrainingState.disposeUnsafe(after)
      assert.strictEqual(tf.memory().numTensors, before)
    })
  )

  it.effect("trains the criterion's own weights, and keeps them apart from the network's", () =>
    Effect.gen(function* () {
      const owning: CriterionShape = {
        name: "owning",
        init: () => ({ scale: tf.scalar(2) }),
        loss: (params, outputs, labels, key) =>
          CrossEntropy.make({ labelSmoothing: 0 }).loss({}, tf.mul(outputs, params["scale"] as tf.Scalar), labels, key)
      }
      const using = setup({ criterion: owning })
      const state = yield* steps(using, fresh(using), 2)
      const scale = values(state.criterion)["scale"]?.[0] ?? 2
      assert.notStrictEqual(scale, 2)
      assert.isFalse(Object.keys(state.variables.params).some((name) => name.includes("scale")))
      const checkpoint = yield* TrainingCheckpoint.fromState(state, {}, true)
      assert.isFalse([...checkpoint.tensors.keys()].some((name) => name.startsWith("optimizer.")))
      const weights = yield* TrainingCheckpoint.toWeights("w", checkpoint, shapes)
      assert.deepStrictEqual(values(weights.criterion), { scale: [scale] })
      assert.deepStrictEqual(values(weights.variables.params), values(state.variables.params))
    })
  )

  it.effect("refuses a checkpoint of another network, naming the tensor", () =>
    Effect.gen(function* () {
      const using = setup()
      const state = fresh(using)
      const checkpoint = yield* TrainingCheckpoint.fromState(state, {})
      TrainingState.disposeUnsafe(state)
      const before = tf.memory().numTensors
      const refusal = Effect.fnUntraced(function* (change: (shapes: Map<string, ReadonlyArray<number>>) => void) {
        const expected = new Map(shapes)
        change(expected)
        return (yield* Effect.flip(TrainingCheckpoint.toState("f", checkpoint, expected))).message
      })
      const [name] = shapes.keys()
      assert.match(yield* refusal((s) => s.delete(name as string)), /the network has no tensor of this name/)
      assert.match(yield* refusal((s) => s.set("more", [1])), /tensor more: it is missing/)
      assert.match(yield* refusal((s) => s.set(name as string, [9])), /its shape is \[.*\]; the network's is \[9\]/)
      const { metadata: _, tensors } = checkpoint
      const noState = TrainingCheckpoint.toState("f", { tensors, metadata: {} }, shapes)
      assert.match((yield* Effect.flip(noState)).message, /osnas\.state is not a training state/)
      const doubles = new Map(tensors).set(name as string, { dtype: "F64", shape: [0], data: new Uint8Array(0) })
      const other = TrainingCheckpoint.toWeights("f", { tensors: doubles, metadata: {} }, shapes)
      assert.match((yield* Effect.flip(other)).message, /its type is F64; weights are F32/)
      assert.strictEqual(tf.memory().numTensors, before, "tensors read before the error are freed")
    })
  )

  it("a mixture with all weight on one path equals that path; halves give the mean of both", () => {
    const variables = Network.initialise(space.supernet, Key.make(1))
    const images = tf.tensor4d(Key.normals(Key.make(4), 5 * 64), [5, 8, 8, 1])
    const path: Genotype = [1, 0, 2, 1]
    const weights = space.layers.map((layer, index) => layer.options.map((_, digit) => (digit === path[index] ? 1 : 0)))
    const step: TrainingStep = { _tag: "Mixture", weights }
    const [mixture] = Forwards.ofStep(space)(step)
    const [alone] = Forwards.ofStep(space)({ _tag: "Paths", paths: [path] })
    const mixed = mixture?.(variables, images, "train")
    const single = alone?.(variables, images, "train")
    assert.deepStrictEqual(Array.from(mixed?.output.dataSync() ?? []), Array.from(single?.output.dataSync() ?? [1]))
    assert.deepStrictEqual(Object.keys(mixed?.statistics ?? {}).sort(), Object.keys(single?.statistics ?? {}).sort())
    const last = weights.length - 1
    const halves = weights.map((layer, index) => (index === last ? [0.5, 0.5, 0] : layer))
    const [half] = Forwards.ofStep(space)({ _tag: "Mixture", weights: halves })
    const ends = [0, 1].map((digit) => [...path.slice(0, last), digit])
    const outputs = Forwards.ofStep(space)({ _tag: "Paths", paths: ends }).map((forward) =>
      Array.from(forward(variables, images, "eval").output.dataSync())
    )
    // The head is linear up to its pooling, so means of features give means of outputs.
    closeTo(
      Array.from(half?.(variables, images, "eval").output.dataSync() ?? []),
      outputs[0]?.map((value, index) => (value + (outputs[1]?.[index] ?? 0)) / 2) ?? [],
      1e-5,
      "half"
    )
  })
})
