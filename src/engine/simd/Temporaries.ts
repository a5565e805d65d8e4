/** Blocks of the engine's memory that last as long as a function. */
import type { Runtime } from "./Runtime.ts"

/** Allocates a block of `floats` floats (at least one) that is freed when the function given to {@link withTemporaries} ends. */
export type Temporary = (floats: number) => number

/**
 * Runs `body` with temporary blocks; they are freed when it ends, however it ends. Jobs that use them may still be waiting then:
 * jobs are done in order, so a block's next user runs after them.
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
