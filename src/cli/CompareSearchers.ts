/** `osnas compare-searchers`: compares search strategies on a tabular benchmark, without building a network or a tensor. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type Budget, type CostEntries, CostModel } from "../cost/CostModel.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import * as SearcherComparison from "../estimator/SearcherComparison.ts"
import type { Table } from "../estimator/Table.ts"
import * as Tabular from "../estimator/Tabular.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as TextTable from "../report/TextTable.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { SearchStrategy, type SearchStrategyShape } from "../search-strategy/SearchStrategy.ts"
import type { Input } from "./commands/CompareSearchers.ts"
import { UsageError } from "./Exit.ts"

/** `10,50,100` as numbers. */
export const parseEvaluations = (text: string): Result.Result<ReadonlyArray<number>, UsageError> => {
  const parts = text.split(",").map((part) => part.trim())
  const wrong = parts.find((part) => !/^[1-9]\d{0,8}$/.test(part))
  return wrong === undefined
    ? Result.succeed(parts.map(Number))
    : Result.fail(
        new UsageError({
          reason: `--evaluations ${text}: "${wrong}" is not a number of evaluations; give positive integers separated by commas, like 10,50,100`
        })
      )
}

/** FLOPs of the table's options; undefined if the table's space has no networks to count. */
const entriesOf = (table: Table): CostEntries | undefined =>
  table.space.first.length > 0 ? LookupTable.fromSpace(table.space).flops : undefined

const samplerOf = Effect.fnUntraced(function* (table: Table, maxFlops: Option.Option<number>) {
  const counted = entriesOf(table)
  if (counted === undefined && Option.isSome(maxFlops)) {
    return yield* new UsageError({ reason: `--max-flops: table ${table.name} has no FLOPs; leave the flag out` })
  }
  const free = { base: 0, layers: table.space.layers.map((layer) => layer.options.map(() => 0)) }
  const entries = counted ?? free
  const budget: Budget = { metric: "flops", min: 0, max: Option.getOrElse(maxFlops, () => Number.MAX_SAFE_INTEGER) }
  return { entries, budget, feasible: yield* Effect.fromResult(FeasibleSet.make(table.space, entries, budget)) }
})

/** Builds a strategy for a number of evaluations. */
const build = Effect.fnUntraced(function* (
  name: string,
  evaluations: number,
  table: Table,
  surroundings: Effect.Success<ReturnType<typeof samplerOf>>
) {
  const component = yield* Load.component("searchStrategy", name, process.cwd())
  const options = { evaluations }
  const chosen = component.choose(options)
  if (Result.isFailure(chosen)) {
    const source = ConfigFile.fromValue(`searchStrategy ${name}`, options)
    return yield* new ConfigFile.ConfigError({
      file: source.file,
      issues: ConfigFile.issuesOf(chosen.failure.issue, source, [])
    })
  }
  const { budget, entries, feasible } = surroundings
  const { cost } = feasible
  const needs = Layer.mergeAll(
    Layer.succeed(SearchSpace, table.space),
    Layer.succeed(SearchBudget, { budget, feasible }),
    Layer.succeed(CostModel, { metrics: ["flops"], entries: () => entries, cost: (_, genotype) => cost(genotype) }),
    Layer.succeed(RunKey, Key.make(0))
  )
  return yield* SearchStrategy.pipe(Effect.provide(Layer.provide(chosen.success.layer, needs)))
})

/** The comparison as text: one row per strategy, one column per number of evaluations. */
export const textOf = (compared: SearcherComparison.ComparisonTable): string => {
  const counts = compared.random.map(({ evaluations }) => evaluations)
  const strategies = [...new Set(compared.rows.map(({ strategy }) => strategy))]
  const cell = (strategy: string, evaluations: number) => {
    const row = compared.rows.find((one) => one.strategy === strategy && one.evaluations === evaluations)
    return row === undefined ? "" : `${row.mean.toFixed(3)} ± ${row.deviation.toFixed(3)} (${row.optimal})`
  }
  const rows = [
    ["evaluations", ...counts.map(String)],
    ...strategies.map((strategy) => [strategy, ...counts.map((count) => cell(strategy, count))]),
    ["random, expected", ...compared.random.map(({ mean }) => mean.toFixed(3))],
    ["expected, without repeats", ...compared.random.map(({ distinct }) => distinct.toFixed(3))]
  ]
  return [
    `${compared.table}: ${compared.architectures} different architectures, the best ${compared.optimum.toFixed(4)}`,
    `Test accuracy in percent of what a search finds: mean ± deviation over ${compared.seeds} seeds (seeds that found the best)`,
    "",
    TextTable.format(rows)
  ].join("\n")
}

/** Runs the command. */
export const run = Effect.fn("CompareSearchers.run")(function* (input: Input) {
  const evaluations = yield* Effect.fromResult(parseEvaluations(input.evaluations))
  const table = yield* Effect.fromResult(
    Tabular.load({ table: input.table, file: Option.getOrNull(input.file), dataSet: input.dataSet })
  )
  const surroundings = yield* samplerOf(table, input.maxFlops)
  const names = input.strategy.length > 0 ? input.strategy : ["random", "evolution"]
  const contestants: Array<SearcherComparison.Contestant> = []
  for (const name of names) {
    const strategies = new Map<number, SearchStrategyShape>()
    for (const count of evaluations) strategies.set(count, yield* build(name, count, table, surroundings))
    contestants.push({ name, make: (_, __, count) => strategies.get(count)! })
  }
  const compared = SearcherComparison.compare({
    table,
    feasible: surroundings.feasible,
    contestants,
    evaluations,
    seeds: input.seeds
  })
  yield* Console.log(input.json ? JSON.stringify(compared) : textOf(compared))
})
