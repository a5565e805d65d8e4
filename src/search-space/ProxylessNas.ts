/**
 * The ProxylessNAS search space (Cai, Zhu, Han 2019, section 4.2): 21 layers of inverted residuals with kernels 3, 5, 7
 * and expansions 3, 6, or skipped.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { PositiveInt } from "../support/Numbers.ts"
import { conv, mobile, skip } from "./blocks/Block.ts"
import {
  fixed,
  headAfter,
  layerOf,
  layersOf,
  type MacroSpec,
  type Make,
  makeFrom,
  type SearchedLayer,
  strideOptions
} from "./MacroSpace.ts"

/** Widths of the space. */
export interface Widths {
  readonly stem: number
  readonly first: number
  /** Widths of the stages; the last one has a single layer, the others have four. */
  readonly stages: readonly [number, number, number, number, number, number]
  readonly head: number
}

/** The published widths. */
export const standardWidths: Widths = { stem: 32, first: 16, stages: [24, 40, 80, 96, 192, 320], head: 1280 }

/** The choices of every layer. */
export const choices = [
  mobile({ kernel: 3, expansion: 3 }),
  mobile({ kernel: 3, expansion: 6 }),
  mobile({ kernel: 5, expansion: 3 }),
  mobile({ kernel: 5, expansion: 6 }),
  mobile({ kernel: 7, expansion: 3 }),
  mobile({ kernel: 7, expansion: 6 }),
  skip
]

/** The 21 searched layers of given widths. */
export const searchedLayers = (widths: Widths): ReadonlyArray<SearchedLayer> => {
  const strides = [1, 2, 2, 1, 2, 1]
  return layersOf(
    widths.stages.flatMap((width, stage) =>
      Array.from({ length: stage === 5 ? 1 : 4 }, (_, i) => {
        const stride = i === 0 ? (strides[stage] as number) : 1
        return [width, stride, stage === 0 && i === 0 ? 2 : stride] as const
      })
    )
  )
}

/** Options of the space. */
export const Options = Schema.Struct({
  ...strideOptions,
  widths: Schema.NullOr(
    Schema.Struct({
      stem: PositiveInt,
      first: PositiveInt,
      stages: Schema.Tuple([PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt]),
      head: PositiveInt
    })
  )
    .annotate({ description: "Widths; null: 32, 16, 24 40 80 96 192 320, 1280" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})
/** Options of the space. */
export type Options = typeof Options.Type

/** The description of the space. */
export const macro = (options: Options): MacroSpec => {
  const widths = options.widths ?? standardWidths
  return {
    name: "proxylessnas",
    first: [
      fixed(conv({ kernel: 3 }), widths.stem, options.stemStride),
      fixed(mobile({ kernel: 3, expansion: 1 }), widths.first)
    ],
    search: searchedLayers(widths),
    choices,
    last: headAfter(widths.head)
  }
}

/**
 * The space for images and a head. Images of 96 pixels and more are halved once more, in the first searched layer.
 *
 * **Example** (Its size)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as ProxylessNas from "./ProxylessNas.ts"
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } } as const
 * Result.getOrThrow(ProxylessNas.make({ stemStride: 2, widths: null }, task)).size // => 558545864083284007n
 * ```
 */
export const make: Make<Options> = makeFrom(macro)

/**
 * `name: proxylessnas`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as ProxylessNas from "./ProxylessNas.ts"
 *
 * const options = Schema.decodeUnknownSync(ProxylessNas.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(ProxylessNas.make(options, task))
 * space.choices[0]?.length // => ProxylessNas.choices.length
 * space.name // => ProxylessNas.component.name
 * ProxylessNas.macro(options).search // => ProxylessNas.searchedLayers(ProxylessNas.standardWidths)
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "proxylessnas",
  description: "ProxylessNAS: 21 layers of inverted residuals k3/k5/k7 e3/e6 or skip",
  options: Options,
  layer: layerOf(make)
})
