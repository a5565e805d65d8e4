/**
 * Uniform sampling over depths: the number of layers that are not skipped is drawn first, every possible one with the same
 * probability, then which layers they are, then their options, uniformly. Where layers can be skipped, uniform sampling
 * trains networks of middle depth almost always, and the shallow and the deep ones, which a search compares with them,
 * hardly ever.
 *
 * In a space whose layers cannot be skipped it is uniform sampling.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import * as Key from "../random/Key.ts"
import { leavesOut } from "../search-space/Network.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as SamplerPosition from "./SamplerPosition.ts"
import { TrainingStrategy, type TrainingStrategyShape } from "./TrainingStrategy.ts"

/** The sampler has no options. */
export const Options = Schema.Struct({})
/** The sampler has no options. */
export type Options = typeof Options.Type

/** Indices of a layer's options that skip it, and of the others. */
interface Split {
  readonly skipping: ReadonlyArray<number>
  readonly others: ReadonlyArray<number>
}

/**
 * The sampler of a space; `isSkip` says which options skip a layer. Its state is its key and the number of steps taken.
 *
 * **Example** (Of two layers with three options none, one or two are skipped)
 *
 * ```ts
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as DepthStratified from "./DepthStratified.ts"
 *
 * const options = ["skip", "k3", "k5"]
 * const space = TabularSpace.make({ name: "two", layers: [options, options] })
 * const sampler = DepthStratified.make(space, (_, option) => option === 0)
 * let [depths, state] = [[0, 0, 0], sampler.init(Key.make(1))]
 * for (let step = 0; step < 3000; step += 1) {
 *   const [{ paths }, next] = sampler.next(state)
 *   depths[paths[0].filter((digit) => digit > 0).length] += 1
 *   state = next
 * }
 * depths.every((times) => times > 900 && times < 1100) // => true
 * ```
 */
export const make = (
  space: LayerOptions.LayeredSpace,
  isSkip: (layer: number, option: number) => boolean
): TrainingStrategyShape => {
  const { counts, genotype } = LayerOptions.make(space)
  const layers = counts.map((count, layer): Split => {
    const options = Array.from({ length: count }, (_, option) => option)
    return {
      skipping: options.filter((option) => isSkip(layer, option)),
      others: options.filter((option) => !isSkip(layer, option))
    }
  })
  const skippable = layers.flatMap(({ others, skipping }, layer) =>
    others.length > 0 && skipping.length > 0 ? [layer] : []
  )
  return {
    name: "depth-stratified",
    init: SamplerPosition.init,
    next: (state) => {
      const { key, step } = SamplerPosition.read(state)
      const own = Key.derive(key, step)
      const skipped = Key.integer(Key.derive(own, "depth"), skippable.length + 1)
      const order = Key.permutation(Key.derive(own, "layers"), skippable.length)
      const skips = new Set([...order].slice(0, skipped).map((index) => skippable[index]!))
      const path = layers.map(({ others, skipping }, layer) => {
        const among = skips.has(layer) || others.length === 0 ? skipping : others
        return among[Key.integer(Key.derive(own, "options"), among.length, layer)]!
      })
      return [{ _tag: "Paths", paths: [genotype(path)] }, SamplerPosition.after(state)]
    }
  }
}

/**
 * `name: depth-stratified`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DepthStratified from "./DepthStratified.ts"
 *
 * Schema.decodeUnknownSync(DepthStratified.Options)({}) // => {}
 * DepthStratified.component.name // => "depth-stratified"
 * ```
 */
export const component = define({
  kind: "trainingStrategy",
  name: "depth-stratified",
  description: "One path per step; every depth with the same probability, then uniform",
  options: Options,
  layer: () =>
    Layer.effect(
      TrainingStrategy,
      Effect.map(SearchSpace, (space) =>
        make(space, (layer, option) => leavesOut(space.layers[layer]!.options[option]!.block.block))
      )
    )
})
