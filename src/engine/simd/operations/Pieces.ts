/** How work is cut into the pieces of a job. The sizes depend on shapes alone, and so does every bit of a result. */
import { ELEMENTWISE_PIECE } from "../Kinds.ts"

/** Pieces of `total` units where each piece has `each` of them. */
export const pieces = (total: number, each: number): number => Math.ceil(total / each)

/** How many units of work, each of `size` elements, make a piece of about `target` elements. */
export const unitsOf = (size: number, target: number = ELEMENTWISE_PIECE): number =>
  Math.max(1, Math.floor(target / Math.max(1, size)))
