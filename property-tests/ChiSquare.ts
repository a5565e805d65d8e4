/** The chi-square distribution, for tests of uniformity. */

/**
 * The value that a chi-square variable of the given degrees of freedom exceeds with the given small probability, by the
 * approximation of Wilson and Hilferty (1931); good to a percent or so far in the tail.
 *
 * **Example** (The usual 5 %)
 *
 * ```ts
 * import { chiSquareQuantile } from "./ChiSquare.ts"
 *
 * Math.round(chiSquareQuantile(10, 0.05) * 10) / 10 // => 18.3
 * ```
 */
export const chiSquareQuantile = (degrees: number, exceeding: number): number => {
  const z = normalQuantile(exceeding)
  const h = 2 / (9 * degrees)
  return degrees * (1 - h + z * Math.sqrt(h)) ** 3
}

/** The normal value exceeded with a small probability (Abramowitz and Stegun 26.2.23, error below 4.5e-4). */
const normalQuantile = (exceeding: number): number => {
  const t = Math.sqrt(-2 * Math.log(exceeding))
  return t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3)
}
