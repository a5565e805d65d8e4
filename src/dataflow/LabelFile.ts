/**
 * Labels in a text file, for test images that are not in class folders. One line per image: its name and its class, separated
 * by a tab, a comma or blanks; further fields are ignored (Tiny ImageNet's `val_annotations.txt`). Or one number per line, for
 * the images in the order of their names (ImageNet's `ILSVRC2012_validation_ground_truth.txt`). Numbers need a list of the
 * classes that they mean, one class per line.
 */
import * as Result from "effect/Result"

/** A line of a label file. */
export interface Entry {
  /** Name of the image file, with or without its ending; undefined: the next image in the order of names. */
  readonly image: string | undefined
  /** Name or number of its class. */
  readonly label: string
  /** From 1. */
  readonly line: number
}

/** The non-empty lines of a text, without byte order mark and line ends. */
const linesOf = (text: string): ReadonlyArray<{ readonly text: string; readonly line: number }> =>
  text
    .replace(/^\ufeff/, "")
    .split(/\r\n|\n|\r/)
    .map((line, at) => ({ text: line.trim(), line: at + 1 }))
    .filter((line) => line.text !== "")

const fieldsOf = (line: string): ReadonlyArray<string> => {
  const separator = line.includes("\t") ? "\t" : line.includes(",") ? "," : /\s+/
  // Spreadsheets write fields in quotes.
  return line.split(separator).map((field) => field.trim().replace(/^"(.*)"$/, "$1"))
}

const shown = (line: string): string => JSON.stringify(line.length > 80 ? `${line.slice(0, 79)}…` : line)

const isNumber = (text: string): boolean => /^\d{1,9}$/.test(text)

/**
 * Parses a label file; fails with line and reason.
 *
 * **Example** (Three forms)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as LabelFile from "./LabelFile.ts"
 *
 * const entries = (text: string) => Result.getOrThrow(LabelFile.parse(text))
 * entries("val_0.JPEG\tn03444034\t0\t32\t44\t62\r\n") // => [{ image: "val_0.JPEG", label: "n03444034", line: 1 }]
 * entries("a.png cat\nb.png dog").map((entry) => entry.label) // => ["cat", "dog"]
 * entries("490\n361\n")[1] // => { image: undefined, label: "361", line: 2 }
 * ```
 */
export const parse = (text: string): Result.Result<ReadonlyArray<Entry>, string> => {
  const lines = linesOf(text)
  // The header of Kaggle's LOC_val_solution.csv. No other file has one.
  const body = /^ImageId,PredictionString$/i.test(lines[0]?.text ?? "") ? lines.slice(1) : lines
  if (body.length === 0) return Result.fail("is empty; expected a line `name class` for every image")
  const numbersAlone = isNumber(body[0]!.text)
  const entries: Array<Entry> = []
  for (const { line, text } of body) {
    if (numbersAlone) {
      if (!isNumber(text)) {
        return Result.fail(`line ${line}: expected the number of a class, as in the lines before, got ${shown(text)}`)
      }
      entries.push({ image: undefined, label: text, line })
      continue
    }
    const [image = "", second = ""] = fieldsOf(text)
    // A box may follow the class in the second field: `n03995372 85 1 499 272`.
    const label = text.includes("\t") ? second : (second.split(/\s+/)[0] ?? "")
    if (image === "" || label === "") {
      return Result.fail(
        `line ${line}: expected \`name class\`, separated by a tab, a comma or blanks, got ${shown(text)}`
      )
    }
    entries.push({ image, label, line })
  }
  return Result.succeed(entries)
}

/**
 * Parses a list of classes by number. A line is a class and its number (`n02119789 1 kit_fox`), or a class without a number
 * (words may follow). Without numbers, lines are counted: from 0 if one of `labels` is 0, from 1 if one is the number of
 * lines. Fails with line and reason.
 *
 * **Example** (Lines are counted from 1)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as LabelFile from "./LabelFile.ts"
 *
 * const numbers = Result.getOrThrow(LabelFile.parseClasses("cat\ndog\n", ["1", "2", "1"]))
 * numbers.get(2) // => "dog"
 * ```
 */
export const parseClasses = (
  text: string,
  labels: ReadonlyArray<string>
): Result.Result<ReadonlyMap<number, string>, string> => {
  const lines = linesOf(text).map((line) => ({
    ...line,
    fields: fieldsOf(line.text.replace(/,/g, " ").replace(/\t/g, " "))
  }))
  if (lines.length === 0) return Result.fail("is empty; expected a line for every class")
  const numbered = lines.every(({ fields }) => isNumber(fields[1] ?? ""))
  const least = Math.min(...labels.map(Number))
  const most = labels.reduce((largest, label) => Math.max(largest, Number(label)), 0)
  if (!numbered && least > 0 && most < lines.length) {
    return Result.fail(
      `has ${lines.length} classes, and the labels are from ${least} to ${most}: they may count from 0 or from 1; give every class its number, as in \`${lines[0]!.fields[0]} 1\``
    )
  }
  const classes = new Map<number, string>()
  for (const [at, { fields, line }] of lines.entries()) {
    const number = numbered ? Number(fields[1]) : at + (least === 0 ? 0 : 1)
    if (classes.has(number))
      return Result.fail(`line ${line}: the number ${number} is that of ${classes.get(number)} already`)
    classes.set(number, fields[0]!)
  }
  return Result.succeed(classes)
}
