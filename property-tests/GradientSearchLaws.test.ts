import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { beforeAll, describe, expect, test } from "vitest"
import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
import { registerGradients } from "../src/engine/Gradients.ts"
import * as Key from "../src/random/Key.ts"
import * as DifferentiableSearch from "../src/search-strategy/DifferentiableSearch.ts"
import * as Distribution from "../src/search-strategy/Distribution.ts"
import * as Evolution from "../src/search-strategy/Evolution.ts"
import * as RandomSearch from "../src/search-strategy/Random.ts"
import type { GradientSearch, LearnerState, SearchStrategyShape } from "../src/search-strategy/SearchStrategy.ts"
import * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
import { fakeSpace } from "./testing/FakeSpace.ts"

beforeAll(async () => {
  registerGradients()
  await tf.setBackend("cpu")
})

const space = fakeSpace({
  name: "mixed",
  layers: [
    3,
    {
      width: 2,
      selections: [
        [0, 1],
        [1, 0],
        [1, 1]
      ]
    },
    1,
    5,
    4
  ]
})
const entries = {
  base: 10,
  layers: space.layers.map((layer, l) => layer.options.map((_, option) => option * option * 3 + ((l * option) % 5)))
}
const budgeted = (min: number, max: number) => ({
  space,
  feasible: Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min, max }))
})

const options = (given: Readonly<Record<string, unknown>> = {}, gumbel = false): DifferentiableSearch.Options =>
  Schema.decodeUnknownSync(gumbel ? DifferentiableSearch.GumbelOptions : DifferentiableSearch.SoftmaxOptions)({
    samples: 6,
    ...given
  })

const softmax = (at: ReturnType<typeof budgeted>, given: Readonly<Record<string, unknown>> = {}) =>
  DifferentiableSearch.make(space, at.feasible, entries, "softmax", options(given))
const gumbel = (at: ReturnType<typeof budgeted>, given: Readonly<Record<string, unknown>> = {}) =>
  DifferentiableSearch.make(space, at.feasible, entries, "gumbel-softmax", options(given, true))

const gradientOf = (strategy: SearchStrategyShape): GradientSearch => {
  if (strategy.gradient === undefined) throw new Error("nothing learns")
  return strategy.gradient
}

describe("lawful", () => {
  const wide = budgeted(0, 1e6)
  const narrow = budgeted(40, 44)
  test.each([
    ["softmax", () => softmax(wide)],
    ["softmax, straight-through, sgd", () => softmax(wide, { hard: true, optimizer: { name: "sgd" } })],
    ["Gumbel-softmax", () => gumbel(wide)],
    ["Gumbel-softmax, straight-through", () => gumbel(wide, { hard: true })]
  ])("%s in no band", (_, make) => {
    SearchStrategyLaws.checkGradient(make, { ...wide, runs: 3 })
    SearchStrategyLaws.check(make, { ...wide, runs: 3 })
  })
  test.each(["band", "absolute", "squared", "power"])("softmax in a narrow band, cost term %s", (form) => {
    const make = () => softmax(narrow, { cost: { form, weight: 0.7 } })
    SearchStrategyLaws.checkGradient(make, { ...narrow, runs: 3 })
  })
  test("Gumbel-softmax in a narrow band", () => {
    SearchStrategyLaws.checkGradient(() => gumbel(narrow), { ...narrow, runs: 3 })
  })
})

describe("the cost term", () => {
  /** Its gradient at some numbers: what one step of plain descent with rate 1 takes away. */
  const gradientAt = (form: string, logits: ReadonlyArray<number>, budget: ReturnType<typeof budgeted>) => {
    const strategy = softmax(budget, {
      cost: { form, weight: 0.8, target: 40 },
      optimizer: { name: "sgd", learningRate: 1, momentum: 0 }
    })
    const state: LearnerState = {
      tensors: { logits: tf.tensor1d([...logits]) },
      json: { temperature: 1, counts: {} }
    }
    const [next, { loss }] = gradientOf(strategy).trainStep(state, {
      step: 0,
      steps: 1,
      key: Key.make(0),
      taskLoss: (weights) => tf.add(tf.mul(tf.sum(weights[0]!), 0), 3) as tf.Scalar
    })
    const after = next.tensors["logits"]!.dataSync()
    return { loss, gradient: logits.map((logit, i) => logit - after[i]!) }
  }
  const counts = space.layers.map((layer) => layer.options.length)
  const rows = (flat: ReadonlyArray<number>) => {
    let at = 0
    return counts.map((count) => {
      at += count
      return flat.slice(at - count, at)
    })
  }
  /** In numbers, of probabilities. */
  const lossOf = (form: string, flat: ReadonlyArray<number>, { budget }: FeasibleSet.FeasibleSet): number => {
    const cost = Distribution.expectedCost(entries, Distribution.probabilities(rows(flat)))
    const relative = cost / 40 - 1
    switch (form) {
      case "band":
        return 3 + (0.8 * (Math.max(0, cost - budget.max) + Math.max(0, budget.min - cost))) / 40
      case "absolute":
        return 3 + 0.8 * Math.abs(relative)
      case "squared":
        return 3 + 0.8 * relative ** 2
      default:
        return 3 * (cost / 40) ** 0.8
    }
  }

  test.each(["band", "absolute", "squared", "power"])("%s: value and gradient are those of the formula", (form) => {
    for (const [min, max] of [
      [10, 30],
      [70, 90]
    ] as const) {
      const at = budgeted(min, max)
      const flat = Array.from(
        Key.normals(
          Key.make(4),
          counts.reduce((sum, count) => sum + count, 0)
        )
      )
      const { gradient, loss } = gradientAt(form, flat, at)
      expect(loss).toBeCloseTo(lossOf(form, flat, at.feasible), 4)
      flat.forEach((_, i) => {
        const moved = (by: number) => lossOf(form, flat.with(i, flat[i]! + by), at.feasible)
        expect(gradient[i]!).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 3)
      })
    }
  })

  test("alone it brings the expected cost to the target, or into the budget", () => {
    const at = budgeted(30, 34)
    const settle = (cost: object) => {
      const strategy = softmax(at, { cost, optimizer: { learningRate: 0.1 } })
      let state = gradientOf(strategy).init(Key.make(0))
      let told = 0
      for (let step = 0; step < 150; step += 1) {
        const [next, metrics] = gradientOf(strategy).trainStep(state, {
          step,
          steps: 150,
          key: Key.make(step),
          taskLoss: (weights) => tf.add(tf.mul(tf.sum(weights[0]!), 0), 1) as tf.Scalar
        })
        state = next
        told = metrics["cost"]!
      }
      return told
    }
    expect(settle({ form: "squared", weight: 5, target: 25 })).toBeCloseTo(25, 0)
    const inside = settle({ form: "band", weight: 5 })
    expect(inside).toBeGreaterThan(28)
    expect(inside).toBeLessThan(36)
  })
})

test("learning finds the better options, and the temperature falls as configured", () => {
  const at = budgeted(0, 1e6)
  for (const make of [softmax, gumbel]) {
    const strategy = make(at, { cost: { weight: 0 }, optimizer: { learningRate: 0.1 }, samples: 0 })
    const gradient = gradientOf(strategy)
    let state = gradient.init(Key.make(0))
    const temperatures: Array<number> = []
    for (let step = 0; step < 120; step += 1) {
      const [next, metrics] = gradient.trainStep(state, {
        step,
        steps: 120,
        key: Key.derive(Key.make(1), step),
        // The last option of every layer is the best.
        taskLoss: (weights) =>
          tf.neg(tf.addN(weights.map((row) => tf.sum(tf.mul(row, tf.range(0, row.size)))))) as tf.Scalar
      })
      state = next
      temperatures.push(metrics["temperature"]!)
    }
    expect(strategy.ask(gradient.conclude(state, Key.make(2)))[0]).toEqual([[2, 1, 1, 0, 4, 3]])
    const [first, last] = make === softmax ? [1, 1] : [5, 0.1]
    expect(temperatures[0]).toBeCloseTo(first, 6)
    expect(temperatures.at(-1)).toBeCloseTo(last, 6)
    expect(temperatures).toEqual([...temperatures].sort((a, b) => b - a))
  }
})

test("in 100 of 100 random budgets every candidate of every searcher is within, or the budget is refused at once", () => {
  let reachable = 0
  for (let index = 0; index < 100; index += 1) {
    const key = Key.derive(Key.make(8), index)
    const min = Key.integer(key, 130, 0)
    const max = min + Key.integer(key, 20, 1)
    const found = FeasibleSet.make(space, entries, { metric: "flops", min, max })
    if (Result.isFailure(found)) {
      expect(found.failure._tag).toBe("BudgetInfeasible")
      continue
    }
    reachable += 1
    const feasible = found.success
    const searchers: ReadonlyArray<SearchStrategyShape> = [
      RandomSearch.make(space, feasible, Schema.decodeUnknownSync(RandomSearch.Options)({ evaluations: 8 })),
      Evolution.make(space, feasible, Schema.decodeUnknownSync(Evolution.Options)({ evaluations: 12, initial: 4 })),
      softmax({ space, feasible }),
      gumbel({ space, feasible })
    ]
    for (const searcher of searchers) {
      const gradient = searcher.gradient
      // As learned: any numbers there are.
      const learned = tf.mul(tf.tensor1d(Array.from(Key.normals(key, 16))), 3)
      let state =
        gradient?.conclude({ tensors: { logits: learned }, json: { temperature: 1, counts: {} } }, key) ??
        searcher.init(key)
      for (let generation = 0; ; generation += 1) {
        const [candidates, next] = searcher.ask(state)
        if (candidates.length === 0) {
          expect(generation).toBeGreaterThan(0)
          break
        }
        for (const candidate of candidates) expect(feasible.contains(candidate)).toBe(true)
        state = searcher.tell(
          next,
          candidates.map((genotype) => ({
            genotype,
            cost: feasible.cost(genotype),
            score: { objective: Key.uniform(Key.derive(key, ...genotype)), metrics: {} }
          }))
        )
      }
      const best = Option.getOrThrow(searcher.best(state))
      expect(feasible.contains(best.genotype)).toBe(true)
      learned.dispose()
    }
  }
  expect(reachable).toBeGreaterThan(50)
})

test("what was learned in another space is refused", () => {
  const gradient = gradientOf(softmax(budgeted(0, 1e6)))
  expect(() => gradient.conclude({ tensors: { logits: tf.zeros([3]) }, json: null }, Key.make(0))).toThrow(
    /3 architecture parameters; mixed has 16 options/
  )
  expect(() => gradient.conclude({ tensors: {}, json: null }, Key.make(0))).toThrow(/no architecture parameters/)
})

// Wrong on purpose.

describe("caught", () => {
  const at = budgeted(0, 60)
  const wrong = (change: (gradient: GradientSearch) => Partial<GradientSearch>) => () => {
    const strategy = softmax(at)
    const gradient = gradientOf(strategy)
    return { ...strategy, gradient: { ...gradient, ...change(gradient) } }
  }
  const caught = (make: () => SearchStrategyShape, message: RegExp) => {
    expect(() => SearchStrategyLaws.checkGradient(make, { ...at, runs: 1 })).toThrow(message)
  }

  test("a cost from raw parameters", () => {
    caught(
      wrong((gradient) => ({
        trainStep: (state, step) => {
          const [next, metrics] = gradient.trainStep(state, step)
          const raw = Distribution.expectedCost({ ...entries, base: 0 }, gradient.distribution(next).logits)
          return [next, { ...metrics, cost: raw }]
        }
      })),
      /the expected cost is between/
    )
  })
  test("a step that remembers something outside its state", () => {
    let calls = 0
    caught(
      wrong((gradient) => ({
        trainStep: (state, step) => {
          calls += 1
          const [next, metrics] = gradient.trainStep(state, step)
          return [next, { ...metrics, calls }]
        }
      })),
      /the same step from the same state/
    )
  })
  test("a step that frees what it was given", () => {
    caught(
      wrong((gradient) => ({
        trainStep: (state, step) => {
          const out = gradient.trainStep(state, step)
          state.tensors["logits"]!.dispose()
          return out
        }
      })),
      /a step does not change the state it is given/
    )
  })
  test("a step that leaks", () => {
    caught(
      wrong((gradient) => ({
        trainStep: (state, step) => {
          tf.zeros([1])
          return gradient.trainStep(state, step)
        }
      })),
      /a step leaves no tensor behind.*1 more/
    )
  })
  test("a search that leaves its budget", () => {
    const loose = budgeted(0, 1e6)
    const strategy = () => softmax(loose, { samples: 20 })
    expect(() => SearchStrategyLaws.checkGradient(strategy, { ...budgeted(0, 40), runs: 5 })).toThrow(
      /candidates are within the budget/
    )
  })
})
