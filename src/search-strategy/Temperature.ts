/** How the temperature of a relaxation falls while a gradient-based searcher learns. */
import * as Deterministic from "../random/Deterministic.ts"

/**
 * Exponential decay: from `initial` at fraction 0 to `final` at fraction 1, by the same factor over equal distances.
 *
 * **Example** (Halfway from 4 to 1)
 *
 * ```ts
 * import * as Temperature from "./Temperature.ts"
 *
 * Temperature.decayed({ initial: 4, final: 1 }, 0) // => 4
 * Temperature.decayed({ initial: 4, final: 1 }, 0.5).toFixed(6) // => "2.000000"
 * ```
 */
export const decayed = (
  { final, initial }: { readonly initial: number; readonly final: number },
  fraction: number
): number => initial * Deterministic.exp(fraction * Deterministic.log(final / initial))
