/** Finds the known word that a misspelt one probably means. */

/** Number of edits (insert, delete, replace, swap of neighbours) from `a` to `b`. */
const distance = (a: string, b: string): number => {
  const rows: Array<Array<number>> = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1)
      row.push(best)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[-_\s]/g, "")

/**
 * The known word most similar to a given one, if at most a third of its letters differ. Case, hyphens and underscores are
 * ignored.
 *
 * **Example** (A misspelt key)
 *
 * ```ts
 * import { closest } from "./Suggestion.ts"
 *
 * closest("serach_space", ["seed", "searchSpace"]) // => "searchSpace"
 * closest("colour", ["seed", "searchSpace"]) // => undefined
 * ```
 */
export const closest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  const given = plain(word)
  if (given === "" || given.length > 64) return undefined
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const candidate of known) {
    const target = plain(candidate)
    const whole = distance(given, target)
    // A misspelt beginning of a longer word, `serach` of `searchSpace`, counts as one more edit.
    const start = given.length >= 4 ? distance(given, target.slice(0, given.length)) + 1 : whole
    const isNear = (edits: number, letters: number): boolean => edits <= Math.max(1, Math.floor(letters / 3))
    const near = isNear(whole, Math.max(given.length, target.length)) || isNear(start, given.length)
    const d = Math.min(whole, start)
    if (near && (best === undefined || d < best.distance)) best = { word: candidate, distance: d }
  }
  return best?.word
}
