/**
 * The state of samplers that draw everything from a key and the number of steps taken. It is plain JSON, so that a resumed
 * run continues exactly where it stopped.
 */
import * as Schema from "effect/Schema"
import * as Key from "../random/Key.ts"
import { NonNegativeInt } from "../support/Numbers.ts"
import type { SamplerState } from "./TrainingStrategy.ts"

/** Key and step of a sampler. */
export const SamplerPosition = Schema.Struct({
  key: Key.Key,
  step: NonNegativeInt
})
/** Key and step of a sampler. */
export type SamplerPosition = typeof SamplerPosition.Type

const decode = Schema.decodeUnknownSync(SamplerPosition)

/** The state before the first step. */
export const init = (key: Key.Key): SamplerState => ({ key: { k0: key.k0, k1: key.k1 }, step: 0 })

/** Reads a state. Throws a `SchemaError` if it is not a position. */
export const read = (state: SamplerState): SamplerPosition => decode(state)

/** The state one step later. */
export const after = (state: SamplerState): SamplerState => {
  const { key, step } = read(state)
  return { key: { k0: key.k0, k1: key.k1 }, step: step + 1 }
}
