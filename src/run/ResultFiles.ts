/** Content of `architecture.json` and `metrics.json`, as functions of the results of a run. */
import type { Results, TrainingPosition } from "../../machines/RunState.ts"
import type { Budget, CostMetric, CostModelShape } from "../cost/CostModel.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** The costs of an architecture by metric. Latency, which is measured, is included only if the budget is in latency. */
export const costsOf = (
  costs: CostModelShape,
  budget: Pick<Budget, "metric">,
  genotype: Genotype
): Readonly<Partial<Record<CostMetric, number>>> =>
  Object.fromEntries(
    costs.metrics
      .filter((metric) => metric !== "latency" || metric === budget.metric)
      .map((metric) => [metric, costs.cost(metric, genotype)])
  )

/** Content of `architecture.json`. */
export const architectureOf = (
  space: SearchSpaceShape,
  costs: CostModelShape,
  budget: Budget,
  genotype: Genotype
): Readonly<Record<string, unknown>> => ({
  space: space.name,
  architecture: space.format(genotype),
  genotype,
  choices: genotype.map((digit, position) => space.choices[position]?.[digit] ?? null),
  input: space.interface.input,
  head: space.interface.head,
  costs: costsOf(costs, budget, genotype),
  budget: { metric: budget.metric, min: budget.min, max: budget.max }
})

const trainingOf = (position: TrainingPosition | null) =>
  position === null
    ? undefined
    : { steps: position.step, epochs: position.history, weights: position.weights, file: position.checkpoint.file }

/** Content of `metrics.json`: the results of the phases so far. The same seed gives the same bytes. */
export const metricsOf = (
  space: SearchSpaceShape,
  costs: CostModelShape,
  budget: Budget,
  results: Results,
  searchDigest: string | undefined
): Readonly<Record<string, unknown>> => {
  const { search } = results
  return {
    supernetTraining: trainingOf(results.supernetTraining),
    searching:
      search === null || search.evaluations === null
        ? undefined
        : {
            learning:
              search.learning === undefined
                ? undefined
                : {
                    steps: search.learning.step,
                    epochs: search.learning.history,
                    review: search.learning.review,
                    file: search.learning.checkpoint.file
                  },
            evaluations: search.evaluations,
            best: search.best === null ? null : { cost: search.best.cost, ...search.best.score },
            log: searchDigest
          },
    architecture: search === null ? undefined : space.format(search.architecture),
    costs: search === null ? undefined : costsOf(costs, budget, search.architecture),
    retraining: trainingOf(results.retraining),
    test: results.evaluation ?? undefined
  }
}
