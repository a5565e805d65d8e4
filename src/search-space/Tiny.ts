/**
 * A small space for a first run: six layers of inverted residuals, made for images of about 28 to 32 pixels, whose
 * networks train in seconds to minutes on a processor.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { classifier, conv, globalAverage, mobile, skip } from "./blocks/Block.ts"
import { fixed, fromMacro, isImageNetSize, layersOf, type MacroSpec } from "./MacroSpace.ts"
import {
  type NetworkInterface,
  SearchSpace,
  type SearchSpaceError,
  type SearchSpaceShape,
  TaskInterface
} from "./SearchSpace.ts"

/** Options of the space. */
export const Options = Schema.Struct({
  stemStride: Schema.Literals([1, 2])
    .annotate({ description: "Stride of the first convolution" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2 as const)))
})
/** Options of the space. */
export type Options = typeof Options.Type

/** The description of the space for an interface. */
export const macro = (options: Options, networkInterface: NetworkInterface): MacroSpec => ({
  name: "tiny",
  first: [fixed(conv({ kernel: 3 }), 16, options.stemStride)],
  search: layersOf([
    [24, isImageNetSize(networkInterface) ? 2 : 1],
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
  last: [fixed(conv({ kernel: 1 }), 192), fixed(globalAverage), fixed(classifier, "head")]
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
export const make = (
  options: Options,
  networkInterface: NetworkInterface
): Result.Result<SearchSpaceShape, SearchSpaceError> => fromMacro(macro(options, networkInterface), networkInterface)

/** The space of a run. */
export const layer = (options: Options): Layer.Layer<SearchSpace, SearchSpaceError, TaskInterface> =>
  Layer.effect(
    SearchSpace,
    Effect.gen(function* () {
      return yield* Effect.fromResult(make(options, yield* TaskInterface))
    })
  )

/** `name: tiny`. */
export const component = define({
  kind: "searchSpace",
  name: "tiny",
  description: "A small space for first runs: 6 layers of inverted residuals k3/k5/k7 e2/e4 or skip",
  options: Options,
  layer
})
