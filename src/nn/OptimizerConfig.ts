/**
 * The optimizer's section of a configuration. It is not in `Optimizer.ts`, so that reading a configuration loads no tensor
 * library.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Fraction, NonNegative, Positive } from "../support/Numbers.ts"

/** The defaults of an optimizer's section. */
interface OptimizerDefaults {
  readonly name: "sgd" | "adam" | "rmsprop"
  readonly learningRate: number
  readonly beta1: number
  readonly weightDecay: number
}

/**
 * The section of an optimizer with the given defaults.
 *
 * **Example** (Adam is the default)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { optimizerSection } from "./OptimizerConfig.ts"
 *
 * const section = optimizerSection({ name: "adam", learningRate: 0.01, beta1: 0.5, weightDecay: 0 })
 * Schema.decodeUnknownSync(section)({ learningRate: 0.1 }).name // => "adam"
 * Schema.decodeUnknownSync(section)({}).learningRate // => 0.01
 * ```
 */
export const optimizerSection = (defaults: OptimizerDefaults) =>
  Schema.Struct({
    name: Schema.Literals(["sgd", "adam", "rmsprop"]).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(defaults.name))
    ),
    learningRate: Positive.annotate({ description: "Peak learning rate" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(defaults.learningRate))
    ),
    momentum: Fraction.annotate({ description: "sgd and rmsprop: momentum" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(0.9))
    ),
    nesterov: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
    beta1: Fraction.pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.beta1))),
    beta2: Fraction.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.999))),
    alpha: Fraction.annotate({ description: "rmsprop: decay of the squared average" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(0.99))
    ),
    epsilon: Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1e-8))),
    weightDecay: NonNegative.pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.weightDecay))),
    decoupled: Schema.Boolean.annotate({ description: "Decoupled weight decay (AdamW) instead of an L2 term" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(false))
    ),
    clipNorm: Schema.NullOr(Positive)
      .annotate({ description: "Clip the global gradient norm to this" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
  })
/**
 * How parameters are updated. The fields of `sgd`, `adam` and `rmsprop` have their usual meaning.
 *
 * **Example** (The default)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { OptimizerConfig } from "./OptimizerConfig.ts"
 *
 * Schema.decodeUnknownSync(OptimizerConfig)({}).name // => "sgd"
 * ```
 */
export const OptimizerConfig = optimizerSection({ name: "sgd", learningRate: 0.05, beta1: 0.9, weightDecay: 4e-5 })
/** How parameters are updated. */
export type OptimizerConfig = typeof OptimizerConfig.Type
