/**
 * Trains by the current distribution of a gradient-based searcher: every step mixes all options of every layer by their
 * probabilities, or trains a path drawn by them. By default it mixes as the searcher does, so that the supernet is trained as
 * it is used.
 *
 * The state is a key and the number of steps taken. The distribution is an argument of every step and is not stored.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import * as Key from "../random/Key.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as Distribution from "../search-strategy/Distribution.ts"
import type { ArchitectureDistribution } from "../search-strategy/SearchStrategy.ts"
import { Positive } from "../support/Numbers.ts"
import * as SamplerPosition from "./SamplerPosition.ts"
import { type TrainingStep, TrainingStrategy, type TrainingStrategyShape } from "./TrainingStrategy.ts"

/**
 * Options of the sampler.
 *
 * **Example** (As the searcher mixes)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableTraining from "./DifferentiableTraining.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableTraining.Options)({}) // => { mode: "searcher", temperature: null, hard: null }
 * ```
 */
export const Options = Schema.Struct({
  mode: Schema.Literals(["searcher", "softmax", "gumbel-softmax", "sum", "single"])
    .annotate({
      description:
        "How a step uses the probabilities. searcher: as the search strategy does; softmax: a mixture at the temperature; gumbel-softmax: a relaxed draw; sum: a mixture by the probabilities themselves; single: a path drawn by them"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("searcher" as const))),
  temperature: Schema.NullOr(Positive)
    .annotate({ description: "Temperature of the mixture; null: that of the search strategy, with its schedule" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  hard: Schema.NullOr(Schema.Boolean)
    .annotate({ description: "Whether a draw is a single option per layer; null: as the search strategy does" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})
/** Options of the sampler. */
export type Options = typeof Options.Type

/**
 * The sampler of a space. Without a distribution, all options are equally probable.
 *
 * **Example** (Two options, one twice as probable)
 *
 * ```ts
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as DifferentiableTraining from "./DifferentiableTraining.ts"
 *
 * const space = TabularSpace.make({ name: "one", layers: [["a", "b"]] })
 * const sampler = DifferentiableTraining.make(space, { mode: "searcher", temperature: null, hard: null })
 * const distribution = { logits: [[Math.log(2), 0]], temperature: 1, relaxation: "softmax", hard: false } as const
 * const [step] = sampler.next(sampler.init(Key.make(0)), distribution)
 * step._tag === "Mixture" && step.weights[0]!.map((weight) => weight.toFixed(3)) // => ["0.667", "0.333"]
 * ```
 */
export const make = (space: LayerOptions.LayeredSpace, options: Options): TrainingStrategyShape => {
  const { counts, genotype } = LayerOptions.make(space)
  const uniform: ArchitectureDistribution = {
    logits: counts.map((count) => new Array<number>(count).fill(0)),
    temperature: 1,
    relaxation: "softmax",
    hard: false
  }
  const path = (indices: ReadonlyArray<number>): TrainingStep => ({ _tag: "Paths", paths: [genotype(indices)] })

  const stepOf = (distribution: ArchitectureDistribution, key: Key.Key): TrainingStep => {
    const { mode } = options
    if (mode === "single") return path(Distribution.draw(distribution.logits, key))
    if (mode === "sum") return { _tag: "Mixture", weights: Distribution.probabilities(distribution.logits) }
    const hard = options.hard ?? distribution.hard
    const weights = Distribution.weights(
      {
        logits: distribution.logits,
        temperature: options.temperature ?? distribution.temperature,
        relaxation: mode === "searcher" ? distribution.relaxation : mode,
        hard
      },
      key
    )
    // A mixture with one option per layer is a path, and as cheap.
    return hard ? path(weights.map((row) => row.indexOf(1))) : { _tag: "Mixture", weights }
  }

  return {
    name: "differentiable",
    follows: true,
    init: SamplerPosition.init,
    next: (state, distribution = uniform) => {
      const { key, step } = SamplerPosition.read(state)
      return [stepOf(distribution, Key.derive(key, step)), SamplerPosition.after(state)]
    }
  }
}

/**
 * `name: differentiable`.
 *
 * **Example** (Its name)
 *
 * ```ts
 * import * as DifferentiableTraining from "./DifferentiableTraining.ts"
 *
 * DifferentiableTraining.component.name // => "differentiable"
 * ```
 */
export const component = define({
  kind: "trainingStrategy",
  name: "differentiable",
  description: "All options of every layer at once, mixed by the current distribution of the search strategy",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      TrainingStrategy,
      Effect.map(SearchSpace, (space) => make(space, options))
    )
})
