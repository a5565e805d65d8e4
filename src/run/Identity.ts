/**
 * The identity of a run: the part of its configuration that decides results, must not change on resume, and is the same in
 * comparable runs. The Schema of an option states whether it belongs to it (`component/OptionKind.ts`).
 */
import type * as Schema from "effect/Schema"
import * as OptionKind from "../component/OptionKind.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { isRecord } from "../support/Records.ts"
import type { RunConfig } from "./RunConfig.ts"

const keeps = (kinds: OptionKind.OptionKinds, path: string): boolean => {
  const { kind } = OptionKind.at(kinds, path)
  return kind === "identity" || kind === "later"
}

const kept = (value: unknown, path: string, kinds: OptionKind.OptionKinds): unknown => {
  if (!isRecord(value)) return keeps(kinds, path) ? value : undefined
  const entries = Object.entries(value).flatMap(([key, inner]) => {
    const part = kept(inner, path === "" ? key : `${path}.${key}`, kinds)
    return part === undefined ? [] : [[key, part] as const]
  })
  return entries.length > 0 || (Object.keys(value).length === 0 && keeps(kinds, path))
    ? Object.fromEntries(entries)
    : undefined
}

/**
 * The options of a configuration that decide its results, as plain data: those of the kinds `identity` and `later`.
 *
 * **Example** (Options of performance are not part of it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Load from "./Load.ts"
 * import * as Identity from "./Identity.ts"
 *
 * const { config, kinds } = await Effect.runPromise(Load.file("examples/quickstart.yaml"))
 * const faster = { ...config, dataflow: { ...config.dataflow, prefetch: 9 }, engine: { ...config.engine, threads: 1 } }
 * Identity.ofConfig(faster, kinds) // => Identity.ofConfig(config, kinds)
 * ```
 */
export const ofConfig = (config: RunConfig, kinds: OptionKind.OptionKinds): Schema.Json =>
  JSON.parse(JSON.stringify(kept(config, "", kinds))) as Schema.Json

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

/** A value that differs between two identities; `nothing` if one of them lacks the key. */
export interface Difference {
  readonly key: string
  readonly was: string
  readonly is: string
}

/**
 * The values that differ between two identities, by key.
 *
 * **Example** (A new key)
 *
 * ```ts
 * import * as Identity from "./Identity.ts"
 *
 * Identity.differences({ seed: 1 }, { seed: 1, size: 8 }) // => [{ key: "size", was: "nothing", is: "8" }]
 * ```
 */
export const differences = (before: Schema.Json, after: Schema.Json): ReadonlyArray<Difference> => {
  const [was, is] = [flatten(before), flatten(after)]
  return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((key) => {
    const difference = { key, was: was.get(key) ?? "nothing", is: is.get(key) ?? "nothing" }
    return difference.was === difference.is ? [] : [difference]
  })
}
