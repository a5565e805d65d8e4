// Arithmetic that the kernels share.

import { Activation } from "./generated/signatures"

/** a * b + c: two roundings in the strict build, relaxed multiply-add in the relaxed one. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(c, f32x4.mul(a, b))
}

// pmin and pmax return their first operand if a comparison with NaN is false: so NaN passes through.

/** The activation of z. `act` is a constant where this is inlined. */
// @ts-ignore: decorator
@inline
export function activate(z: v128, act: i32, slope: v128): v128 {
  const zero = f32x4.splat(0)
  if (act == Activation.RELU) return f32x4.pmax(z, zero)
  if (act == Activation.RELU6) return f32x4.pmin(f32x4.pmax(z, zero), f32x4.splat(6))
  if (act == Activation.HSWISH) {
    const gate = f32x4.pmin(f32x4.pmax(f32x4.add(z, f32x4.splat(3)), zero), f32x4.splat(6))
    return f32x4.mul(f32x4.mul(z, gate), f32x4.splat(<f32>(1.0 / 6.0)))
  }
  if (act == Activation.PRELU) return f32x4.add(f32x4.pmax(z, zero), f32x4.mul(slope, f32x4.pmin(z, zero)))
  return z
}

/** The gradient before the activation, da * act'(z), from the gradient after it. */
// @ts-ignore: decorator
@inline
export function activateBackward(da: v128, z: v128, act: i32, slope: v128): v128 {
  const zero = f32x4.splat(0)
  if (act == Activation.RELU) return v128.andnot(da, f32x4.le(z, zero))
  if (act == Activation.RELU6) return v128.andnot(da, v128.or(f32x4.le(z, zero), f32x4.ge(z, f32x4.splat(6))))
  if (act == Activation.HSWISH) {
    let g = f32x4.add(f32x4.mul(z, f32x4.splat(<f32>(1.0 / 3.0))), f32x4.splat(0.5))
    g = v128.bitselect(f32x4.splat(1), g, f32x4.gt(z, f32x4.splat(3)))
    g = v128.andnot(g, f32x4.lt(z, f32x4.splat(-3)))
    return f32x4.mul(da, g)
  }
  if (act == Activation.PRELU) return v128.bitselect(f32x4.mul(da, slope), da, f32x4.le(z, zero))
  return da
}

/** Stores the first n (1 to 4) lanes. */
// @ts-ignore: decorator
@inline
export function storeLanes(p: usize, v: v128, n: i32): void {
  if (n == 4) v128.store(p, v)
  else {
    store<f32>(p, f32x4.extract_lane(v, 0))
    if (n > 1) store<f32>(p, f32x4.extract_lane(v, 1), 4)
    if (n > 2) store<f32>(p, f32x4.extract_lane(v, 2), 8)
  }
}

/** Stores the first n (1 to 4) lanes, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function storeApart(p: usize, v: v128, n: i32, step: usize): void {
  if (step == 4) {
    storeLanes(p, v, n)
    return
  }
  store<f32>(p, f32x4.extract_lane(v, 0))
  if (n > 1) store<f32>(p + step, f32x4.extract_lane(v, 1))
  if (n > 2) store<f32>(p + 2 * step, f32x4.extract_lane(v, 2))
  if (n > 3) store<f32>(p + 3 * step, f32x4.extract_lane(v, 3))
}

/** Loads the first n (1 to 4) lanes, `step` bytes apart, zero in the others. */
// @ts-ignore: decorator
@inline
export function loadApart(p: usize, n: i32, step: usize): v128 {
  let v = v128.load_zero<f32>(p)
  if (n > 1) v = f32x4.replace_lane(v, 1, load<f32>(p + step))
  if (n > 2) v = f32x4.replace_lane(v, 2, load<f32>(p + 2 * step))
  if (n > 3) v = f32x4.replace_lane(v, 3, load<f32>(p + 3 * step))
  return v
}

/** Keeps the first n (1 to 4) lanes, zero in the others. */
// @ts-ignore: decorator
@inline
export function keepLanes(v: v128, n: i32): v128 {
  if (n == 4) return v
  if (n == 3) return v128.and(v, i32x4(-1, -1, -1, 0))
  if (n == 2) return v128.and(v, i32x4(-1, -1, 0, 0))
  return v128.and(v, i32x4(-1, 0, 0, 0))
}

/** Sum of the lanes, first to last. */
// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3)
}

// @ts-ignore: decorator
@inline
export function align64(p: usize): usize {
  return (p + 63) & ~(<usize>63)
}
