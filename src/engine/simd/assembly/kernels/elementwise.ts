// Elementwise operations with one and with two operands; operations on whole vectors.

import { exp4, log4, sigmoid4, tanh4 } from "../functions"
import {
  Binary,
  BinaryOperation,
  BlendVectors,
  Compare,
  Comparison,
  ELEMENTWISE_PIECE,
  FIRST_SCALAR_OPERATION,
  PadVector,
  Rowwise,
  Select,
  Unary,
  UnaryOperation
} from "../generated/signatures"
import { storeLanes } from "../math"

// @ts-ignore: decorator
@inline
function unary4(op: i32, x: v128, a: f32, b: f32): v128 {
  const zero = f32x4.splat(0)
  if (op == UnaryOperation.EXP) return exp4(x)
  if (op == UnaryOperation.LOG) return log4(x)
  if (op == UnaryOperation.TANH) return tanh4(x)
  if (op == UnaryOperation.SIGMOID) return sigmoid4(x)
  if (op == UnaryOperation.SQRT) return f32x4.sqrt(x)
  if (op == UnaryOperation.RSQRT) return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
  if (op == UnaryOperation.SQUARE) return f32x4.mul(x, x)
  if (op == UnaryOperation.NEG) return f32x4.neg(x)
  if (op == UnaryOperation.ABS) return f32x4.abs(x)
  if (op == UnaryOperation.RELU) return f32x4.pmax(x, zero)
  if (op == UnaryOperation.RELU6) return f32x4.pmin(f32x4.pmax(x, zero), f32x4.splat(6))
  if (op == UnaryOperation.RECIPROCAL) return f32x4.div(f32x4.splat(1), x)
  if (op == UnaryOperation.CLIP_BY_VALUE) return f32x4.pmin(f32x4.pmax(x, f32x4.splat(a)), f32x4.splat(b))
  // 1 above 0, a at and below 0; NaN stays NaN.
  if (op == UnaryOperation.STEP) {
    const y = v128.bitselect(f32x4.splat(1), f32x4.splat(a), f32x4.gt(x, zero))
    return v128.bitselect(y, x, f32x4.eq(x, x))
  }
  if (op == UnaryOperation.LEAKY_RELU) return v128.bitselect(f32x4.mul(x, f32x4.splat(a)), x, f32x4.lt(x, zero))
  if (op == UnaryOperation.FLOOR) return f32x4.floor(x)
  if (op == UnaryOperation.CEIL) return f32x4.ceil(x)
  return f32x4.nearest(x)
}

// Rarer functions, in double precision by AssemblyScript's own mathematics (musl's algorithms compiled to WebAssembly),
// rounded once.
function unary1(op: i32, x: f64): f64 {
  switch (op) {
    case UnaryOperation.EXPM1: return Math.expm1(x)
    case UnaryOperation.LOG1P: return Math.log1p(x)
    case UnaryOperation.SOFTPLUS: return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))
    case UnaryOperation.SIN: return Math.sin(x)
    case UnaryOperation.COS: return Math.cos(x)
    case UnaryOperation.TAN: return Math.tan(x)
    case UnaryOperation.ASIN: return Math.asin(x)
    case UnaryOperation.ACOS: return Math.acos(x)
    case UnaryOperation.ATAN: return Math.atan(x)
    case UnaryOperation.SINH: return Math.sinh(x)
    case UnaryOperation.COSH: return Math.cosh(x)
    case UnaryOperation.ASINH: return Math.asinh(x)
    case UnaryOperation.ACOSH: return Math.acosh(x)
    case UnaryOperation.ATANH: return Math.atanh(x)
    case UnaryOperation.ERF: return erf(x)
    case UnaryOperation.ELU: return x >= 0 ? x : Math.expm1(x)
    case UnaryOperation.SELU: return x >= 0 ? 1.0507009873554805 * x : 1.7580993408473768 * Math.expm1(x)
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

/** out = op(x). */
export function unary(args: Unary, piece: i32, scratch: usize): void {
  const block = args.perPiece
  const start = piece * block
  const n = min(block, args.count - start)
  let x = args.x + ((<usize>start) << 2)
  let out = args.out + ((<usize>start) << 2)
  const a = args.a
  const b = args.b
  const op = args.operation
  if (op >= FIRST_SCALAR_OPERATION) {
    for (let i = 0; i < n; i++) {
      store<f32>(out, <f32>unary1(op, <f64>load<f32>(x)))
      x += 4
      out += 4
    }
    return
  }
  switch (op) {
    case UnaryOperation.EXP: { unaryLoop(UnaryOperation.EXP, x, out, n, a, b); break }
    case UnaryOperation.LOG: { unaryLoop(UnaryOperation.LOG, x, out, n, a, b); break }
    case UnaryOperation.TANH: { unaryLoop(UnaryOperation.TANH, x, out, n, a, b); break }
    case UnaryOperation.SIGMOID: { unaryLoop(UnaryOperation.SIGMOID, x, out, n, a, b); break }
    case UnaryOperation.SQRT: { unaryLoop(UnaryOperation.SQRT, x, out, n, a, b); break }
    case UnaryOperation.RSQRT: { unaryLoop(UnaryOperation.RSQRT, x, out, n, a, b); break }
    case UnaryOperation.SQUARE: { unaryLoop(UnaryOperation.SQUARE, x, out, n, a, b); break }
    case UnaryOperation.NEG: { unaryLoop(UnaryOperation.NEG, x, out, n, a, b); break }
    case UnaryOperation.ABS: { unaryLoop(UnaryOperation.ABS, x, out, n, a, b); break }
    case UnaryOperation.RELU: { unaryLoop(UnaryOperation.RELU, x, out, n, a, b); break }
    case UnaryOperation.RELU6: { unaryLoop(UnaryOperation.RELU6, x, out, n, a, b); break }
    case UnaryOperation.RECIPROCAL: { unaryLoop(UnaryOperation.RECIPROCAL, x, out, n, a, b); break }
    case UnaryOperation.CLIP_BY_VALUE: { unaryLoop(UnaryOperation.CLIP_BY_VALUE, x, out, n, a, b); break }
    case UnaryOperation.STEP: { unaryLoop(UnaryOperation.STEP, x, out, n, a, b); break }
    case UnaryOperation.LEAKY_RELU: { unaryLoop(UnaryOperation.LEAKY_RELU, x, out, n, a, b); break }
    case UnaryOperation.FLOOR: { unaryLoop(UnaryOperation.FLOOR, x, out, n, a, b); break }
    case UnaryOperation.CEIL: { unaryLoop(UnaryOperation.CEIL, x, out, n, a, b); break }
    case UnaryOperation.ROUND: { unaryLoop(UnaryOperation.ROUND, x, out, n, a, b); break }
    default: unreachable()
  }
}

// @ts-ignore: decorator
@inline
function binary4(op: i32, a: v128, b: v128): v128 {
  if (op == BinaryOperation.ADD) return f32x4.add(a, b)
  if (op == BinaryOperation.SUB) return f32x4.sub(a, b)
  if (op == BinaryOperation.MULTIPLY) return f32x4.mul(a, b)
  if (op == BinaryOperation.REAL_DIV) return f32x4.div(a, b)
  if (op == BinaryOperation.MAXIMUM) return f32x4.max(a, b)
  if (op == BinaryOperation.MINIMUM) return f32x4.min(a, b)
  if (op == BinaryOperation.SQUARED_DIFFERENCE) {
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

// Operands in rows: the end of a piece, and the address of a row of each operand.
// @ts-ignore: decorator
@inline
function endRow(args: Rowwise, first: i32): i32 {
  return min(first + args.rowsPerPiece, (args.count + args.length - 1) / args.length)
}

// @ts-ignore: decorator
@inline
function rowOfA(args: Rowwise, row: i32): usize {
  return args.a + ((<usize>(row / args.sharedA) * <usize>args.stepA) << 2)
}

// @ts-ignore: decorator
@inline
function rowOfB(args: Rowwise, row: i32): usize {
  return args.b + ((<usize>(row / args.sharedB) * <usize>args.stepB) << 2)
}

function power(x: f64, y: f64): f64 {
  return Math.pow(x, y)
}

/**
 * out = op(a, b) in rows, each operand a row or one number (`splat` 1: b, 2: a).
 */
export function binary(args: Binary, piece: i32, scratch: usize): void {
  const op = args.operation
  const count = args.count
  const length = args.length
  const splat = args.splat
  const first = piece * args.rowsPerPiece
  const last = endRow(args, first)
  for (let row = first; row < last; row++) {
    const start = row * length
    const n = min(length, count - start)
    const a = rowOfA(args, row)
    const b = rowOfB(args, row)
    const out = args.out + ((<usize>start) << 2)
    switch (op) {
      case BinaryOperation.ADD: { binaryRow(BinaryOperation.ADD, a, b, out, n, splat); break }
      case BinaryOperation.SUB: { binaryRow(BinaryOperation.SUB, a, b, out, n, splat); break }
      case BinaryOperation.MULTIPLY: { binaryRow(BinaryOperation.MULTIPLY, a, b, out, n, splat); break }
      case BinaryOperation.REAL_DIV: { binaryRow(BinaryOperation.REAL_DIV, a, b, out, n, splat); break }
      case BinaryOperation.MAXIMUM: { binaryRow(BinaryOperation.MAXIMUM, a, b, out, n, splat); break }
      case BinaryOperation.MINIMUM: { binaryRow(BinaryOperation.MINIMUM, a, b, out, n, splat); break }
      case BinaryOperation.SQUARED_DIFFERENCE: { binaryRow(BinaryOperation.SQUARED_DIFFERENCE, a, b, out, n, splat); break }
      case BinaryOperation.PRELU: { binaryRow(BinaryOperation.PRELU, a, b, out, n, splat); break }
      default: {
        for (let i: usize = 0; i < <usize>n; i++) {
          const x = <f64>load<f32>(splat == 2 ? a : a + (i << 2))
          const y = <f64>load<f32>(splat == 1 ? b : b + (i << 2))
          store<f32>(out + (i << 2), <f32>(op == BinaryOperation.POW ? power(x, y) : Math.atan2(x, y)))
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function compare4(op: i32, a: v128, b: v128): v128 {
  if (op == Comparison.EQUAL) return f32x4.eq(a, b)
  if (op == Comparison.NOT_EQUAL) return f32x4.ne(a, b)
  if (op == Comparison.GREATER) return f32x4.gt(a, b)
  if (op == Comparison.GREATER_EQUAL) return f32x4.ge(a, b)
  if (op == Comparison.LESS) return f32x4.lt(a, b)
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
 * out = the comparison of a and b, one byte each, in rows as for `binary`; pieces are whole rows.
 */
export function compare(args: Compare, piece: i32, scratch: usize): void {
  const op = args.operation
  const count = args.count
  const length = args.length
  const splat = args.splat
  const first = piece * args.rowsPerPiece
  const last = endRow(args, first)
  for (let row = first; row < last; row++) {
    const start = row * length
    const n = min(length, count - start)
    const a = rowOfA(args, row)
    const b = rowOfB(args, row)
    const out = args.out + <usize>start
    for (let i = 0; i < n; i += 4) {
      const o = (<usize>i) << 2
      const x = splat == 2 ? v128.load32_splat(a) : v128.load(a + o)
      const y = splat == 1 ? v128.load32_splat(b) : v128.load(b + o)
      let bits: u32 = 0
      switch (op) {
        case Comparison.EQUAL: { bits = truth(compare4(Comparison.EQUAL, x, y)); break }
        case Comparison.NOT_EQUAL: { bits = truth(compare4(Comparison.NOT_EQUAL, x, y)); break }
        case Comparison.GREATER: { bits = truth(compare4(Comparison.GREATER, x, y)); break }
        case Comparison.GREATER_EQUAL: { bits = truth(compare4(Comparison.GREATER_EQUAL, x, y)); break }
        case Comparison.LESS: { bits = truth(compare4(Comparison.LESS, x, y)); break }
        default: bits = truth(compare4(Comparison.LESS_EQUAL, x, y))
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

/** out = t where the byte is not 0, else e; pieces of 16384. */
export function select(args: Select, piece: i32, scratch: usize): void {
  const start = piece * ELEMENTWISE_PIECE
  const n = min(ELEMENTWISE_PIECE, args.count - start)
  const c = args.condition + <usize>start
  const t = args.t + ((<usize>start) << 2)
  const e = args.e + ((<usize>start) << 2)
  const out = args.out + ((<usize>start) << 2)
  const zero = i32x4.splat(0)
  for (let i = 0; i < n; i += 4) {
    const o = (<usize>i) << 2
    const bytes = v128.load32_zero(c + <usize>i)
    const lanes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes))
    storeLanes(out + o, v128.bitselect(v128.load(e + o), v128.load(t + o), i32x4.eq(lanes, zero)), min(4, n - i))
  }
}

/** Copies a vector and pads it with zeros to a multiple of four. One piece. */
export function padVector(args: PadVector, piece: i32, scratch: usize): void {
  const to = args.to
  const bytes = (<usize>args.length) << 2
  const end = (bytes + 15) & ~15
  memory.copy(to, args.from, bytes)
  memory.fill(to + bytes, 0, end - bytes)
}

/**
 * Moves vectors towards others, one per piece: out = old keep + (fresh scale) momentum.
 */
export function blendVectors(args: BlendVectors, piece: i32, scratch: usize): void {
  const old = args.old(piece)
  const fresh = args.fresh(piece)
  const out = args.out(piece)
  const bytes = (<usize>args.length(piece)) << 2
  const keep = f32x4.splat(args.keep)
  const momentum = f32x4.splat(args.momentum)
  const scale = f32x4.splat(args.scale(piece))
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = <i32>min<usize>(4, (bytes - i) >> 2)
    const kept = f32x4.mul(v128.load(old + i), keep)
    storeLanes(out + i, f32x4.add(kept, f32x4.mul(f32x4.mul(v128.load(fresh + i), scale), momentum)), n)
  }
}

