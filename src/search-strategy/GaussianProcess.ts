/**
 * A Gaussian process over genotypes: from scored architectures to a prediction, with its uncertainty, for any other.
 * Architectures are the more alike the fewer of their digits differ; how much each digit counts, and how noisy scores are,
 * is chosen by the marginal likelihood (Rasmussen and Williams 2006, algorithm 2.1 and section 5.4.1).
 */
import { CholeskyDecomposition, Matrix } from "ml-matrix"
import type { Genotype } from "../search-space/SearchSpace.ts"

/** Mean and standard deviation of a prediction, in the unit of the scores. */
export interface Prediction {
  readonly mean: number
  readonly deviation: number
}

/** A fitted process. */
export interface GaussianProcess {
  /** Predictions for genotypes, in order. */
  readonly predict: (genotypes: ReadonlyArray<Genotype>) => ReadonlyArray<Prediction>
}

/** Correlations of architectures that differ in one digit, of which one is chosen. */
const correlations = [0.5, 0.65, 0.75, 0.83, 0.89, 0.93, 0.96]
/** Shares of the scores' variance that may be noise. */
const noises = [0.001, 0.01, 0.05, 0.15, 0.35]
/** How much more or less than the others a digit may count. */
const factors = [1 / 3, 3]
/** How often the digits are gone through, to find how much each counts. */
const rounds = 2

/** What a kernel is made of: the correlation of architectures that differ in a digit, for each digit; and the noise. */
interface Kernel {
  readonly digits: ReadonlyArray<number>
  readonly noise: number
}

/** The covariance of two architectures without noise. */
const covariance = ({ digits, noise }: Kernel, a: Genotype, b: Genotype): number => {
  let product = 1 - noise
  for (let at = 0; at < digits.length; at += 1) if (a[at] !== b[at]) product *= digits[at]!
  return product
}

interface Fit {
  readonly kernel: Kernel
  readonly cholesky: CholeskyDecomposition
  /** Inverse covariance times the standardised scores. */
  readonly weights: Matrix
  readonly likelihood: number
}

/** The process of a kernel; undefined where the covariances are not positive definite. */
const fitTo = (genotypes: ReadonlyArray<Genotype>, scores: Matrix, kernel: Kernel): Fit | undefined => {
  const count = scores.rows
  const covariances = Matrix.zeros(count, count)
  for (let i = 0; i < count; i += 1) {
    covariances.set(i, i, 1)
    for (let j = 0; j < i; j += 1) {
      const value = covariance(kernel, genotypes[i]!, genotypes[j]!)
      covariances.set(i, j, value)
      covariances.set(j, i, value)
    }
  }
  const cholesky = new CholeskyDecomposition(covariances)
  if (!cholesky.isPositiveDefinite()) return undefined
  const weights = cholesky.solve(scores)
  const triangle = cholesky.lowerTriangularMatrix
  let logDeterminant = 0
  for (let i = 0; i < count; i += 1) logDeterminant += Math.log(triangle.get(i, i))
  const likelihood = -0.5 * scores.dot(weights) - logDeterminant
  return Number.isFinite(likelihood) ? { kernel, cholesky, weights, likelihood } : undefined
}

/** The most likely process: one correlation for all digits first, then digit by digit more or less of it. */
const mostLikely = (genotypes: ReadonlyArray<Genotype>, scores: Matrix): Fit | undefined => {
  const width = genotypes[0]!.length
  const better = (best: Fit | undefined, kernel: Kernel): Fit | undefined => {
    const other = fitTo(genotypes, scores, kernel)
    return other === undefined || (best !== undefined && other.likelihood <= best.likelihood) ? best : other
  }
  let best: Fit | undefined
  for (const correlation of correlations) {
    for (const noise of noises) best = better(best, { digits: new Array<number>(width).fill(correlation), noise })
  }
  for (let round = 0; round < rounds && best !== undefined; round += 1) {
    for (let at = 0; at < width; at += 1) {
      const { digits, noise }: Kernel = best!.kernel
      for (const factor of factors) best = better(best, { digits: digits.with(at, digits[at]! ** factor), noise })
    }
  }
  return best
}

/** The rows of a lower triangle one after the other, without what is above the diagonal. */
const packed = (triangle: Matrix): Float64Array =>
  Float64Array.from(triangle.to2DArray().flatMap((row, i) => row.slice(0, i + 1)))

/** Solves `triangle * x = right`, in place; gives the sum of squares of the solution. */
const solvedSquares = (triangle: Float64Array, right: Float64Array): number => {
  let squares = 0
  for (let i = 0, at = 0; i < right.length; i += 1) {
    let sum = right[i]!
    for (let j = 0; j < i; j += 1, at += 1) sum -= triangle[at]! * right[j]!
    const value = sum / triangle[at]!
    at += 1
    right[i] = value
    squares += value * value
  }
  return squares
}

/**
 * Fits a process to scored genotypes of equal length. Throws a `RangeError` for none, or for a different number of scores.
 *
 * **Example** (Near a good architecture is better than far from it)
 *
 * ```ts
 * import * as GaussianProcess from "./GaussianProcess.ts"
 *
 * const process = GaussianProcess.make([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]], [4, 1, 3, 2])
 * const [near, far] = process.predict([[0, 1, 0], [1, 0, 1]])
 * near.mean > far.mean // => true
 * const [known, unknown] = process.predict([[0, 0, 0], [2, 2, 2]])
 * known.deviation < unknown.deviation // => true
 * ```
 */
export const make = (genotypes: ReadonlyArray<Genotype>, scores: ReadonlyArray<number>): GaussianProcess => {
  const count = genotypes.length
  if (count === 0 || scores.length !== count) {
    throw new RangeError(
      `a Gaussian process of ${count} genotypes and ${scores.length} scores; expected one score each`
    )
  }
  const center = scores.reduce((sum, score) => sum + score, 0) / count
  const scale = Math.sqrt(scores.reduce((sum, score) => sum + (score - center) ** 2, 0) / count) || 1
  const best = mostLikely(genotypes, Matrix.columnVector(scores.map((score) => (score - center) / scale)))
  if (best === undefined) throw new RangeError("a Gaussian process: the scores are not finite numbers")
  const { cholesky, kernel } = best
  const triangle = packed(cholesky.lowerTriangularMatrix)
  const weights = best.weights.to1DArray()
  return {
    predict: (candidates) =>
      candidates.map((candidate) => {
        const covariances = Float64Array.from(genotypes, (one) => covariance(kernel, candidate, one))
        let mean = 0
        for (let i = 0; i < count; i += 1) mean += covariances[i]! * weights[i]!
        const variance = Math.max(0, 1 - kernel.noise - solvedSquares(triangle, covariances))
        return { mean: center + scale * mean, deviation: scale * Math.sqrt(variance) }
      })
  }
}
