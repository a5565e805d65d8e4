/**
 * The search space of NAS-Bench-Macro (Su et al. 2021, "Prioritized Architecture Sampling with Monte-Carlo Tree
 * Search", section 5): 8 layers of identity, inverted residual k3 e3, or k5 e6. Every network of it was trained on
 * CIFAR-10 three times; parameters and multiply-accumulates here are those of the published table.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { Positive } from "../support/Numbers.ts"
import { conv, mobile, skip } from "./blocks/Block.ts"
import { fixed, fromMacro, headAfter, layerOf, layersOf, type MacroSpec, type Make } from "./MacroSpace.ts"
import type { Genotype } from "./SearchSpace.ts"

/** Options of the space. */
export const Options = Schema.Struct({
  widthMultiplier: Positive.annotate({
    description: "Factor of every layer's channels, rounded to whole channels; 1: the networks of the published table"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
})
/** Options of the space. */
export type Options = typeof Options.Type

const channels = (width: number, multiplier: number): number => Math.max(1, Math.round(width * multiplier))

/**
 * The description of the space, with the channels of every layer multiplied. Narrow networks train in minutes, and their
 * order resembles that of the published ones.
 *
 * **Example** (Three eighths of the width)
 *
 * ```ts
 * import * as NasBenchMacro from "./NasBenchMacro.ts"
 *
 * NasBenchMacro.macroOf(0.375).search.map(({ width }) => width) // => [24, 24, 48, 48, 48, 96, 96, 96]
 * ```
 */
export const macroOf = (multiplier: number): MacroSpec => {
  const of = (width: number) => channels(width, multiplier)
  return {
    name: "nas-bench-macro",
    first: [fixed(conv({ kernel: 3 }), of(32), 1, 2)],
    search: layersOf([
      [of(64), 2],
      [of(64), 1],
      [of(128), 2],
      [of(128), 1],
      [of(128), 1],
      [of(256), 2],
      [of(256), 1],
      [of(256), 1]
    ]),
    choices: [skip, mobile({ kernel: 3, expansion: 3 }), mobile({ kernel: 5, expansion: 6 })],
    last: headAfter(of(1280))
  }
}

/** The description of the space as published. */
export const macro: MacroSpec = macroOf(1)

/** First layer of each stage, and the end. */
const stageStarts = [0, 2, 5, 8]

/**
 * An identity within a stage changes nothing, so its position does not matter: the canonical genotype has the identities last.
 * The first layer of a stage changes the width and keeps its position.
 *
 * **Example** (Identities move to the end of their stage)
 * ```ts
 * import * as NasBenchMacro from "./NasBenchMacro.ts"
 * NasBenchMacro.canonical([0, 1, 2, 0, 1, 1, 0, 2]).join("") // => "01210120"
 * ```
 */
export const canonical = (genotype: Genotype): Genotype =>
  stageStarts.slice(0, -1).flatMap((start, stage) => {
    const inner = genotype.slice(start + 1, stageStarts[stage + 1])
    const layers = inner.filter((digit) => digit !== 0)
    return [genotype[start] as number, ...layers, ...inner.filter((digit) => digit === 0)]
  })

/** The space for images and a head. */
export const make: Make<Options> = ({ widthMultiplier }, networkInterface) =>
  fromMacro(macroOf(widthMultiplier), networkInterface, { canonical })

/**
 * `name: nas-bench-macro`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as NasBenchMacro from "./NasBenchMacro.ts"
 *
 * const options = Schema.decodeUnknownSync(NasBenchMacro.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(NasBenchMacro.make(options, task))
 * space.size // => 6561n
 * space.name // => NasBenchMacro.component.name
 * NasBenchMacro.macro.choices.length // => 3
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "nas-bench-macro",
  description: "NAS-Bench-Macro: 8 layers of identity, k3 e3, k5 e6; every network's accuracy is known",
  options: Options,
  layer: layerOf(make)
})
