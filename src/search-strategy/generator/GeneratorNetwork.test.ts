import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import { beforeAll, describe, expect, it } from "vitest"
import { fakeSpace } from "../../../property-tests/testing/FakeSpace.ts"
import * as LookupTable from "../../cost/LookupTable.ts"
import { gradientMismatch } from "../../engine/FiniteDifferences.ts"
import * as Key from "../../random/Key.ts"
import * as Sgnas from "../../search-space/Sgnas.ts"
import * as GeneratorNetwork from "./GeneratorNetwork.ts"
import * as Grid from "./Grid.ts"
import * as PriorPool from "./PriorPool.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const composed = fakeSpace({
  name: "composed",
  layers: [
    3,
    {
      width: 2,
      selections: [
        [0, 1],
        [1, 0],
        [1, 3]
      ]
    },
    4
  ]
})

describe("the picture", () => {
  const grid = Grid.make(composed)

  it("has one row per position and as many columns as the largest digit asks for", () => {
    expect([grid.rows, grid.columns]).toEqual([4, 4])
    expect(grid.layers.map(({ row, width }) => [row, width])).toEqual([
      [0, 1],
      [1, 2],
      [3, 1]
    ])
  })

  it("gives plain layers their row, composed ones the sum of their digits' scores", () => {
    const picture = tf.tensor3d(
      Array.from({ length: 16 }, (_, i) => i * i),
      [1, 4, 4]
    )
    const scores = Grid.optionScores(grid, picture).map((row) => Array.from(row.dataSync()))
    expect(scores).toEqual([
      [0, 1, 4],
      [16 + 81, 25 + 64, 25 + 121],
      [144, 169, 196, 225]
    ])
  })

  it("draws an architecture so that its own options score highest", () => {
    for (const indices of [
      [2, 0, 3],
      [0, 1, 0],
      [1, 2, 2]
    ]) {
      const picture = tf.tensor3d(Grid.draw(grid, indices), [1, 4, 4])
      const best = Grid.optionScores(grid, picture).map((row) => tf.argMax(row).dataSync()[0])
      expect(best).toEqual(indices)
    }
    expect(() => Grid.draw(grid, [0, 3, 0])).toThrow(/layer 1 of the grid has no option 3/)
  })

  it("knows of SGNAS only the options its layers have", () => {
    const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
    const space = Result.getOrThrow(Sgnas.make({ stemStride: 1, minimum: 1 }, task))
    const sgnas = Grid.make(space)
    expect([sgnas.rows, sgnas.columns]).toEqual([126, 4])
    // Whatever is drawn, six times none is not an option: here "none" scores best everywhere.
    const picture = tf.tensor3d(
      Array.from({ length: 126 * 4 }, (_, i) => (i % 4 === 3 ? 5 : (i % 4) / 10)),
      [1, 126, 4]
    )
    const scores = Grid.optionScores(sgnas, picture)
    expect(scores.map((row) => row.size)).toEqual(Array.from({ length: 21 }, () => 83))
    for (const [layer, row] of scores.entries()) {
      const best = space.layers[layer]!.options[tf.argMax(row).dataSync()[0]!]!.selection
      expect(best).toEqual([2, 3, 3, 3, 3, 3])
    }
    tf.dispose([...scores])
  })
})

describe("the network", () => {
  const size: GeneratorNetwork.GeneratorSize = { channels: 4, depth: 2, targetPlanes: 3 }
  const grid = { rows: 5, columns: 3 }
  const prior = Float32Array.from({ length: 15 }, (_, i) => (i % 3 === 1 ? 1 : 0))

  it("starts from its key, each tensor from its own name", () => {
    const one = GeneratorNetwork.initialise(size, Key.make(1))
    const wider = GeneratorNetwork.initialise({ ...size, depth: 3 }, Key.make(1))
    expect(Object.keys(one).sort()).toEqual([...GeneratorNetwork.parameterShapes(size).keys()])
    for (const [name, tensor] of Object.entries(one)) {
      expect(Array.from(wider[name]!.dataSync())).toEqual(Array.from(tensor.dataSync()))
    }
    const other = GeneratorNetwork.initialise(size, Key.make(2))
    expect(Array.from(other["tail.0.weight"]!.dataSync())).not.toEqual(Array.from(one["tail.0.weight"]!.dataSync()))
  })

  it("has the gradients of finite differences in every parameter", () => {
    const params = GeneratorNetwork.initialise(size, Key.make(3))
    const names = Object.keys(params).sort()
    // Away from zero, so that no rectifier turns within a difference.
    const inputs = names.map((name, i) =>
      name.endsWith("bias") ? tf.fill(params[name]!.shape, 0.7 + 0.05 * (i % 3)) : tf.mul(params[name]!, 0.3)
    )
    const mismatch = gradientMismatch(
      (...tensors) => {
        const tree = Object.fromEntries(names.map((name, i) => [name, tensors[i]!]))
        return GeneratorNetwork.apply(size, grid, tree, [{ target: 0.3, prior }])
      },
      inputs,
      { step: 1e-2, entries: 12 }
    )
    expect(mismatch.error).toBeLessThan(2e-3)
  })

  it("draws from target and prior, and leaves no tensor behind", () => {
    const params = GeneratorNetwork.initialise(size, Key.make(4))
    const before = tf.memory().numTensors
    const values = (target: number, from = prior) => {
      const picture = GeneratorNetwork.apply(size, grid, params, [{ target, prior: from }])
      expect(picture.shape).toEqual([1, 5, 3])
      const out = Array.from(picture.dataSync())
      picture.dispose()
      return out
    }
    const here = values(0.5)
    expect(values(0.5)).toEqual(here)
    const both = GeneratorNetwork.apply(size, grid, params, [
      { target: 0.75, prior },
      { target: 0.5, prior }
    ])
    expect(Array.from(both.dataSync()).slice(15)).toEqual(here)
    both.dispose()
    expect(values(0.75)).not.toEqual(here)
    expect(
      values(
        0.5,
        prior.map((value) => 1 - value)
      )
    ).not.toEqual(here)
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe("the prior pool", () => {
  const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
  const space = Result.getOrThrow(Sgnas.make({ stemStride: 1, minimum: 2 }, task))
  const entries = LookupTable.fromSpace(space).flops
  const ends = (of: (...costs: ReadonlyArray<number>) => number) =>
    entries.layers.reduce((sum, costs) => sum + of(...costs), entries.base)
  const range = { metric: "flops", min: ends(Math.min), max: ends(Math.max) } as const

  it("has an architecture near every place of the range, with its true cost", () => {
    const pool = PriorPool.make(entries, range, 8, Key.make(1))
    pool.forEach(({ cost, indices }, place) => {
      const middle = range.min + ((place + 0.5) / 8) * (range.max - range.min)
      expect(Math.abs(cost - middle)).toBeLessThan((range.max - range.min) / 16)
      expect(PriorPool.costOf(entries, indices)).toBe(cost)
      expect(indices.every((option, layer) => space.layers[layer]!.options[option] !== undefined)).toBe(true)
    })
    expect(PriorPool.make(entries, range, 2, Key.make(1))).toEqual(PriorPool.make(entries, range, 2, Key.make(1)))
    expect(PriorPool.make(entries, range, 2, Key.make(2))).not.toEqual(PriorPool.make(entries, range, 2, Key.make(1)))
  })

  it("also serves a range of one cost, and layers without a choice", () => {
    const single = { base: 3, layers: [[2], [5]] }
    expect(PriorPool.make(single, { metric: "flops", min: 10, max: 10 }, 2, Key.make(1))).toEqual([
      { indices: [0, 0], cost: 10 },
      { indices: [0, 0], cost: 10 }
    ])
  })
})
