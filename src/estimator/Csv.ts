/** Tables of numbers as CSV: a header, then one line per key. A cell with commas is in double quotes. */
import * as Result from "effect/Result"
import { TableError } from "./Table.ts"

/** What to read of a file. */
export interface CsvOptions {
  /** Name of the table and of the file, for errors. */
  readonly table: string
  readonly file: string
  /** The column that names the row; its values are unique. */
  readonly key: string
  /** The columns to read, all of numbers. */
  readonly columns: ReadonlyArray<string>
}

/**
 * The cells of a line.
 *
 * **Example** (A comma in quotes)
 *
 * ```ts
 * import * as Csv from "./Csv.ts"
 *
 * Csv.cells('"1,2",a') // => ["1,2", "a"]
 * ```
 */
export const cells = (line: string): ReadonlyArray<string> =>
  line.includes('"')
    ? [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
        ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ""
      )
    : line.split(",")

/**
 * Reads the given columns of every row, by key. Other columns are ignored.
 *
 * **Example** (Two rows)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Csv from "./Csv.ts"
 *
 * const read = Csv.parse("a,b\nx,1\ny,2.5\n", { table: "t", file: "t.csv", key: "a", columns: ["b"] })
 * Result.getOrThrow(read).get("y") // => [2.5]
 * ```
 */
export const parse = (
  text: string,
  { columns, file, key, table }: CsvOptions
): Result.Result<ReadonlyMap<string, ReadonlyArray<number>>, TableError> => {
  const fail = (reason: string) => Result.fail(new TableError({ table, file, reason }))
  const lines = text.split(/\r?\n/)
  const header = cells(lines[0]!)
  const at = [key, ...columns].map((column) => header.indexOf(column))
  const missing = [key, ...columns].filter((_, i) => at[i]! < 0)
  if (missing.length > 0)
    return fail(`line 1: no column ${missing.join(", ")} among ${header.join(", ").slice(0, 200)}`)
  const out = new Map<string, ReadonlyArray<number>>()
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === "") continue
    const row = cells(line)
    if (row.length !== header.length) return fail(`line ${index + 1}: ${row.length} cells instead of ${header.length}`)
    const name = row[at[0]!]!
    if (out.has(name)) return fail(`line ${index + 1}: duplicate ${key} ${name}`)
    const values: Array<number> = []
    for (const [i, column] of columns.entries()) {
      const cell = row[at[i + 1]!]!
      const value = Number(cell)
      if (cell.trim() === "" || !Number.isFinite(value)) {
        return fail(`line ${index + 1}: ${column} is ${JSON.stringify(cell.slice(0, 40))}, not a number`)
      }
      values.push(value)
    }
    out.set(name, values)
  }
  return Result.succeed(out)
}
