/** The learner's state of the generator: what is JSON, and the tensors by the prefixes of their names. */
import type * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import type { ParameterTree } from "../../nn/ParameterTree.ts"
import * as Key from "../../random/Key.ts"
import type { LearnerState } from "../SearchStrategy.ts"
import type { Trained } from "./Generation.ts"
import * as PriorPool from "./PriorPool.ts"

/** Input and head that the space was built for: enough to rebuild it without the data. */
const NetworkInterface = Schema.Struct({
  input: Schema.Tuple([Schema.Int, Schema.Int, Schema.Int]),
  head: Schema.Union([
    Schema.TaggedStruct("Classifier", { classes: Schema.Int }),
    Schema.TaggedStruct("Embedding", { dimension: Schema.Int })
  ])
})

/** What the learner keeps beside its tensors. */
const LearnerJson = Schema.Struct({
  interface: NetworkInterface,
  key: Key.Key,
  pool: Schema.Array(PriorPool.Prior),
  counts: Schema.Record(Schema.String, Schema.Int),
  temperature: Schema.Finite,
  /** The best pass so far, counted from 1, and its objective. Its parameters are tensors of their own. */
  best: Schema.NullOr(Schema.Struct({ pass: Schema.Int, objective: Schema.Finite }))
})

/** Reads the JSON of a state. Throws a schema error if it is not a generator's. */
export const decodeLearner = Schema.decodeUnknownSync(LearnerJson)

/** Prefix of the parameters of the current pass. */
export const paramPrefix = "params."
/** Prefix of the parameters of the best pass. */
export const bestPrefix = "best."
/** Prefix of the optimizer's slots: `optimizer.<slot>.<parameter>`. */
export const slotPrefix = "optimizer."

/** The tensors under a prefix, by the rest of their names. */
export const under = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(
    Object.entries(tree).flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : []
    )
  )

/** The same tensors with a prefix before their names. */
export const prefixed = (prefix: string, tree: ParameterTree): ParameterTree =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [prefix + name, tensor]))

/** The optimizer's slots of a state, by slot and parameter. */
export const slotsOf = (tensors: ParameterTree): Readonly<Record<string, ParameterTree>> => {
  const slots: Record<string, Record<string, tf.Tensor>> = {}
  for (const [name, tensor] of Object.entries(under(slotPrefix, tensors))) {
    const at = name.indexOf(".")
    const slot = name.slice(0, at)
    slots[slot] = { ...slots[slot], [name.slice(at + 1)]: tensor }
  }
  return slots
}

/**
 * Input and head that a learner's space was built for.
 *
 * **Example** (As the state records it)
 *
 * ```ts
 * import * as Key from "../../random/Key.ts"
 * import { interfaceOf, trainedOf } from "./GeneratorState.ts"
 *
 * const head = { _tag: "Classifier", classes: 10 } as const
 * const { k0, k1 } = Key.make(1)
 * const json = { interface: { input: [8, 8, 1], head }, key: { k0, k1 }, pool: [], counts: {}, temperature: 5, best: null }
 * interfaceOf({ json }).head // => head
 * trainedOf({ json, tensors: {} }) // => { params: {}, pool: [] }
 * ```
 */
export const interfaceOf = (state: Pick<LearnerState, "json">): typeof NetworkInterface.Type =>
  decodeLearner(state.json).interface

/**
 * The trained part of a learner's state: parameters of the best pass, or of the current one until a pass is kept.
 *
 * **Example** (A pass was kept)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../../random/Key.ts"
 * import { trainedOf } from "./GeneratorState.ts"
 *
 * const head = { _tag: "Classifier", classes: 10 } as const
 * const { k0, k1 } = Key.make(1)
 * const best = { pass: 2, objective: 0.5 }
 * const json = { interface: { input: [8, 8, 1], head }, key: { k0, k1 }, pool: [], counts: {}, temperature: 5, best }
 * const tensors = { "params.w": tf.scalar(1), "best.w": tf.scalar(2) }
 * trainedOf({ json, tensors }).params["w"]?.dataSync()[0] // => 2
 * ```
 */
export const trainedOf = (state: LearnerState): Trained => {
  const { best, pool } = decodeLearner(state.json)
  return { params: under(best === null ? paramPrefix : bestPrefix, state.tensors), pool }
}

/** The trained part with the parameters of the current pass, whichever pass was kept. */
export const currentOf = (state: LearnerState): Trained => ({
  params: under(paramPrefix, state.tensors),
  pool: decodeLearner(state.json).pool
})
