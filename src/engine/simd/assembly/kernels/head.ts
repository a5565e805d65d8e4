// The end of a network: matrix products, softmax, the cross entropy with its gradient; pooling.

import { exp4, log4 } from "../functions"
import { CrossEntropyRows, MatMulBlock, PoolGradient, PoolRows, SoftmaxRows } from "../generated/signatures"
import { align64, storeLanes } from "../math"
import { gemmPanel, panelCount, panelStart } from "./gemm"

/**
 * A block of rows of A times a block of columns of B (packed by packPanels), for one of several pairs of matrices. Pieces of
 * k are summed from zero, then added in order.
 */
export function matMulBlock(args: MatMulBlock, piece: i32, scratch: usize): void {
  const k = args.k
  const columns = args.columns
  const stepRow = (<usize>args.rowStride) << 2
  const stepColumn = (<usize>args.columnStride) << 2
  const rowBlock = args.blockRows
  const rowBlocks = args.rowBlocks
  const panelBlock = args.blockPanels
  const columnBlocks = args.columnBlocks
  let rest = piece
  const columnAt = rest % columnBlocks
  rest /= columnBlocks
  const row = (rest % rowBlocks) * rowBlock
  const matrix = rest / rowBlocks
  const rows = min(rowBlock, args.rows - row)
  const depth = (k + 3) & ~3
  const groups6 = (rows + 5) / 6
  const group = (<usize>depth) * 24

  // The block of A as the products read it, k padded with zeros. Rows beyond the last contain garbage; their results are dropped.
  const a = scratch
  const c = align64(a + <usize>groups6 * group)
  const source = args.a + ((<usize>matrix * <usize>args.matrixStride) << 2) + <usize>row * stepRow
  for (let r = 0; r < rows; r++) {
    let s = source + <usize>r * stepRow
    let d = a + <usize>(r / 6) * group + ((<usize>(r % 6)) << 4)
    let i = 0
    if (stepColumn == 4) {
      for (; i + 4 <= k; i += 4) {
        v128.store(d, v128.load(s))
        s += 16
        d += 96
      }
    }
    for (; i < depth; i += 4, d += 96) {
      v128.store(d, f32x4.splat(0))
      for (let j = 0; j < min(4, k - i); j++) {
        store<f32>(d + ((<usize>j) << 2), load<f32>(s))
        s += stepColumn
      }
    }
  }

  const firstPanel = columnAt * panelBlock
  const lastPanel = min(panelCount(columns), firstPanel + panelBlock)
  const cStep = <usize>groups6 * 96
  const start = panelStart(columns, firstPanel)
  const b = args.panels + ((<usize>matrix * <usize>args.packedStride) << 2)
  for (let p = firstPanel; p < lastPanel; p++) {
    const first = panelStart(columns, p)
    const vectors = (panelStart(columns, p + 1) - first) >> 2
    gemmPanel(a, groups6, b + ((<usize>first * <usize>depth) << 2), depth, args.sumPiece, vectors, c + <usize>((first - start) >> 2) * cStep, cStep)
  }
  const live = min(panelStart(columns, lastPanel), columns) - start
  let out = args.out + (((<usize>matrix * <usize>args.rows + <usize>row) * <usize>columns + <usize>start) << 2)
  for (let r = 0; r < rows; r++) {
    let p = c + ((<usize>r) << 4)
    for (let j = 0; j < live; j += 4) {
      storeLanes(out + ((<usize>j) << 2), v128.load(p), min(4, live - j))
      p += cStep
    }
    out += (<usize>columns) << 2
  }
}

// @ts-ignore: decorator
@inline
function rowMax(x: usize, n: i32): f32 {
  let top = load<f32>(x)
  for (let i = 1; i < n; i++) top = max<f32>(top, load<f32>(x + ((<usize>i) << 2)))
  return top
}

// out = e^(x - top); returns their sum: four lanes in float32 over runs of 256, added first to last, and the runs in float64.
// @ts-ignore: decorator
@inline
function shiftedExp(x: usize, out: usize, n: i32, top: f32): f64 {
  const shift = f32x4.splat(top)
  let total: f64 = 0
  let lanes = f32x4.splat(0)
  for (let i = 0; i < n; i += 4) {
    const o = (<usize>i) << 2
    let e = exp4(f32x4.sub(v128.load(x + o), shift))
    const live = min(4, n - i)
    storeLanes(out + o, e, live)
    if (live < 4) {
      e = f32x4.replace_lane(e, 3, 0)
      if (live < 3) e = f32x4.replace_lane(e, 2, 0)
      if (live < 2) e = f32x4.replace_lane(e, 1, 0)
    }
    lanes = f32x4.add(lanes, e)
    if ((i & 255) == 252) {
      total += laneSum(lanes)
      lanes = f32x4.splat(0)
    }
  }
  return total + laneSum(lanes)
}

// @ts-ignore: decorator
@inline
function laneSum(v: v128): f64 {
  return (
    <f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1) + <f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3)
  )
}

/** Softmax of rows. */
export function softmaxRows(args: SoftmaxRows, piece: i32, scratch: usize): void {
  const n = args.columns
  const perPiece = args.rowsPerPiece
  const last = min(args.rows, (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    const at = (<usize>row * <usize>n) << 2
    const x = args.x + at
    const out = args.out + at
    const total = f32x4.splat(<f32>shiftedExp(x, out, n, rowMax(x, n)))
    for (let i = 0; i < n; i += 4) {
      const o = out + ((<usize>i) << 2)
      storeLanes(o, f32x4.div(v128.load(o), total), min(4, n - i))
    }
  }
}

/**
 * Cross entropy of the softmax with smoothed labels: one loss per row, and the gradient of their mean.
 */
export function crossEntropyRows(args: CrossEntropyRows, piece: i32, scratch: usize): void {
  const rows = args.rows
  const n = args.columns
  const perPiece = args.rowsPerPiece
  const smoothing = args.smoothing
  const share = smoothing / <f32>n
  const share4 = f32x4.splat(share)
  const batch = f32x4.splat(<f32>rows)
  const last = min(rows, (piece + 1) * perPiece)
  for (let row = piece * perPiece; row < last; row++) {
    const at = (<usize>row * <usize>n) << 2
    const x = args.logits + at
    const out = args.gradient + at
    const label = load<i32>(args.labels + ((<usize>row) << 2))
    const top = rowMax(x, n)
    const total = <f32>shiftedExp(x, out, n, top)
    const log = f32x4.extract_lane(log4(f32x4.splat(total)), 0)
    // A label outside the classes makes the row NaN.
    const known = label >= 0 && label < n
    let loss = NaN as f32
    if (known) {
      loss = (1 - smoothing) * (log - (load<f32>(x + ((<usize>label) << 2)) - top))
      if (smoothing != 0) {
        let sum: f64 = 0
        for (let i = 0; i < n; i++) sum += <f64>(log - (load<f32>(x + ((<usize>i) << 2)) - top))
        loss += share * <f32>sum
      }
    }
    store<f32>(args.losses + ((<usize>row) << 2), loss)
    const total4 = f32x4.splat(known ? total : NaN as f32)
    for (let i = 0; i < n; i += 4) {
      const o = out + ((<usize>i) << 2)
      storeLanes(o, f32x4.div(f32x4.sub(f32x4.div(v128.load(o), total4), share4), batch), min(4, n - i))
    }
    if (known) {
      const o = out + ((<usize>label) << 2)
      const e = load<f32>(o)
      store<f32>(o, e - (1 - smoothing) / <f32>rows)
    }
  }
}

/**
 * Average or maximum over windows of [batch][height][width][channels]. A piece is a row of outputs.
 */
export function poolRows(args: PoolRows, piece: i32, scratch: usize): void {
  const height = args.pooling.height
  const width = args.pooling.width
  const channels = args.pooling.channels
  const outHeight = args.pooling.outHeight
  const outWidth = args.pooling.outWidth
  const maximum = args.pooling.maximum
  const image = piece / outHeight
  const y0 = (piece % outHeight) * args.pooling.strideHeight - args.pooling.top
  const yStart = max(0, y0)
  const yEnd = min(height, y0 + args.pooling.windowHeight)
  const step = (<usize>channels) << 2
  const x = args.x + <usize>(image * height) * <usize>width * step
  let out = args.out + <usize>(piece * outWidth) * step
  for (let ox = 0; ox < outWidth; ox++) {
    const x0 = ox * args.pooling.strideWidth - args.pooling.left
    const xStart = max(0, x0)
    const xEnd = min(width, x0 + args.pooling.windowWidth)
    const count = f32x4.splat(<f32>(max(0, yEnd - yStart) * max(0, xEnd - xStart)))
    for (let c = 0; c < channels; c += 4) {
      const o = (<usize>c) << 2
      let r = maximum ? f32x4.splat(-Infinity) : f32x4.splat(0)
      for (let iy = yStart; iy < yEnd; iy++) {
        let p = x + <usize>(iy * width + xStart) * step + o
        for (let ix = xStart; ix < xEnd; ix++) {
          r = maximum ? f32x4.max(r, v128.load(p)) : f32x4.add(r, v128.load(p))
          p += step
        }
      }
      if (!maximum) r = f32x4.div(r, count)
      storeLanes(out + o, r, min(4, channels - c))
    }
    out += step
  }
}

/**
 * The gradient of average or maximum pooling. A piece is an image, with its windows in order; a maximum's gradient goes to
 * its first position, row by row.
 */
export function poolGradient(args: PoolGradient, piece: i32, scratch: usize): void {
  const height = args.pooling.height
  const width = args.pooling.width
  const channels = args.pooling.channels
  const outHeight = args.pooling.outHeight
  const outWidth = args.pooling.outWidth
  const maximum = args.pooling.maximum
  const step = (<usize>channels) << 2
  const image = <usize>(piece * height) * <usize>width * step
  const x = args.x + image
  const dx = args.dx + image
  let dy = args.dy + <usize>(piece * outHeight) * <usize>outWidth * step
  memory.fill(dx, 0, <usize>(height * width) * step)
  for (let oy = 0; oy < outHeight; oy++) {
    const y0 = oy * args.pooling.strideHeight - args.pooling.top
    const yStart = max(0, y0)
    const yEnd = min(height, y0 + args.pooling.windowHeight)
    for (let ox = 0; ox < outWidth; ox++) {
      const x0 = ox * args.pooling.strideWidth - args.pooling.left
      const xStart = max(0, x0)
      const xEnd = min(width, x0 + args.pooling.windowWidth)
      const count = f32x4.splat(<f32>(max(0, yEnd - yStart) * max(0, xEnd - xStart)))
      for (let c = 0; c < channels; c += 4) {
        const o = (<usize>c) << 2
        const n = min(4, channels - c)
        const g = v128.load(dy + o)
        if (!maximum) {
          const share = f32x4.div(g, count)
          for (let iy = yStart; iy < yEnd; iy++) {
            let p = dx + <usize>(iy * width + xStart) * step + o
            for (let ix = xStart; ix < xEnd; ix++) {
              storeLanes(p, f32x4.add(v128.load(p), share), n)
              p += step
            }
          }
          continue
        }
        // The position of each lane's maximum; a NaN counts as the largest, and the first one wins.
        let best = f32x4.splat(-Infinity)
        let place = i32x4.splat(yStart * width + xStart)
        for (let iy = yStart; iy < yEnd; iy++) {
          for (let ix = xStart; ix < xEnd; ix++) {
            const v = v128.load(x + <usize>(iy * width + ix) * step + o)
            const better = v128.andnot(v128.or(f32x4.gt(v, best), f32x4.ne(v, v)), f32x4.ne(best, best))
            best = v128.bitselect(v, best, better)
            place = v128.bitselect(i32x4.splat(iy * width + ix), place, better)
          }
        }
        addAt(dx + o, step, i32x4.extract_lane(place, 0), f32x4.extract_lane(g, 0))
        if (n > 1) addAt(dx + o + 4, step, i32x4.extract_lane(place, 1), f32x4.extract_lane(g, 1))
        if (n > 2) addAt(dx + o + 8, step, i32x4.extract_lane(place, 2), f32x4.extract_lane(g, 2))
        if (n > 3) addAt(dx + o + 12, step, i32x4.extract_lane(place, 3), f32x4.extract_lane(g, 3))
      }
      dy += step
    }
  }
}

// @ts-ignore: decorator
@inline
function addAt(p: usize, step: usize, place: i32, value: f32): void {
  const q = p + <usize>place * step
  store<f32>(q, load<f32>(q) + value)
}
