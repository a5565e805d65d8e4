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

/** The supernet of a run. */
export class SupernetHandle extends Context.Service<SupernetHandle, SupernetHandleShape>()(
  "osnas/estimator/SupernetHandle"
) {}
