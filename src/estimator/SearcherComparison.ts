/**
 * Compares search strategies on a tabular benchmark: what each finds with a given number of evaluations, over many seeds, and
 * the exact expectation of random search without replacement. Every pair of a strategy and a number of evaluations is a
 * separate search with that number of evaluations.
 */
import * as Option from "effect/Option"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import * as Key from "../random/Key.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { Score, Scored, SearchStrategyShape } from "../search-strategy/SearchStrategy.ts"
import type { Table } from "./Table.ts"

/** A strategy to compare: its name, and how to make it for a number of evaluations. */
export interface Contestant {
  readonly name: string
  readonly make: (space: SearchSpaceShape, feasible: FeasibleSet, evaluations: number) => SearchStrategyShape
}

/** What {@link compare} takes. */
export interface CompareOptions {
  readonly table: Table
  /** The allowed architectures: all of the space, or those within a budget. */
  readonly feasible: FeasibleSet
  readonly contestants: ReadonlyArray<Contestant>
  readonly evaluations: ReadonlyArray<number>
  /** Number of searches per pair; search `s` has the key of seed `s`. */
  readonly seeds: number
}

/** What a strategy found with a number of evaluations. */
export interface Comparison {
  readonly strategy: string
  readonly evaluations: number
  /** Judged metric of the found architectures: mean, standard deviation, worst and best over the seeds. */
  readonly mean: number
  readonly deviation: number
  readonly worst: number
  readonly best: number
  /** Number of seeds that found an architecture as good as the best allowed one. */
  readonly optimal: number
}

/** The result of a comparison. */
export interface ComparisonTable {
  readonly table: string
  /** Number of different allowed architectures. */
  readonly architectures: number
  /** The judged metric of the one with the best objective. */
  readonly optimum: number
  readonly seeds: number
  readonly rows: ReadonlyArray<Comparison>
  /**
   * Exact expectation of random search without replacement, for every number of evaluations: over genotypes (`mean`), and over
   * different architectures (`distinct`), which several genotypes may encode.
   */
  readonly random: ReadonlyArray<{ readonly evaluations: number; readonly mean: number; readonly distinct: number }>
}

const need = (table: Table, genotype: Genotype): Score => {
  const score = table.score(genotype)
  if (score === undefined) throw new RangeError(`table ${table.name} has no architecture ${genotype.join(",")}`)
  return score
}

/** Runs one search to its end: `ask`, look up, `tell`. */
export const search = (
  strategy: SearchStrategyShape,
  table: Table,
  feasible: FeasibleSet,
  key: Key.Key
): Option.Option<Scored> => {
  let state = strategy.init(key)
  for (;;) {
    const [candidates, next] = strategy.ask(state)
    if (candidates.length === 0) return strategy.best(next)
    state = strategy.tell(
      next,
      candidates.map((genotype) => ({ genotype, cost: feasible.cost(genotype), score: need(table, genotype) }))
    )
  }
}

/**
 * Expected value of the result with the lowest objective among `draws` results, drawn without replacement. Exact: the i-th best of N wins with probability C(N - i, n - 1) / C(N, n).
 *
 * **Example** (The better of two out of three)
 *
 * ```ts
 * import { expectedBest } from "./SearcherComparison.ts"
 *
 * expectedBest([{ objective: 3, value: 10 }, { objective: 1, value: 40 }, { objective: 2, value: 20 }], 3) // => 40
 * ```
 */
export const expectedBest = (
  results: ReadonlyArray<{ readonly objective: number; readonly value: number }>,
  draws: number
): number => {
  const sorted = [...results].sort((a, b) => a.objective - b.objective)
  const total = sorted.length
  const drawn = Math.min(draws, total)
  let probability = drawn / total
  let mean = 0
  for (const [i, { value }] of sorted.entries()) {
    mean += probability * value
    // The i better results were not drawn; multiply by the probability that the next is not drawn either.
    probability *= Math.max(0, total - i - drawn) / Math.max(1, total - i - 1)
  }
  return mean
}

/** Every genotype of a feasible set. */
const everyGenotype = (feasible: FeasibleSet): ReadonlyArray<Genotype> =>
  Array.from({ length: Number(feasible.count) }, (_, rank) => feasible.at(BigInt(rank)))

/** The different architectures of a feasible set, each as its canonical genotype. */
export const distinct = (space: SearchSpaceShape, feasible: FeasibleSet): ReadonlyArray<Genotype> => [
  ...new Map(
    everyGenotype(feasible)
      .map(space.canonical)
      .map((genotype) => [genotype.join(","), genotype])
  ).values()
]

/**
 * Compares strategies. Deterministic in its arguments.
 *
 * **Example** (Random search on NAS-Bench-Macro, three seeds)
 *
 * ```ts
 * import * as Option from "effect/Option"
 * import * as Result from "effect/Result"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as LookupTable from "../cost/LookupTable.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Random from "../search-strategy/Random.ts"
 * import * as NasBenchMacroTable from "./NasBenchMacroTable.ts"
 * import * as SearcherComparison from "./SearcherComparison.ts"
 *
 * const table = Result.getOrThrow(NasBenchMacroTable.load())
 * const { flops } = LookupTable.fromSpace(table.space)
 * const feasible = Result.getOrThrow(FeasibleSet.make(table.space, flops, { metric: "flops", min: 0, max: 30e6 }))
 * const make = (evaluations: number) => Random.make(table.space, feasible, { evaluations, generation: 5 })
 * const contestants = [{ name: "random", make: (_space: unknown, _sampler: unknown, count: number) => make(count) }]
 * const { architectures, rows } = SearcherComparison.compare({ table, feasible, contestants, evaluations: [5], seeds: 3 })
 * architectures // => SearcherComparison.distinct(table.space, feasible).length
 * rows[0].worst <= rows[0].mean // => true
 * const best = SearcherComparison.search(make(5), table, feasible, Key.make(0))
 * Option.isSome(best) && best.value.cost <= 30e6 // => true
 * ```
 */
export const compare = ({ contestants, evaluations, feasible, seeds, table }: CompareOptions): ComparisonTable => {
  const judge = ({ metrics }: Score) => metrics[table.judged] ?? Number.NaN
  const resultOf = (genotype: Genotype) => {
    const score = need(table, genotype)
    return { objective: score.objective, value: judge(score) }
  }
  const genotypes = everyGenotype(feasible).map(resultOf)
  const results = distinct(table.space, feasible).map(resultOf)
  const least = results.reduce((best, result) => (result.objective < best.objective ? result : best))
  const rows = contestants.flatMap(({ make, name }) =>
    evaluations.map((count): Comparison => {
      const strategy = make(table.space, feasible, count)
      const winners = Array.from({ length: seeds }, (_, seed) =>
        Option.getOrThrow(search(strategy, table, feasible, Key.make(seed)))
      )
      const values = winners.map(({ score }) => judge(score))
      const mean = values.reduce((sum, value) => sum + value, 0) / seeds
      const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
      return {
        strategy: name,
        evaluations: count,
        mean,
        deviation: seeds > 1 ? Math.sqrt(squares / (seeds - 1)) : 0,
        worst: Math.min(...values),
        best: Math.max(...values),
        optimal: winners.filter(({ score }) => score.objective <= least.objective).length
      }
    })
  )
  return {
    table: table.name,
    architectures: results.length,
    optimum: least.value,
    seeds,
    rows,
    random: evaluations.map((count) => ({
      evaluations: count,
      mean: expectedBest(genotypes, count),
      distinct: expectedBest(results, count)
    }))
  }
}
