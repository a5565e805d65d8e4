/**
 * The true accuracy of architectures, which a ranking is compared with: from a tabular benchmark, from a CSV file, or from
 * networks that were trained alone.
 */
import { hash } from "node:crypto"
import * as Result from "effect/Result"
import * as Csv from "../estimator/Csv.ts"
import { mean, noiseOfMeans, type Table, TableError } from "../estimator/Table.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** True accuracies of architectures of a search space. */
export interface Truth {
  /** For people: `NAS-Bench-Macro, test accuracy`. */
  readonly name: string
  /** In percent; undefined: unknown. */
  readonly accuracy: (genotype: Genotype) => number | undefined
  /** Standard deviation of such an accuracy if the same network is trained again, in points; 0: unknown. */
  readonly noise: number
  /** SHA-256 (hex) of where they come from. */
  readonly digest: string
  /** The architectures it knows, where they are a list; undefined: all of the space. */
  readonly architectures?: ReadonlyArray<Genotype> | undefined
}

/** The truth of a tabular benchmark: the metric by which it judges a search. */
export const ofTable = (table: Table): Truth => ({
  name: `${table.name}, ${table.judged} accuracy`,
  accuracy: (genotype) => table.score(genotype)?.metrics[table.judged],
  noise: table.noise ?? 0,
  digest: table.digest
})

/**
 * The truth of a CSV file: a column `architecture` (as `osnas` prints it, `2,0,6` in quotes, or its digits without commas)
 * and one or more columns whose names begin with `accuracy`, in percent, one for each training of the network.
 *
 * **Example** (Two architectures, each trained twice)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as NasBenchMacroTable from "../estimator/NasBenchMacroTable.ts"
 * import * as Truth from "./Truth.ts"
 *
 * const text = 'architecture,accuracy1,accuracy2\n"0,1,0,1,0,1,0,1",90,92\n00000000,80,82\n'
 * const truth = Result.getOrThrow(Truth.ofCsv(text, "mine.csv", NasBenchMacroTable.space()))
 * truth.accuracy([0, 1, 0, 1, 0, 1, 0, 1]) // => 91
 * truth.noise // => 1
 * truth.architectures?.length // => 2
 * ```
 */
export const ofCsv = (text: string, file: string, space: SearchSpaceShape): Result.Result<Truth, TableError> =>
  Result.gen(function* () {
    const table = "CSV"
    const fail = (reason: string) => Result.fail(new TableError({ table, file, reason }))
    const header = Csv.cells(text.slice(0, Math.max(0, text.search(/\r?\n|$/))))
    const columns = header.filter((column) => column.startsWith("accuracy"))
    if (columns.length === 0) {
      return yield* fail(
        `line 1: no column \`accuracy\` (or \`accuracy1\`, \`accuracy2\`, … for several trainings) among ${header.join(", ").slice(0, 200)}`
      )
    }
    const rows = yield* Csv.parse(text, { table, file, key: "architecture", columns })
    const byText = new Map<string, ReadonlyArray<number>>()
    const architectures: Array<Genotype> = []
    for (const [name, accuracies] of rows) {
      const digits = /^\d+$/.test(name) && space.choices.length > 1 ? [...name].join(",") : name
      const genotype = space.parse(digits)
      if (Result.isFailure(genotype)) return yield* fail(`architecture ${name}: ${genotype.failure.message}`)
      const canonical = space.canonical(genotype.success)
      const own = space.format(canonical)
      if (byText.has(own)) return yield* fail(`architecture ${name}: an earlier line has the same network`)
      byText.set(own, accuracies)
      architectures.push(canonical)
    }
    const isFraction = [...byText.values()].every((accuracies) => accuracies.every((one) => one >= 0 && one <= 1))
    if (isFraction) return yield* fail(`${columns[0]}: accuracies are fractions; give them in percent`)
    return {
      name: file,
      accuracy: (genotype) => {
        const accuracies = byText.get(space.format(space.canonical(genotype)))
        return accuracies === undefined ? undefined : mean(accuracies)
      },
      noise: noiseOfMeans([...byText.values()]),
      digest: hash("sha256", text),
      architectures
    }
  })
