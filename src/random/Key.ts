/**
 * Keys: all randomness of a run. A key is two 32-bit words and never changes; drawing from it is a pure function of the
 * key and an index, so a draw neither depends on earlier draws nor on who made them. New keys are derived by name:
 * `derive(key, "supernet", epoch, "flip")`.
 *
 * The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011), the counter-based cipher that JAX uses too. Derivations and the kinds of draws encrypt disjoint sets of
 * counters, so a child key never coincides with a draw of its parent, nor a uniform with an integer. Sibling keys whose
 * names are one integer each are distinct by construction; otherwise two of n keys coincide with probability
 * n^2 / 2^65.
 *
 * **Gotchas**: one key gives one sequence a kind. Derive a key for each purpose; do not draw twice from the same one.
 */
import * as Schema from "effect/Schema"
import type * as Draws from "./Draws.ts"

export {
  bigint,
  choice,
  derive,
  integer,
  make,
  normal,
  normals,
  permutation,
  threefry2x32,
  uint32,
  uniform,
  uniforms
} from "./Draws.ts"

const Word = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffffffff }))

/**
 * Two 32-bit words, as plain data: it goes into JSON and comes back.
 *
 * **Example** (Through JSON and back)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Key from "./Key.ts"
 *
 * const text = JSON.stringify(Key.derive(Key.make(7), "epoch", 3))
 * Schema.decodeUnknownSync(Key.Key)(JSON.parse(text)) // => Key.derive(Key.make(7), "epoch", 3)
 * ```
 */
export type Key = Draws.Key

/** The Schema of a key. */
export const Key = Schema.Struct({ k0: Word, k1: Word })
