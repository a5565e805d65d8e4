/**
 * The operations of the embedded engine as plain functions from tensors to tensors: each allocates its result, cuts its
 * work in pieces that depend on the shapes alone, and runs a kernel. StandardKernels.ts puts tfjs's names on them.
 */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../Shape.ts"
import type { SimdBackend } from "./Backend.ts"

type Info = tf.TensorInfo

/** Elements of a piece of cheap elementwise work. */
const PIECE = 16384

const pieces = (total: number, each: number): number => Math.ceil(total / each)
/** How many units of work, each of `size` elements, make a piece. */
const unitsOf = (size: number, target = PIECE): number => Math.max(1, Math.floor(target / Math.max(1, size)))

/** Runs `body` with temporary blocks of so many floats; they are given back whatever happens. */
export const withBlocks = <A>(
  backend: SimdBackend,
  floats: ReadonlyArray<number>,
  body: (...addresses: Array<number>) => A
): A => {
  const { allocator } = backend.runtime
  const addresses: Array<number> = []
  try {
    for (const count of floats) addresses.push(allocator.allocate(Math.max(1, count) * 4))
    return body(...addresses)
  } finally {
    for (const address of addresses) allocator.free(address)
  }
}

/** Numbers of the vector operations of one operand; those from 32 work one by one in double precision. */
export const unaryOperations = {
  Exp: 0,
  Log: 1,
  Tanh: 2,
  Sigmoid: 3,
  Sqrt: 4,
  Rsqrt: 5,
  Square: 6,
  Neg: 7,
  Abs: 8,
  Relu: 9,
  Relu6: 10,
  Reciprocal: 11,
  ClipByValue: 12,
  Step: 13,
  LeakyRelu: 14,
  Floor: 15,
  Ceil: 16,
  Round: 17,
  Expm1: 32,
  Log1p: 33,
  Softplus: 34,
  Sin: 35,
  Cos: 36,
  Tan: 37,
  Asin: 38,
  Acos: 39,
  Atan: 40,
  Sinh: 41,
  Cosh: 42,
  Asinh: 43,
  Acosh: 44,
  Atanh: 45,
  Erf: 46,
  Elu: 47,
  Selu: 48
} as const
/** An operation of one operand. */
export type UnaryOperation = keyof typeof unaryOperations

/** op(x), float32. */
export const unary = (
  backend: SimdBackend,
  operation: UnaryOperation,
  x: Info,
  constants: readonly [number, number] = [0, 0]
): Info => {
  const out = backend.allocate([...x.shape])
  const count = sizeOf(x.shape)
  const op = unaryOperations[operation]
  const piece = op >= 32 ? 2048 : PIECE
  backend.runtime.run(
    "unary",
    pieces(count, piece),
    [backend.address(x), backend.address(out), count, op, piece],
    constants
  )
  return out
}

/** Numbers of the operations of two operands. */
export const binaryOperations = {
  Add: 0,
  Sub: 1,
  Multiply: 2,
  RealDiv: 3,
  Maximum: 4,
  Minimum: 5,
  SquaredDifference: 6,
  Prelu: 7,
  Pow: 32,
  Atan2: 33
} as const
/** An operation of two operands. */
export type BinaryOperation = keyof typeof binaryOperations

/** How an operand lies in the output, as rows of `length`: one row serves `shared` rows of the output. */
interface Operand {
  readonly splat: boolean
  readonly step: number
  readonly shared: number
}

interface BinaryPlan {
  readonly length: number
  readonly a: Operand
  readonly b: Operand
}

/**
 * How two shapes combine in rows: the same shape, one a single number, or one lacking a run of axes that lie together
 * (leading, trailing or in the middle). Undefined where they combine in a more involved way.
 */
const binaryPlan = (
  a: ReadonlyArray<number>,
  b: ReadonlyArray<number>,
  out: ReadonlyArray<number>
): BinaryPlan | undefined => {
  const total = sizeOf(out)
  const [sizeA, sizeB] = [sizeOf(a), sizeOf(b)]
  const flat: Operand = { splat: false, step: PIECE, shared: 1 }
  const single: Operand = { splat: true, step: 0, shared: 1 }
  if (sizeA === total && sizeB === total) return { length: PIECE, a: flat, b: flat }
  if (sizeB === 1) return { length: PIECE, a: flat, b: single }
  if (sizeA === 1) return { length: PIECE, a: single, b: flat }
  const [whole, part] = sizeA === total ? ["a", b] : sizeB === total ? ["b", a] : [undefined, a]
  if (whole === undefined) return undefined
  const padded = [...new Array<number>(out.length - part.length).fill(1), ...part]
  // [outer axes there][axes missing][inner axes there]
  let first = 0
  while (first < out.length && padded[first] === out[first]) first++
  let last = out.length
  while (last > first && padded[last - 1] === out[last - 1]) last--
  // Axes of size 1 in both fit anywhere.
  if (padded.slice(first, last).some((size) => size !== 1)) return undefined
  const middle = sizeOf(out.slice(first, last))
  const inner = sizeOf(out.slice(last))
  const plan = (length: number, operand: Operand): BinaryPlan => {
    const own: Operand = { splat: false, step: length, shared: 1 }
    return whole === "a" ? { length, a: own, b: operand } : { length, a: operand, b: own }
  }
  return inner === 1
    ? plan(middle, { splat: true, step: 1, shared: 1 })
    : plan(inner, { splat: false, step: inner, shared: middle })
}

const rowwise = (
  backend: SimdBackend,
  kernel: "binary" | "compare",
  operation: number,
  a: Info,
  b: Info,
  dtype: "float32" | "bool"
): Info | undefined => {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])
  const plan = binaryPlan(a.shape, b.shape, shape)
  if (plan === undefined) return undefined
  const out = backend.allocate(shape, dtype)
  const count = sizeOf(shape)
  const rows = Math.ceil(count / plan.length)
  const perPiece = unitsOf(plan.length, kernel === "binary" && operation >= 32 ? 2048 : PIECE)
  backend.runtime.run(kernel, pieces(rows, perPiece), [
    backend.address(a),
    backend.address(b),
    backend.address(out),
    operation,
    count,
    plan.length,
    plan.b.splat ? 1 : plan.a.splat ? 2 : 0,
    plan.a.step,
    plan.a.shared,
    plan.b.step,
    plan.b.shared,
    perPiece
  ])
  return out
}

/** op(a, b) with broadcasting, float32; undefined where the shapes combine in a way no kernel covers. */
export const binary = (backend: SimdBackend, operation: BinaryOperation, a: Info, b: Info): Info | undefined =>
  rowwise(backend, "binary", binaryOperations[operation], a, b, "float32")

/** Numbers of the comparisons. */
export const comparisons = { Equal: 0, NotEqual: 1, Greater: 2, GreaterEqual: 3, Less: 4, LessEqual: 5 } as const
/** A comparison. */
export type Comparison = keyof typeof comparisons

/** Whether a and b compare, as bool, with the broadcasting of {@link binary}. */
export const compare = (backend: SimdBackend, comparison: Comparison, a: Info, b: Info): Info | undefined =>
  rowwise(backend, "compare", comparisons[comparison], a, b, "bool")

/** t where the condition (bool) holds, else e; all of one shape. */
export const select = (backend: SimdBackend, condition: Info, t: Info, e: Info): Info => {
  const out = backend.allocate([...t.shape])
  const count = sizeOf(t.shape)
  backend.runtime.run("select", pieces(count, PIECE), [
    backend.address(condition),
    backend.address(t),
    backend.address(e),
    backend.address(out),
    count
  ])
  return out
}

/** Numbers of the reductions. */
export const reductions = { Sum: 0, Max: 1, Min: 2 } as const
/** A reduction. */
export type Reduction = keyof typeof reductions

const ROW_CHUNK = 16384
const COLUMN_CHUNK = 256
const COLUMN_BLOCK = 1024

/**
 * Reduces x seen as [outer][rows][columns] over its rows, into a tensor of `shape`. With `y` the products are summed; the
 * result is divided by `divisor` (sums only).
 */
export const reduce = (
  backend: SimdBackend,
  reduction: Reduction,
  x: Info,
  [outer, rows, columns]: readonly [number, number, number],
  shape: ReadonlyArray<number>,
  options: { readonly y?: Info; readonly divisor?: number } = {}
): Info => {
  const op = reductions[reduction]
  const flat = columns === 1 && options.y === undefined
  const chunks = Math.ceil(rows / (flat ? ROW_CHUNK : COLUMN_CHUNK))
  return withBlocks(backend, [outer * chunks * columns], (partial) => {
    // After the temporary blocks: nothing would free it if these failed.
    const out = backend.allocate([...shape])
    if (flat) {
      const units = unitsOf(Math.min(rows, ROW_CHUNK))
      backend.runtime.run("reduceRows", pieces(outer * chunks, units), [
        backend.address(x),
        partial!,
        outer,
        rows,
        op,
        chunks,
        units
      ])
    } else {
      const blocks = Math.ceil(columns / COLUMN_BLOCK)
      backend.runtime.run("reduceColumns", outer * chunks * blocks, [
        backend.address(x),
        options.y === undefined ? 0 : backend.address(options.y),
        partial!,
        rows,
        columns,
        op,
        chunks,
        COLUMN_BLOCK,
        blocks,
        COLUMN_CHUNK
      ])
    }
    const each = unitsOf(chunks)
    backend.runtime.run(
      "reduceJoin",
      pieces(outer * columns, each),
      [partial!, backend.address(out), outer, chunks, columns, op, each],
      [options.divisor ?? 1]
    )
    return out
  })
}

/** Where the axes of a reduction lie: [outer][reduced][inner]; undefined where they do not lie together. */
export const reductionExtents = (
  shape: ReadonlyArray<number>,
  axes: ReadonlyArray<number>
): readonly [number, number, number] | undefined => {
  const reduced = new Set(axes)
  const marks = shape.map((size, i) => ({ size, reduced: reduced.has(i) })).filter(({ size }) => size !== 1)
  const first = marks.findIndex((mark) => mark.reduced)
  if (first < 0) return [sizeOf(shape), 1, 1]
  let last = marks.length
  while (!marks[last - 1]!.reduced) last--
  if (marks.slice(first, last).some((mark) => !mark.reduced)) return undefined
  const size = (part: ReadonlyArray<{ readonly size: number }>) => sizeOf(part.map((mark) => mark.size))
  return [size(marks.slice(0, first)), size(marks.slice(first, last)), size(marks.slice(last))]
}

const stridesOf = (shape: ReadonlyArray<number>): Array<number> => {
  const strides = new Array<number>(shape.length).fill(1)
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!
  return strides
}

/**
 * Copies a block of `size` from a place in one tensor to a place in another, both of four-byte elements; false where the
 * block has more axes than the kernel covers (five, after those that lie together are joined).
 */
export const copyBlock = (
  backend: SimdBackend,
  source: Info,
  sourceBegin: ReadonlyArray<number>,
  destination: Info,
  destinationBegin: ReadonlyArray<number>,
  size: ReadonlyArray<number>
): boolean => {
  const [from, to] = [stridesOf(source.shape), stridesOf(destination.shape)]
  const start = (begin: ReadonlyArray<number>, strides: ReadonlyArray<number>): number =>
    begin.reduce((sum, at, i) => sum + at * strides[i]!, 0)
  // Innermost first: a run of consecutive elements, then axes with strides of their own.
  const axes: Array<{ size: number; from: number; to: number }> = [{ size: 1, from: 1, to: 1 }]
  for (let i = size.length - 1; i >= 0; i--) {
    if (size[i] === 1) continue
    const outer = axes[axes.length - 1]!
    if (outer.size * outer.from === from[i] && outer.size * outer.to === to[i]) outer.size *= size[i]!
    else axes.push({ size: size[i]!, from: from[i]!, to: to[i]! })
  }
  if (axes.length > 5) return false
  const run = axes[0]!.size
  const others = axes.slice(1)
  const runs = sizeOf(others.map((axis) => axis.size))
  while (others.length < 4) others.push({ size: 1, from: 0, to: 0 })
  const [d3, d2, d1, d0] = others as [(typeof axes)[0], (typeof axes)[0], (typeof axes)[0], (typeof axes)[0]]
  const perPiece = unitsOf(run)
  const width = 4
  if (sizeOf(size) > 0) {
    backend.runtime.run("copyBlock", pieces(runs, perPiece), [
      backend.address(source) + start(sourceBegin, from) * width,
      backend.address(destination) + start(destinationBegin, to) * width,
      run,
      runs,
      d1.size,
      d2.size,
      d3.size,
      d0.from,
      d1.from,
      d2.from,
      d3.from,
      d0.to,
      d1.to,
      d2.to,
      d3.to,
      perPiece
    ])
  }
  return true
}

/** x with its axes permuted, four-byte elements; undefined for more than eight axes. */
export const transpose = (backend: SimdBackend, x: Info, permutation: ReadonlyArray<number>): Info | undefined => {
  const strides = stridesOf(x.shape)
  const shape = permutation.map((axis) => x.shape[axis]!)
  // Output axes, outer first; those that lie together in the source are joined.
  const axes: Array<{ size: number; stride: number }> = []
  permutation.forEach((axis) => {
    const [size, stride] = [x.shape[axis]!, strides[axis]!]
    if (size === 1) return
    const outer = axes[axes.length - 1]
    if (outer !== undefined && outer.stride === size * stride) {
      outer.size *= size
      outer.stride = stride
    } else axes.push({ size, stride })
  })
  if (axes.length > 8) return undefined
  const out = backend.allocate(shape, x.dtype)
  // Plain matrices, one or a batch of them: [outer][columns][rows] of a source [outer][rows][columns].
  const [rowAxis, columnAxis] = [axes[axes.length - 1], axes[axes.length - 2]]
  if (
    rowAxis !== undefined &&
    columnAxis !== undefined &&
    columnAxis.stride === 1 &&
    rowAxis.stride === columnAxis.size &&
    (axes.length === 2 || (axes.length === 3 && axes[0]!.stride === rowAxis.size * columnAxis.size)) &&
    sizeOf(shape) > 0
  ) {
    const strips = Math.ceil(columnAxis.size / 32)
    const matrices = axes.length === 3 ? axes[0]!.size : 1
    backend.runtime.run("transposeTiles", matrices * strips, [
      backend.address(x),
      backend.address(out),
      rowAxis.size,
      columnAxis.size,
      strips
    ])
    return out
  }
  const row = axes.pop() ?? { size: 1, stride: 1 }
  const rows = sizeOf(axes.map((axis) => axis.size))
  const perPiece = unitsOf(row.size)
  const integers = new Array<number>(24).fill(0)
  integers.splice(0, 7, backend.address(x), backend.address(out), row.size, rows, row.stride, perPiece, axes.length)
  axes.reverse().forEach((axis, i) => {
    integers[8 + i] = axis.size
    integers[16 + i] = axis.stride
  })
  if (sizeOf(shape) > 0) backend.runtime.run("permute", pieces(rows, perPiece), integers)
  return out
}

/** Channel shuffle, see FeatureOps.ts. */
export const channelShuffle = (backend: SimdBackend, x: Info, groups: number): Info => {
  const out = backend.allocate([...x.shape])
  const channels = x.shape[x.shape.length - 1]!
  const rows = sizeOf(x.shape) / channels
  const perPiece = unitsOf(channels)
  backend.runtime.run("shuffleChannels", pieces(rows, perPiece), [
    backend.address(x),
    backend.address(out),
    rows,
    groups,
    channels / groups,
    perPiece
  ])
  return out
}

/** x [outer][columns], every row repeated and divided by a number, as a tensor of `shape`. */
export const spreadRows = (
  backend: SimdBackend,
  x: Info,
  repeats: number,
  columns: number,
  divisor: number,
  shape: ReadonlyArray<number>
): Info => {
  const out = backend.allocate([...shape])
  const rows = sizeOf(shape) / columns
  const perPiece = unitsOf(columns)
  backend.runtime.run(
    "spreadRows",
    pieces(rows, perPiece),
    [backend.address(x), backend.address(out), rows, repeats, columns, perPiece],
    [divisor]
  )
  return out
}

/** Panels a product's columns are packed into, of at most five vectors; see assembly/kernels/gemm.ts. */
export const panelCount = (columns: number): number => Math.ceil(columns / 20)
/** Columns of all panels of a matrix: filled up to whole vectors, two at least. */
export const panelColumns = (columns: number): number => Math.max(8, Math.ceil(columns / 4) * 4)

/** Rows of A a piece copies and multiplies, and panels of B it multiplies them by. */
const ROW_BLOCK = 24
const PANEL_BLOCK = 3
/**
 * Terms that a product sums at once, from zero, before it adds the sum to what there is: the rounding error grows with their
 * number and with the number of the sums, so a forward pass takes about the root of k.
 */
export const sumPiece = (k: number): number => (k > 512 ? 32 : 16)

/** A piece's rows of A must fit in its thread's scratch. */
const LONGEST_PRODUCT = 60000

/**
 * Matrix products of `batch` pairs: A [rows, k] times B [k, columns], each as it lies or transposed. A batch of 1 on one
 * side serves all of the other. Undefined where k is too long for the kernel.
 */
export const matMul = (
  backend: SimdBackend,
  a: Info,
  b: Info,
  sizes: {
    readonly batchA: number
    readonly batchB: number
    readonly rows: number
    readonly k: number
    readonly columns: number
    readonly transposeA: boolean
    readonly transposeB: boolean
  },
  shape: ReadonlyArray<number>
): Info | undefined => {
  const { batchA, batchB, columns, k, rows } = sizes
  if (k > LONGEST_PRODUCT) return undefined
  const batch = Math.max(batchA, batchB)
  if (sizeOf(shape) === 0 || k === 0) {
    const none = backend.allocate([...shape])
    backend.view(none).fill(0)
    return none
  }
  const panels = panelCount(columns)
  const packed = panelColumns(columns) * Math.ceil(k / 4) * 4
  return withBlocks(backend, [batchB * packed], (place) => {
    const out = backend.allocate([...shape])
    backend.runtime.run("packPanels", batchB * panels, [
      backend.address(b),
      place!,
      1,
      k,
      columns,
      0,
      sizes.transposeB ? 1 : columns,
      sizes.transposeB ? k : 1,
      k * columns,
      0,
      panels
    ])
    const rowBlocks = Math.ceil(rows / ROW_BLOCK)
    const columnBlocks = Math.ceil(panels / PANEL_BLOCK)
    backend.runtime.run("matMulBlock", batch * rowBlocks * columnBlocks, [
      backend.address(a),
      place!,
      backend.address(out),
      rows,
      k,
      columns,
      sizes.transposeA ? 1 : k,
      sizes.transposeA ? rows : 1,
      batchA === 1 ? 0 : rows * k,
      batchB === 1 ? 0 : packed,
      ROW_BLOCK,
      rowBlocks,
      PANEL_BLOCK,
      columnBlocks,
      sumPiece(k)
    ])
    return out
  })
}

/** Softmax over the last axis. */
export const softmax = (backend: SimdBackend, x: Info): Info => {
  const out = backend.allocate([...x.shape])
  const columns = x.shape[x.shape.length - 1]!
  const rows = sizeOf(x.shape) / columns
  const perPiece = unitsOf(columns, 2048)
  backend.runtime.run("softmaxRows", pieces(rows, perPiece), [
    backend.address(x),
    backend.address(out),
    rows,
    columns,
    perPiece
  ])
  return out
}

/** Losses a row, and the gradient of their mean, see LossOps.ts. Labels are int32. */
export const crossEntropy = (
  backend: SimdBackend,
  logits: Info,
  labels: Info,
  smoothing: number
): { readonly losses: Info; readonly gradient: Info } => {
  const [rows, columns] = logits.shape as [number, number]
  const losses = backend.allocate([rows])
  const gradient = backend.allocate([rows, columns])
  const perPiece = unitsOf(columns, 1024)
  backend.runtime.run(
    "crossEntropyRows",
    pieces(rows, perPiece),
    [
      backend.address(logits),
      backend.address(labels),
      backend.address(losses),
      backend.address(gradient),
      rows,
      columns,
      perPiece
    ],
    [smoothing]
  )
  return { losses, gradient }
}

const poolWords = (geometry: tf.backend_util.Conv2DInfo, kind: "avg" | "max"): ReadonlyArray<number> => [
  geometry.inHeight,
  geometry.inWidth,
  geometry.inChannels,
  geometry.outHeight,
  geometry.outWidth,
  geometry.effectiveFilterHeight,
  geometry.effectiveFilterWidth,
  geometry.strideHeight,
  geometry.strideWidth,
  geometry.padInfo.top,
  geometry.padInfo.left,
  kind === "max" ? 1 : 0
]

/** Average or maximum pooling of x [batch, height, width, channels]; averages leave the padding out. */
export const pool = (
  backend: SimdBackend,
  x: Info,
  kind: "avg" | "max",
  geometry: tf.backend_util.Conv2DInfo
): Info => {
  const out = backend.allocate([...geometry.outShape])
  backend.runtime.run("poolRows", geometry.batchSize * geometry.outHeight, [
    backend.address(x),
    backend.address(out),
    ...poolWords(geometry, kind)
  ])
  return out
}

/** The gradient of {@link pool}; `x` is read for maxima only. */
export const poolGradient = (
  backend: SimdBackend,
  dy: Info,
  x: Info,
  kind: "avg" | "max",
  geometry: tf.backend_util.Conv2DInfo
): Info => {
  const out = backend.allocate([...x.shape])
  backend.runtime.run("poolGradient", geometry.batchSize, [
    backend.address(x),
    backend.address(dy),
    ...poolWords(geometry, kind),
    backend.address(out)
  ])
  return out
}

/** Writes one number to so many floats from an address on. */
export const fill = (backend: SimdBackend, address: number, count: number, value: number): void =>
  backend.runtime.run("fill", pieces(count, PIECE), [address, count], [value])

/** A float32 tensor full of one number. */
export const filled = (backend: SimdBackend, shape: ReadonlyArray<number>, value: number): Info => {
  const out = backend.allocate([...shape])
  fill(backend, backend.address(out), sizeOf(shape), value)
  return out
}

const doubleWords = new DataView(new ArrayBuffer(8))

/** The first numbers of a key, see RandomOps.ts. */
export const randomNumbers = (
  backend: SimdBackend,
  key: { readonly k0: number; readonly k1: number },
  shape: ReadonlyArray<number>,
  distribution: "normal" | "uniform",
  factor: number
): Info => {
  const out = backend.allocate([...shape])
  const count = sizeOf(shape)
  doubleWords.setFloat64(0, factor)
  backend.runtime.run("drawNumbers", pieces(count, 4096), [
    backend.address(out),
    count,
    key.k0,
    key.k1,
    distribution === "uniform" ? 1 : 0,
    doubleWords.getInt32(4),
    doubleWords.getInt32(0)
  ])
  return out
}
