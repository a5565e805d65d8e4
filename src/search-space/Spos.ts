/**
 * The search space of Single Path One-Shot (Guo et al. 2020, section 4.1): 20 layers of shuffle blocks with kernels 3,
 * 5, 7, or the Xception-like one.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { conv, shuffle } from "./blocks/Block.ts"
import {
  fixed,
  headAfter,
  layerOf,
  layersOf,
  type MacroSpec,
  type Make,
  makeFrom,
  strideOptions
} from "./MacroSpace.ts"

/** Options of the space. */
export const Options = Schema.Struct({
  ...strideOptions,
  variant: Schema.Literals(["osnas", "authors"])
    .annotate({
      description:
        "osnas: half the width to each branch, ReLU6, a classifier with bias; authors: the release's blocks, whose projection branch keeps the input's width, ReLU, no bias"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("osnas" as const)))
})
/** Options of the space. */
export type Options = typeof Options.Type

const stages = [
  [64, 4],
  [160, 4],
  [320, 8],
  [640, 4]
] as const

/** The description of the space. */
export const macro = (options: Options): MacroSpec => {
  const authors = options.variant === "authors"
  const activation = authors ? "relu" : "relu6"
  const settings = { activation, widening: authors ? "keep" : "half" } as const
  return {
    name: "spos",
    first: [fixed(conv({ kernel: 3, activation }), 16, options.stemStride)],
    search: layersOf(
      stages.flatMap(([width, length], stage) =>
        Array.from({ length }, (_, i) => [width, i === 0 && stage > 0 ? 2 : 1, i === 0 ? 2 : 1] as const)
      )
    ),
    choices: [
      shuffle({ kernel: 3, ...settings }),
      shuffle({ kernel: 5, ...settings }),
      shuffle({ kernel: 7, ...settings }),
      shuffle({ kernel: 3, xception: true, ...settings })
    ],
    last: headAfter(1024, { activation, bias: !authors })
  }
}

/**
 * The space for images and a head.
 *
 * **Example** (Its size)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Spos from "./Spos.ts"
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } } as const
 * Result.getOrThrow(Spos.make({ stemStride: 2, variant: "osnas" }, task)).size === 4n ** 20n // => true
 * ```
 */
export const make: Make<Options> = makeFrom(macro)

/**
 * `name: spos`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Spos from "./Spos.ts"
 *
 * const options = Schema.decodeUnknownSync(Spos.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Spos.make(options, task))
 * space.size === 4n ** 20n // => true
 * space.name // => Spos.component.name
 * Spos.macro(options).choices.length // => 4
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "spos",
  description: "Single Path One-Shot: 20 layers of shuffle blocks k3/k5/k7 or Xception",
  options: Options,
  layer: layerOf(make)
})
