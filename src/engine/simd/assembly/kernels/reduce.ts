// Sums, maxima and minima. The order of a sum is fixed by the shape: runs of fixed length in float32, joined in order
// in float64.

import { REDUCTION_CHUNK, ReduceColumns, ReduceJoin, ReduceRows, Reduction } from "../generated/signatures"
import { storeLanes } from "../math"

/** Elements summed in float32 before they are added to the float64 total. */
const RUN: i32 = 256

// @ts-ignore: decorator
@inline
function wide(t: v128, total: v128): v128 {
  const high = i8x16.shuffle(t, t, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)
  return f64x2.add(total, f64x2.add(f64x2.promote_low_f32x4(t), f64x2.promote_low_f32x4(high)))
}

// Sum of n consecutive floats: runs of 256 in sixteen lanes, then lanes of four, then one by one.
function sumRow(x: usize, n: i32): f32 {
  let total = f64x2.splat(0)
  let left = n
  while (left >= 16) {
    const steps = min(left, RUN) >> 4
    let a = v128.load(x)
    let b = v128.load(x, 16)
    let c = v128.load(x, 32)
    let d = v128.load(x, 48)
    x += 64
    for (let i = 1; i < steps; i++) {
      a = f32x4.add(a, v128.load(x))
      b = f32x4.add(b, v128.load(x, 16))
      c = f32x4.add(c, v128.load(x, 32))
      d = f32x4.add(d, v128.load(x, 48))
      x += 64
    }
    total = wide(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), total)
    left -= steps << 4
  }
  for (; left >= 4; left -= 4) {
    total = wide(v128.load(x), total)
    x += 16
  }
  let sum = f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1)
  for (; left > 0; left--) {
    sum += <f64>load<f32>(x)
    x += 4
  }
  return <f32>sum
}

// @ts-ignore: decorator
@inline
function extreme4(op: i32, a: v128, b: v128): v128 {
  return op == Reduction.MAX ? f32x4.max(a, b) : f32x4.min(a, b)
}

// @ts-ignore: decorator
@inline
function extremeRow(op: i32, x: usize, n: i32): f32 {
  let result = load<f32>(x)
  const end = x + ((<usize>(n & ~3)) << 2)
  if (n >= 4) {
    let v = v128.load(x)
    for (x += 16; x < end; x += 16) v = extreme4(op, v, v128.load(x))
    result = f32x4.extract_lane(v, 0)
    for (let i = 1; i < 4; i++) {
      const lane = i == 1 ? f32x4.extract_lane(v, 1) : i == 2 ? f32x4.extract_lane(v, 2) : f32x4.extract_lane(v, 3)
      result = op == Reduction.MAX ? max<f32>(result, lane) : min<f32>(result, lane)
    }
  }
  const stop = end + ((<usize>(n & 3)) << 2)
  for (; x < stop; x += 4) result = op == Reduction.MAX ? max<f32>(result, load<f32>(x)) : min<f32>(result, load<f32>(x))
  return result
}

/**
 * Reduces rows of consecutive floats to one partial result per chunk of 16384, [rows][chunks].
 */
export function reduceRows(args: ReduceRows, piece: i32, scratch: usize): void {
  const length = args.length
  const op = args.operation
  const chunks = args.chunks
  const units = args.chunksPerPiece
  const last = min(args.rows * chunks, (piece + 1) * units)
  for (let unit = piece * units; unit < last; unit++) {
    const start = (unit % chunks) * REDUCTION_CHUNK
    const n = min(REDUCTION_CHUNK, length - start)
    const x = args.x + ((<usize>(unit / chunks) * <usize>length + <usize>start) << 2)
    let result: f32 = 0
    if (op == Reduction.SUM) result = sumRow(x, n)
    else if (op == Reduction.MAX) result = extremeRow(Reduction.MAX, x, n)
    else result = extremeRow(Reduction.MIN, x, n)
    store<f32>(args.partial + ((<usize>unit) << 2), result)
  }
}

// @ts-ignore: decorator
@inline
function columns4(op: i32, x: usize, y: usize, step: usize, n: i32): v128 {
  let r = y ? f32x4.mul(v128.load(x), v128.load(y)) : v128.load(x)
  for (let i = 1; i < n; i++) {
    x += step
    let v = v128.load(x)
    if (y) {
      y += step
      v = f32x4.mul(v, v128.load(y))
    }
    r = op == Reduction.SUM ? f32x4.add(r, v) : extreme4(op, r, v)
  }
  return r
}

// Sixteen columns at once, so that a cache line is read once.
// @ts-ignore: decorator
@inline
function columns16(x: usize, step: usize, n: i32, out: usize): void {
  let a = v128.load(x)
  let b = v128.load(x, 16)
  let c = v128.load(x, 32)
  let d = v128.load(x, 48)
  for (let i = 1; i < n; i++) {
    x += step
    a = f32x4.add(a, v128.load(x))
    b = f32x4.add(b, v128.load(x, 16))
    c = f32x4.add(c, v128.load(x, 32))
    d = f32x4.add(d, v128.load(x, 48))
  }
  v128.store(out, a)
  v128.store(out, b, 16)
  v128.store(out, c, 32)
  v128.store(out, d, 48)
}

/**
 * Reduces [outer][rows][columns] over rows to one partial result per chunk of 256 rows, [outer][chunks][columns]; with a
 * second operand, the products are summed. A piece is a chunk of rows and a block of columns.
 */
export function reduceColumns(args: ReduceColumns, piece: i32, scratch: usize): void {
  const rows = args.rows
  const columns = args.columns
  const op = args.operation
  const chunks = args.chunks
  const block = args.blockColumns
  const blocks = args.blocks
  const perChunk = args.chunkRows
  const first = (piece % blocks) * block
  const unit = piece / blocks
  const start = (unit % chunks) * perChunk
  const n = min(perChunk, rows - start)
  const step = (<usize>columns) << 2
  const at = (<usize>(unit / chunks) * <usize>rows + <usize>start) * step
  const x = args.x + at
  const other = args.y
  const y = other ? other + at : 0
  const out = args.partial + <usize>unit * step
  const end = min(columns, first + block)
  let c = first
  if (op == Reduction.SUM && y == 0) {
    for (; c + 16 <= end; c += 16) columns16(x + ((<usize>c) << 2), step, n, out + ((<usize>c) << 2))
  }
  for (; c < end; c += 4) {
    const o = (<usize>c) << 2
    let r: v128
    if (op == Reduction.SUM) r = y ? columns4(Reduction.SUM, x + o, y + o, step, n) : columns4(Reduction.SUM, x + o, 0, step, n)
    else if (op == Reduction.MAX) r = columns4(Reduction.MAX, x + o, 0, step, n)
    else r = columns4(Reduction.MIN, x + o, 0, step, n)
    storeLanes(out + o, r, min(4, end - c))
  }
}

/**
 * out = the partial results of each element, joined in order (sums in float64) and divided by a number.
 */
export function reduceJoin(args: ReduceJoin, piece: i32, scratch: usize): void {
  const chunks = args.chunks
  const columns = args.columns
  const op = args.operation
  const block = args.perPiece
  const divisor = <f64>args.divisor
  const step = (<usize>columns) << 2
  const end = min(args.outer * columns, (piece + 1) * block)
  for (let i = piece * block; i < end; i++) {
    let p = args.partial + (((<usize>(i / columns) * <usize>chunks) * <usize>columns + <usize>(i % columns)) << 2)
    const out = args.out + ((<usize>i) << 2)
    if (op == Reduction.SUM) {
      let sum: f64 = 0
      for (let k = 0; k < chunks; k++) {
        sum += <f64>load<f32>(p)
        p += step
      }
      store<f32>(out, <f32>(sum / divisor))
    } else {
      let result = load<f32>(p)
      for (let k = 1; k < chunks; k++) {
        p += step
        result = op == Reduction.MAX ? max<f32>(result, load<f32>(p)) : min<f32>(result, load<f32>(p))
      }
      store<f32>(out, result)
    }
  }
}
