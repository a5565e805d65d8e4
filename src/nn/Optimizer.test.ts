import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { beforeAll, describe, expect, it } from "vitest"
import * as Optimizer from "./Optimizer.ts"
import type { OptimizerConfig } from "./OptimizerConfig.ts"
import * as ParameterTree from "./ParameterTree.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const config = (settings: Partial<OptimizerConfig>): OptimizerConfig => ({
  name: "sgd",
  learningRate: 0.1,
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  alpha: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.01,
  decoupled: false,
  clipNorm: null,
  ...settings
})

const start = [1, -2, 0.5]
const gradients = [
  [0.1, -0.2, 0.3],
  [0.4, 0.5, -0.6],
  [-0.7, 0.8, 0.9]
]

/** The parameter after each of the three updates. */
const trajectory = (settings: OptimizerConfig): ReadonlyArray<ReadonlyArray<number>> =>
  tf.tidy(() => {
    const optimizer = Optimizer.fromConfig(settings)
    let params: ParameterTree.ParameterTree = { w: tf.tensor1d(start) }
    let state = optimizer.init()
    return gradients.map((gradient) => {
      const updated = optimizer.update({ w: tf.tensor1d(gradient) }, state, params, settings.learningRate)
      params = ParameterTree.merge(params, updated.params)
      state = updated.state
      return Array.from((params["w"] as tf.Tensor).dataSync())
    })
  })

describe("three updates end where torch.optim ends", () => {
  const cases: ReadonlyArray<readonly [string, OptimizerConfig, ReadonlyArray<ReadonlyArray<number>>]> = [
    [
      "SGD",
      config({ momentum: 0, weightDecay: 0 }),
      [
        [0.99, -1.98, 0.47],
        [0.95, -2.03, 0.53],
        [1.02, -2.11, 0.44]
      ]
    ],
    [
      "SGD with momentum and weight decay",
      config({}),
      [
        [0.989, -1.978, 0.4695],
        [0.938111, -2.006222, 0.5015805],
        [0.9613728, -2.109616, 0.4399514]
      ]
    ],
    [
      "SGD with Nesterov's momentum",
      config({ nesterov: true }),
      [
        [0.9791, -1.9582, 0.44205],
        [0.8923297, -2.031659, 0.5305051],
        [0.9824222, -2.202675, 0.3845046]
      ]
    ],
    [
      "Adam",
      config({ name: "adam" }),
      [
        [0.9, -1.9, 0.4],
        [0.8107429, -1.939818, 0.4357374],
        [0.8292267, -2.009971, 0.4008143]
      ]
    ],
    [
      "AdamW",
      config({ name: "adam", decoupled: true }),
      [
        [0.899, -1.898, 0.3995],
        [0.8096634, -1.940324, 0.4357109],
        [0.8292223, -2.010467, 0.4009511]
      ]
    ],
    [
      "RMSprop with momentum",
      config({ name: "rmsprop", learningRate: 0.01 }),
      [
        [0.9000001, -1.9, 0.4],
        [0.7133992, -1.901018, 0.3991131],
        [0.6309043, -1.984886, 0.3177822]
      ]
    ],
    [
      "RMSprop",
      config({ name: "rmsprop", learningRate: 0.01, alpha: 0.9, momentum: 0, weightDecay: 0 }),
      [
        [0.9683772, -1.968377, 0.4683772],
        [0.937608, -1.997943, 0.4969487],
        [0.9652327, -2.024648, 0.4710423]
      ]
    ],
    [
      "SGD with clipped gradients",
      config({ weightDecay: 0, clipNorm: 0.5 }),
      [
        [0.99, -1.98, 0.47],
        [0.9582079, -1.99049, 0.4771881],
        [0.9547235, -2.02865, 0.4513493]
      ]
    ]
  ]
  it.each(cases)("%s", (_, settings, expected) => {
    trajectory(settings).forEach((values, step) => {
      values.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[step]?.[i] as number, 5)
      })
    })
  })
})

describe("updates follow the trained path", () => {
  it.each(["sgd", "adam", "rmsprop"] as const)("%s: what has no gradient keeps value, slots and count", (name) => {
    tf.tidy(() => {
      const optimizer = Optimizer.fromConfig(config({ name }))
      const params = { a: tf.tensor1d([1]), b: tf.tensor1d([2]) }
      const first = optimizer.update({ a: tf.tensor1d([0.5]) }, optimizer.init(), params, 0.1)
      expect(Object.keys(first.params)).toEqual(["a"])
      expect(first.state.counts).toEqual({ a: 1 })
      for (const slot of Object.values(first.state.slots)) expect(Object.keys(slot)).toEqual(["a"])
      const second = optimizer.update({ b: tf.tensor1d([0.5]) }, first.state, params, 0.1)
      expect(second.state.counts).toEqual({ a: 1, b: 1 })
      for (const [slot, tree] of Object.entries(second.state.slots)) {
        expect(tree["a"]).toBe(first.state.slots[slot]?.["a"])
        expect(tree["b"]).toBeDefined()
      }
      // b's first update is a first update: the same step from the same gradient as a's, but for decay.
      const fresh = optimizer.update({ b: tf.tensor1d([0.5]) }, optimizer.init(), params, 0.1)
      expect(second.params["b"]?.dataSync()).toEqual(fresh.params["b"]?.dataSync())
    })
  })

  it("makes tensors for the updated values and slots alone", () => {
    const optimizer = Optimizer.fromConfig(config({ name: "adam", clipNorm: 1 }))
    const params = { a: tf.tensor1d([1]), b: tf.tensor1d([2]) }
    const gradient = { a: tf.tensor1d([3]) }
    const before = tf.memory().numTensors
    const updated = optimizer.update(gradient, optimizer.init(), params, 0.1)
    expect(tf.memory().numTensors - before).toBe(3)
    tf.dispose([updated.params, ...Object.values(updated.state.slots), params, gradient] as tf.TensorContainer)
  })

  it("refuses a gradient of no parameter", () => {
    const optimizer = Optimizer.fromConfig(config({}))
    expect(() => optimizer.update({ c: tf.tensor1d([1]) }, optimizer.init(), {}, 0.1)).toThrow(
      "c, which is not a parameter"
    )
  })
})

describe("clipping", () => {
  it("leaves small gradients alone and gives large ones the asked norm, together", () => {
    tf.tidy(() => {
      const tree = { a: tf.tensor1d([3]), b: tf.tensor1d([0, 4]) }
      expect(Optimizer.globalNorm(tree).dataSync()[0]).toBeCloseTo(5, 6)
      expect(Optimizer.clipByGlobalNorm(tree, 10)["b"]?.dataSync()[1]).toBe(4)
      expect(Optimizer.globalNorm(Optimizer.clipByGlobalNorm(tree, 2)).dataSync()[0]).toBeCloseTo(2, 5)
    })
  })
})
