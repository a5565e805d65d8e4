/** The budget of a run's search, with the set of architectures within it. The Layers of searchers need it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { type Budget, type BudgetInfeasible, CostModel } from "./CostModel.ts"
import * as FeasibleSet from "./FeasibleSet.ts"

/** The contract. */
export interface SearchBudgetShape {
  readonly budget: Budget
  readonly feasible: FeasibleSet.FeasibleSet
}

/** The budget of a run's search. */
export class SearchBudget extends Context.Service<SearchBudget, SearchBudgetShape>()("osnas/cost/SearchBudget") {}

/**
 * The budget over the run's space and cost model. Fails if no architecture fits.
 *
 * **Example** (How many architectures fit)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Result from "effect/Result"
 * import { SearchSpace } from "../search-space/SearchSpace.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as LookupTable from "./LookupTable.ts"
 * import * as SearchBudget from "./SearchBudget.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Layer.succeed(SearchSpace, Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const budget = SearchBudget.layer({ metric: "flops", min: 0, max: 1e9 })
 * const run = budget.pipe(Layer.provide(LookupTable.layerCounted), Layer.provide(space))
 * const count = Effect.map(SearchBudget.SearchBudget, ({ feasible }) => feasible.count)
 * Effect.runSync(Effect.provide(count, run)) // => 117649n
 * ```
 */
export const layer = (budget: Budget): Layer.Layer<SearchBudget, BudgetInfeasible, SearchSpace | CostModel> =>
  Layer.effect(
    SearchBudget,
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const costs = yield* CostModel
      const feasible = yield* Effect.fromResult(FeasibleSet.make(space, costs.entries(budget.metric), budget))
      return SearchBudget.of({ budget, feasible })
    })
  )
