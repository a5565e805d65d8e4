/** The budget of a run's search, with the sampler that draws within it. Searchers' Layers ask for it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as BudgetSampler from "./BudgetSampler.ts"
import { type Budget, type BudgetInfeasible, CostModel } from "./CostModel.ts"

/** The contract. */
export interface SearchBudgetShape {
  readonly budget: Budget
  readonly sampler: BudgetSampler.BudgetSampler
}

/** The budget of a run's search. */
export class SearchBudget extends Context.Service<SearchBudget, SearchBudgetShape>()("osnas/cost/SearchBudget") {}

/** The budget over the run's space and cost model; fails at once where no architecture fits. */
export const layer = (budget: Budget): Layer.Layer<SearchBudget, BudgetInfeasible, SearchSpace | CostModel> =>
  Layer.effect(
    SearchBudget,
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const costs = yield* CostModel
      const sampler = yield* Effect.fromResult(BudgetSampler.make(space, costs.entries(budget.metric), budget))
      return SearchBudget.of({ budget, sampler })
    })
  )
