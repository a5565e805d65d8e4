/**
 * The results of NAS-Bench-Macro (Su et al. 2021, "Prioritized Architecture Sampling with Monte-Carlo Tree Search", section
 * 5): every network of its space trained three times on CIFAR-10. It ships with the package (Apache-2.0, see
 * `data/nas-bench-macro.NOTICE.txt`). Of the 6,561 genotypes 3,969 are different networks.
 */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Result from "effect/Result"
import * as NasBenchMacro from "../search-space/NasBenchMacro.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as Csv from "./Csv.ts"
import { mean, noiseOfMeans, type Table, TableError } from "./Table.ts"

const name = "nas-bench-macro"
const columns = ["test1", "test2", "test3"] as const
const layers = 8

/** The space of the table, for the images and classes that it was made with. */
export const space = (): SearchSpaceShape =>
  Result.getOrThrow(
    NasBenchMacro.make({ widthMultiplier: 1 }, { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } })
  )

/** Reads the table from the text of its file. */
export const parse = (text: string, file: string): Result.Result<Table, TableError> =>
  Result.gen(function* () {
    const rows = yield* Csv.parse(text, { table: name, file, key: "architecture", columns })
    for (const architecture of rows.keys()) {
      if (!/^[012]{8}$/.test(architecture)) {
        return yield* Result.fail(
          new TableError({
            table: name,
            file,
            reason: `architecture ${architecture}: expected ${layers} digits from 0 to 2`
          })
        )
      }
    }
    if (rows.size !== 3 ** layers) {
      return yield* Result.fail(
        new TableError({ table: name, file, reason: `it has ${rows.size} architectures; expected ${3 ** layers}` })
      )
    }
    return {
      name,
      space: space(),
      judged: "test",
      noise: noiseOfMeans([...rows.values()]),
      digest: hash("sha256", text),
      score: (genotype: Genotype) => {
        const accuracies = rows.get(genotype.join(""))
        if (accuracies === undefined) return undefined
        const test = mean(accuracies)
        return { objective: 100 - test, metrics: { test, top1: test / 100 } }
      }
    }
  })

/**
 * Reads the table that ships.
 *
 * **Example** (Accuracy of an architecture)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as NasBenchMacroTable from "./NasBenchMacroTable.ts"
 *
 * const table = Result.getOrThrow(NasBenchMacroTable.load())
 * table.space.size // => NasBenchMacroTable.space().size
 * const accuracy = table.score([0, 0, 0, 0, 0, 0, 0, 0])?.metrics["test"] ?? 0
 * accuracy > 0 && accuracy < 93 // => true
 * Result.isFailure(NasBenchMacroTable.parse("a,b", "x.csv")) // => true
 * ```
 */
export const load = (): Result.Result<Table, TableError> => {
  const file = fileURLToPath(new URL("./data/nas-bench-macro.csv", import.meta.url))
  return parse(readFileSync(file, "utf8"), file)
}
