/**
 * The results of NAS-Bench-201 (Dong and Yang 2020, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
 * Search"): 15,625 cells of six edges, on three data sets. Read from a CSV file that you give, with columns `ops` (one
 * digit per edge, 0<1, 0<2, 1<2, 0<3, 1<3, 2<3: 0 none, 1 skip, 2 conv 1x1, 3 conv 3x3, 4 average pooling 3x3),
 * `<set>_val_12ep` and `<set>_test_200ep` for set c10, c100 or in16, in percent.
 *
 * A search gets the validation accuracy after 12 epochs as score and is judged by the test accuracy after 200.
 */
import { hash } from "node:crypto"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as Csv from "./Csv.ts"
import { type Table, TableError } from "./Table.ts"
import * as TabularSpace from "./TabularSpace.ts"

const name = "nas-bench-201"

/** The data sets of the table: CIFAR-10, CIFAR-100, ImageNet16-120. */
export const DataSet = Schema.Literals(["c10", "c100", "in16"])
/** The data sets of the table. */
export type DataSet = typeof DataSet.Type

const operations = ["none", "skip", "conv 1x1", "conv 3x3", "avg pool 3x3"]
const edges = 6

/** The space of the table: one digit per edge of the cell. Its networks cannot be built here. */
export const space: SearchSpaceShape = TabularSpace.make({
  name,
  layers: Array.from({ length: edges }, () => operations)
})

/**
 * Reads the table from the text of a file.
 *
 * **Example** (A file that lacks a column)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as NasBench201Table from "./NasBench201Table.ts"
 *
 * NasBench201Table.DataSet.literals // => ["c10", "c100", "in16"]
 * NasBench201Table.space.size // => 15625n
 * const read = NasBench201Table.parse("ops,c10_val_12ep\n", "results.csv", "c10")
 * Result.isFailure(read) && read.failure.file // => "results.csv"
 * ```
 */
export const parse = (text: string, file: string, dataSet: DataSet): Result.Result<Table, TableError> =>
  Result.gen(function* () {
    const columns = [`${dataSet}_val_12ep`, `${dataSet}_test_200ep`]
    const rows = yield* Csv.parse(text, { table: name, file, key: "ops", columns })
    for (const ops of rows.keys()) {
      if (!/^[0-4]{6}$/.test(ops)) {
        return yield* Result.fail(
          new TableError({ table: name, file, reason: `ops ${ops}: expected ${edges} digits from 0 to 4` })
        )
      }
    }
    if (rows.size !== operations.length ** edges) {
      return yield* Result.fail(
        new TableError({
          table: name,
          file,
          reason: `it has ${rows.size} architectures; expected ${operations.length ** edges}`
        })
      )
    }
    return {
      name: `${name} ${dataSet}`,
      space,
      judged: "test",
      digest: hash("sha256", text),
      score: (genotype: Genotype) => {
        const row = rows.get(genotype.join(""))
        if (row === undefined) return undefined
        return { objective: 100 - row[0]!, metrics: { validation: row[0]!, test: row[1]!, top1: row[1]! / 100 } }
      }
    }
  })
