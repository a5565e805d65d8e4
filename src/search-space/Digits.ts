/** Genotypes as text, and checks of their digits. */
import * as Result from "effect/Result"
import { type Genotype, GenotypeError } from "./SearchSpace.ts"

/** Digits separated by commas. */
export const format = (genotype: Genotype): string => genotype.join(",")

/** The longest text of an architecture, in characters. */
const longestText = 10_000

/** Reads digits separated by commas or blanks. Does not check their ranges. */
export const parseDigits = (space: string, text: string): Result.Result<Genotype, GenotypeError> => {
  const clipped = (part: string) => (part.length > 80 ? `${part.slice(0, 77)}...` : part)
  if (text.length > longestText) {
    const reason = `it has ${text.length} characters; at most ${longestText} are read`
    return Result.fail(new GenotypeError({ space, genotype: clipped(text), reason }))
  }
  const parts = text.trim().split(/\s*,\s*|\s+/)
  const bad = parts.findIndex((part) => !/^\d+$/.test(part))
  if (bad >= 0) {
    const what = parts[bad] === "" ? "is empty" : `is "${clipped(parts[bad]!)}"`
    return Result.fail(
      new GenotypeError({
        space,
        genotype: clipped(text),
        reason: `position ${bad} ${what}; an architecture is digits separated by commas, like 2,0,6`
      })
    )
  }
  return Result.succeed(parts.map(Number))
}

/**
 * Checks length and range.
 *
 * **Example** (Digits of two layers)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Digits from "./Digits.ts"
 *
 * const choices = [
 *   ["skip", "k3"],
 *   ["skip", "k3"]
 * ]
 * const check = (text: string) =>
 *   Result.flatMap(Digits.parseDigits("small", text), (digits) => Digits.validateDigits("small", choices, digits))
 * Result.map(check("1, 0"), Digits.format) // => Result.succeed("1,0")
 * const failed = check("1,2")
 * Result.isFailure(failed) && failed.failure.reason // => "position 1 is 2, and its choices are 0 to 1 (skip, k3)"
 * ```
 */
export const validateDigits = (
  space: string,
  choices: ReadonlyArray<ReadonlyArray<string>>,
  genotype: Genotype
): Result.Result<Genotype, GenotypeError> => {
  const fail = (reason: string) => Result.fail(new GenotypeError({ space, genotype: format(genotype), reason }))
  if (genotype.length !== choices.length) {
    return fail(`it has ${genotype.length} positions, and the space has ${choices.length}`)
  }
  for (const [i, digit] of genotype.entries()) {
    const offered = choices[i] as ReadonlyArray<string>
    if (!Number.isInteger(digit) || digit < 0 || digit >= offered.length) {
      return fail(`position ${i} is ${digit}, and its choices are 0 to ${offered.length - 1} (${offered.join(", ")})`)
    }
  }
  return Result.succeed(genotype)
}
