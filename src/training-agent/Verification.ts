/**
 * Verification of pairs by distance: do two images show the same identity? Protocol of Labeled Faces in the Wild (Huang
 * et al. 2007): the threshold is chosen on nine folds and applied to the tenth, in turn.
 */

/** A pair with its distance. */
export interface Judged {
  readonly distance: number
  readonly same: boolean
  readonly fold: number
}

/** The metrics of verification; accuracies are fractions of 1. */
export interface VerificationResult {
  /** Mean accuracy over the folds, each at the best threshold of the others. */
  readonly accuracy: number
  /** Its (population) standard deviation over the folds. */
  readonly accuracyStd: number
  /** Accuracy on all pairs at their best threshold. */
  readonly bestAccuracy: number
  /** That threshold. */
  readonly threshold: number
  /** Probability that a pair of the same identity is closer than a pair of different ones; ties count half. */
  readonly auc: number
}

const byDistance = (pairs: ReadonlyArray<Judged>): ReadonlyArray<Judged> =>
  [...pairs].sort((a, b) => a.distance - b.distance)

/**
 * The threshold with the most correct decisions; pairs at or below it are accepted. It is in the middle between two distances;
 * of equally good thresholds it is the lowest, and below all distances if it is best to accept none.
 */
export const bestThreshold = (pairs: ReadonlyArray<Judged>): number => {
  const sorted = byDistance(pairs)
  let right = sorted.filter(({ same }) => !same).length
  let most = right
  let threshold = (sorted[0]?.distance ?? 0) - 1
  sorted.forEach(({ distance, same }, at) => {
    right += same ? 1 : -1
    const next = sorted[at + 1]?.distance
    if (right > most && next !== distance) {
      most = right
      threshold = next === undefined ? distance : distance + (next - distance) / 2
    }
  })
  return threshold
}

/** Fraction of correct decisions at a threshold. */
export const accuracyAt = (pairs: ReadonlyArray<Judged>, threshold: number): number =>
  pairs.filter(({ distance, same }) => distance <= threshold === same).length / pairs.length

/**
 * True accept rate at a false accept rate of at most `far`: the fraction of pairs of the same identity that are strictly
 * closer than the first pair of different identities that would exceed `far`.
 */
export const tarAtFar = (pairs: ReadonlyArray<Judged>, far: number): number => {
  const same = pairs.filter((pair) => pair.same)
  const different = byDistance(pairs.filter((pair) => !pair.same))
  const limit = different[Math.floor(far * different.length)]?.distance ?? Number.POSITIVE_INFINITY
  return same.filter(({ distance }) => distance < limit).length / same.length
}

const aucOf = (pairs: ReadonlyArray<Judged>): number => {
  const sorted = byDistance(pairs)
  const different = sorted.filter(({ same }) => !same).length
  let closer = 0
  let wins = 0
  for (let at = 0; at < sorted.length; ) {
    let end = at
    let tiedSame = 0
    while (end < sorted.length && sorted[end]!.distance === sorted[at]!.distance) {
      if (sorted[end]!.same) tiedSame += 1
      end += 1
    }
    const tiedDifferent = end - at - tiedSame
    wins += tiedSame * (different - closer - tiedDifferent + tiedDifferent / 2)
    closer += tiedDifferent
    at = end
  }
  return wins / (different * (sorted.length - different))
}

/**
 * The metrics of pairs. Undefined without two folds or without both kinds of pairs: then no threshold can be chosen. A
 * distance of NaN counts as a wrong decision.
 *
 * **Example** (Clearly apart)
 *
 * ```ts
 * import * as Verification from "./Verification.ts"
 *
 * const pairs = [0, 1].flatMap((fold) => [
 *   { distance: 0.1, same: true, fold },
 *   { distance: 0.9, same: false, fold }
 * ])
 * Verification.judge(pairs)?.accuracy // => 1
 * ```
 */
export const judge = (given: ReadonlyArray<Judged>): VerificationResult | undefined => {
  const pairs = given.map((pair) =>
    Number.isNaN(pair.distance)
      ? { ...pair, distance: pair.same ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY }
      : pair
  )
  const folds = [...new Set(pairs.map(({ fold }) => fold))].sort((a, b) => a - b)
  if (folds.length < 2 || !pairs.some(({ same }) => same) || pairs.every(({ same }) => same)) return undefined
  const accuracies = folds.map((held) => {
    const threshold = bestThreshold(pairs.filter(({ fold }) => fold !== held))
    return accuracyAt(
      pairs.filter(({ fold }) => fold === held),
      threshold
    )
  })
  const accuracy = accuracies.reduce((a, b) => a + b, 0) / folds.length
  const variance = accuracies.reduce((sum, a) => sum + (a - accuracy) ** 2, 0) / folds.length
  const threshold = bestThreshold(pairs)
  return {
    accuracy,
    accuracyStd: Math.sqrt(variance),
    bestAccuracy: accuracyAt(pairs, threshold),
    threshold,
    auc: aucOf(pairs)
  }
}

/** Squared Euclidean distance of two rows of a matrix; with `normalise`, of the rows scaled to unit length. */
export const squaredDistance = (
  rows: Float32Array,
  dimension: number,
  first: number,
  second: number,
  normalise: boolean
): number => {
  const [a, b] = [first * dimension, second * dimension]
  let [aa, ab, bb] = [0, 0, 0]
  let difference = 0
  for (let d = 0; d < dimension; d += 1) {
    const [x, y] = [rows[a + d]!, rows[b + d]!]
    aa += x * x
    bb += y * y
    ab += x * y
    difference += (x - y) * (x - y)
  }
  return normalise ? 2 - (2 * ab) / Math.sqrt(aa * bb) : difference
}
