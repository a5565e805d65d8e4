/** Aligned columns: the tables that commands and reports print. */

/** Alignment of a column. */
export type Alignment = "left" | "right"

/** Layout of a table. */
export interface TextTableOptions {
  /** One per column; default: the first left, the others right. */
  readonly align?: ReadonlyArray<Alignment>
  /** Spaces before every row; default 0. */
  readonly indent?: number
}

/**
 * Formats rows of cells: columns as wide as their longest cell, two spaces apart, without trailing spaces.
 *
 * **Example** (A name and a number)
 *
 * ```ts
 * import * as TextTable from "./TextTable.ts"
 * const rows = [["searcher", "accuracy"], ["random", "93.1"]]
 * TextTable.format(rows) // => "searcher  accuracy\nrandom        93.1"
 * TextTable.format(rows, { align: ["left", "left"], indent: 2 }) // => "  searcher  accuracy\n  random    93.1"
 * ```
 */
export const format = (rows: ReadonlyArray<ReadonlyArray<string>>, options: TextTableOptions = {}): string => {
  const { align, indent = 0 } = options
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
  const isLeft = (column: number): boolean => (align === undefined ? column === 0 : align[column] === "left")
  return rows
    .map((row) =>
      `${" ".repeat(indent)}${row
        .map((cell, column) => (isLeft(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join("  ")}`.trimEnd()
    )
    .join("\n")
}
