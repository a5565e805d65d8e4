/**
 * A small space for a first run: six layers of inverted residuals for images of about 28 to 32 pixels. Its networks train in
 * seconds to minutes on a CPU.
 */
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
  stemStrideOption
} from "./MacroSpace.ts"

/** Options of the space. */
export const Options = Schema.Struct({
  stemStride: stemStrideOption
})
/** Options of the space. */
export type Options = typeof Options.Type

/** The description of the space. */
export const macro = (options: Options): MacroSpec => ({
  name: "tiny",
  first: [fixed(conv({ kernel: 3 }), 16, options.stemStride)],
  search: layersOf([
    [24, 1, 2],
    [24, 1],
    [40, 2],
    [40, 1],
    [64, 2],
    [64, 1]
  ]),
  choices: [
    mobile({ kernel: 3, expansion: 2 }),
    mobile({ kernel: 3, expansion: 4 }),
    mobile({ kernel: 5, expansion: 2 }),
    mobile({ kernel: 5, expansion: 4 }),
    mobile({ kernel: 7, expansion: 2 }),
    mobile({ kernel: 7, expansion: 4 }),
    skip
  ],
  last: headAfter(192)
})

/**
 * The space for images and a head.
 *
 * **Example** (Its size)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "./Tiny.ts"
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)).size // => 117649n
 * ```
 */
export const make: Make<Options> = (options, networkInterface) => fromMacro(macro(options), networkInterface)

/**
 * `name: tiny`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Tiny from "./Tiny.ts"
 *
 * const options = Schema.decodeUnknownSync(Tiny.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make(options, task))
 * space.size // => 117649n
 * space.name // => Tiny.component.name
 * Tiny.macro(options).search.length // => 6
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "tiny",
  description: "A small space for first runs: 6 layers of inverted residuals k3/k5/k7 e2/e4 or skip",
  options: Options,
  layer: layerOf(make)
})
