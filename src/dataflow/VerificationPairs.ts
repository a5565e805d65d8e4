/** Pairs of images to verify, of the same identity or of different ones: read from LFW's list, or made from labels. */
import * as Result from "effect/Result"
import * as Key from "../random/Key.ts"
import type { Pair } from "./Dataflow.ts"

/** Folds of the cross-validation of made pairs, as in LFW. */
export const folds = 10

const mostEnumerated = 4_000_000

/** `wanted` distinct pairs of images with different labels, or all if there are fewer. */
const differentPairs = (labels: ArrayLike<number>, wanted: number, key: Key.Key): Array<readonly [number, number]> => {
  const size = labels.length
  if ((size * (size - 1)) / 2 <= mostEnumerated) {
    const all: Array<readonly [number, number]> = []
    for (let i = 0; i < size; i += 1)
      for (let j = i + 1; j < size; j += 1) if (labels[i] !== labels[j]) all.push([i, j])
    return Array.from(Key.permutation(key, all.length).subarray(0, wanted), (at) => all[at]!)
  }
  const chosen = new Map<number, readonly [number, number]>()
  for (let draw = 0; chosen.size < wanted && draw < 100 * wanted; draw += 1) {
    const [a, b] = [Key.integer(key, size, 2 * draw), Key.integer(key, size, 2 * draw + 1)]
    if (labels[a] !== labels[b]) chosen.set(Math.min(a, b) * size + Math.max(a, b), [Math.min(a, b), Math.max(a, b)])
  }
  return [...chosen.values()]
}

/**
 * Pairs of the same label and as many of different labels, at most `limit` of each kind, in ten balanced folds. They depend
 * on the labels alone, not on the run's seed, so that runs can be compared.
 */
export const made = (labels: ArrayLike<number>, limit: number): ReadonlyArray<Pair> => {
  const root = Key.derive(Key.make(0), "verification pairs")
  const byLabel = new Map<number, Array<number>>()
  for (let i = 0; i < labels.length; i += 1) {
    const group = byLabel.get(labels[i]!)
    if (group === undefined) byLabel.set(labels[i]!, [i])
    else group.push(i)
  }
  const same: Array<readonly [number, number]> = []
  for (const label of [...byLabel.keys()].sort((a, b) => a - b)) {
    const group = byLabel.get(label)!
    group.forEach((first, at) => {
      for (const second of group.slice(at + 1)) same.push([first, second])
    })
  }
  const order = Key.permutation(Key.derive(root, "same"), same.length)
  const wanted = Math.min(limit, same.length)
  const different = differentPairs(labels, wanted, Key.derive(root, "different"))
  const count = Math.min(wanted, different.length)
  const pairs: Array<Pair> = []
  for (let i = 0; i < count; i += 1) {
    const fold = Math.floor((i * folds) / count)
    const [a, b] = same[order[i]!]!
    const [c, d] = different[i]!
    pairs.push({ first: a, second: b, same: true, fold }, { first: c, second: d, same: false, fold })
  }
  return pairs.sort((a, b) => a.fold - b.fold)
}

/** An image of LFW: a person and a number from 1. */
export interface LfwImage {
  readonly person: string
  readonly number: number
}

/** A pair of LFW's list. */
export interface LfwPair {
  readonly first: LfwImage
  readonly second: LfwImage
  readonly same: boolean
  readonly fold: number
  /** Line of the list, from 1. */
  readonly line: number
}

/** Name of an image's file in LFW, without its ending. */
export const lfwName = ({ number, person }: LfwImage): string => `${person}_${String(number).padStart(4, "0")}`

/**
 * Parses LFW's `pairs.txt`. The first line has the number of folds and the number of pairs of each kind in a fold; a single
 * number is that of pairs in one fold. Each fold has its pairs of the same person (`name n m`), then those of two people
 * (`name n other m`). Fails with line and reason.
 *
 * **Example** (One fold of one pair each)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as VerificationPairs from "./VerificationPairs.ts"
 *
 * const pairs = Result.getOrThrow(VerificationPairs.parseLfw("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\n"))
 * VerificationPairs.lfwName(pairs[1]!.second) // => "Bob_0003"
 * ```
 */
export const parseLfw = (text: string): Result.Result<ReadonlyArray<LfwPair>, string> => {
  const lines = text
    .replace(/^\ufeff/, "")
    .split(/\r\n|\n|\r/)
    .map((line) => line.trimEnd())
  const head = (lines[0] ?? "").trim().split(/\s+/).map(Number)
  const [count, each] = head.length === 1 ? [1, head[0]!] : [head[0]!, head[1]!]
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 1 && value <= 10_000_000
  const shown = (at: number) => JSON.stringify((lines[at] ?? "").slice(0, 80))
  if (!whole(count) || !whole(each) || head.length > 2) {
    return Result.fail(`line 1: expected the number of folds and of pairs per fold, got ${shown(0)}`)
  }
  const pairs: Array<LfwPair> = []
  for (let fold = 0; fold < count; fold += 1) {
    for (const same of [true, false]) {
      for (let i = 0; i < each; i += 1) {
        const at = pairs.length + 1
        const line = lines[at] ?? ""
        // In a line with tabs, a name may have blanks.
        const fields = (line.includes("\t") ? line.split("\t") : line.trim().split(/\s+/)).map((field) => field.trim())
        const [person, n, other, m] = same ? [fields[0], fields[1], fields[0], fields[2]] : fields
        const [first, second] = [n, m].map((field) => (/^\d+$/.test(field ?? "") ? Number(field) : Number.NaN)) as [
          number,
          number
        ]
        if (fields.length !== (same ? 3 : 4) || !whole(first) || !whole(second) || person === "" || other === "") {
          const form = same ? "`name n m`" : "`name n other m`"
          const end = at >= lines.length || lines.slice(at).every((rest) => rest === "")
          return Result.fail(
            end
              ? `line ${at + 1}: the list ends here, after ${pairs.length} of the ${2 * count * each} pairs that line 1 announces`
              : `line ${at + 1}: expected ${form}, got ${shown(at)}`
          )
        }
        if (person === other && (!same || first === second)) {
          return Result.fail(
            `line ${at + 1}: expected ${same ? "two images of one person, got the same image twice" : "images of two people, got the same person twice"}: ${shown(at)}`
          )
        }
        pairs.push({
          first: { person: person!, number: first },
          second: { person: other!, number: second },
          same,
          fold,
          line: at + 1
        })
      }
    }
  }
  const extra = lines.findIndex((line, at) => at > pairs.length && line !== "")
  return extra < 0
    ? Result.succeed(pairs)
    : Result.fail(
        `line ${extra + 1}: follows the ${pairs.length} pairs that line 1 announces (${head.join(" ")}): ${shown(extra)}`
      )
}
