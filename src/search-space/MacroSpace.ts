/**
 * Search spaces as data. A {@link MacroSpec} lists the blocks before and after the searched layers, the width and stride
 * of every searched layer, and the choices that each of them offers; {@link fromMacro} makes a search space from it. All
 * shipped spaces except SGNAS are such lists, and your own can be one, too.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { PositiveInt } from "../support/Numbers.ts"
import { assemble, type SpaceParts } from "./Assemble.ts"
import { type Block, BlockSpec, classifier, conv, globalAverage, label, place } from "./blocks/Block.ts"
import type { NamedBlock } from "./Network.ts"
import {
  headSize,
  type NetworkInterface,
  SearchSpace,
  type SearchSpaceError,
  type SearchSpaceShape,
  type Strides,
  type SuperLayer,
  TaskInterface
} from "./SearchSpace.ts"

export { assemble, type SpaceParts } from "./Assemble.ts"
export { format, parseDigits, validateDigits } from "./Digits.ts"
export { headSize } from "./SearchSpace.ts"

const strides = {
  stride: PositiveInt.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  largeStride: Schema.NullOr(PositiveInt)
    .annotate({ description: "Stride for images of 96 pixels and more (as ImageNet's); null: the same" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
}

/** A block that is not searched. `width` is its output width; null keeps it, `head` is the number of outputs of the task. */
export const FixedBlock = Schema.Struct({
  block: BlockSpec,
  width: Schema.NullOr(Schema.Union([PositiveInt, Schema.Literals(["head"])])).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null))
  ),
  ...strides
})
/** A block that is not searched. */
export type FixedBlock = typeof FixedBlock.Type

/** A searched layer: its output width and stride. */
export const SearchedLayer = Schema.Struct({
  width: PositiveInt,
  ...strides
})
/** A searched layer. */
export type SearchedLayer = typeof SearchedLayer.Type

/** A whole space as data. */
export const MacroSpec = Schema.Struct({
  name: Schema.String,
  first: Schema.Array(FixedBlock),
  search: Schema.Array(SearchedLayer).check(Schema.isMinLength(1)),
  choices: Schema.Array(BlockSpec)
    .check(Schema.isMinLength(1))
    .annotate({ description: "What every searched layer offers" }),
  last: Schema.Array(FixedBlock)
})
/** A whole space as data. */
export type MacroSpec = typeof MacroSpec.Type

/** A fixed block. */
export const fixed = (
  block: BlockSpec,
  width: FixedBlock["width"] = null,
  stride = 1,
  largeStride: number | null = null
): FixedBlock => ({ block, width, stride, largeStride })

/** Searched layers of `[width, stride, stride for large images]`. */
export const layersOf = (
  rows: ReadonlyArray<readonly [width: number, stride: number, largeStride?: number]>
): ReadonlyArray<SearchedLayer> => rows.map(([width, stride, largeStride = null]) => ({ width, stride, largeStride }))

/**
 * The blocks after the searched layers that most published spaces share: a pointwise convolution, the global average, the
 * classifier or embedding.
 *
 * **Example** (Three blocks)
 *
 * ```ts
 * import { headAfter } from "./MacroSpace.ts"
 *
 * headAfter(1280).map(({ width }) => width) // => [1280, null, "head"]
 * ```
 */
export const headAfter = (
  width: number,
  settings: { readonly activation?: "relu" | "relu6"; readonly bias?: boolean } = {}
): ReadonlyArray<FixedBlock> => [
  fixed(conv({ kernel: 1, ...(settings.activation === undefined ? {} : { activation: settings.activation }) }), width),
  fixed(globalAverage),
  fixed(settings.bias === undefined ? classifier : { ...classifier, bias: settings.bias }, "head")
]

/** From this side on an image is treated as ImageNet's: one more halving early in the network. */
export const imageNetSide = 96

/** Whether the shorter side of the input is at least {@link imageNetSide}, unless the strides are given. */
export const isImageNetSize = ({ input, strides }: NetworkInterface): boolean =>
  strides === undefined ? Math.min(input[0], input[1]) >= imageNetSide : strides === "large"

/**
 * The stride for the images of an interface.
 *
 * **Example** (Images as large as ImageNet's)
 *
 * ```ts
 * import * as MacroSpace from "./MacroSpace.ts"
 *
 * const image = (side: number) =>
 *   ({ input: [side, side, 3], head: { _tag: "Embedding", dimension: 128 } }) as const
 * const layer = { stride: 1, largeStride: 2 }
 * MacroSpace.strideFor(layer, image(32)) // => 1
 * MacroSpace.strideFor(layer, image(224)) // => 2
 * MacroSpace.isImageNetSize(image(MacroSpace.imageNetSide)) // => true
 * ```
 */
export const strideFor = (
  { largeStride, stride }: { readonly stride: number; readonly largeStride: number | null },
  networkInterface: NetworkInterface
): number => (largeStride !== null && isImageNetSize(networkInterface) ? largeStride : stride)

/** Fixed blocks in sequence, each with the width that reaches it. */
export const placeFixed = (
  prefix: string,
  blocks: ReadonlyArray<FixedBlock>,
  inChannels: number,
  networkInterface: NetworkInterface
): ReadonlyArray<NamedBlock> => {
  let channels = inChannels
  return blocks.map((fixedBlock, i) => {
    const { block, width } = fixedBlock
    const out = width === null ? channels : width === "head" ? headSize(networkInterface.head) : width
    const placed: Block = place(block, channels, out, strideFor(fixedBlock, networkInterface))
    channels = out
    return { name: `${prefix}.${i}`, block: placed }
  })
}

/** The width after a sequence of blocks. */
export const widthAfter = (blocks: ReadonlyArray<NamedBlock>, inChannels: number): number =>
  blocks.at(-1)?.block.outChannels ?? inChannels

/**
 * The search space of a description, for images and a head. Parameters are named `first.i…`, `search.layer.option…`,
 * `last.i…`.
 *
 * **Example** (A space of two layers)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Block from "./blocks/Block.ts"
 * import * as MacroSpace from "./MacroSpace.ts"
 *
 * const spec: MacroSpace.MacroSpec = {
 *   name: "small",
 *   first: [MacroSpace.fixed(Block.conv({ kernel: 3 }), 8, 2)],
 *   search: MacroSpace.layersOf([
 *     [16, 2],
 *     [16, 1, 2]
 *   ]),
 *   choices: [Block.skip, Block.mobile({ kernel: 3, expansion: 3 })],
 *   last: [MacroSpace.fixed(Block.globalAverage), MacroSpace.fixed(Block.classifier, "head")]
 * }
 * Schema.is(MacroSpace.MacroSpec)(spec) // => true
 * Schema.is(MacroSpace.FixedBlock)(spec.first[0]) // => true
 * Schema.is(MacroSpace.SearchedLayer)(spec.search[0]) // => true
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(MacroSpace.fromMacro(spec, task))
 * space.size // => 4n
 * space.choices[0] // => ["skip", "k3 e3"]
 * MacroSpace.component.name // => "macro"
 * MacroSpace.widthAfter(space.first, 3) // => 8
 * MacroSpace.placeFixed("first", spec.first, 3, task) // => space.first
 * ```
 */
export const fromMacro = (
  spec: MacroSpec,
  networkInterface: NetworkInterface,
  extra: Pick<SpaceParts, "refuse" | "canonical"> = {}
): Result.Result<SearchSpaceShape, SearchSpaceError> => {
  const first = placeFixed("first", spec.first, networkInterface.input[2], networkInterface)
  let channels = widthAfter(first, networkInterface.input[2])
  const labels = spec.choices.map(label)
  const layers = spec.search.map((searched, layer): SuperLayer => {
    const { width } = searched
    const stride = strideFor(searched, networkInterface)
    const options = spec.choices.map((choice, option) => ({
      selection: [option],
      label: labels[option] as string,
      block: { name: `search.${layer}.${option}`, block: place(choice, channels, width, stride) }
    }))
    channels = width
    return { name: `search.${layer}`, width: 1, options }
  })
  const last = placeFixed("last", spec.last, channels, networkInterface)
  return assemble({
    name: spec.name,
    interface: networkInterface,
    first,
    layers,
    last,
    choices: spec.search.map(() => labels),
    ...extra
  })
}

/** Makes a space from its options, for the images and the head of a task. */
export type Make<Options> = (
  options: Options,
  networkInterface: NetworkInterface
) => Result.Result<SearchSpaceShape, SearchSpaceError>

/**
 * The Layer of a space: made for the images and the head of the run.
 *
 * **Example** (For a task with 10 classes)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import { SearchSpace, TaskInterface } from "./SearchSpace.ts"
 * import * as Tiny from "./Tiny.ts"
 * import * as MacroSpace from "./MacroSpace.ts"
 *
 * const Options = Schema.Struct({ stemStride: MacroSpace.stemStrideOption })
 * const options = Schema.decodeUnknownSync(Options)({})
 * options.stemStride // => 2
 * const task = TaskInterface.of({ input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } })
 * const layer = MacroSpace.layerOf(Tiny.make)(options).pipe(Layer.provide(Layer.succeed(TaskInterface, task)))
 * Effect.runSync(Effect.provide(Effect.map(SearchSpace, (space) => space.name), layer)) // => "tiny"
 * ```
 */
export const layerOf =
  <Options>(make: Make<Options>) =>
  (options: Options): Layer.Layer<SearchSpace, SearchSpaceError, TaskInterface> =>
    Layer.effect(
      SearchSpace,
      Effect.gen(function* () {
        return yield* Effect.fromResult(make(options, yield* TaskInterface))
      })
    )

/**
 * The option of spaces whose strides depend on the size of the images.
 *
 * **Example** (In the options of a space)
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { stridesOption } from "./MacroSpace.ts"
 * const Options = Schema.Struct({ strides: stridesOption })
 * Schema.decodeUnknownSync(Options)({ strides: "small" }) // => { strides: "small" }
 * ```
 */
export const stridesOption = Schema.optionalKey(
  Schema.Literals(["small", "large"]).annotate({
    description:
      "Strides for small images, or for large ones (one more halving early in the network); default: large from 96 pixels on"
  })
)

/**
 * The interface with the strides that the options of a space set.
 *
 * **Example** (Faces at the strides of small images, as OSNASLib has them)
 * ```ts
 * import { isImageNetSize, withStrides } from "./MacroSpace.ts"
 * const faces = { input: [112, 112, 3], head: { _tag: "Embedding", dimension: 256 } } as const
 * [isImageNetSize(faces), isImageNetSize(withStrides({ strides: "small" }, faces))] // => [true, false]
 * ```
 */
export const withStrides = (
  options: { readonly strides?: Strides },
  networkInterface: NetworkInterface
): NetworkInterface =>
  options.strides === undefined ? networkInterface : { ...networkInterface, strides: options.strides }

/**
 * A space from options that name its strides: the description of the options, for images and a head.
 *
 * **Example** (ProxylessNAS, as it is made)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as ProxylessNas from "./ProxylessNas.ts"
 * import { makeFrom } from "./MacroSpace.ts"
 *
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const make = makeFrom(ProxylessNas.macro)
 * Result.getOrThrow(make({ stemStride: 2, widths: null }, task)).name // => "proxylessnas"
 * ```
 */
export const makeFrom =
  <Options extends { readonly strides?: Strides }>(macro: (options: Options) => MacroSpec): Make<Options> =>
  (options, networkInterface) =>
    fromMacro(macro(options), withStrides(options, networkInterface))

/** The option that most spaces have. */
export const stemStrideOption = Schema.Literals([1, 2])
  .annotate({ description: "Stride of the first convolution; 1 is the full-resolution variant for small images" })
  .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2 as const)))

/**
 * Options that all published spaces share: where images are halved.
 *
 * **Example** (A space with one more option)
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { strideOptions } from "./MacroSpace.ts"
 * const Options = Schema.Struct({ ...strideOptions, deeper: Schema.Boolean })
 * Schema.decodeUnknownSync(Options)({ deeper: true }) // => { deeper: true, stemStride: 2 }
 * ```
 */
export const strideOptions = { stemStride: stemStrideOption, strides: stridesOption }

/** `name: macro`: a space of the user's own, written in the configuration as data. */
export const component = define({
  kind: "searchSpace",
  name: "macro",
  description: "A search space of your own, given as data: fixed blocks, searched layers, choices",
  options: MacroSpec,
  layer: layerOf(fromMacro)
})
