/**
 * The tensors that a run keeps in memory between two pieces of work, so that a phase does not read back the checkpoint
 * that was just written. There are three slots: the state of a training phase, the weights of a trained network (the
 * supernet or a stand-alone network), and the state of a gradient-based searcher.
 *
 * One rule releases memory: a tensor is disposed as soon as no slot contains it. A step therefore puts its new state and
 * frees what only the old state contained, and a trained network moves from `training` to `network` without a copy.
 * Closing the scope empties all slots.
 *
 * **Example** (A trained network moves to another slot)
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs-core"
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Effect from "effect/Effect"
 * import * as ResidentWeights from "./ResidentWeights.ts"
 *
 * const [weight, memory] = [tf.ones([2]), tf.zeros([2])]
 * const program = Effect.gen(function* () {
 *   const resident = yield* ResidentWeights.make
 *   const variables = { params: { weight }, stats: {} }
 *   resident.put("training", {
 *     step: 4,
 *     variables,
 *     criterion: {},
 *     optimizer: { slots: { momentum: { weight: memory } }, counts: {} },
 *     sampler: {},
 *     learner: null,
 *     sums: { steps: 0, loss: 0, accuracy: 0 },
 *     history: []
 *   })
 *   resident.put("network", { variables, criterion: {} }, "5be1")
 *   resident.release("training")
 *   return [memory.isDisposed, weight.isDisposed, resident.find("network", "5be1")?.variables === variables]
 * })
 * Effect.runSync(Effect.scoped(program)) // => [true, false, true]
 * weight.isDisposed // => true
 * ```
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { LearnerState } from "../search-strategy/SearchStrategy.ts"
import * as TrainingState from "./TrainingState.ts"

/** What each slot contains. */
export interface Contents {
  /** The state of the current training phase. */
  readonly training: TrainingState.TrainingState
  /** The weights of a trained supernet or of a trained stand-alone network. */
  readonly network: TrainingState.Weights
  /** What a gradient-based searcher has learned on the trained supernet. */
  readonly searcher: LearnerState
}

/** The name of a slot. */
export type Slot = keyof Contents

/** The tensors in memory. Values are borrowed: never dispose a tensor of a value that a slot contains. */
export interface ResidentWeights {
  /** The value of a slot, if it equals the checkpoint of this digest; undefined: read the checkpoint. */
  readonly find: <S extends Slot>(slot: S, digest: string | undefined) => Contents[S] | undefined
  /** Replaces the value of a slot. `digest` is that of the checkpoint it equals; undefined: it is in none yet. */
  readonly put: <S extends Slot>(slot: S, value: Contents[S], digest?: string) => void
  /** Empties slots. */
  readonly release: (...slots: ReadonlyArray<Slot>) => void
}

const tensorsOf: { readonly [S in Slot]: (value: Contents[S]) => ReadonlyArray<Tensor> } = {
  training: (state) => Object.values(TrainingState.trees(state)).flatMap((tree) => Object.values(tree)),
  network: ({ criterion, variables: { params, stats } }) => [params, stats, criterion].flatMap(Object.values<Tensor>),
  searcher: ({ tensors }) => Object.values(tensors)
}

interface Resident<A> {
  readonly value: A
  readonly digest: string | undefined
  readonly tensors: ReadonlyArray<Tensor>
}

/** Empty slots. Closing the scope empties them again. */
export const make: Effect.Effect<ResidentWeights, never, Scope> = Effect.suspend(() => {
  const slots: { [S in Slot]?: Resident<Contents[S]> | undefined } = {}
  const disposeUnlessResident = (tensors: ReadonlyArray<Tensor>): void => {
    const resident = new Set(Object.values(slots).flatMap((slot) => slot?.tensors ?? []))
    for (const tensor of tensors) if (!resident.has(tensor) && !tensor.isDisposed) tensor.dispose()
  }
  const put: ResidentWeights["put"] = (slot, value, digest) => {
    const before = slots[slot]?.tensors ?? []
    const resident = { value, digest, tensors: tensorsOf[slot](value) }
    Object.assign(slots, { [slot]: resident })
    disposeUnlessResident(before)
  }
  const release: ResidentWeights["release"] = (...names) => {
    const before = names.flatMap((slot) => slots[slot]?.tensors ?? [])
    for (const slot of names) slots[slot] = undefined
    disposeUnlessResident(before)
  }
  const find: ResidentWeights["find"] = (slot, digest) =>
    digest !== undefined && slots[slot]?.digest === digest ? slots[slot]?.value : undefined
  return Effect.acquireRelease(Effect.succeed<ResidentWeights>({ find, put, release }), () =>
    Effect.sync(() => release("training", "network", "searcher"))
  )
})
