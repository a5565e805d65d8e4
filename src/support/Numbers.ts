/**
 * Schemas of the numbers that options take.
 *
 * **Example** (What each accepts)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Numbers from "./Numbers.ts"
 *
 * const accepts = (schema: Schema.Schema<number>) => [-1, 0, 0.5, 1, 1.5, 2].filter((value) => Schema.is(schema)(value))
 * accepts(Numbers.PositiveInt) // => [1, 2]
 * accepts(Numbers.NonNegativeInt) // => [0, 1, 2]
 * accepts(Numbers.Positive) // => [0.5, 1, 1.5, 2]
 * accepts(Numbers.NonNegative) // => [0, 0.5, 1, 1.5, 2]
 * accepts(Numbers.Fraction) // => [0, 0.5, 1]
 * ```
 */
import * as Schema from "effect/Schema"

/** An integer of at least 1. */
export const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
/** An integer of at least 0. */
export const NonNegativeInt = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
/** A finite number above 0. */
export const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
/** A finite number of at least 0. */
export const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
/** A number from 0 to 1. */
export const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
