/**
 * Laws of a search strategy. Apply them to your own in one line of vitest:
 * `it("is lawful", () => SearchStrategyLaws.check(() => mySearcher, { space, feasible }))`. A broken law throws an Error
 * that names it, with the smallest search found that breaks it.
 */
import fc from "fast-check"
import type { SearchStrategyShape } from "../src/search-strategy/SearchStrategy.ts"
import { type Options, watch } from "./SearchWatch.ts"

export { checkGradient, type GradientOptions } from "./LearningLaws.ts"
export type { Options } from "./SearchWatch.ts"

/**
 * Checks all laws on searches with random keys and synthetic scores. `make` makes a new strategy for every search, so one
 * that keeps anything outside its state is caught. Laws: a search is deterministic in its key; `ask` and `tell` are pure, also
 * on a state that went through JSON; candidates are in the space and within the budget; if `distinct`, no architecture is
 * asked for twice; the best is the best scored candidate; the order of scores within a generation makes no difference,
 * unless the options say otherwise; the search ends, and stays over.
 *
 * **Example** (Random search)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
 * import * as LookupTable from "../src/cost/LookupTable.ts"
 * import * as Tiny from "../src/search-space/Tiny.ts"
 * import * as Random from "../src/search-strategy/Random.ts"
 * import * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.fromSpace(space).flops, budget))
 * const make = () => Random.make(space, feasible, { evaluations: 20, generation: 10 })
 * await SearchStrategyLaws.check(make, { space, feasible, runs: 2 })
 * ```
 */
export const check = (make: () => SearchStrategyShape, options: Options): void => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (seed, world) => watch(make(), options, seed, world)),
    { seed: options.seed ?? 1, numRuns: options.runs ?? 20, includeErrorInReport: true }
  )
}
