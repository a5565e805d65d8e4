import * as Result from "effect/Result"
import { expect, test } from "vitest"
import { fakeSpace } from "../../property-tests/testing/FakeSpace.ts"
import * as LayerOptions from "./LayerOptions.ts"

test("plain layers: genotype and options are the same digits", () => {
  const options = LayerOptions.make(fakeSpace({ name: "plain", layers: [2, 3, 1] }))
  expect(options.counts).toEqual([2, 3, 1])
  expect(options.indicesUnsafe([1, 2, 0])).toEqual([1, 2, 0])
  expect(options.genotype([1, 2, 0])).toEqual([1, 2, 0])
})

test("composed layers read several digits and accept only listed selections", () => {
  const options = LayerOptions.make(
    fakeSpace({
      name: "composed",
      layers: [
        3,
        {
          width: 2,
          selections: [
            [0, 1],
            [1, 0],
            [1, 1]
          ]
        }
      ]
    })
  )
  expect(options.offsets).toEqual([0, 1])
  expect(options.indicesUnsafe([2, 1, 0])).toEqual([2, 1])
  expect(options.genotype([2, 2])).toEqual([2, 1, 1])
  expect(options.select(1, [0, 0])).toBeUndefined()
})

test.each([
  [[0, 0], "2 digits instead of 3"],
  [[0, 0, 0, 0], "4 digits instead of 3"],
  [[3, 0, 1], "layer 0 has no option 3"],
  [[-1, 0, 1], "layer 0 has no option -1"],
  [[0.5, 0, 1], "layer 0 has no option 0.5"],
  [[0, 0, 0], "layer 1 has no option 0,0"]
])("genotype %j is refused: %s", (genotype, reason) => {
  const space = fakeSpace({
    name: "composed",
    layers: [
      3,
      {
        width: 2,
        selections: [
          [0, 1],
          [1, 0],
          [1, 1]
        ]
      }
    ]
  })
  const refused = LayerOptions.make(space).indices(genotype)
  expect(Result.isFailure(refused) && refused.failure.reason).toBe(reason)
  expect(() => LayerOptions.make(space).indicesUnsafe(genotype)).toThrow(reason)
})

test("genotypes of one network are read by their representative, where layers list only that", () => {
  const layer = {
    width: 2,
    selections: [
      [0, 0],
      [0, 1],
      [1, 1]
    ]
  }
  const sorted = fakeSpace({
    name: "sorted",
    layers: [layer],
    canonical: ([a, b]) => [Math.min(a!, b!), Math.max(a!, b!)]
  })
  expect(LayerOptions.make(sorted).indicesUnsafe([1, 0])).toEqual([1])
  expect(() => LayerOptions.make(sorted).indicesUnsafe([1, 2])).toThrow("layer 0 has no option 1,2")
})
