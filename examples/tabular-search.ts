/**
 * A search without training: NAS-Bench-Macro knows the accuracy of every one of its 6,561 networks, so evolution and random
 * search are compared in seconds. `node tabular-search.ts`, in a folder where osnas is installed.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Evolution, FeasibleSet, Key, LookupTable, NasBenchMacroTable, Random, SearcherComparison } from "osnas"

const table = Result.getOrThrow(NasBenchMacroTable.load())
const costs = LookupTable.costModel(table.space, LookupTable.fromSpace(table.space))
const seeds = 20

for (const max of [50e6, 150e6]) {
  const budget = { metric: "flops", min: 0, max } as const
  const feasible = Result.getOrThrow(FeasibleSet.make(table.space, costs.entries("flops"), budget))
  console.log(`at most ${max / 1e6}M FLOPs: ${feasible.count} architectures`)
  for (const evaluations of [10, 50, 100]) {
    const strategies = [
      Random.make(table.space, feasible, Schema.decodeUnknownSync(Random.Options)({ evaluations })),
      Evolution.make(table.space, feasible, Schema.decodeUnknownSync(Evolution.Options)({ evaluations }))
    ]
    const means = strategies.map((strategy) => {
      const accuracies = Array.from({ length: seeds }, (_, seed) => {
        const best = SearcherComparison.search(strategy, table, feasible, Key.make(seed))
        return Option.getOrThrow(best).score.metrics["test"] ?? Number.NaN
      })
      return `${strategy.name} ${(accuracies.reduce((sum, value) => sum + value, 0) / seeds).toFixed(2)} %`
    })
    console.log(`  ${evaluations} evaluations: ${means.join(", ")}`)
  }
}
