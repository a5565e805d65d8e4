import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import { beforeAll, describe, expect, it } from "vitest"
import { fill, filled } from "../../property-tests/testing/Filled.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import * as Block from "./blocks/Block.ts"
import { fixed, fromMacro, layersOf, type MacroSpec } from "./MacroSpace.ts"
import * as Mixture from "./Mixture.ts"
import * as Network from "./Network.ts"
import type { NetworkInterface, SearchSpaceShape } from "./SearchSpace.ts"
import * as Sgnas from "./Sgnas.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const task: NetworkInterface = { input: [6, 6, 2], head: { _tag: "Classifier", classes: 3 } }
const spec: MacroSpec = {
  name: "two-layers",
  first: [fixed(Block.conv({ kernel: 3, activation: "hswish" }), 4)],
  search: layersOf([
    [4, 1],
    [6, 2]
  ]),
  choices: [
    Block.mobile({ kernel: 3, expansion: 2, activation: "hswish" }),
    Block.mobile({ kernel: 5, expansion: 1, activation: "hswish" }),
    Block.skip
  ],
  last: [fixed(Block.globalAverage), fixed(Block.classifier, "head")]
}
const space = Result.getOrThrow(fromMacro(spec, task))
const images = () => tf.tensor4d(fill("images", 2 * 6 * 6 * 2, -1, 1), [2, 6, 6, 2])

const oneHot = (of: SearchSpaceShape, picked: ReadonlyArray<number>) =>
  of.layers.map((layer, i) => layer.options.map((_, option) => (option === picked[i] ? 1 : 0)))

describe("a mixture", () => {
  it.each(["train", "eval"] as const)("of one option per layer is that path (%s)", (mode) => {
    tf.tidy(() => {
      const variables = filled(space.supernet)
      const path = Network.apply(space.network([1, 2]), variables, images(), mode)
      const mixture = Mixture.applyMixture(space, variables, images(), oneHot(space, [1, 2]), mode)
      expect(Array.from(mixture.output.dataSync())).toEqual(Array.from(path.output.dataSync()))
      expect(Object.keys(mixture.statistics).sort()).toEqual(Object.keys(path.statistics).sort())
      const weights = oneHot(space, [1, 2]).map((row) => tf.tensor1d(row))
      const all = Mixture.applyMixture(space, variables, images(), weights, mode, { memory: "recompute" })
      all.output.dataSync().forEach((value, i) => {
        expect(value).toBeCloseTo(path.output.dataSync()[i] as number, 5)
      })
    })
  })

  it("of unified blocks that share nothing is the sum of their own outputs", () => {
    tf.tidy(() => {
      const choices = [Block.unified({ slots: [3, 0] }), Block.unified({ slots: [3, 5] })]
      const own = Result.getOrThrow(fromMacro({ ...spec, choices }, task))
      const variables = filled(own.supernet)
      const path = Network.apply(own.network([1, 0]), variables, images(), "eval")
      const mixture = Mixture.applyMixture(own, variables, images(), oneHot(own, [1, 0]), "eval")
      expect(Array.from(mixture.output.dataSync())).toEqual(Array.from(path.output.dataSync()))
    })
  })

  const measured = (memory: "keep" | "recompute") => {
    const variables = filled(space.supernet)
    const weights = { w0: tf.tensor1d([0.2, 0.5, 0.3]), w1: tf.tensor1d([0.6, 0.1, 0.3]) }
    const x = images()
    const scale = tf.tensor2d(fill("scale", 6), [2, 3])
    const tensors = { ...variables.params, ...weights, x }
    const before = tf.memory().numTensors
    const found = valueAndGradient(() => {
      const rows = [weights.w0, weights.w1]
      const { output, statistics } = Mixture.applyMixture(space, variables, x, rows, "train", { memory })
      return { loss: tf.sum(tf.mul(output, scale)), rest: { output, statistics } }
    }, tensors)
    const made = tf.memory().numTensors - before
    const held = 2 + Object.keys(found.gradients).length + 2 * Object.keys(found.rest.statistics).length
    return { found, left: made - held }
  }

  it("has the same value, gradients and statistics whether kept or recomputed, and leaks neither way", () => {
    const kept = measured("keep")
    const again = measured("recompute")
    expect(kept.left).toBe(0)
    expect(again.left).toBe(0)
    expect(Object.keys(again.found.gradients)).toEqual(Object.keys(kept.found.gradients))
    expect(Object.keys(again.found.rest.statistics).sort()).toEqual(Object.keys(kept.found.rest.statistics).sort())
    for (const [name, gradient] of Object.entries(kept.found.gradients)) {
      const other = (again.found.gradients[name] as tf.Tensor).dataSync()
      gradient.dataSync().forEach((value, i) => {
        expect(Math.abs(value - (other[i] as number)), name).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)))
      })
    }
  })

  it("has gradients of the weights that finite differences confirm", () => {
    const { found } = measured("keep")
    const variables = filled(space.supernet)
    const scale = tf.tensor2d(fill("scale", 6), [2, 3])
    const loss = (row: ReadonlyArray<number>): number =>
      tf.tidy(() => {
        const rows = [row, [0.6, 0.1, 0.3]]
        const { output } = Mixture.applyMixture(space, variables, images(), rows, "train")
        return tf.sum(tf.mul(output, scale)).dataSync()[0] as number
      })
    const step = 0.02
    for (const i of [0, 1, 2]) {
      const moved = (by: number) => [0.2, 0.5, 0.3].map((weight, at) => (at === i ? weight + by : weight))
      const numeric = (loss(moved(step)) - loss(moved(-step))) / (2 * step)
      expect((found.gradients["w0"] as tf.Tensor).dataSync()[i]).toBeCloseTo(numeric, 2)
    }
  })

  it("recomputes by itself where the activations would not fit", () => {
    const bytes = Mixture.mixtureBytes(space, 2)
    expect(bytes).toBeGreaterThan(4 * 2 * 6 * 6 * 4 * 3)
    expect(Mixture.mixtureBytes(space, 4)).toBe(2 * bytes)
    tf.tidy(() => {
      const rows = [tf.tensor1d([0.2, 0.5, 0.3]), tf.tensor1d([0.6, 0.1, 0.3])]
      const run = (maxBytes: number) =>
        Mixture.applyMixture(space, filled(space.supernet), images(), rows, "eval", { maxBytes }).output.dataSync()
      const kept = run(bytes)
      run(1).forEach((value, i) => {
        expect(value).toBeCloseTo(kept[i] as number, 5)
      })
    })
  })

  it("refuses weights that do not fit the space", () => {
    const variables = { params: {}, stats: {} }
    expect(() => Mixture.applyMixture(space, variables, images(), [[1, 0, 0]], "eval")).toThrow(
      "1 rows of weights for the 2 layers"
    )
    expect(() =>
      Mixture.applyMixture(
        space,
        variables,
        images(),
        [
          [1, 0],
          [1, 0, 0]
        ],
        "eval"
      )
    ).toThrow("2 weights for the 3 options of layer search.0")
  })
})

describe("a mixture of unified blocks", () => {
  const whole = Result.getOrThrow(
    Sgnas.make({ stemStride: 2, minimum: 1 }, { input: [16, 16, 1], head: { _tag: "Classifier", classes: 2 } })
  )
  // Its last layers, whose maps are small, after a stem of their own.
  const layers = whole.layers.slice(16, 17)
  const width = layers[0]?.options[0]?.block.block.inChannels ?? 0
  const short: SearchSpaceShape = { ...whole, first: [], layers, last: [] }
  const x = () => tf.tensor4d(fill("x", 2 * 3 * 3 * width, -1, 1), [2, 3, 3, width])
  const blocks = whole.supernet.blocks.filter((block) => block.name === "search.16")

  it("of one selection is that selection's path", () => {
    tf.tidy(() => {
      const variables = filled({ input: [3, 3, width], blocks })
      for (const picked of [0, 40, 60]) {
        const option = layers[0]?.options[picked]
        if (option === undefined) throw new Error("no such option")
        const path = Network.apply({ input: [3, 3, width], blocks: [option.block] }, variables, x(), "eval")
        const mixture = Mixture.applyMixture(short, variables, x(), oneHot(short, [picked]), "eval")
        expect(mixture.output.shape).toEqual(path.output.shape)
        const ours = mixture.output.dataSync()
        path.output.dataSync().forEach((value, i) => {
          expect(Math.abs((ours[i] as number) - value)).toBeLessThan(1e-3 * Math.max(1, Math.abs(value)))
        })
      }
    })
  })
})
