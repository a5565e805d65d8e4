/**
 * The picture that the architecture generator draws: one row per genotype position, one column per choice. Most spaces have
 * one position per layer, so that a row is the scores of a layer's options. A composed layer (SGNAS) has several rows; the
 * score of an option is then the sum of the scores of its digits. Combinations of digits that are not options of the layer
 * have no score.
 */
import * as tf from "@tensorflow/tfjs-core"
import { scoped } from "../../nn/Scope.ts"
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"

/** The part of a search space that the picture is made from. */
export type GridSpace = Pick<SearchSpaceShape, "layers">

/** Where the scores of a layer's options are. */
export interface GridLayer {
  /** Its first row. */
  readonly row: number
  /** How many rows it has. */
  readonly width: number
  /** The digits that select each option, one per row. */
  readonly selections: ReadonlyArray<ReadonlyArray<number>>
}

/** The picture of a search space. */
export interface Grid {
  readonly rows: number
  readonly columns: number
  readonly layers: ReadonlyArray<GridLayer>
}

/**
 * The picture of a search space.
 *
 * **Example** (Six layers of seven choices)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as Grid from "./Grid.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const { columns, rows } = Grid.make(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * rows // => 6
 * columns // => 7
 * ```
 */
export const make = (space: GridSpace): Grid => {
  let row = 0
  const layers = space.layers.map(({ options, width }): GridLayer => {
    const layer = { row, width, selections: options.map(({ selection }) => selection) }
    row += width
    return layer
  })
  const columns = Math.max(
    1,
    ...layers.flatMap(({ selections }) => selections.map((digits) => Math.max(...digits) + 1))
  )
  return { rows: row, columns, layers }
}

/** Ones at the digits of an architecture, given as the option taken in each layer: rows times columns numbers. */
export const draw = (grid: Grid, indices: ReadonlyArray<number>): Float32Array => {
  const out = new Float32Array(grid.rows * grid.columns)
  grid.layers.forEach(({ row, selections }, layer) => {
    const digits = selections[indices[layer] ?? -1]
    if (digits === undefined) throw new RangeError(`layer ${layer} of the grid has no option ${indices[layer]}`)
    digits.forEach((digit, position) => {
      out[(row + position) * grid.columns + digit] = 1
    })
  })
  return out
}

/** Whether a layer has one row with its options in order, so that no sums are needed. */
const isPlain = ({ selections, width }: GridLayer): boolean =>
  width === 1 && selections.every((digits, option) => digits[0] === option)

/** For every row and column of a layer, and every option, whether the option has that digit there. */
const membership = ({ selections, width }: GridLayer, columns: number): Float32Array => {
  const out = new Float32Array(width * columns * selections.length)
  selections.forEach((digits, option) => {
    digits.forEach((digit, position) => {
      out[(position * columns + digit) * selections.length + option] = 1
    })
  })
  return out
}

/**
 * The scores of every layer's options, [options] each, in one of the pictures [pictures, rows, columns]. Differentiable.
 */
export const optionScores = (grid: Grid, pictures: tf.Tensor3D, picture = 0): ReadonlyArray<tf.Tensor1D> =>
  scoped(() =>
    grid.layers.map((layer) => {
      const { row, selections, width } = layer
      if (isPlain(layer)) {
        const scores = tf.slice(pictures, [picture, row, 0], [1, 1, selections.length])
        return tf.reshape(scores, [selections.length]) as tf.Tensor1D
      }
      const rows = tf.slice(pictures, [picture, row, 0], [1, width, grid.columns])
      const members = tf.tensor2d(membership(layer, grid.columns), [width * grid.columns, selections.length])
      const scores = tf.matMul(tf.reshape(rows, [1, width * grid.columns]), members)
      return tf.reshape(scores, [selections.length]) as tf.Tensor1D
    })
  )
