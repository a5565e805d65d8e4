import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { expect, test } from "vitest"
import * as Key from "../src/random/Key.ts"
import * as Sgnas from "../src/search-space/Sgnas.ts"
import type { ArchitectureDistribution } from "../src/search-strategy/SearchStrategy.ts"
import * as DepthStratified from "../src/training-strategy/DepthStratified.ts"
import * as DifferentiableTraining from "../src/training-strategy/DifferentiableTraining.ts"
import * as Fair from "../src/training-strategy/Fair.ts"
import * as Sandwich from "../src/training-strategy/Sandwich.ts"
import type { TrainingStrategyShape } from "../src/training-strategy/TrainingStrategy.ts"
import * as Uniform from "../src/training-strategy/Uniform.ts"
import * as TrainingStrategyLaws from "./TrainingStrategyLaws.ts"
import { fakeSpace } from "./testing/FakeSpace.ts"

const even = fakeSpace({ name: "even", layers: [7, 7, 7, 7] })
const uneven = fakeSpace({ name: "uneven", layers: [7, 3, 1, 5] })
/** Two sub-blocks of {0, 1, 2}, never both 2, as in spaces where a layer keeps at least one. */
const composed = fakeSpace({
  name: "composed",
  layers: [
    3,
    {
      width: 2,
      selections: [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b])).filter(([a, b]) => !(a === 2 && b === 2))
    }
  ]
})
const spaces = [even, uneven, composed]

test.each(spaces.map((space) => [space.name, space] as const))("uniform sampling is lawful: %s", (_, space) => {
  TrainingStrategyLaws.check(Uniform.make(space), { space })
})

test.each(spaces.map((space) => [space.name, space] as const))("fair sampling is lawful: %s", (_, space) => {
  const cycle = space === composed ? 3 : 7
  // In a composed layer the digits are balanced, not their combinations.
  const uniform = space !== composed
  for (const update of ["cycle", "step"] as const) {
    TrainingStrategyLaws.check(Fair.make(space, { update }), { space, fairCycle: cycle, uniform, steps: 84 })
  }
})

test.each(spaces.map((space) => [space.name, space] as const))("the sandwich rule is lawful: %s", (_, space) => {
  const costs = { base: 0, layers: space.layers.map((layer) => layer.options.map((_, option) => 10 - option)) }
  for (const distillation of [true, false]) {
    const sampler = Sandwich.make(space, costs, { random: 2, distillation })
    TrainingStrategyLaws.check(sampler, { space, uniform: false, steps: 60 })
    const [step] = sampler.next(sampler.init(Key.make(1)))
    expect(step._tag === "Paths" && step.teacher).toBe(distillation ? 0 : undefined)
  }
  // Without random paths the largest and the smallest are all there is.
  const extremes = { base: 0, layers: even.layers.map(() => [1, 2, 0, 3, 3, 1, 1]) }
  const ends = Sandwich.make(even, extremes, { random: 0, distillation: false })
  const [step] = ends.next(ends.init(Key.make(1)))
  expect(step).toEqual({
    _tag: "Paths",
    paths: [
      [3, 3, 3, 3],
      [2, 2, 2, 2]
    ]
  })
})

test("depths are trained equally often, and the options of a layer that is not skipped too", () => {
  const isSkip = (layer: number, option: number) => layer !== 2 && option === 0
  for (const space of [even, uneven]) {
    const sampler = DepthStratified.make(space, isSkip)
    TrainingStrategyLaws.check(sampler, { space, uniform: false, steps: 100 })
    const depths = [0, 0, 0, 0]
    const taken = Array.from({ length: 7 }, () => 0)
    let state = sampler.init(Key.make(2))
    for (let at = 0; at < 4000; at += 1) {
      const [step, next] = sampler.next(state)
      const [path] = step._tag === "Paths" ? step.paths : []
      depths[[0, 1, 3].filter((layer) => path![layer] !== 0).length]! += 1
      taken[path![0]!]! += 1
      state = next
    }
    // Five standard deviations around 1,000.
    for (const times of depths) expect(Math.abs(times - 1000)).toBeLessThan(140)
    // Skipped in half of the steps, as depths are; each of the six others in a twelfth.
    expect(Math.abs(taken[0]! - 2000)).toBeLessThan(160)
    for (const times of taken.slice(1)) expect(Math.abs(times - 4000 / 12)).toBeLessThan(90)
  }
})

test("where no layer can be skipped, depth-stratified sampling is uniform", () => {
  TrainingStrategyLaws.check(
    DepthStratified.make(uneven, () => false),
    { space: uneven }
  )
})

const modes = ["searcher", "softmax", "gumbel-softmax", "sum", "single"] as const
const following = (
  mode: (typeof modes)[number],
  options: Partial<DifferentiableTraining.Options> = {},
  space = uneven
): TrainingStrategyShape => DifferentiableTraining.make(space, { mode, temperature: null, hard: null, ...options })

test.each(modes)("following a distribution is lawful: %s", (mode) => {
  for (const space of spaces) {
    for (const hard of [null, true]) {
      // Without a distribution every option is as probable; the softmax's largest is then always the first.
      const uniform = mode === "single" || mode === "gumbel-softmax"
      TrainingStrategyLaws.check(following(mode, { hard }, space), { space, uniform, runs: 2, steps: 200 })
    }
  }
})

test("a distribution is followed: softmax at its temperature, the sum as it is, draws by the probabilities", () => {
  const distribution: ArchitectureDistribution = {
    logits: uneven.layers.map((layer) => layer.options.map((_, option) => (option === 1 ? Math.log(8) : 0))),
    temperature: 3,
    relaxation: "softmax",
    hard: false
  }
  const first = (sampler: TrainingStrategyShape, given = distribution) =>
    sampler.next(sampler.init(Key.make(3)), given)[0]
  const weightsOf = (sampler: TrainingStrategyShape, given = distribution) => {
    const step = first(sampler, given)
    return step._tag === "Mixture" ? step.weights : []
  }
  // Eight to the third root is two: of seven options one is twice as heavy as each other.
  expect(weightsOf(following("searcher"))[0]![1]).toBeCloseTo(2 / 8, 12)
  expect(weightsOf(following("softmax", { temperature: 1 }))[0]![1]).toBeCloseTo(8 / 14, 12)
  expect(weightsOf(following("sum"))[0]![1]).toBeCloseTo(8 / 14, 12)
  for (const row of weightsOf(following("gumbel-softmax"))) {
    expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
  }
  // A Gumbel draw near temperature 0 is a single option, as a hard one is at any.
  const cold = weightsOf(following("gumbel-softmax", { temperature: 1e-3 }))
  const hard = first(following("gumbel-softmax", { hard: true }))
  expect(cold.map((row) => row.findIndex((weight) => weight > 0.999))).toEqual(
    hard._tag === "Paths" ? hard.paths[0] : undefined
  )
  expect(first(following("softmax", { hard: true }))).toEqual({ _tag: "Paths", paths: [[1, 1, 0, 1]] })
  // Drawn paths take the option as often as it is probable: 8 of 14 in the first layer.
  const sampler = following("single")
  let state = sampler.init(Key.make(4))
  let taken = 0
  for (let step = 0; step < 2000; step += 1) {
    const [trained, next] = sampler.next(state, distribution)
    if (trained._tag === "Paths" && trained.paths[0]![0] === 1) taken += 1
    state = next
  }
  expect(Math.abs(taken / 2000 - 8 / 14)).toBeLessThan(0.05)
})

test("sub-blocks in any order: SGNAS is sampled fairly digit by digit, and layers always keep something", () => {
  const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
  const space = Result.getOrThrow(Sgnas.make(Schema.decodeUnknownSync(Sgnas.Options)({}), task))
  const sampler = Fair.make(space, { update: "cycle" })
  TrainingStrategyLaws.check(sampler, { space, fairCycle: 4, uniform: false, steps: 40, runs: 3 })
  const [step] = sampler.next(sampler.init(Key.make(1)))
  expect(step._tag === "Paths" && step.paths.every((path) => Result.isSuccess(space.validate(path)))).toBe(true)
})

test("a cycle as published: seven paths in one update, each option of each layer once", () => {
  const sampler = Fair.make(even, { update: "cycle" })
  const [step] = sampler.next(sampler.init(Key.make(5)))
  expect(step._tag === "Paths" && step.paths).toHaveLength(7)
  if (step._tag !== "Paths") return
  for (let layer = 0; layer < 4; layer += 1) {
    expect(step.paths.map((path) => path[layer]!).sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
  }
})

test("the variant trains the same paths in the same order, one a step", () => {
  const cycle = Fair.make(uneven, { update: "cycle" })
  const step = Fair.make(uneven, { update: "step" })
  let [cycleState, stepState] = [cycle.init(Key.make(6)), step.init(Key.make(6))]
  for (let round = 0; round < 5; round += 1) {
    const [whole, after] = cycle.next(cycleState)
    cycleState = after
    for (const path of whole._tag === "Paths" ? whole.paths : []) {
      const [one, next] = step.next(stepState)
      stepState = next
      expect(one).toEqual({ _tag: "Paths", paths: [path] })
    }
  }
})

test("different keys sample differently", () => {
  const sampler = Uniform.make(even)
  const first = (seed: number) => JSON.stringify(sampler.next(sampler.init(Key.make(seed)))[0])
  expect(new Set(Array.from({ length: 50 }, (_, seed) => first(seed))).size).toBeGreaterThan(45)
})

test("a composed layer that cannot be balanced is named", () => {
  const space = fakeSpace({
    name: "odd",
    layers: [
      {
        width: 2,
        selections: [
          [0, 0],
          [1, 0],
          [0, 1]
        ]
      }
    ]
  })
  const sampler = Fair.make(space, { update: "step" })
  let state = sampler.init(Key.make(0))
  const walk = () => {
    for (let step = 0; step < 4; step += 1) state = sampler.next(state)[1]
  }
  // Digits 0 and 1 of both positions once a round: 0,0 with 1,1, which is missing, or 0,1 with 1,0, which is there.
  expect(walk).not.toThrow()
  const hopeless = fakeSpace({
    name: "hopeless",
    layers: [
      {
        width: 2,
        selections: [
          [0, 0],
          [1, 0],
          [0, 2],
          [0, 1]
        ]
      }
    ]
  })
  const stuck = Fair.make(hopeless, { update: "step" })
  expect(() => stuck.next(stuck.init(Key.make(0)))).toThrow("layer 0 of hopeless has no balanced cycle")
})

test("a state that no such sampler made is refused", () => {
  expect(() => Uniform.make(even).next({ key: { k0: 1, k1: 2 }, step: -1 })).toThrow()
})

// Wrong on purpose.

test("caught: a sampler that favours block 0", () => {
  const honest = Uniform.make(even)
  const favouring: TrainingStrategyShape = {
    ...honest,
    next: (state) => {
      const [step, next] = honest.next(state)
      if (step._tag !== "Paths") return [step, next]
      const path = step.paths[0]!.map((digit) => (digit === 6 ? 0 : digit))
      return [{ _tag: "Paths", paths: [path] }, next]
    }
  }
  const check = () => TrainingStrategyLaws.check(favouring, { space: even })
  expect(check).toThrow(/options of a layer are trained equally often: key of seed 0, layer 0: taken \d+, /)
  expect(check).toThrow(/Counterexample: \[0\]\nShrunk [1-9]\d* time\(s\)/)
})

test("caught: uniform sampling passed off as fair, one that forgets its state, one that leaves the space", () => {
  const honest = Uniform.make(even)
  expect(() => TrainingStrategyLaws.check(honest, { space: even, fairCycle: 7 })).toThrow(/strict fairness/)
  let calls = 0
  const remembering: TrainingStrategyShape = {
    ...honest,
    next: (state) => {
      calls += 1
      return honest.next({ ...state, step: calls })
    }
  }
  expect(() => TrainingStrategyLaws.check(remembering, { space: even })).toThrow(/resumed from its state's JSON/)
  expect(() => TrainingStrategyLaws.check(honest, { space: uneven })).toThrow(/paths belong to the space/)
})
