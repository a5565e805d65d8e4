/** Matrix products: B is packed into micro-panels, and the micro-kernels multiply blocks of A by them. */
import type * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { withTemporaries } from "../Temporaries.ts"

type Info = tf.TensorInfo

/** Number of micro-panels, of at most five vectors each, for the columns of a product; see assembly/kernels/gemm.ts. */
export const panelCount = (columns: number): number => Math.ceil(columns / 20)
/** Columns of all panels of a matrix: padded to whole vectors, at least two. */
export const panelColumns = (columns: number): number => Math.max(8, Math.ceil(columns / 4) * 4)

/** Rows of A and panels of B that a piece multiplies. */
const ROW_BLOCK = 24
const PANEL_BLOCK = 3
/**
 * Terms that a product sums from zero before it adds the sum to the result. The rounding error grows with the number of terms
 * and with the number of sums, so a forward pass takes about the root of k.
 */
export const sumPiece = (k: number): number => (k > 512 ? 32 : 16)

/** A piece's rows of A must fit in its thread's scratch. */
const LONGEST_PRODUCT = 60000

/**
 * Matrix products of `batch` pairs: A [rows, k] times B [k, columns], each as it is or transposed. A batch of 1 on one
 * side is broadcast to the other. Undefined if k is too large for the kernel.
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
  return withTemporaries(backend.runtime, (temporary) => {
    const place = temporary(batchB * packed)
    // Allocated after the temporary block: if that failed, nothing would free the result.
    const out = backend.allocate([...shape])
    kernels.packPanels(backend.runtime, batchB * panels, {
      source: backend.address(b),
      destination: place,
      taps: 1,
      inner: k,
      columns,
      tapStride: 0,
      innerStride: sizes.transposeB ? 1 : columns,
      columnStride: sizes.transposeB ? k : 1,
      groupStride: k * columns,
      panels
    })
    const rowBlocks = Math.ceil(rows / ROW_BLOCK)
    const columnBlocks = Math.ceil(panels / PANEL_BLOCK)
    kernels.matMulBlock(backend.runtime, batch * rowBlocks * columnBlocks, {
      a: backend.address(a),
      panels: place,
      out: backend.address(out),
      rows,
      k,
      columns,
      rowStride: sizes.transposeA ? 1 : k,
      columnStride: sizes.transposeA ? rows : 1,
      matrixStride: batchA === 1 ? 0 : rows * k,
      packedStride: batchB === 1 ? 0 : packed,
      blockRows: ROW_BLOCK,
      rowBlocks,
      blockPanels: PANEL_BLOCK,
      columnBlocks,
      sumPiece: sumPiece(k)
    })
    return out
  })
}
