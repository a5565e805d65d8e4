/**
 * A search space around MobileFaceNet (Chen et al. 2018, section 3.3): 15 layers of inverted residuals with PReLU,
 * kernels 3 and 5, expansions 1, 2, 4, or skipped; then the global depthwise convolution, whose kernel covers the whole
 * image.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { conv, globalAverage, mobile, skip } from "./blocks/Block.ts"
import {
  fixed,
  fromMacro,
  layerOf,
  layersOf,
  type MacroSpec,
  type Make,
  strideFor,
  strideOptions,
  withStrides
} from "./MacroSpace.ts"
import { SearchSpaceError } from "./SearchSpace.ts"

/** Options of the space. */
export const Options = Schema.Struct(strideOptions)
/** Options of the space. */
export type Options = typeof Options.Type

const prelu = { activation: "prelu" } as const

const searched = layersOf([
  [64, 1, 2],
  [64, 1],
  [64, 1],
  [64, 1],
  [64, 1],
  [128, 2],
  [128, 1],
  [128, 1],
  [128, 1],
  [128, 1],
  [128, 1],
  [128, 1],
  [128, 2],
  [128, 1],
  [128, 1]
])

/** The description of the space; `side` is that of the image before the global depthwise convolution. */
export const macro = (options: Options, side: number): MacroSpec => ({
  name: "mobilefacenet",
  first: [
    fixed(conv({ kernel: 3, ...prelu }), 64, options.stemStride),
    fixed(conv({ kernel: 3, groups: "depthwise", ...prelu }))
  ],
  search: searched,
  choices: [
    mobile({ kernel: 3, expansion: 1, ...prelu }),
    mobile({ kernel: 3, expansion: 2, ...prelu }),
    mobile({ kernel: 3, expansion: 4, ...prelu }),
    mobile({ kernel: 5, expansion: 1, ...prelu }),
    mobile({ kernel: 5, expansion: 2, ...prelu }),
    mobile({ kernel: 5, expansion: 4, ...prelu }),
    skip
  ],
  last: [
    fixed(conv({ kernel: 1, ...prelu }), 512),
    fixed(conv({ kernel: side, groups: "depthwise", padding: 0, activation: "none" })),
    fixed(conv({ kernel: 1, activation: "none" }), "head"),
    fixed(globalAverage)
  ]
})

/**
 * The space for images and a head. Images must be square, because the kernel that covers them is.
 *
 * **Example** (Its size)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as MobileFaceNet from "./MobileFaceNet.ts"
 * const task = { input: [112, 112, 3], head: { _tag: "Embedding", dimension: 128 } } as const
 * Result.getOrThrow(MobileFaceNet.make({ stemStride: 2 }, task)).size === 7n ** 15n // => true
 * ```
 */
export const make: Make<Options> = (options, given) => {
  const networkInterface = withStrides(options, given)
  const [height, width] = networkInterface.input
  if (height !== width) {
    return Result.fail(
      new SearchSpaceError({
        space: "mobilefacenet",
        reason: `images of ${height}x${width} are not square, as the global depthwise convolution needs them; crop or resize them, say to 112x112`
      })
    )
  }
  const strides = [options.stemStride, ...searched.map((row) => strideFor(row, networkInterface))]
  const side = strides.reduce((length, stride) => Math.ceil(length / stride), height)
  return fromMacro(macro(options, side), networkInterface)
}

/**
 * `name: mobilefacenet`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as MobileFaceNet from "./MobileFaceNet.ts"
 *
 * const options = Schema.decodeUnknownSync(MobileFaceNet.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(MobileFaceNet.make(options, task))
 * space.size === 7n ** 15n // => true
 * space.name // => MobileFaceNet.component.name
 * MobileFaceNet.macro(options, 4).search.length // => 15
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "mobilefacenet",
  description: "MobileFaceNet: 15 layers k3/k5 e1/e2/e4 with PReLU or skip, for faces",
  options: Options,
  layer: layerOf(make),
  // The kernel of its global convolution depends on the size of the images.
  side: 112
})
