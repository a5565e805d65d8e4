/** The root key of a run, made from the configuration's seed. Components derive theirs from it by name. */
import * as Context from "effect/Context"
import type * as Key from "./Key.ts"

/**
 * The root key of a run.
 *
 * **Example** (The root of a run's randomness)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Key from "./Key.ts"
 * import * as RunKey from "./RunKey.ts"
 *
 * const key = Effect.map(RunKey.RunKey, (root) => Key.derive(root, "search"))
 * Effect.runSync(Effect.provideService(key, RunKey.RunKey, Key.make(7))) // => Key.derive(Key.make(7), "search")
 * ```
 */
export class RunKey extends Context.Service<RunKey, Key.Key>()("osnas/random/RunKey") {}
