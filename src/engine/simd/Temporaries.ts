/** Blocks of the engine's memory that are freed when a function ends. */
import type { Runtime } from "./Runtime.ts"

/** Allocates a block of `floats` floats (at least one) until the body of {@link withTemporaries} ends. */
export type Temporary = (floats: number) => number

/**
 * Runs `body` with temporary blocks, which are freed when it returns or throws. Jobs that use them may still be waiting then,
 * which is safe: jobs run in order, so a block's next user runs after them.
 */
export const withTemporaries = <A>({ allocator }: Runtime, body: (temporary: Temporary) => A): A => {
  const blocks: Array<number> = []
  try {
    return body((floats) => {
      const address = allocator.allocate(Math.max(1, floats) * 4)
      blocks.push(address)
      return address
    })
  } finally {
    for (const address of blocks) allocator.free(address)
  }
}
