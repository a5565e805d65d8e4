import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import * as Effect from "effect/Effect"
import * as ResidentWeights from "./ResidentWeights.ts"
import type { TrainingState } from "./TrainingState.ts"

const stateOf = (step: number, tensors: Readonly<Record<string, tf.Tensor>>): TrainingState => {
  const pick = (name: string) => (tensors[name] === undefined ? {} : { [name]: tensors[name] })
  return {
    step,
    variables: { params: pick("weight"), stats: pick("mean") },
    criterion: pick("centre"),
    optimizer: { slots: { momentum: pick("momentum") }, counts: {} },
    sampler: {},
    learner: tensors["alpha"] === undefined ? null : { tensors: pick("alpha"), json: null },
    sums: { steps: 0, loss: 0, accuracy: 0 },
    history: []
  }
}

const names = ["weight", "mean", "centre", "momentum", "alpha"]
const makeTensors = () => Object.fromEntries(names.map((name) => [name, tf.zeros([2])]))
const alive = (tensors: Readonly<Record<string, tf.Tensor>>) =>
  Object.keys(tensors).filter((name) => tensors[name]?.isDisposed === false)

describe("ResidentWeights", () => {
  it.effect("a new state frees the tensors that only the old one contained, in every part of the state", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const resident = yield* ResidentWeights.make
        const before = makeTensors()
        const after = { ...makeTensors(), mean: before["mean"] as tf.Tensor }
        resident.put("training", stateOf(1, before))
        resident.put("training", stateOf(2, after))
        assert.deepStrictEqual(alive(before), ["mean"])
        assert.deepStrictEqual(alive(after), names)
      })
    )
  )

  it.effect("a tensor that is also in another slot is kept until that slot is empty", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const resident = yield* ResidentWeights.make
        const tensors = makeTensors()
        const state = stateOf(1, tensors)
        resident.put("training", state)
        resident.put("network", { variables: state.variables, criterion: state.criterion }, "a")
        resident.release("training")
        assert.deepStrictEqual(alive(tensors), ["weight", "mean", "centre"])
        resident.release("training", "network")
        assert.deepStrictEqual(alive(tensors), [])
      })
    )
  )

  it.effect("a value is found by the digest of its checkpoint alone", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const resident = yield* ResidentWeights.make
        const tensors = makeTensors()
        const state = stateOf(1, tensors)
        resident.put("training", state)
        assert.isUndefined(resident.find("training", undefined))
        resident.put("training", state, "a")
        assert.strictEqual(resident.find("training", "a"), state)
        assert.isUndefined(resident.find("training", "b"))
        assert.isUndefined(resident.find("network", "a"))
        resident.put("training", state)
        assert.isUndefined(resident.find("training", "a"))
        assert.deepStrictEqual(alive(tensors), names)
      })
    )
  )

  it.effect("closing the scope frees every slot, also after a failure", () =>
    Effect.gen(function* () {
      const [training, network, searcher] = [makeTensors(), makeTensors(), makeTensors()]
      const failing = Effect.gen(function* () {
        const resident = yield* ResidentWeights.make
        const { criterion, variables } = stateOf(1, network)
        resident.put("training", stateOf(1, training))
        resident.put("network", { variables, criterion }, "a")
        resident.put("searcher", { tensors: searcher, json: null }, "b")
        return yield* Effect.fail("stopped")
      })
      assert.strictEqual(yield* Effect.flip(Effect.scoped(failing)), "stopped")
      assert.deepStrictEqual(alive(training), [])
      assert.deepStrictEqual(alive(network), ["momentum", "alpha"])
      assert.deepStrictEqual(alive(searcher), [])
      for (const name of ["momentum", "alpha"]) network[name]?.dispose()
    })
  )
})
