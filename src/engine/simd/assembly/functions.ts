// exp, log, tanh and the sigmoid of four floats, from polynomials (after Cephes' single-precision library): the same
// bits on every machine and in both builds, since they use neither libm nor fused multiply-add. Error bounds over all
// floats: see Functions.test.ts.

// @ts-ignore: decorator
@inline
function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c)
}

// @ts-ignore: decorator
@inline
function constant(value: f32): v128 {
  return f32x4.splat(value)
}

/** e^x. Overflows to infinity, underflows through the subnormal numbers to 0. */
// @ts-ignore: decorator
@inline
export function exp4(input: v128): v128 {
  // Beyond these bounds the result is infinity or 0; a NaN, as first operand, passes through.
  const x = f32x4.pmin(f32x4.pmax(input, constant(-104)), constant(89))
  const n = f32x4.nearest(f32x4.mul(x, constant(1.44269504088896341)))
  let r = f32x4.sub(x, f32x4.mul(n, constant(0.693359375)))
  r = f32x4.add(r, f32x4.mul(n, constant(2.12194440e-4)))
  let p = constant(1.9875691500e-4)
  p = mulAdd(p, r, constant(1.3981999507e-3))
  p = mulAdd(p, r, constant(8.3334519073e-3))
  p = mulAdd(p, r, constant(4.1665795894e-2))
  p = mulAdd(p, r, constant(1.6666665459e-1))
  p = mulAdd(p, r, constant(5.0000001201e-1))
  p = f32x4.add(mulAdd(p, f32x4.mul(r, r), r), constant(1))
  // 2^n as two factors, since n may be outside the exponents of normal numbers.
  const k = i32x4.trunc_sat_f32x4_s(n)
  const half = i32x4.shr_s(k, 1)
  const bias = i32x4.splat(127)
  const first = i32x4.shl(i32x4.add(half, bias), 23)
  const second = i32x4.shl(i32x4.add(i32x4.sub(k, half), bias), 23)
  return f32x4.mul(f32x4.mul(p, first), second)
}

/** The natural logarithm: -infinity at 0, NaN below. */
// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  const zero = constant(0)
  // Subnormal numbers are scaled by 2^23 first.
  const tiny = f32x4.lt(x, constant(1.17549435e-38))
  const scaled = v128.bitselect(f32x4.mul(x, constant(8388608)), x, tiny)
  let e = i32x4.sub(i32x4.shr_u(scaled, 23), i32x4.splat(126))
  e = i32x4.sub(e, v128.and(tiny, i32x4.splat(23)))
  const m = v128.or(v128.and(scaled, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000))
  const low = f32x4.lt(m, constant(0.707106781186547524))
  const exponent = f32x4.convert_i32x4_s(i32x4.add(e, low))
  const f = f32x4.sub(f32x4.add(m, v128.and(m, low)), constant(1))
  const z = f32x4.mul(f, f)
  let p = constant(7.0376836292e-2)
  p = mulAdd(p, f, constant(-1.1514610310e-1))
  p = mulAdd(p, f, constant(1.1676998740e-1))
  p = mulAdd(p, f, constant(-1.2420140846e-1))
  p = mulAdd(p, f, constant(1.4249322787e-1))
  p = mulAdd(p, f, constant(-1.6668057665e-1))
  p = mulAdd(p, f, constant(2.0000714765e-1))
  p = mulAdd(p, f, constant(-2.4999993993e-1))
  p = mulAdd(p, f, constant(3.3333331174e-1))
  p = f32x4.mul(f32x4.mul(p, f), z)
  p = mulAdd(exponent, constant(-2.12194440e-4), p)
  p = f32x4.sub(p, f32x4.mul(z, constant(0.5)))
  let result = f32x4.add(f, p)
  result = mulAdd(exponent, constant(0.693359375), result)
  result = v128.bitselect(constant(-Infinity), result, f32x4.eq(x, zero))
  result = v128.bitselect(constant(Infinity), result, f32x4.eq(x, constant(Infinity)))
  // Below 0, and NaN itself.
  return v128.bitselect(result, constant(NaN), f32x4.ge(x, zero))
}

/** The hyperbolic tangent. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const a = f32x4.abs(x)
  const z = f32x4.mul(x, x)
  let p = constant(-5.70498872745e-3)
  p = mulAdd(p, z, constant(2.06390887954e-2))
  p = mulAdd(p, z, constant(-5.37397155531e-2))
  p = mulAdd(p, z, constant(1.33314422036e-1))
  p = mulAdd(p, z, constant(-3.33332819422e-1))
  const near = mulAdd(f32x4.mul(p, z), x, x)
  const one = constant(1)
  const far = f32x4.sub(one, f32x4.div(constant(2), f32x4.add(exp4(f32x4.add(a, a)), one)))
  const signed = v128.or(far, v128.and(x, i32x4.splat(0x80000000)))
  return v128.bitselect(near, signed, f32x4.lt(a, constant(0.625)))
}

/** 1 / (1 + e^-x), without losing the small results of negative x. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(x)))
  const one = constant(1)
  const top = v128.bitselect(e, one, f32x4.lt(x, constant(0)))
  return f32x4.div(top, f32x4.add(one, e))
}
