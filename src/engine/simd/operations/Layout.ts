/** Operations that move elements: strided blocks, permuted axes, shuffled channels, repeated rows. */
import type * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { PERMUTED_AXES, TRANSPOSE_TILE } from "../Kinds.ts"
import { pieces, unitsOf } from "./Pieces.ts"

type Info = tf.TensorInfo

/** Bytes of an element. */
const BYTES = 4

const stridesOf = (shape: ReadonlyArray<number>): Array<number> => {
  const strides = new Array<number>(shape.length).fill(1)
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!
  return strides
}

/**
 * Copies a block of `size` from a position in one tensor to a position in another, both with four-byte elements. False if
 * the block has more axes than the kernel covers (five, after adjacent ones are joined).
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
  others.reverse()
  const runsPerPiece = unitsOf(run)
  if (sizeOf(size) > 0) {
    kernels.copyBlock(backend.runtime, pieces(runs, runsPerPiece), {
      source: backend.address(source) + start(sourceBegin, from) * BYTES,
      destination: backend.address(destination) + start(destinationBegin, to) * BYTES,
      run,
      runs,
      sizes: others.slice(1).map((axis) => axis.size),
      sourceStrides: others.map((axis) => axis.from),
      destinationStrides: others.map((axis) => axis.to),
      runsPerPiece
    })
  }
  return true
}

/** x with its axes permuted, four-byte elements; undefined for more than eight axes. */
export const transpose = (backend: SimdBackend, x: Info, permutation: ReadonlyArray<number>): Info | undefined => {
  const strides = stridesOf(x.shape)
  const shape = permutation.map((axis) => x.shape[axis]!)
  // Output axes, outer first; those that are adjacent in the source are joined.
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
  if (axes.length > PERMUTED_AXES + 1) return undefined
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
    const strips = Math.ceil(columnAxis.size / TRANSPOSE_TILE)
    const matrices = axes.length === 3 ? axes[0]!.size : 1
    kernels.transposeTiles(backend.runtime, matrices * strips, {
      source: backend.address(x),
      out: backend.address(out),
      rows: rowAxis.size,
      columns: columnAxis.size,
      strips
    })
    return out
  }
  const row = axes.pop() ?? { size: 1, stride: 1 }
  const rows = sizeOf(axes.map((axis) => axis.size))
  const rowsPerPiece = unitsOf(row.size)
  axes.reverse()
  if (sizeOf(shape) > 0) {
    kernels.permute(backend.runtime, pieces(rows, rowsPerPiece), {
      source: backend.address(x),
      out: backend.address(out),
      length: row.size,
      rows,
      rowStride: row.stride,
      rowsPerPiece,
      axes: axes.length,
      sizes: axes.map((axis) => axis.size),
      strides: axes.map((axis) => axis.stride)
    })
  }
  return out
}

/** Channel shuffle, see FeatureOps.ts. */
export const channelShuffle = (backend: SimdBackend, x: Info, groups: number): Info => {
  const out = backend.allocate([...x.shape])
  const channels = x.shape[x.shape.length - 1]!
  const rows = sizeOf(x.shape) / channels
  const rowsPerPiece = unitsOf(channels)
  kernels.shuffleChannels(backend.runtime, pieces(rows, rowsPerPiece), {
    source: backend.address(x),
    out: backend.address(out),
    rows,
    groups,
    each: channels / groups,
    rowsPerPiece
  })
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
  const rowsPerPiece = unitsOf(columns)
  kernels.spreadRows(backend.runtime, pieces(rows, rowsPerPiece), {
    source: backend.address(x),
    out: backend.address(out),
    rows,
    repeats,
    columns,
    rowsPerPiece,
    divisor
  })
  return out
}
