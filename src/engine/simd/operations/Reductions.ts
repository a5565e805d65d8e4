/** Sums, maxima and minima over adjacent axes. */
import type * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { type Kind, REDUCTION_CHUNK } from "../Kinds.ts"
import { withTemporaries } from "../Temporaries.ts"
import { pieces, unitsOf } from "./Pieces.ts"

type Info = tf.TensorInfo

/** A reduction. */
export type Reduction = Kind<"Reduction">

/** Rows of a chunk, and columns of a block, of a reduction over columns. */
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
  const flat = columns === 1 && options.y === undefined
  const chunks = Math.ceil(rows / (flat ? REDUCTION_CHUNK : COLUMN_CHUNK))
  return withTemporaries(backend.runtime, (temporary) => {
    const partial = temporary(outer * chunks * columns)
    // Allocated after the temporary blocks: if these failed, nothing would free the result.
    const out = backend.allocate([...shape])
    if (flat) {
      const chunksPerPiece = unitsOf(Math.min(rows, REDUCTION_CHUNK))
      kernels.reduceRows(backend.runtime, pieces(outer * chunks, chunksPerPiece), {
        x: backend.address(x),
        partial,
        rows: outer,
        length: rows,
        operation: reduction,
        chunks,
        chunksPerPiece
      })
    } else {
      const blocks = Math.ceil(columns / COLUMN_BLOCK)
      kernels.reduceColumns(backend.runtime, outer * chunks * blocks, {
        x: backend.address(x),
        y: options.y === undefined ? undefined : backend.address(options.y),
        partial,
        rows,
        columns,
        operation: reduction,
        chunks,
        blockColumns: COLUMN_BLOCK,
        blocks,
        chunkRows: COLUMN_CHUNK
      })
    }
    const perPiece = unitsOf(chunks)
    kernels.reduceJoin(backend.runtime, pieces(outer * columns, perPiece), {
      partial,
      out: backend.address(out),
      outer,
      chunks,
      columns,
      operation: reduction,
      perPiece,
      divisor: options.divisor ?? 1
    })
    return out
  })
}

/** The extents [outer][reduced][inner] of a reduction; undefined if its axes are not adjacent. */
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
