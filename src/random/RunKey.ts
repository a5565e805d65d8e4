/** The root key of a run, made from the configuration's seed. Components derive theirs from it by name. */
import * as Context from "effect/Context"
import type * as Key from "./Key.ts"

/** The root key of a run. */
export class RunKey extends Context.Service<RunKey, Key.Key>()("osnas/random/RunKey") {}
