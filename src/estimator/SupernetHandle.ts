/** The trained supernet that candidates are scored with, as the run holds it at that moment. */
import * as Context from "effect/Context"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"

/** The contract. Tensors belong to the run: whoever scores neither changes nor disposes them. */
export interface SupernetHandleShape {
  /** Parameters and running statistics of the whole supernet, now. */
  readonly variables: () => Variables
  /** The criterion's own weights, now; `{}` where it has none. */
  readonly criterionParams: () => ParameterTree
}

/**
 * The supernet of a run.
 *
 * **Example** (The parameters of the run's supernet)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as SupernetHandle from "./SupernetHandle.ts"
 *
 * const handle = SupernetHandle.SupernetHandle.of({
 *   variables: () => ({ params: {}, stats: {} }),
 *   criterionParams: () => ({})
 * })
 * const params = Effect.map(SupernetHandle.SupernetHandle, (supernet) => supernet.variables().params)
 * Effect.runSync(Effect.provideService(params, SupernetHandle.SupernetHandle, handle)) // => {}
 * ```
 */
export class SupernetHandle extends Context.Service<SupernetHandle, SupernetHandleShape>()(
  "osnas/estimator/SupernetHandle"
) {}
