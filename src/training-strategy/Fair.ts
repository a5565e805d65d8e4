/**
 * Strict fairness (Chu et al. 2021, "FairNAS", section 3.2): in a cycle every option of every layer is trained exactly
 * once. As published, all paths of a cycle see the same batch, and their summed gradients make one update. The variant
 * updates after each path, with the same paths in the same order.
 *
 * Each layer goes through its options in one random permutation after another. If layers have different numbers of options,
 * a cycle is as long as the largest, and smaller layers begin their next permutation within it. So at any time the counts
 * of the options of a layer differ by at most one. In a layer with several digits (SGNAS) this holds for the choices of
 * each digit.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as LayerOptions from "../cost/LayerOptions.ts"
import * as Key from "../random/Key.ts"
import { type Genotype, SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as SamplerPosition from "./SamplerPosition.ts"
import { TrainingStrategy, type TrainingStrategyShape } from "./TrainingStrategy.ts"

/** Options of the sampler. */
export const Options = Schema.Struct({
  update: Schema.Literals(["cycle", "step"])
    .annotate({
      description: "cycle: one update from the summed gradients of a whole cycle; step: one update after each path"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("cycle" as const)))
})
/** Options of the sampler. */
export type Options = typeof Options.Type

const leastCommonMultiple = (a: number, b: number): number => {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return (a / x) * b
}

/** Most draws of the permutations of a composed layer until all its selections exist. */
const attempts = 1000

/**
 * The sampler of a space. Its state is its key and the number of steps taken.
 *
 * **Example** (Three options, three paths per update)
 *
 * ```ts
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Fair from "./Fair.ts"
 *
 * const options = ["a", "b", "c"]
 * const sampler = Fair.make(TabularSpace.make({ name: "two", layers: [options, options] }), { update: "cycle" })
 * const [step] = sampler.next(sampler.init(Key.make(0)))
 * step._tag === "Paths" && step.paths.map(([first]) => first).sort() // => [0, 1, 2]
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "name" | "layers" | "choices" | "canonical">,
  options: Options
): TrainingStrategyShape => {
  const translate = LayerOptions.make(space)
  /** [layer][digit]: the number of choices. */
  const digits = space.layers.map((layer, index) =>
    space.choices.slice(translate.offsets[index]!, translate.offsets[index]! + layer.width).map((names) => names.length)
  )
  const period = digits.map((layer) => layer.reduce(leastCommonMultiple, 1))
  const cycle = Math.max(...period)

  const anywhere = translate.genotype(digits.map(() => 0))
  /** Whether a layer has a selection; tested with the first option in all other layers. */
  const known = new Map<string, boolean>()
  const exists = (layer: number, selection: Genotype): boolean => {
    if (selection.length === 1) return true
    const name = `${layer}:${selection}`
    const found =
      known.get(name) ??
      Result.isSuccess(translate.indices(anywhere.toSpliced(translate.offsets[layer]!, selection.length, ...selection)))
    known.set(name, found)
    return found
  }

  /** A permutation of the choices of each digit, such that every resulting selection exists. */
  const round = (key: Key.Key, layer: number, index: number): ReadonlyArray<Genotype> => {
    const own = digits[layer]!
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const drawn = own.map((choices, position) => {
        const order = Key.permutation(Key.derive(key, layer, index, attempt, position), choices)
        return Array.from({ length: period[layer]! }, (_, turn) => order[turn % choices]!)
      })
      const selections = Array.from({ length: period[layer]! }, (_, turn) => drawn.map((order) => order[turn]!))
      if (selections.every((selection) => exists(layer, selection))) return selections
    }
    throw new RangeError(
      `fair sampling: layer ${space.layers[layer]!.name} of ${space.name} has no balanced cycle of its ${own.length} digits`
    )
  }

  /** The path with this index, counted from the first step. */
  const path = (key: Key.Key, index: number): Genotype =>
    period.flatMap((length, layer) => {
      const selections = round(key, layer, Math.floor(index / length))
      return [...selections[index % length]!]
    })

  return {
    name: "fair",
    init: SamplerPosition.init,
    next: (state) => {
      const { key, step } = SamplerPosition.read(state)
      const paths =
        options.update === "step"
          ? [path(key, step)]
          : Array.from({ length: cycle }, (_, turn) => path(key, step * cycle + turn))
      return [{ _tag: "Paths", paths }, SamplerPosition.after(state)]
    }
  }
}

/**
 * `name: fair`.
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
 * import * as Fair from "./Fair.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Layer.succeed(SearchSpace, Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)))
 * const options = Schema.decodeUnknownSync(Fair.Options)({})
 * const name = Effect.map(TrainingStrategy, (strategy) => strategy.name)
 * Effect.runSync(Effect.provide(name, Fair.component.layer(options).pipe(Layer.provide(space)))) // => Fair.component.name
 * ```
 */
export const component = define({
  kind: "trainingStrategy",
  name: "fair",
  description: "Strict fairness: every option of a layer exactly once per cycle, one update per cycle or per step",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      TrainingStrategy,
      Effect.map(SearchSpace, (space) => make(space, options))
    )
})
