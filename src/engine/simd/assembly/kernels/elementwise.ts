// Operations element by element, with one and with two operands, and the optimisers' updates.

import { argF, argI, argP } from "../abi"
import { exp4, log4, sigmoid4, tanh4 } from "../functions"
import { storeLanes } from "../math"

// The numbers by which ../../StandardKernels.ts names them.
const EXP: i32 = 0
const LOG: i32 = 1
const TANH: i32 = 2
const SIGMOID: i32 = 3
const SQRT: i32 = 4
const RSQRT: i32 = 5
const SQUARE: i32 = 6
const NEG: i32 = 7
const ABS: i32 = 8
const RELU: i32 = 9
const RELU6: i32 = 10
const RECIPROCAL: i32 = 11
const CLIP: i32 = 12
const STEP: i32 = 13
const LEAKY: i32 = 14
const FLOOR: i32 = 15
const CEIL: i32 = 16
const ROUND: i32 = 17
const SCALAR: i32 = 32

// @ts-ignore: decorator
@inline
function unary4(op: i32, x: v128, a: f32, b: f32): v128 {
  const zero = f32x4.splat(0)
  if (op == EXP) return exp4(x)
  if (op == LOG) return log4(x)
  if (op == TANH) return tanh4(x)
  if (op == SIGMOID) return sigmoid4(x)
  if (op == SQRT) return f32x4.sqrt(x)
  if (op == RSQRT) return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
  if (op == SQUARE) return f32x4.mul(x, x)
  if (op == NEG) return f32x4.neg(x)
  if (op == ABS) return f32x4.abs(x)
  if (op == RELU) return f32x4.pmax(x, zero)
  if (op == RELU6) return f32x4.pmin(f32x4.pmax(x, zero), f32x4.splat(6))
  if (op == RECIPROCAL) return f32x4.div(f32x4.splat(1), x)
  if (op == CLIP) return f32x4.pmin(f32x4.pmax(x, f32x4.splat(a)), f32x4.splat(b))
  // 1 above 0, a at and below; NaN stays.
  if (op == STEP) {
    const y = v128.bitselect(f32x4.splat(1), f32x4.splat(a), f32x4.gt(x, zero))
    return v128.bitselect(y, x, f32x4.eq(x, x))
  }
  if (op == LEAKY) return v128.bitselect(f32x4.mul(x, f32x4.splat(a)), x, f32x4.lt(x, zero))
  if (op == FLOOR) return f32x4.floor(x)
  if (op == CEIL) return f32x4.ceil(x)
  return f32x4.nearest(x)
}

// Rarer functions, in double precision by AssemblyScript's own mathematics (musl's algorithms compiled to WebAssembly),
// rounded once.
function unary1(op: i32, x: f64): f64 {
  switch (op - SCALAR) {
    case 0: return Math.expm1(x)
    case 1: return Math.log1p(x)
    case 2: return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))
    case 3: return Math.sin(x)
    case 4: return Math.cos(x)
    case 5: return Math.tan(x)
    case 6: return Math.asin(x)
    case 7: return Math.acos(x)
    case 8: return Math.atan(x)
    case 9: return Math.sinh(x)
    case 10: return Math.cosh(x)
    case 11: return Math.asinh(x)
    case 12: return Math.acosh(x)
    case 13: return Math.atanh(x)
    case 14: return erf(x)
    case 15: return x >= 0 ? x : Math.expm1(x)
    case 16: return x >= 0 ? 1.0507009873554805 * x : 1.7580993408473768 * Math.expm1(x)
    default: unreachable()
  }
  return NaN
}

// The error function by its series around 0, and by a continued fraction (Lentz's method) where the series is long.
function erf(x: f64): f64 {
  const a = abs(x)
  if (!(a < 6)) return x != x ? x : x > 0 ? 1 : -1
  if (a < 2.5) {
    const z = x * x
    let term = x
    let sum = x
    for (let n = 1; n < 60; n++) {
      term *= -z / <f64>n
      const add = term / <f64>(2 * n + 1)
      sum += add
      if (abs(add) <= abs(sum) * 1e-17) break
    }
    return sum * 1.1283791670955126
  }
  let f = a
  for (let n = 60; n > 0; n--) f = a + <f64>n * 0.5 / f
  const tail = Math.exp(-a * a) / (f * 1.7724538509055161)
  return x > 0 ? 1 - tail : tail - 1
}

// @ts-ignore: decorator
@inline
function unaryLoop(op: i32, x: usize, out: usize, n: i32, a: f32, b: f32): void {
  const end = x + ((<usize>(n & ~3)) << 2)
  while (x < end) {
    v128.store(out, unary4(op, v128.load(x), a, b))
    x += 16
    out += 16
  }
  if (n & 3) storeLanes(out, unary4(op, v128.load(x), a, b), n & 3)
}

/** out = op(x). Ints: 0 x, 1 out, 2 count, 3 operation, 4 elements a piece. Floats: 0, 1 its constants. */
export function unary(args: usize, piece: i32, scratch: usize): void {
  const block = argI(args, 4)
  const start = piece * block
  const n = min(block, argI(args, 2) - start)
  let x = argP(args, 0) + ((<usize>start) << 2)
  let out = argP(args, 1) + ((<usize>start) << 2)
  const a = argF(args, 0)
  const b = argF(args, 1)
  const op = argI(args, 3)
  if (op >= SCALAR) {
    for (let i = 0; i < n; i++) {
      store<f32>(out, <f32>unary1(op, <f64>load<f32>(x)))
      x += 4
      out += 4
    }
    return
  }
  switch (op) {
    case EXP: { unaryLoop(EXP, x, out, n, a, b); break }
    case LOG: { unaryLoop(LOG, x, out, n, a, b); break }
    case TANH: { unaryLoop(TANH, x, out, n, a, b); break }
    case SIGMOID: { unaryLoop(SIGMOID, x, out, n, a, b); break }
    case SQRT: { unaryLoop(SQRT, x, out, n, a, b); break }
    case RSQRT: { unaryLoop(RSQRT, x, out, n, a, b); break }
    case SQUARE: { unaryLoop(SQUARE, x, out, n, a, b); break }
    case NEG: { unaryLoop(NEG, x, out, n, a, b); break }
    case ABS: { unaryLoop(ABS, x, out, n, a, b); break }
    case RELU: { unaryLoop(RELU, x, out, n, a, b); break }
    case RELU6: { unaryLoop(RELU6, x, out, n, a, b); break }
    case RECIPROCAL: { unaryLoop(RECIPROCAL, x, out, n, a, b); break }
    case CLIP: { unaryLoop(CLIP, x, out, n, a, b); break }
    case STEP: { unaryLoop(STEP, x, out, n, a, b); break }
    case LEAKY: { unaryLoop(LEAKY, x, out, n, a, b); break }
    case FLOOR: { unaryLoop(FLOOR, x, out, n, a, b); break }
    case CEIL: { unaryLoop(CEIL, x, out, n, a, b); break }
    case ROUND: { unaryLoop(ROUND, x, out, n, a, b); break }
    default: unreachable()
  }
}

const ADD: i32 = 0
const SUB: i32 = 1
const MUL: i32 = 2
const DIV: i32 = 3
const MAXIMUM: i32 = 4
const MINIMUM: i32 = 5
const SQUARED_DIFFERENCE: i32 = 6
const PRELU: i32 = 7
const POW: i32 = 32
const ATAN2: i32 = 33

// @ts-ignore: decorator
@inline
function binary4(op: i32, a: v128, b: v128): v128 {
  if (op == ADD) return f32x4.add(a, b)
  if (op == SUB) return f32x4.sub(a, b)
  if (op == MUL) return f32x4.mul(a, b)
  if (op == DIV) return f32x4.div(a, b)
  if (op == MAXIMUM) return f32x4.max(a, b)
  if (op == MINIMUM) return f32x4.min(a, b)
  if (op == SQUARED_DIFFERENCE) {
    const d = f32x4.sub(a, b)
    return f32x4.mul(d, d)
  }
  return v128.bitselect(f32x4.mul(a, b), a, f32x4.lt(a, f32x4.splat(0)))
}

// @ts-ignore: decorator
@inline
function binaryLoop(op: i32, a: usize, b: usize, out: usize, n: i32, splatA: bool, splatB: bool): void {
  const end = out + ((<usize>(n & ~3)) << 2)
  const sa = splatA ? v128.load32_splat(a) : f32x4.splat(0)
  const sb = splatB ? v128.load32_splat(b) : f32x4.splat(0)
  while (out < end) {
    v128.store(out, binary4(op, splatA ? sa : v128.load(a), splatB ? sb : v128.load(b)))
    if (!splatA) a += 16
    if (!splatB) b += 16
    out += 16
  }
  if (n & 3) storeLanes(out, binary4(op, splatA ? sa : v128.load(a), splatB ? sb : v128.load(b)), n & 3)
}

// @ts-ignore: decorator
@inline
function binaryRow(op: i32, a: usize, b: usize, out: usize, n: i32, splat: i32): void {
  if (splat == 0) binaryLoop(op, a, b, out, n, false, false)
  else if (splat == 1) binaryLoop(op, a, b, out, n, false, true)
  else binaryLoop(op, a, b, out, n, true, false)
}

function power(x: f64, y: f64): f64 {
  return Math.pow(x, y)
}

/**
 * out = op(a, b) in rows, each operand a row or one number (`splat` 1: b, 2: a).
 * Ints: 0 a, 1 b, 2 out, 3 operation, 4 count of out, 5 floats a row, 6 splat, 7 floats from a row of a to the next, 8 rows of
 * out a row of a serves, 9 and 10 the same of b, 11 rows a piece.
 */
export function binary(args: usize, piece: i32, scratch: usize): void {
  const op = argI(args, 3)
  const count = argI(args, 4)
  const length = argI(args, 5)
  const splat = argI(args, 6)
  const stepA = (<usize>argI(args, 7)) << 2
  const sharedA = argI(args, 8)
  const stepB = (<usize>argI(args, 9)) << 2
  const sharedB = argI(args, 10)
  const rows = argI(args, 11)
  const first = piece * rows
  const last = min(first + rows, (count + length - 1) / length)
  for (let row = first; row < last; row++) {
    const start = row * length
    const n = min(length, count - start)
    const a = argP(args, 0) + <usize>(row / sharedA) * stepA
    const b = argP(args, 1) + <usize>(row / sharedB) * stepB
    const out = argP(args, 2) + ((<usize>start) << 2)
    switch (op) {
      case ADD: { binaryRow(ADD, a, b, out, n, splat); break }
      case SUB: { binaryRow(SUB, a, b, out, n, splat); break }
      case MUL: { binaryRow(MUL, a, b, out, n, splat); break }
      case DIV: { binaryRow(DIV, a, b, out, n, splat); break }
      case MAXIMUM: { binaryRow(MAXIMUM, a, b, out, n, splat); break }
      case MINIMUM: { binaryRow(MINIMUM, a, b, out, n, splat); break }
      case SQUARED_DIFFERENCE: { binaryRow(SQUARED_DIFFERENCE, a, b, out, n, splat); break }
      case PRELU: { binaryRow(PRELU, a, b, out, n, splat); break }
      default: {
        for (let i: usize = 0; i < <usize>n; i++) {
          const x = <f64>load<f32>(splat == 2 ? a : a + (i << 2))
          const y = <f64>load<f32>(splat == 1 ? b : b + (i << 2))
          store<f32>(out + (i << 2), <f32>(op == POW ? power(x, y) : Math.atan2(x, y)))
        }
      }
    }
  }
}

const EQUAL: i32 = 0
const NOT_EQUAL: i32 = 1
const GREATER: i32 = 2
const GREATER_EQUAL: i32 = 3
const LESS: i32 = 4

// @ts-ignore: decorator
@inline
function compare4(op: i32, a: v128, b: v128): v128 {
  if (op == EQUAL) return f32x4.eq(a, b)
  if (op == NOT_EQUAL) return f32x4.ne(a, b)
  if (op == GREATER) return f32x4.gt(a, b)
  if (op == GREATER_EQUAL) return f32x4.ge(a, b)
  if (op == LESS) return f32x4.lt(a, b)
  return f32x4.le(a, b)
}

// Four bytes of 0 or 1 from four lanes of 0 or -1.
// @ts-ignore: decorator
@inline
function truth(lanes: v128): u32 {
  const bytes = i8x16.shuffle(lanes, lanes, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12)
  return <u32>i32x4.extract_lane(bytes, 0) & 0x01010101
}

/**
 * out = whether a and b compare, a byte each, in rows as for `binary`; pieces are whole rows.
 * Ints: as for binary.
 */
export function compare(args: usize, piece: i32, scratch: usize): void {
  const op = argI(args, 3)
  const count = argI(args, 4)
  const length = argI(args, 5)
  const splat = argI(args, 6)
  const stepA = (<usize>argI(args, 7)) << 2
  const sharedA = argI(args, 8)
  const stepB = (<usize>argI(args, 9)) << 2
  const sharedB = argI(args, 10)
  const rows = argI(args, 11)
  const first = piece * rows
  const last = min(first + rows, (count + length - 1) / length)
  for (let row = first; row < last; row++) {
    const start = row * length
    const n = min(length, count - start)
    const a = argP(args, 0) + <usize>(row / sharedA) * stepA
    const b = argP(args, 1) + <usize>(row / sharedB) * stepB
    const out = argP(args, 2) + <usize>start
    for (let i = 0; i < n; i += 4) {
      const o = (<usize>i) << 2
      const x = splat == 2 ? v128.load32_splat(a) : v128.load(a + o)
      const y = splat == 1 ? v128.load32_splat(b) : v128.load(b + o)
      let bits: u32 = 0
      switch (op) {
        case EQUAL: { bits = truth(compare4(EQUAL, x, y)); break }
        case NOT_EQUAL: { bits = truth(compare4(NOT_EQUAL, x, y)); break }
        case GREATER: { bits = truth(compare4(GREATER, x, y)); break }
        case GREATER_EQUAL: { bits = truth(compare4(GREATER_EQUAL, x, y)); break }
        case LESS: { bits = truth(compare4(LESS, x, y)); break }
        default: bits = truth(compare4(5, x, y))
      }
      const left = n - i
      if (left >= 4) store<u32>(out + <usize>i, bits)
      else {
        store<u8>(out + <usize>i, <u8>bits)
        if (left > 1) store<u8>(out + <usize>i, <u8>(bits >> 8), 1)
        if (left > 2) store<u8>(out + <usize>i, <u8>(bits >> 16), 2)
      }
    }
  }
}

/** out = t where the byte is not 0, else e; pieces of 16384. Ints: 0 bytes, 1 t, 2 e, 3 out, 4 count. */
export function select(args: usize, piece: i32, scratch: usize): void {
  const start = piece * BLOCK
  const n = min(BLOCK, argI(args, 4) - start)
  const c = argP(args, 0) + <usize>start
  const t = argP(args, 1) + ((<usize>start) << 2)
  const e = argP(args, 2) + ((<usize>start) << 2)
  const out = argP(args, 3) + ((<usize>start) << 2)
  const zero = i32x4.splat(0)
  for (let i = 0; i < n; i += 4) {
    const o = (<usize>i) << 2
    const bytes = v128.load32_zero(c + <usize>i)
    const lanes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes))
    storeLanes(out + o, v128.bitselect(v128.load(e + o), v128.load(t + o), i32x4.eq(lanes, zero)), min(4, n - i))
  }
}

const BLOCK: i32 = 16384

/**
 * One SGD update (OptimizerOps.ts says which), pieces of 16384.
 * Ints: 0 param, 1 gradient, 2 velocity (or 0), 3 new param, 4 new velocity (or 0), 5 count, 6 nesterov.
 * Floats: 0 learning rate, 1 momentum, 2 L2, 3 factor kept of the parameter.
 */
export function sgdUpdate(args: usize, piece: i32, scratch: usize): void {
  const start = piece * BLOCK
  const bytes = (<usize>min(BLOCK, argI(args, 5) - start)) << 2
  const at = (<usize>start) << 2
  const rate = f32x4.splat(argF(args, 0))
  const momentum = f32x4.splat(argF(args, 1))
  const l2 = argF(args, 2)
  const keep = argF(args, 3)
  const old = argP(args, 2)
  const velocities = argP(args, 4)
  const nesterov = argI(args, 6)
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = <i32>min<usize>(4, (bytes - i) >> 2)
    let p = v128.load(argP(args, 0) + at + i)
    let g = v128.load(argP(args, 1) + at + i)
    if (l2 != 0) g = f32x4.add(g, f32x4.mul(p, f32x4.splat(l2)))
    if (keep != 1) p = f32x4.mul(p, f32x4.splat(keep))
    let d = g
    if (velocities) {
      const v = old ? f32x4.add(f32x4.mul(v128.load(old + at + i), momentum), g) : g
      storeLanes(velocities + at + i, v, n)
      d = nesterov ? f32x4.add(g, f32x4.mul(v, momentum)) : v
    }
    storeLanes(argP(args, 3) + at + i, f32x4.sub(p, f32x4.mul(d, rate)), n)
  }
}

/** A vector copied and filled up with zeros to whole vectors of four. One piece. Ints: 0 from, 1 to, 2 length. */
export function padVector(args: usize, piece: i32, scratch: usize): void {
  const to = argP(args, 1)
  const bytes = (<usize>argI(args, 2)) << 2
  const end = (bytes + 15) & ~15
  memory.copy(to, argP(args, 0), bytes)
  memory.fill(to + bytes, 0, end - bytes)
}

/**
 * Vectors moved towards others, a piece each: out = old keep + (fresh scale) momentum.
 * Ints: of piece i, 4i old, 4i + 1 fresh, 4i + 2 out, 4i + 3 length. Floats: 0 keep, 1 momentum, 2 + i scale.
 */
export function blendVectors(args: usize, piece: i32, scratch: usize): void {
  const first = piece << 2
  const old = argP(args, first)
  const fresh = argP(args, first + 1)
  const out = argP(args, first + 2)
  const bytes = (<usize>argI(args, first + 3)) << 2
  const keep = f32x4.splat(argF(args, 0))
  const momentum = f32x4.splat(argF(args, 1))
  const scale = f32x4.splat(argF(args, 2 + piece))
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = <i32>min<usize>(4, (bytes - i) >> 2)
    const kept = f32x4.mul(v128.load(old + i), keep)
    storeLanes(out + i, f32x4.add(kept, f32x4.mul(f32x4.mul(v128.load(fresh + i), scale), momentum)), n)
  }
}

/**
 * One Adam update, pieces of 16384.
 * Ints: 0 param, 1 gradient, 2 first (or 0), 3 second (or 0), 4 new param, 5 new first, 6 new second, 7 count.
 * Floats: 0 beta1, 1 1 - beta1, 2 beta2, 3 1 - beta2, 4 step size, 5 scale of the second, 6 epsilon, 7 L2, 8 kept.
 */
export function adamUpdate(args: usize, piece: i32, scratch: usize): void {
  const start = piece * BLOCK
  const bytes = (<usize>min(BLOCK, argI(args, 7) - start)) << 2
  const at = (<usize>start) << 2
  const oldFirst = argP(args, 2)
  const oldSecond = argP(args, 3)
  const l2 = argF(args, 7)
  const keep = argF(args, 8)
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = <i32>min<usize>(4, (bytes - i) >> 2)
    let p = v128.load(argP(args, 0) + at + i)
    let g = v128.load(argP(args, 1) + at + i)
    if (l2 != 0) g = f32x4.add(g, f32x4.mul(p, f32x4.splat(l2)))
    if (keep != 1) p = f32x4.mul(p, f32x4.splat(keep))
    let m = f32x4.mul(g, f32x4.splat(argF(args, 1)))
    let s = f32x4.mul(f32x4.mul(g, g), f32x4.splat(argF(args, 3)))
    if (oldFirst) m = f32x4.add(f32x4.mul(v128.load(oldFirst + at + i), f32x4.splat(argF(args, 0))), m)
    if (oldSecond) s = f32x4.add(f32x4.mul(v128.load(oldSecond + at + i), f32x4.splat(argF(args, 2))), s)
    storeLanes(argP(args, 5) + at + i, m, n)
    storeLanes(argP(args, 6) + at + i, s, n)
    const d = f32x4.add(f32x4.mul(f32x4.sqrt(s), f32x4.splat(argF(args, 5))), f32x4.splat(argF(args, 6)))
    storeLanes(argP(args, 4) + at + i, f32x4.sub(p, f32x4.mul(f32x4.div(m, d), f32x4.splat(argF(args, 4)))), n)
  }
}

/**
 * One RMSprop update, pieces of 16384.
 * Ints: 0 param, 1 gradient, 2 square (or 0), 3 velocity (or 0), 4 new param, 5 new square, 6 new velocity (or 0), 7 count.
 * Floats: 0 learning rate, 1 alpha, 2 1 - alpha, 3 epsilon, 4 momentum, 5 L2, 6 kept.
 */
export function rmspropUpdate(args: usize, piece: i32, scratch: usize): void {
  const start = piece * BLOCK
  const bytes = (<usize>min(BLOCK, argI(args, 7) - start)) << 2
  const at = (<usize>start) << 2
  const oldSquare = argP(args, 2)
  const oldVelocity = argP(args, 3)
  const velocities = argP(args, 6)
  const l2 = argF(args, 5)
  const keep = argF(args, 6)
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = <i32>min<usize>(4, (bytes - i) >> 2)
    let p = v128.load(argP(args, 0) + at + i)
    let g = v128.load(argP(args, 1) + at + i)
    if (l2 != 0) g = f32x4.add(g, f32x4.mul(p, f32x4.splat(l2)))
    if (keep != 1) p = f32x4.mul(p, f32x4.splat(keep))
    let s = f32x4.mul(f32x4.mul(g, g), f32x4.splat(argF(args, 2)))
    if (oldSquare) s = f32x4.add(f32x4.mul(v128.load(oldSquare + at + i), f32x4.splat(argF(args, 1))), s)
    storeLanes(argP(args, 5) + at + i, s, n)
    let d = f32x4.div(g, f32x4.add(f32x4.sqrt(s), f32x4.splat(argF(args, 3))))
    if (velocities) {
      if (oldVelocity) d = f32x4.add(f32x4.mul(v128.load(oldVelocity + at + i), f32x4.splat(argF(args, 4))), d)
      storeLanes(velocities + at + i, d, n)
    }
    storeLanes(argP(args, 4) + at + i, f32x4.sub(p, f32x4.mul(d, f32x4.splat(argF(args, 0)))), n)
  }
}
