/** Gradients of functions of parameter trees. */
import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import { differentiate } from "../engine/Autodiff.ts"
import { names, type ParameterTree } from "./ParameterTree.ts"
import { scoped } from "./Scope.ts"

/** A loss, and other results of the computation that must outlive it (batch statistics, logits). */
export interface LossAndRest<Rest> {
  readonly loss: Tensor
  readonly rest: Rest
}

/** The result of {@link valueAndGradient}. The caller owns all tensors. */
export interface ValueAndGradient<Rest> extends LossAndRest<Rest> {
  /** One entry for every parameter that the loss depends on. */
  readonly gradients: ParameterTree
}

/** A copy of records and arrays with every tensor in them replaced. */
const mapTensors = <Rest>(rest: Rest, replace: (tensor: Tensor) => Tensor): Rest => {
  const visit = (value: unknown): unknown => {
    if (value instanceof tf.Tensor) return replace(value)
    if (Array.isArray(value)) return value.map(visit)
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, visit(inner)]))
    }
    return value
  }
  return visit(rest) as Rest
}

/**
 * The value of a loss and its gradients with respect to the tensors of `params`, which `compute` must use as they are.
 * Pass only the parameters to train: of a supernet, those of the path
 * (`pick(variables.params, trainableNames(network))`). Parameters that the loss does not depend on have no entry.
 *
 * **Example** (The gradient of a square)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { valueAndGradient } from "./Gradient.ts"
 * const x = tf.tensor1d([3])
 * const { gradients } = valueAndGradient(() => ({ loss: tf.sum(tf.square(x)), rest: {} }), { x })
 * Array.from(gradients["x"]!.dataSync()) // => [6]
 * ```
 */
export const valueAndGradient = <Rest>(
  compute: () => LossAndRest<Rest>,
  params: ParameterTree
): ValueAndGradient<Rest> =>
  scoped(() => {
    const wanted = names(params)
    let kept: Rest | undefined
    const found = differentiate(
      (keep) => {
        const { loss, rest } = compute()
        kept = mapTensors(rest, (tensor) => keep(tf.clone(tensor)))
        return loss
      },
      wanted.map((name) => params[name] as Tensor)
    )
    const rest = mapTensors(kept as Rest, (tensor) => {
      const own = tf.clone(tensor)
      tensor.dispose()
      return own
    })
    const gradients: Record<string, Tensor> = {}
    wanted.forEach((name, i) => {
      const gradient = found.gradients[i]
      if (gradient !== undefined) gradients[name] = gradient
    })
    return { loss: found.value, rest, gradients }
  })
