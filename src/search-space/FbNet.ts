/**
 * The FBNet search space (Wu et al. 2019, section 3.1): 22 layers of nine choices, inverted residuals with kernels 3 and
 * 5, expansions 1, 3, 6, grouped pointwise convolutions, or skipped. FBNet-S and FBNet-L differ in the width of the
 * head.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { conv, mobile, skip } from "./blocks/Block.ts"
import {
  fixed,
  fromMacro,
  headAfter,
  layerOf,
  layersOf,
  type MacroSpec,
  type Make,
  strideOptions,
  withStrides
} from "./MacroSpace.ts"

/** Options of the spaces. */
export const Options = Schema.Struct({
  ...strideOptions,
  channelShuffle: Schema.Boolean.annotate({
    description: "Shuffle channels in the blocks with grouped convolutions"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
})
/** Options of the spaces. */
export type Options = typeof Options.Type

/** The description of a space whose head is `head` wide. */
export const macro = (name: string, head: number, options: Options): MacroSpec => {
  const grouped = { pointGroups: 2, channelShuffle: options.channelShuffle }
  return {
    name,
    first: [fixed(conv({ kernel: 3 }), 16, options.stemStride)],
    search: layersOf([
      [16, 1],
      [24, 1, 2],
      [24, 1],
      [24, 1],
      [24, 1],
      [32, 2],
      [32, 1],
      [32, 1],
      [32, 1],
      [64, 2],
      [64, 1],
      [64, 1],
      [64, 1],
      [112, 1],
      [112, 1],
      [112, 1],
      [112, 1],
      [184, 2],
      [184, 1],
      [184, 1],
      [184, 1],
      [352, 1]
    ]),
    choices: [
      mobile({ kernel: 3, expansion: 1 }),
      mobile({ kernel: 3, expansion: 1, ...grouped }),
      mobile({ kernel: 3, expansion: 3 }),
      mobile({ kernel: 3, expansion: 6 }),
      mobile({ kernel: 5, expansion: 1 }),
      mobile({ kernel: 5, expansion: 1, ...grouped }),
      mobile({ kernel: 5, expansion: 3 }),
      mobile({ kernel: 5, expansion: 6 }),
      skip
    ],
    last: headAfter(head)
  }
}

/**
 * FBNet-S: a head of 1504 channels.
 *
 * **Example** (Its size)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as FbNet from "./FbNet.ts"
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } } as const
 * Result.getOrThrow(FbNet.makeS({ stemStride: 2, channelShuffle: false }, task)).size === 9n ** 22n // => true
 * ```
 */
export const makeS: Make<Options> = (options, networkInterface) =>
  fromMacro(macro("fbnet-s", 1504, options), withStrides(options, networkInterface))

/** FBNet-L: a head of 1984 channels. */
export const makeL: Make<Options> = (options, networkInterface) =>
  fromMacro(macro("fbnet-l", 1984, options), withStrides(options, networkInterface))

/**
 * `name: fbnet-s`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FbNet from "./FbNet.ts"
 *
 * const options = Schema.decodeUnknownSync(FbNet.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(FbNet.makeS(options, task))
 * space.size === 9n ** 22n // => true
 * space.name // => FbNet.componentS.name
 * Result.getOrThrow(FbNet.makeL(options, task)).name // => FbNet.componentL.name
 * FbNet.macro("mine", 1504, options).search.length // => 22
 * ```
 */
export const componentS = define({
  kind: "searchSpace",
  name: "fbnet-s",
  description: "FBNet: 22 layers of k3/k5 e1/e3/e6, grouped or skip; head of 1504 channels",
  options: Options,
  layer: layerOf(makeS)
})

/** `name: fbnet-l`. */
export const componentL = define({
  kind: "searchSpace",
  name: "fbnet-l",
  description: "FBNet: 22 layers of k3/k5 e1/e3/e6, grouped or skip; head of 1984 channels",
  options: Options,
  layer: layerOf(makeL)
})
