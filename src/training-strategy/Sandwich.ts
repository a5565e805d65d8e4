/**
 * The sandwich rule (Yu and Huang 2019, "Universally Slimmable Networks", section 3.2): every step trains the largest path,
 * the smallest path and some random ones, on the same batch, with one update from the summed gradients. With in-place
 * distillation (the same, section 3.3; Yu et al. 2020, "BigNAS", section 3.1) the largest path learns from the labels and
 * the others from its outputs.
 *
 * Largest and smallest are the options with the most and the fewest multiply-accumulates of every layer.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { type CostEntries, CostModel } from "../cost/CostModel.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import * as Key from "../random/Key.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { NonNegativeInt } from "../support/Numbers.ts"
import * as SamplerPosition from "./SamplerPosition.ts"
import { TrainingStrategy, type TrainingStrategyShape } from "./TrainingStrategy.ts"

/** Options of the sampler. */
export const Options = Schema.Struct({
  random: NonNegativeInt.annotate({ description: "Random paths of a step, beside the largest and the smallest" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(2))
  ),
  distillation: Schema.Boolean.annotate({
    description: "Whether all paths but the largest learn from its outputs instead of the labels (classifiers only)"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(true)))
})
/** Options of the sampler. */
export type Options = typeof Options.Type

/** Indices of the options of extreme cost, the first among equals. */
const extreme = (entries: CostEntries, isBetter: (a: number, b: number) => boolean): ReadonlyArray<number> =>
  entries.layers.map((costs) => costs.reduce((best, cost, option) => (isBetter(cost, costs[best]!) ? option : best), 0))

/**
 * The sampler of a space, given the costs of its options. Its state is its key and the number of steps taken.
 *
 * **Example** (Largest, smallest, one at random)
 *
 * ```ts
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Sandwich from "./Sandwich.ts"
 *
 * const space = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b", "c"]] })
 * const costs = { base: 0, layers: [[1, 2], [3, 9, 1]] }
 * const sampler = Sandwich.make(space, costs, { random: 1, distillation: true })
 * const [step] = sampler.next(sampler.init(Key.make(0)))
 * step._tag === "Paths" && step.paths.slice(0, 2) // => [[1, 1], [0, 2]]
 * step._tag === "Paths" && step.paths.length // => 3
 * step._tag === "Paths" && step.teacher // => 0
 * ```
 */
export const make = (
  space: LayerOptions.LayeredSpace,
  costs: CostEntries,
  { distillation, random }: Options
): TrainingStrategyShape => {
  const { counts, genotype } = LayerOptions.make(space)
  const largest = genotype(extreme(costs, (a, b) => a > b))
  const smallest = genotype(extreme(costs, (a, b) => a < b))
  return {
    name: "sandwich",
    init: SamplerPosition.init,
    next: (state) => {
      const { key, step } = SamplerPosition.read(state)
      const drawn = Array.from({ length: random }, (_, index) => {
        const own = Key.derive(key, step, index)
        return genotype(counts.map((count, layer) => Key.integer(own, count, layer)))
      })
      const paths = [largest, smallest, ...drawn]
      return [{ _tag: "Paths", paths, ...(distillation ? { teacher: 0 } : {}) }, SamplerPosition.after(state)]
    }
  }
}

/**
 * `name: sandwich`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Sandwich from "./Sandwich.ts"
 *
 * Schema.decodeUnknownSync(Sandwich.Options)({}) // => { random: 2, distillation: true }
 * Sandwich.component.name // => "sandwich"
 * ```
 */
export const component = define({
  kind: "trainingStrategy",
  name: "sandwich",
  description: "Sandwich rule: the largest, the smallest and some random paths per step; distilled in place",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      TrainingStrategy,
      Effect.map(Effect.all([SearchSpace, CostModel]), ([space, costs]) => make(space, costs.entries("flops"), options))
    )
})
