/**
 * The place where a run keeps the trained supernet while its candidates are scored: the run writes it, estimators read it
 * through {@link SupernetHandle}.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SupernetHandle } from "../estimator/SupernetHandle.ts"
import type { Weights } from "./Trainer.ts"

/** The contract. */
export interface HeldSupernetShape {
  readonly current: () => Weights | undefined
  /** The tensors stay the caller's, who takes them back (`undefined`) before disposing them. */
  readonly set: (weights: Weights | undefined) => void
}

/** The run's own end of the supernet handle. */
export class HeldSupernet extends Context.Service<HeldSupernet, HeldSupernetShape>()("osnas/run/HeldSupernet") {}

const held = (handle: HeldSupernetShape): Weights => {
  const weights = handle.current()
  if (weights === undefined) throw new RangeError("there is no trained supernet yet to score a candidate with")
  return weights
}

/**
 * Both ends. To be given to the estimator and to the run alike, as one Layer, so that they share the place.
 *
 * **Example** (Both ends of one place)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { SupernetHandle } from "../estimator/SupernetHandle.ts"
 * import * as HeldSupernet from "./HeldSupernet.ts"
 *
 * const program = Effect.gen(function* () {
 *   const held = yield* HeldSupernet.HeldSupernet
 *   const handle = yield* SupernetHandle
 *   held.set({ variables: { params: {}, stats: {} }, criterion: {} })
 *   return handle.variables()
 * })
 * Effect.runSync(Effect.provide(program, HeldSupernet.layer)) // => { params: {}, stats: {} }
 * ```
 */
export const layer: Layer.Layer<HeldSupernet | SupernetHandle> = Layer.effect(
  SupernetHandle,
  Effect.map(HeldSupernet, (handle) =>
    SupernetHandle.of({
      variables: () => held(handle).variables,
      criterionParams: () => held(handle).criterion
    })
  )
).pipe(
  Layer.provideMerge(
    Layer.sync(HeldSupernet, () => {
      let weights: Weights | undefined
      return HeldSupernet.of({
        current: () => weights,
        set: (next) => {
          weights = next
        }
      })
    })
  )
)
