/**
 * Elementary functions made of `+`, `-`, `*` and `/` alone, which IEEE 754 rounds the same everywhere. `Math.log` and
 * its kin may differ by the host in the last bit, and a draw that feeds a weight must not.
 */

const view = new DataView(new ArrayBuffer(8))

/** ln 2 split so that `exponent * high` is exact for every exponent of a double. */
const ln2High = 0.6931471803691238
const ln2Low = 1.9082149292705877e-10

/**
 * Natural logarithm, to about one unit in the last place for normal numbers: argument reduced to (2/3, 4/3],
 * then the series of 2 artanh(s), s = (m - 1)/(m + 1). `log(0)` is -Infinity, of a negative number NaN.
 *
 * **Example** (A power of two)
 *
 * ```ts
 * import * as Deterministic from "./Deterministic.ts"
 *
 * Deterministic.log(1) // => 0
 * ```
 */
export const log = (x: number): number => {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN
  if (x === Number.POSITIVE_INFINITY) return x
  // Subnormal numbers are scaled into the normal range first.
  const scaled = x < 2.2250738585072014e-308 ? x * 18014398509481984 : x
  view.setFloat64(0, scaled)
  const high = view.getUint32(0)
  let exponent = (high >>> 20) - 1023 - (scaled === x ? 0 : 54)
  view.setUint32(0, (high & 0x000fffff) | 0x3ff00000)
  let mantissa = view.getFloat64(0)
  if (mantissa > 4 / 3) {
    mantissa *= 0.5
    exponent += 1
  }
  const s = (mantissa - 1) / (mantissa + 1)
  const z = s * s
  // 2 artanh(s) = 2s (1 + z/3 + z^2/5 + ...); |s| <= 0.2, so the first term left out is below 1e-18.
  let series = 1 / 25
  for (let k = 23; k >= 3; k -= 2) series = series * z + 1 / k
  return exponent * ln2High + (2 * s + (2 * s * z * series + exponent * ln2Low))
}

/**
 * Exponential function, to about one unit in the last place: argument reduced by a multiple of ln 2, then its series.
 * Beyond 709 Infinity, below -708 zero.
 *
 * **Example** (At zero)
 *
 * ```ts
 * import * as Deterministic from "./Deterministic.ts"
 *
 * Deterministic.exp(0) // => 1
 * ```
 */
export const exp = (x: number): number => {
  if (Number.isNaN(x)) return x
  if (x > 709) return Number.POSITIVE_INFINITY
  if (x < -708) return 0
  const exponent = Math.floor(x / (ln2High + ln2Low) + 0.5)
  const rest = x - exponent * ln2High - exponent * ln2Low
  // |rest| <= 0.347, so the first term left out is below 1e-19.
  let series = 1
  for (let k = 14; k >= 1; k -= 1) series = 1 + (series * rest) / k
  view.setUint32(0, (exponent + 1023) << 20)
  view.setUint32(4, 0)
  return series * view.getFloat64(0)
}

/** Square root by Newton's iteration from an exponent-halving start; relative error below 1e-15. */
export const sqrt = (x: number): number => {
  if (!(x > 0)) return x === 0 ? 0 : Number.NaN
  if (x === Number.POSITIVE_INFINITY) return x
  if (x < 1e-290) return sqrt(x * 1.157920892373162e77) * 2.938735877055719e-39
  view.setFloat64(0, x)
  view.setUint32(0, (view.getUint32(0) >>> 1) + 0x1ff80000)
  view.setUint32(4, 0)
  let root = view.getFloat64(0)
  for (let step = 0; step < 5; step += 1) root = 0.5 * (root + x / root)
  return root
}

/**
 * Cosine and sine of `turns` full turns, to about 1e-15: an exact reduction to an eighth of a turn, then Taylor series.
 *
 * **Example** (A quarter turn)
 *
 * ```ts
 * import * as Deterministic from "./Deterministic.ts"
 *
 * Deterministic.circle(0.25) // => { cos: 0, sin: 1 }
 * ```
 */
export const circle = (turns: number): { readonly cos: number; readonly sin: number } => {
  const fraction = turns - Math.floor(turns)
  const quarter = Math.floor(fraction * 4 + 0.5)
  const angle = (fraction - quarter * 0.25) * 6.283185307179586
  const z = angle * angle
  let cos = 0
  let sin = 0
  for (let k = 20; k >= 2; k -= 2) {
    cos = (-(cos + 1) * z) / (k * (k - 1))
    sin = (-(sin + 1) * z) / (k * (k + 1))
  }
  cos += 1
  sin = (sin + 1) * angle
  switch (quarter & 3) {
    case 0:
      return { cos, sin }
    case 1:
      return { cos: 0 - sin, sin: cos }
    case 2:
      return { cos: -cos, sin: 0 - sin }
    default:
      return { cos: sin, sin: -cos }
  }
}

const polynomial = (coefficients: ReadonlyArray<number>, x: number): number => {
  let sum = 0
  for (let k = 0; k < coefficients.length; k += 1) sum = sum * x + coefficients[k]!
  return sum
}

const centreNumerator = [
  2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
  133.14166789178438, 3.3871328727963665
]
const centreDenominator = [
  5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
  42.31333070160091, 1
]
const middleNumerator = [
  0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
  5.769497221460691, 4.630337846156546, 1.4234371107496835
]
const middleDenominator = [
  1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
  1.6763848301838038, 2.053191626637759, 1
]
const tailNumerator = [
  2.0103343992922881e-7, 2.7115555687434876e-5, 0.0012426609473880784, 0.026532189526576124, 0.29656057182850487,
  1.7848265399172913, 5.463784911164114, 6.657904643501103
]
const tailDenominator = [
  2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 0.0007868691311456133, 0.014875361290850615,
  0.1369298809227358, 0.599832206555888, 1
]

/**
 * The standard normal quantile at `p` in (0, 1), to about 1e-15: Wichura's algorithm AS 241 (Applied Statistics 37,
 * 1988, 477-484).
 *
 * **Example** (The median)
 *
 * ```ts
 * import * as Deterministic from "./Deterministic.ts"
 *
 * Deterministic.normalQuantile(0.5) // => 0
 * ```
 */
export const normalQuantile = (p: number): number => {
  const q = p - 0.5
  if (q >= -0.425 && q <= 0.425) {
    const r = 0.180625 - q * q
    return (q * polynomial(centreNumerator, r)) / polynomial(centreDenominator, r)
  }
  const r = sqrt(-log(q < 0 ? p : 1 - p))
  const x =
    r <= 5
      ? polynomial(middleNumerator, r - 1.6) / polynomial(middleDenominator, r - 1.6)
      : polynomial(tailNumerator, r - 5) / polynomial(tailDenominator, r - 5)
  return q < 0 ? -x : x
}
