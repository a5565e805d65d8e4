/** Shapes of tensors, without tensors. */

/**
 * How many elements a shape has; of no axes one.
 *
 * **Example** (A matrix, a number)
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
