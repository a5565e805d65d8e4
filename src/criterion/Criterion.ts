/** A criterion is the loss of a task. It may have trained weights of its own, as the angular softmax has identity weights. */
import { type Scalar, Tensor, type Tensor1D, type Tensor2D } from "@tensorflow/tfjs-core"
import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import type { ParameterTree } from "../nn/ParameterTree.ts"
import type * as Key from "../random/Key.ts"

/** What a criterion needs to make its weights. */
export interface CriterionInput {
  /** Length of the network's output vectors: classes of a classifier, dimension of an embedding. */
  readonly outputs: number
  /** The number of labels. */
  readonly classes: number
}

/** The contract. */
export interface CriterionShape {
  readonly name: string
  /** The weights of the criterion; most have none (`{}`). */
  readonly init: (key: Key.Key, input: CriterionInput) => ParameterTree
  /**
   * Mean loss of a batch: outputs [batch, outputs] float32, labels [batch] int32. Differentiable in `params` and
   * `outputs`; `key` is for criteria that draw (random negatives).
   */
  readonly loss: (params: ParameterTree, outputs: Tensor2D, labels: Tensor1D, key: Key.Key) => Scalar
  /**
   * A warning about a batch, in one sentence; undefined if there is none. For example: the loss is 0 because no triplet could
   * be formed.
   */
  readonly warning?: (params: ParameterTree, outputs: Tensor2D, labels: Tensor1D, key: Key.Key) => string | undefined
}

/**
 * The criterion of a run.
 *
 * **Example** (A constant loss)
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Effect from "effect/Effect"
 * import * as Criterion from "./Criterion.ts"
 *
 * const indifferent = Criterion.Criterion.of({ name: "none", init: () => ({}), loss: () => tf.scalar(0) })
 * const name = Effect.map(Criterion.Criterion, (criterion) => criterion.name)
 * Effect.runSync(Effect.provideService(name, Criterion.Criterion, indifferent)) // => "none"
 * ```
 */
export class Criterion extends Context.Service<Criterion, CriterionShape>()("osnas/criterion/Criterion") {}

const shown = (value: unknown): string => {
  if (Predicate.isPromise(value)) return "a Promise: the function must not be async"
  if (value instanceof Tensor) return `a tensor of shape [${value.shape.join(", ")}]: reduce it with tf.mean or tf.sum`
  return value === null || typeof value !== "object" ? String(value) : "an object that is not a tensor"
}

/**
 * The loss of a criterion. Throws, with the criterion and what it returned, unless that is a tensor of one number.
 *
 * **Example** (A loss for every image)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as Criterion from "./Criterion.ts"
 *
 * const make = (loss: () => tf.Tensor) => ({ name: "mine", init: () => ({}), loss: loss as () => tf.Scalar })
 * const of = (loss: () => tf.Tensor) =>
 *   Criterion.lossOfUnsafe(make(loss), {}, tf.zeros([2, 3]), tf.tensor1d([0, 1], "int32"), Key.make(0))
 * of(() => tf.scalar(2)).dataSync()[0] // => 2
 * const failure = (() => {
 *   try {
 *     return of(() => tf.zeros([2]))
 *   } catch (error) {
 *     return String(error)
 *   }
 * })()
 * failure // => "TypeError: criterion mine: loss must return a tensor of one number, got a tensor of shape [2]: reduce it with tf.mean or tf.sum"
 * ```
 */
export const lossOfUnsafe = (
  criterion: Pick<CriterionShape, "loss" | "name">,
  ...given: Parameters<CriterionShape["loss"]>
): Scalar => {
  const value: unknown = criterion.loss(...given)
  if (value instanceof Tensor && value.size === 1) return value as Scalar
  if (Predicate.isPromise(value)) value.catch(() => undefined)
  throw new TypeError(`criterion ${criterion.name}: loss must return a tensor of one number, got ${shown(value)}`)
}
