/** The cost term of a differentiable search. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NonNegative, Positive } from "../../support/Numbers.ts"

/**
 * The term of the loss that keeps the expected cost near a target or within the budget.
 *
 * **Example** (The defaults)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { CostTerm } from "./CostTerm.ts"
 *
 * Schema.decodeUnknownSync(CostTerm)({}) // => { form: "band", weight: 1, target: null }
 * ```
 */
export const CostTerm = Schema.Struct({
  form: Schema.Literals(["band", "absolute", "squared", "power"])
    .annotate({
      description:
        "band: weight x distance from the budget / target; absolute: weight x |cost - target| / target; squared: weight x its square; power: task loss x (cost / target) ^ weight"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("band" as const))),
  weight: NonNegative.annotate({ description: "Weight of the cost term; 0 disables it" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1))
  ),
  target: Schema.NullOr(Positive)
    .annotate({
      description:
        "Target of the expected cost; null: the budget's max, at most the cost of the most expensive architecture"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})
/** The term of the loss that keeps the expected cost near a target or within the budget. */
export type CostTerm = typeof CostTerm.Type

/** The band of the budget, in units of the target. */
export interface Band {
  readonly min: number
  readonly max: number
}

/** The whole loss, from the task's loss and the expected cost in units of the target. Differentiable in both. */
export const lossWithCost = (
  { form, weight }: Pick<CostTerm, "form" | "weight">,
  band: Band,
  task: tf.Scalar,
  cost: tf.Scalar
): tf.Scalar => {
  if (weight === 0) return task
  switch (form) {
    case "band": {
      const above = tf.relu(tf.sub(cost, band.max))
      const below = tf.relu(tf.sub(band.min, cost))
      return tf.add(task, tf.mul(tf.add(above, below), weight))
    }
    case "absolute":
      return tf.add(task, tf.mul(tf.abs(tf.sub(cost, 1)), weight))
    case "squared":
      return tf.add(task, tf.mul(tf.square(tf.sub(cost, 1)), weight))
    case "power":
      return tf.mul(task, tf.exp(tf.mul(tf.log(cost), weight)))
  }
}
