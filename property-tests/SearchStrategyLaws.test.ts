import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { expect, test } from "vitest"
import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
import * as Key from "../src/random/Key.ts"
import * as Evolution from "../src/search-strategy/Evolution.ts"
import * as Predictor from "../src/search-strategy/Predictor.ts"
import * as RandomSearch from "../src/search-strategy/Random.ts"
import * as SearchProgress from "../src/search-strategy/SearchProgress.ts"
import type { Scored, SearchStrategyShape } from "../src/search-strategy/SearchStrategy.ts"
import * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
import { fakeSpace } from "./testing/FakeSpace.ts"

/** The first digit's order against the second's makes no difference: two genotypes are one architecture. */
const twins = (genotype: ReadonlyArray<number>) =>
  genotype[0]! <= genotype[1]! ? genotype : [genotype[1]!, genotype[0]!, ...genotype.slice(2)]

const plain = fakeSpace({ name: "plain", layers: [4, 4, 3, 1, 5, 4, 3, 6], canonical: twins })
const composed = fakeSpace({
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
    },
    {
      width: 3,
      selections: [
        [0, 0, 1],
        [2, 1, 0]
      ]
    },
    4
  ]
})

const budgeted = (space: typeof plain, min: number, max: number) => {
  const layers = space.layers.map((layer, l) =>
    layer.options.map((_, option) => option * option * 3 + ((l * option) % 5))
  )
  return {
    space,
    feasible: Result.getOrThrow(
      FeasibleSet.make(space, { base: 10, layers }, { metric: "flops", min: min + 10, max: max + 10 })
    )
  }
}

const evolution = (options: Partial<Evolution.Options>) =>
  Schema.decodeUnknownSync(Evolution.Options)({ evaluations: 80, ...options })
const random = (options: Partial<RandomSearch.Options>) =>
  Schema.decodeUnknownSync(RandomSearch.Options)({ evaluations: 80, ...options })

const predictor = (options: Partial<Predictor.Options>) =>
  Schema.decodeUnknownSync(Predictor.Options)({ evaluations: 40, ...options })

const bands = [
  ["no band", budgeted(plain, 0, 1e6)],
  ["a narrow band", budgeted(plain, 60, 64)],
  ["a band of a few", budgeted(plain, 0, 6)],
  ["composed layers", budgeted(composed, 0, 20)]
] as const

for (const [name, surroundings] of bands) {
  const { feasible, space } = surroundings
  test(`random search is lawful: ${name}`, () => {
    SearchStrategyLaws.check(() => RandomSearch.make(space, feasible, random({ generation: 7 })), surroundings)
  })
  test(`search by a surrogate is lawful: ${name}`, () => {
    SearchStrategyLaws.check(() => Predictor.make(space, feasible, predictor({})), { ...surroundings, runs: 2 })
    // A pool smaller than the band, and less memory than there are scores.
    const small = predictor({ initial: 3, generation: 4, pool: 16, memory: 10 })
    SearchStrategyLaws.check(() => Predictor.make(space, feasible, small), { ...surroundings, runs: 2 })
  })
  test(`evolution is lawful: ${name}`, () => {
    SearchStrategyLaws.check(() => Evolution.make(space, feasible, evolution({})), { ...surroundings, runs: 8 })
    SearchStrategyLaws.check(
      () =>
        Evolution.make(
          space,
          feasible,
          evolution({ initial: 5, offspring: 3, parents: 4, mutation: 0.5, crossover: 1 })
        ),
      { ...surroundings, runs: 3 }
    )
  })
}

/** A search to its end; made-up scores that prefer large digits. */
const exhaust = (strategy: SearchStrategyShape, { feasible }: (typeof bands)[number][1]) => {
  let state = strategy.init(Key.make(9))
  const all: Array<string> = []
  for (;;) {
    const [candidates, next] = strategy.ask(state)
    if (candidates.length === 0) return { all, best: strategy.best(next) }
    all.push(...candidates.map(String))
    const scored = candidates.map(
      (genotype): Scored => ({
        genotype,
        cost: feasible.cost(genotype),
        score: { objective: -genotype.reduce((sum, digit) => sum + digit, 0), metrics: {} }
      })
    )
    state = strategy.tell(next, scored)
  }
}

test("a search makes as many evaluations as it says, or sees every architecture of a band that holds fewer", () => {
  const [, wide] = bands[0]
  const [, few] = bands[2]
  const total = (surroundings: (typeof bands)[number][1]) => {
    const { feasible, space } = surroundings
    const genotypes = Array.from({ length: Number(feasible.count) }, (_, rank) => feasible.at(BigInt(rank)))
    return new Set(genotypes.map((genotype) => space.canonical(genotype).join())).size
  }
  for (const make of [
    (s: typeof wide) => Evolution.make(s.space, s.feasible, evolution({})),
    (s: typeof wide) => RandomSearch.make(s.space, s.feasible, random({})),
    (s: typeof wide) => Predictor.make(s.space, s.feasible, predictor({ evaluations: 80 }))
  ]) {
    expect(exhaust(make(wide), wide).all).toHaveLength(80)
    expect(total(few)).toBeLessThan(80)
    expect(exhaust(make(few), few).all).toHaveLength(total(few))
  }
})

test("evolution climbs: with 80 of 51840 architectures it finds more than random search does", () => {
  const [, wide] = bands[0]
  const objective = (strategy: SearchStrategyShape) => Option.getOrThrow(exhaust(strategy, wide).best).score.objective
  expect(objective(Evolution.make(wide.space, wide.feasible, evolution({})))).toBeLessThan(
    objective(RandomSearch.make(wide.space, wide.feasible, random({})))
  )
})

test("scores that were not asked for, and scores given twice, change nothing", () => {
  const [, { feasible, space }] = bands[0]
  const strategy = RandomSearch.make(space, feasible, random({ generation: 3 }))
  const [candidates, asked] = strategy.ask(strategy.init(Key.make(1)))
  const scored = candidates.map((genotype): Scored => ({ genotype, cost: 1, score: { objective: 1, metrics: {} } }))
  const foreign: Scored = { genotype: [3, 3, 2, 0, 4, 3, 2, 5], cost: 1, score: { objective: -9, metrics: {} } }
  expect(strategy.tell(asked, [foreign])).toEqual(asked)
  const once = strategy.tell(asked, scored.slice(0, 1))
  expect(strategy.tell(once, scored.slice(0, 1))).toEqual(once)
  expect(strategy.ask(once)[0]).toEqual(candidates.slice(1))
})

test("a state that no such search made is refused", () => {
  const [, { feasible, space }] = bands[0]
  expect(() => RandomSearch.make(space, feasible, random({})).ask({ nonsense: 1 })).toThrow()
  expect(() => Evolution.make(space, feasible, evolution({})).ask(null)).toThrow()
})

// Wrong on purpose.

const [, surroundings] = bands[1]
const lawful = () => RandomSearch.make(surroundings.space, surroundings.feasible, random({ generation: 5 }))

test("caught: a searcher that repeats itself", () => {
  const repeating = (): SearchStrategyShape => {
    const one = lawful()
    return {
      ...one,
      ask: (state) => {
        const [candidates, next] = one.ask(state)
        return [[...candidates, ...candidates.slice(0, 1)], next]
      }
    }
  }
  const check = () => SearchStrategyLaws.check(repeating, surroundings)
  expect(check).toThrow(/no architecture is asked for twice: key of seed 0, generation 0: \d+(,\d+){7}/)
  expect(check).toThrow(/Counterexample: \[0,0\]\nShrunk [1-9]\d* time\(s\)/)
})

test("caught: a searcher that leaves the budget", () => {
  const { feasible, space } = budgeted(plain, 0, 1e6)
  const leaving = () => RandomSearch.make(space, feasible, random({}))
  const check = () => SearchStrategyLaws.check(leaving, surroundings)
  expect(check).toThrow(/candidates are within the budget.* costs \d+/)
  expect(check).toThrow(/Counterexample: \[0,0\]\nShrunk [1-9]\d* time\(s\)/)
})

test("caught: a searcher that remembers something outside its state", () => {
  let calls = 0
  const remembering = (): SearchStrategyShape => {
    const one = lawful()
    return {
      ...one,
      ask: (state) => {
        calls += 1
        const [candidates, next] = one.ask(state)
        return [calls % 2 === 0 ? [...candidates].reverse() : candidates, next]
      }
    }
  }
  expect(() => SearchStrategyLaws.check(remembering, surroundings)).toThrow(/asking again from the same state/)
})

test("caught: a searcher that minds the order of scores", () => {
  const minding = (): SearchStrategyShape => {
    const one = lawful()
    return {
      ...one,
      tell: (state, scored) => {
        const next = one.tell(state, scored) as Readonly<Record<string, Schema.Json>>
        return { ...next, generation: scored[0]!.genotype[0]! }
      }
    }
  }
  expect(() => SearchStrategyLaws.check(minding, surroundings)).toThrow(/the order of scores|may be scored in parts/)
})

test("caught: a searcher whose best is its latest, and one that never ends", () => {
  const latest = (): SearchStrategyShape => {
    const one = lawful()
    return { ...one, tell: (state, scored) => one.tell({ ...(state as object), best: null } as never, scored) }
  }
  expect(() => SearchStrategyLaws.check(latest, { ...surroundings, orderIndependent: false })).toThrow(
    /the best is the best candidate scored so far/
  )
  const endless = (): SearchStrategyShape => ({
    ...lawful(),
    distinct: false,
    init: () => ({ told: 0 }),
    ask: (state) => [[surroundings.feasible.at(0n)], state],
    tell: (_, scored) => ({ best: scored[0] as never }),
    best: (state) => Option.fromNullishOr((state as { best?: Scored }).best)
  })
  expect(() => SearchStrategyLaws.check(endless, surroundings)).toThrow(/the search ends/)
})

test("the best: lower objective, then lower cost, then the smaller genotype", () => {
  const scored = (objective: number, cost: number, genotype: ReadonlyArray<number>): Scored => ({
    genotype,
    cost,
    score: { objective, metrics: {} }
  })
  const sorted = [scored(1, 5, [0, 2]), scored(1, 5, [1, 0]), scored(1, 7, [0, 0]), scored(2, 1, [0, 0])]
  expect([...sorted].reverse().sort(SearchProgress.compare)).toEqual(sorted)
})
