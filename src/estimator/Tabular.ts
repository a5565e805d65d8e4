/** Scores architectures with a tabular benchmark: a search in seconds, without training. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as OptionKind from "../component/OptionKind.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { readText } from "../support/TextFile.ts"
import * as NasBench201Table from "./NasBench201Table.ts"
import * as NasBenchMacroTable from "./NasBenchMacroTable.ts"
import {
  EstimationError,
  oneByOne,
  PerformanceEstimator,
  type PerformanceEstimatorShape
} from "./PerformanceEstimator.ts"
import { type Table, TableError } from "./Table.ts"

/** Names of the tables. */
export const TableName = Schema.Literals(["nas-bench-macro", "nas-bench-201"])
/** Name of a table. */
export type TableName = typeof TableName.Type

/** Options of the estimator. */
export const Options = Schema.Struct({
  table: TableName.annotate({ description: "nas-bench-macro ships; nas-bench-201 is read from your file" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("nas-bench-macro" as const))
  ),
  file: Schema.NullOr(Schema.String)
    .annotate({ description: "nas-bench-201: the CSV file; null: the table that ships", ...OptionKind.path })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  dataSet: NasBench201Table.DataSet.annotate({
    description: "nas-bench-201: c10, c100 or in16 (ImageNet16-120)"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("c10" as const)))
})
/** Options of the estimator. */
export type Options = typeof Options.Type

/** Reads the table that ships, or a file. */
export const load = (options: Options): Result.Result<Table, TableError> => {
  const { dataSet, file, table } = options
  if (file === null) {
    return table === "nas-bench-macro"
      ? NasBenchMacroTable.load()
      : Result.fail(new TableError({ table, file: "(none)", reason: "give its CSV file with the option `file`" }))
  }
  return Result.gen(function* () {
    const text = yield* Result.mapError(
      readText(file, "the CSV file of a table", 1 << 30),
      (reason) => new TableError({ table, file, reason })
    )
    return yield* table === "nas-bench-macro"
      ? NasBenchMacroTable.parse(text, file)
      : NasBench201Table.parse(text, file, dataSet)
  })
}

/** The estimator of a table. */
export const make = (table: Table): PerformanceEstimatorShape => ({
  name: "tabular",
  needsSupernet: false,
  digest: table.digest,
  score: oneByOne((genotype) => {
    const score = table.score(genotype)
    return score === undefined
      ? Effect.fail(
          new EstimationError({
            estimator: "tabular",
            genotype: genotype.join(","),
            reason: `table ${table.name} has no such architecture`
          })
        )
      : Effect.succeed(score)
  })
})

/** The estimator as a Layer; the run's search space must be that of the table. */
export const layer = (options: Options): Layer.Layer<PerformanceEstimator, TableError, SearchSpace> =>
  Layer.effect(
    PerformanceEstimator,
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const table = yield* Effect.fromResult(load(options))
      if (space.name !== table.space.name) {
        return yield* new TableError({
          table: table.name,
          file: options.file ?? "(shipped)",
          reason: `it is for search space ${table.space.name}; the search space of the run is ${space.name}`
        })
      }
      return PerformanceEstimator.of(make(table))
    })
  )

/**
 * `name: tabular`.
 *
 * **Example** (Reading the table that ships)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import { SearchSpace } from "../search-space/SearchSpace.ts"
 * import { PerformanceEstimator } from "./PerformanceEstimator.ts"
 * import * as Tabular from "./Tabular.ts"
 *
 * const options = Schema.decodeUnknownSync(Tabular.Options)({})
 * Schema.is(Tabular.TableName)(options.table) // => true
 * const table = Result.getOrThrow(Tabular.load(options))
 * const genotype = [1, 2, 1, 2, 1, 2, 1, 2]
 * Effect.runSync(Tabular.make(table).score([genotype])) // => [table.score(genotype)]
 * const layer = Tabular.layer(options).pipe(Layer.provide(Layer.succeed(SearchSpace, table.space)))
 * const name = Effect.map(PerformanceEstimator, (estimator) => estimator.name)
 * Effect.runSync(Effect.provide(name, layer)) // => Tabular.component.name
 * ```
 */
export const component = define({
  kind: "estimator",
  name: "tabular",
  description: "Looks up scores in a published table: NAS-Bench-Macro, or NAS-Bench-201 from a file",
  options: Options,
  layer
})
