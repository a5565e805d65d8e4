/**
 * Laws of sampling under a budget, for `FeasibleSet` and for an implementation of your own:
 * `it("is lawful", () => BudgetLaws.check(mySampler, { space, entries, budget }))`. A broken law throws an Error that says
 * which, and for which architecture.
 */
import fc from "fast-check"
import type { Budget, CostEntries } from "../src/cost/CostModel.ts"
import type { ArchitectureSet } from "../src/cost/FeasibleSet.ts"
import * as LayerOptions from "../src/cost/LayerOptions.ts"
import * as Key from "../src/random/Key.ts"
import type { SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import { chiSquareQuantile } from "./ChiSquare.ts"

/** Inputs and settings of the check. */
export interface Options {
  readonly space: Pick<SearchSpaceShape, "name" | "layers">
  readonly entries: CostEntries
  readonly budget: Budget
  /** Draws; default 4000. */
  readonly draws?: number | undefined
  /** Seed of the draws; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`budget law broken: ${name}: ${about}`)
}

/** Spaces with at most this many architectures are enumerated. */
const enumerable = 50_000n

const enumerate = (counts: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<number>> =>
  counts.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (prefixes, count) =>
      prefixes.flatMap((prefix) => Array.from({ length: count }, (_, option) => [...prefix, option])),
    [[]]
  )

/** Whether the frequencies fit the expectations, pooled so that each cell expects at least five. */
const checkFrequencies = (
  cells: ReadonlyArray<{ readonly expected: number; readonly drawn: number; readonly name: string }>,
  about: string
) => {
  const usable = cells.filter(({ expected }) => expected >= 5)
  if (usable.length < 2) return
  const statistic = usable.reduce((sum, { drawn, expected }) => sum + (drawn - expected) ** 2 / expected, 0)
  law(
    statistic <= chiSquareQuantile(usable.length - 1, 1e-6),
    "every architecture of the budget is drawn with the same probability",
    `${about}: ${usable
      .slice(0, 8)
      .map(({ drawn, expected, name }) => `${name} ${drawn} times (${expected.toFixed(1)} expected)`)
      .join(", ")}`
  )
}

/**
 * Checks all laws: the same key draws the same; every draw is in the band; the `count` ranks are different architectures of
 * the band; in spaces small enough to enumerate, `count` is correct, and the options of each layer are drawn as often as they
 * occur in the band, by a chi-square test.
 *
 * **Example** (Ten draws in a band)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
 * import * as LookupTable from "../src/cost/LookupTable.ts"
 * import * as Tiny from "../src/search-space/Tiny.ts"
 * import * as BudgetLaws from "./BudgetLaws.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const entries = LookupTable.fromSpace(space).flops
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, budget))
 * BudgetLaws.check(feasible, { space, entries, budget, draws: 10 }) // => undefined
 * ```
 */
export const check = (feasible: ArchitectureSet, { budget, draws = 4000, entries, seed = 1, space }: Options): void => {
  const translate = LayerOptions.make(space)
  const { counts } = translate
  const costOf = (indices: ReadonlyArray<number>) =>
    indices.reduce((sum, option, layer) => sum + entries.layers[layer]![option]!, entries.base)
  const inside = (indices: ReadonlyArray<number>) => {
    const cost = costOf(indices)
    return cost >= budget.min && cost <= budget.max
  }
  const indicesOf = (genotype: ReadonlyArray<number>, about: string) => {
    const indices = translate.indices(genotype)
    law(indices._tag === "Success", "draws belong to the space", `${about}: ${genotype}`)
    return indices._tag === "Success" ? indices.success : []
  }
  law(feasible.count > 0n, "a feasible set has something to draw", `count ${feasible.count}`)
  const drawn: Array<ReadonlyArray<number>> = []
  for (let draw = 0; draw < draws; draw += 1) {
    const key = Key.derive(Key.make(seed), draw)
    const genotype = feasible.sample(key)
    const about = `draw ${draw}`
    law(genotype.join() === feasible.sample(key).join(), "the same key draws the same", `${about}: ${genotype}`)
    const indices = indicesOf(genotype, about)
    law(inside(indices), "every draw is within the band", `${about}: ${genotype} costs ${costOf(indices)}`)
    drawn.push(indices)
  }
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: feasible.count - 1n }),
      fc.bigInt({ min: 0n, max: feasible.count - 1n }),
      (a, b) => {
        const [one, other] = [feasible.at(a), feasible.at(b)]
        law(inside(indicesOf(one, `rank ${a}`)), "every rank is within the band", `rank ${a}: ${one}`)
        law((a === b) === (one.join() === other.join()), "ranks name different architectures", `${a} and ${b}: ${one}`)
      }
    ),
    { seed, numRuns: 100, includeErrorInReport: true }
  )
  if (counts.reduce((product, count) => product * BigInt(count), 1n) > enumerable) return
  const all = enumerate(counts).filter(inside)
  law(BigInt(all.length) === feasible.count, "the count is exact", `${feasible.count}, and there are ${all.length}`)
  for (const [layer, count] of counts.entries()) {
    const cells = Array.from({ length: count }, (_, option) => ({
      name: `option ${option}`,
      expected: (all.filter((indices) => indices[layer] === option).length / all.length) * draws,
      drawn: drawn.filter((indices) => indices[layer] === option).length
    }))
    checkFrequencies(cells, `layer ${layer}`)
  }
  if (all.length * 5 <= draws) {
    const times = new Map<string, number>()
    for (const indices of drawn) times.set(indices.join(), (times.get(indices.join()) ?? 0) + 1)
    const cells = all.map((indices) => ({
      name: indices.join(),
      expected: draws / all.length,
      drawn: times.get(indices.join()) ?? 0
    }))
    checkFrequencies(cells, "architectures")
  }
}
