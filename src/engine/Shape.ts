/** Shapes of tensors, without tensors. */

/**
 * Number of elements of a shape; 1 for a shape without axes.
 *
 * **Example** (A matrix and a scalar)
 *
 * ```ts
 * import { sizeOf } from "./Shape.ts"
 *
 * sizeOf([3, 4]) // => 12
 * sizeOf([]) // => 1
 * ```
 */
export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((product, side) => product * side, 1)

/** Shape of one image: height, width, channels. */
export type ImageShape = readonly [height: number, width: number, channels: number]
