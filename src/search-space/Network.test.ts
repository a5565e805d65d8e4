import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { fill, filled } from "../../property-tests/testing/Filled.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import * as ParameterTree from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import * as Block from "./blocks/Block.ts"
import * as Network from "./Network.ts"
import * as Tiny from "./Tiny.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const images = (): tf.Tensor4D => tf.tensor4d(fill("images", 2 * 6 * 6 * 4, -2, 2), [2, 6, 6, 4])

const single = (block: Block.Block): Network.Network => ({ input: [6, 6, 4], blocks: [{ name: "b", block }] })

describe("a unified block", () => {
  it("of sub-blocks that are multiplied by zero equals the one without them", () => {
    tf.tidy(() => {
      const published = single(Block.place(Block.unified({ slots: [3, 5, 0], published: true }), 4, 4, 2))
      const decoded = single(Block.place(Block.unified({ slots: [3, 5, 0] }), 4, 4, 2))
      const variables = filled(published)
      const a = Network.apply(published, variables, images(), "eval").output.dataSync()
      const b = Network.apply(decoded, variables, images(), "eval").output.dataSync()
      a.forEach((value, i) => {
        expect(value).toBeCloseTo(b[i] as number, 5)
      })
    })
  })
})

describe("shapes and costs", () => {
  const specs: ReadonlyArray<Block.BlockSpec> = [
    Block.conv({ kernel: 3 }),
    Block.conv({ kernel: 5, dilation: 2, bias: true, norm: false, activation: "none" }),
    Block.mobile({ kernel: 3, expansion: 6 }),
    Block.mobile({ kernel: 7, expansion: 1, pointGroups: 2 }),
    Block.mobile({ kernel: 5, expansion: 3, squeezeExcite: true, pointGroups: 2, channelShuffle: true }),
    Block.mixed({ kernels: [3, 5], expansion: 3 }),
    Block.unified({ slots: [3, 0, 5, 5] }),
    Block.shuffle({ kernel: 5 }),
    Block.shuffle({ kernel: 3, xception: true }),
    Block.shuffle({ kernel: 3, widening: "keep" }),
    Block.separable({ kernel: 3 }),
    Block.aspp({ rates: [2, 4] }),
    Block.skip,
    Block.zero
  ]
  it("the shape foretold is the shape computed, and the parameters counted are those there are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...specs),
        fc.constantFrom(4, 8),
        fc.constantFrom(4, 8, 12),
        fc.constantFrom(1, 2),
        fc.integer({ min: 3, max: 9 }),
        fc.integer({ min: 3, max: 9 }),
        (spec, inChannels, wider, stride, height, width) => {
          const block = Block.place(spec, inChannels, Math.max(wider, inChannels + (wider === 12 ? 4 : 0)), stride)
          const network = { input: [height, width, inChannels], blocks: [{ name: "b", block }] } as const
          tf.tidy(() => {
            const variables = Network.initialise(network, Key.make(1))
            const x = tf.ones([1, height, width, inChannels])
            const { output, statistics } = Network.apply(network, variables, x, "train")
            expect(output.shape.slice(1)).toEqual(Network.outputShape(block, network.input))
            const held = Object.values(variables.params).reduce((sum, tensor) => sum + tensor.size, 0)
            expect(Network.count(network).params).toBe(held)
            const norms = Object.keys(variables.stats).filter((name) => name.endsWith(".mean"))
            expect(Object.keys(statistics).sort()).toEqual(norms.map((name) => name.slice(0, -5)).sort())
          })
        }
      ),
      { seed: 7, numRuns: 60 }
    )
  }, 60_000)

  it("counts squeeze-excite and linear layers", () => {
    const squeeze = Network.blockCost(
      Block.place(Block.mobile({ kernel: 3, expansion: 2, squeezeExcite: true }), 4, 4, 1),
      [2, 2, 4]
    )
    // expand 4*8*4, depthwise 8*9*4, project 8*4*4, squeeze-excite 8*2*2
    expect(squeeze.macs).toBe(128 + 288 + 128 + 32)
    expect(squeeze.params).toBe(32 + 16 + 72 + 16 + 32 + 8 + 16 + 2 + 16 + 8)
    expect(Network.blockCost(Block.place(Block.classifier, 10, 3, 1), [1, 1, 10])).toEqual({ macs: 30, params: 33 })
  })
})

describe("applying", () => {
  const space = Result.getOrThrow(
    Tiny.make({ stemStride: 2 }, { input: [12, 12, 1], head: { _tag: "Classifier", classes: 3 } })
  )
  const path = space.network([1, 6, 0, 6, 2, 6])

  it("leaves nothing behind but its results", () => {
    const variables = Network.initialise(path, Key.make(2))
    const x = tf.ones([2, 12, 12, 1])
    const before = tf.memory().numTensors
    const evaluated = Network.apply(path, variables, x, "eval")
    expect(tf.memory().numTensors - before).toBe(1)
    expect(evaluated.statistics).toEqual({})
    const trained = Network.apply(path, variables, x, "train")
    const norms = Object.keys(trained.statistics).length
    expect(tf.memory().numTensors - before).toBe(2 + 2 * norms)
    tf.dispose([evaluated.output, trained.output])
    tf.dispose(trained.statistics as unknown as tf.TensorContainer)
    const found = valueAndGradient(() => {
      const { output, statistics } = Network.apply(path, variables, x, "train")
      return { loss: tf.sum(tf.square(output)), rest: statistics }
    }, variables.params)
    expect(Object.keys(found.gradients).sort()).toEqual([...Network.trainableNames(path)].sort())
    tf.dispose(found.gradients)
    tf.dispose(found.rest as unknown as tf.TensorContainer)
    found.loss.dispose()
    expect(tf.memory().numTensors - before).toBe(0)
    ParameterTree.disposeUnsafe({ ...variables.params, ...variables.stats })
    x.dispose()
  })

  it("says which tensor is missing", () => {
    const variables = Network.initialise(path, Key.make(2))
    const { "search.0.1.expand.weight": _, ...params } = variables.params
    expect(() => Network.apply(path, { ...variables, params }, tf.ones([1, 12, 12, 1]), "eval")).toThrow(
      "no tensor named search.0.1.expand.weight"
    )
  })

  it("gives what only zeros depend on gradients that are zeros, so that weight decay still reaches it", () => {
    tf.tidy(() => {
      const blocks = [
        { name: "b", block: Block.place(Block.conv({ kernel: 3 }), 4, 4, 1) },
        { name: "z", block: Block.place(Block.zero, 4, 6, 2) }
      ]
      const network = { input: [6, 6, 4], blocks } as const
      const variables = filled(network)
      const { gradients, rest } = valueAndGradient(() => {
        const { output } = Network.apply(network, variables, images(), "train")
        return { loss: tf.sum(output), rest: { output } }
      }, variables.params)
      expect(rest.output.shape).toEqual([2, 3, 3, 6])
      expect(Object.keys(gradients).sort()).toEqual(Object.keys(variables.params).sort())
      for (const [name, gradient] of Object.entries(gradients)) {
        expect(gradient.shape, name).toEqual(variables.params[name]?.shape)
        expect(Math.max(...gradient.dataSync().map(Math.abs)), name).toBe(0)
      }
    })
  })

  it("starts a path as its supernet does", () => {
    tf.tidy(() => {
      const all = Network.initialise(space.supernet, Key.make(5))
      const own = Network.initialise(path, Key.make(5))
      for (const [name, tensor] of Object.entries(own.params)) {
        expect(Array.from(tensor.dataSync())).toEqual(Array.from((all.params[name] as tf.Tensor).dataSync()))
      }
    })
  })
})

describe("running statistics", () => {
  const batch = (mean: number, variance: number, count: number) => ({
    n: { mean: tf.tensor1d([mean]), variance: tf.tensor1d([variance]), count }
  })
  const first = (tree: ParameterTree.ParameterTree, name: string) => (tree[name] as tf.Tensor).dataSync()[0]

  it("move by the momentum towards the batch, the variance unbiased", () => {
    const stats = {
      "n.mean": tf.tensor1d([1]),
      "n.variance": tf.tensor1d([2]),
      "other.mean": tf.tensor1d([9])
    }
    const after = Network.updateStatistics(stats, batch(3, 4, 5), 0.1)
    expect(first(after, "n.mean")).toBeCloseTo(1.2, 6)
    expect(first(after, "n.variance")).toBeCloseTo(0.9 * 2 + 0.1 * 5, 6)
    expect(after["other.mean"]).toBe(stats["other.mean"])
    expect(first(stats, "n.mean")).toBe(1)
  })

  it("keep the variance of a single value", () => {
    const stats = { "n.mean": tf.tensor1d([1]), "n.variance": tf.tensor1d([2]) }
    expect(first(Network.updateStatistics(stats, batch(3, 0, 1), 0.5), "n.variance")).toBe(1)
  })

  it("are the mean over batches when made afresh", () => {
    const fresh = Network.recalibrated([batch(1, 3, 4), batch(2, 6, 4)])
    expect(first(fresh, "n.mean")).toBeCloseTo(1.5, 6)
    expect(first(fresh, "n.variance")).toBeCloseTo(6, 6)
    expect(Object.keys(fresh)).toEqual(["n.mean", "n.variance"])
  })

  it("refuse a batch of an unknown normalisation", () => {
    expect(() => Network.updateStatistics({}, batch(1, 1, 2), 0.1)).toThrow("no tensor named n.mean")
  })
})
