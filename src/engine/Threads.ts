/** How many threads a machine may be asked for. */
import { availableParallelism } from "node:os"

/**
 * The most threads that may be asked for: 16, or 4 for each core where that is more. More threads than cores make nothing
 * faster, but a few more do no harm: the same configuration runs on a smaller machine, and a test can check that results do
 * not depend on their number. Each one takes memory, about 5 MB in the engine and more where images are decoded, so that a
 * thousand of them exhaust it.
 */
export const most = (cores: number = availableParallelism()): number => Math.max(16, 4 * cores)

/** Why this number of threads is refused; undefined: it is accepted. */
export const refusal = (threads: number, cores: number = availableParallelism()): string | undefined =>
  threads <= most(cores)
    ? undefined
    : `got ${threads}; expected at most ${most(cores)} threads: this machine has ${cores} ${cores === 1 ? "core" : "cores"}, and more threads than cores make nothing faster (engine.threads 0 takes all)`
