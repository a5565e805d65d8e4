/** Splits work into the pieces of a job. The sizes depend on shapes alone, and so does every bit of a result. */
import { ELEMENTWISE_PIECE } from "../Kinds.ts"

/** Number of pieces of `each` units in `total` units. */
export const pieces = (total: number, each: number): number => Math.ceil(total / each)

/** Number of units of `size` elements in a piece of about `target` elements. */
export const unitsOf = (size: number, target: number = ELEMENTWISE_PIECE): number =>
  Math.max(1, Math.floor(target / Math.max(1, size)))
