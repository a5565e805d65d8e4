/**
 * Uniform path sampling: every step trains one path whose options are drawn independently, each with the same
 * probability (Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling", section 3.2).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import * as Key from "../random/Key.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as SamplerPosition from "./SamplerPosition.ts"
import { TrainingStrategy, type TrainingStrategyShape } from "./TrainingStrategy.ts"

/** Uniform sampling has no options. */
export const Options = Schema.Struct({})
/** Uniform sampling has no options. */
export type Options = typeof Options.Type

/**
 * The sampler of a space. Its state is its key and the number of steps taken.
 *
 * **Example** (One path per step)
 *
 * ```ts
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Uniform from "./Uniform.ts"
 *
 * const sampler = Uniform.make(TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b", "c"]] }))
 * const [step, state] = sampler.next(sampler.init(Key.make(0)))
 * step._tag // => "Paths"
 * state["step"] // => 1
 * ```
 */
export const make = (space: LayerOptions.LayeredSpace): TrainingStrategyShape => {
  const { counts, genotype } = LayerOptions.make(space)
  return {
    name: "uniform",
    init: SamplerPosition.init,
    next: (state) => {
      const { key, step } = SamplerPosition.read(state)
      const drawn = Key.derive(key, step)
      const path = genotype(counts.map((count, layer) => Key.integer(drawn, count, layer)))
      return [{ _tag: "Paths", paths: [path] }, SamplerPosition.after(state)]
    }
  }
}

/**
 * `name: uniform`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import { SearchSpace } from "../search-space/SearchSpace.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import { TrainingStrategy } from "./TrainingStrategy.ts"
 * import * as Uniform from "./Uniform.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Layer.succeed(SearchSpace, Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const options = Schema.decodeUnknownSync(Uniform.Options)({})
 * const name = Effect.map(TrainingStrategy, (strategy) => strategy.name)
 * Effect.runSync(Effect.provide(name, Uniform.component.layer(options).pipe(Layer.provide(space)))) // => Uniform.component.name
 * ```
 */
export const component = define({
  kind: "trainingStrategy",
  name: "uniform",
  description: "One path per step, every option of a layer with the same probability",
  options: Options,
  layer: () => Layer.effect(TrainingStrategy, Effect.map(SearchSpace, make))
})
