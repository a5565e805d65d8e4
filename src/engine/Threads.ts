/** The limit of the number of threads. */
import { availableParallelism } from "node:os"

/**
 * The largest number of threads accepted: 16, or 4 per core if that is more. More threads than cores make nothing faster, but
 * a few more are harmless: the same configuration runs on a smaller machine, and a test can check that results do not depend
 * on their number. Each takes memory, about 5 MB in the engine and more for decoding images, so a thousand would exhaust it.
 */
export const most = (cores: number = availableParallelism()): number => Math.max(16, 4 * cores)

/** Why this number of threads is refused; undefined if it is accepted. */
export const refusal = (threads: number, cores: number = availableParallelism()): string | undefined =>
  threads <= most(cores)
    ? undefined
    : `got ${threads}; expected at most ${most(cores)} threads: this machine has ${cores} ${cores === 1 ? "core" : "cores"}, and more threads than cores make nothing faster (engine.threads 0 takes all)`
