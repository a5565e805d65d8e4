/** What of a configuration makes a run what it is: the part that must stay while it goes on, and that two runs share. */
import type * as Schema from "effect/Schema"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import type { RunConfig } from "./RunConfig.ts"

/** Options that say where things are, not what they are; what is read there has a digest of its own. */
const places: ReadonlySet<string> = new Set(["folder", "download", "lookupTable"])

/** What of a configuration must stay as it is while a run goes on. */
export const ofConfig = (config: RunConfig): Schema.Json => {
  const { checkpoint: _, engine, name: __, start: ___, stopAfter: ____, ...rest } = config
  const kept = JSON.stringify({ ...rest, engine: { mode: engine.mode } }, (key, value: unknown) =>
    places.has(key) ? undefined : value
  )
  return JSON.parse(kept) as Schema.Json
}

const into = (value: Schema.Json | undefined, at: string, found: Map<string, string>): void => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value))
      into(inner as Schema.Json, at === "" ? key : `${at}.${key}`, found)
  } else found.set(at, value === undefined ? "nothing" : CanonicalJson.stringify(value))
}

/**
 * Values by the path of their key, as canonical JSON.
 *
 * **Example** (Two keys)
 *
 * ```ts
 * import * as Identity from "./Identity.ts"
 *
 * [...Identity.flatten({ budget: { max: 5 } })] // => [["budget.max", "5"]]
 * ```
 */
export const flatten = (value: Schema.Json | undefined): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  into(value, "", found)
  return found
}
