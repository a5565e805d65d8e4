/**
 * Search spaces as data. A {@link MacroSpec} lists the blocks before and after the searched layers, the width and
 * stride of every searched layer, and the choices that each of them offers; {@link fromMacro} makes the search space of
 * it. The shipped spaces but SGNAS are such lists, and so may a user's own be.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { PositiveInt } from "../support/Numbers.ts"
import { type Block, BlockSpec, kindOf, label, misplaced, place } from "./blocks/Block.ts"
import type { ImageShape, NamedBlock, Network } from "./Network.ts"
import { outputShape } from "./Network.ts"
import {
  type Genotype,
  GenotypeError,
  type Head,
  type NetworkInterface,
  SearchSpace,
  SearchSpaceError,
  type SearchSpaceShape,
  type Strides,
  type SuperLayer,
  TaskInterface
} from "./SearchSpace.ts"

const strides = {
  stride: PositiveInt.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  largeStride: Schema.NullOr(PositiveInt)
    .annotate({ description: "Stride for images of 96 pixels and more (ImageNet's); null: the same" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
}

/** A block that is not searched. `width` is its output width; null keeps it, `head` is the number of outputs asked. */
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

/** How many numbers a head puts out. */
export const headSize = (head: Head): number => (head._tag === "Classifier" ? head.classes : head.dimension)

/** From this side on an image is treated as ImageNet's: one more halving early in the network. */
export const imageNetSide = 96

/** Whether the shorter side of the input is at least {@link imageNetSide}, unless the strides are given. */
export const isImageNetSize = ({ input, strides }: NetworkInterface): boolean =>
  strides === undefined ? Math.min(input[0], input[1]) >= imageNetSide : strides === "large"

/** Digits separated by commas. */
export const format = (genotype: Genotype): string => genotype.join(",")

/** No architecture's text is longer, in characters. */
const longestText = 10_000

/** Reads digits separated by commas or blanks (or both); ranges are not checked. */
export const parseDigits = (space: string, text: string): Result.Result<Genotype, GenotypeError> => {
  const clipped = (part: string) => (part.length > 80 ? `${part.slice(0, 77)}...` : part)
  if (text.length > longestText) {
    const reason = `it has ${text.length} characters; at most ${longestText} are read`
    return Result.fail(new GenotypeError({ space, genotype: clipped(text), reason }))
  }
  const parts = text.trim().split(/\s*,\s*|\s+/)
  const bad = parts.findIndex((part) => !/^\d+$/.test(part))
  if (bad >= 0) {
    const what = parts[bad] === "" ? "is empty" : `is "${clipped(parts[bad]!)}"`
    return Result.fail(
      new GenotypeError({
        space,
        genotype: clipped(text),
        reason: `position ${bad} ${what}; an architecture is digits separated by commas, like 2,0,6`
      })
    )
  }
  return Result.succeed(parts.map(Number))
}

/**
 * Checks length and range.
 *
 * **Example** (Digits of two layers)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as MacroSpace from "./MacroSpace.ts"
 *
 * const choices = [
 *   ["skip", "k3"],
 *   ["skip", "k3"]
 * ]
 * const check = (text: string) =>
 *   Result.flatMap(MacroSpace.parseDigits("small", text), (digits) => MacroSpace.validateDigits("small", choices, digits))
 * Result.map(check("1, 0"), MacroSpace.format) // => Result.succeed("1,0")
 * const failed = check("1,2")
 * Result.isFailure(failed) && failed.failure.reason // => "position 1 is 2, and its choices are 0 to 1 (skip, k3)"
 * ```
 */
export const validateDigits = (
  space: string,
  choices: ReadonlyArray<ReadonlyArray<string>>,
  genotype: Genotype
): Result.Result<Genotype, GenotypeError> => {
  const fail = (reason: string) => Result.fail(new GenotypeError({ space, genotype: format(genotype), reason }))
  if (genotype.length !== choices.length) {
    return fail(`it has ${genotype.length} positions, and the space has ${choices.length}`)
  }
  for (const [i, digit] of genotype.entries()) {
    const offered = choices[i] as ReadonlyArray<string>
    if (!Number.isInteger(digit) || digit < 0 || digit >= offered.length) {
      return fail(`position ${i} is ${digit}, and its choices are 0 to ${offered.length - 1} (${offered.join(", ")})`)
    }
  }
  return Result.succeed(genotype)
}

/** What {@link assemble} makes a space of. */
export interface SpaceParts {
  readonly name: string
  readonly interface: NetworkInterface
  readonly first: ReadonlyArray<NamedBlock>
  readonly layers: ReadonlyArray<SuperLayer>
  readonly last: ReadonlyArray<NamedBlock>
  readonly choices: ReadonlyArray<ReadonlyArray<string>>
  /** Rules beyond length and range: a reason why a genotype is refused. */
  readonly refuse?: (genotype: Genotype) => string | undefined
  readonly canonical?: (genotype: Genotype) => Genotype
  /** The block a layer gets for its digits; by default the option with that selection. */
  readonly blockOf?: (layer: number, digits: ReadonlyArray<number>) => NamedBlock
  /** Blocks whose parameters make up a layer of the supernet; by default those of its options. */
  readonly superBlocks?: (layer: number) => ReadonlyArray<NamedBlock>
}

/** What blocks have made so far: an image, or a vector (then 1 x 1 x features). */
interface Reached {
  readonly shape: ImageShape
  readonly vector: boolean
}

/** What blocks make of an image or a vector, or why they cannot. */
const reach = (
  space: string,
  blocks: ReadonlyArray<NamedBlock>,
  input: Reached
): Result.Result<Reached, SearchSpaceError> => {
  let { shape, vector } = input
  for (const { block, name } of blocks) {
    const fail = (reason: string) =>
      Result.fail(new SearchSpaceError({ space, reason: `block ${name} (${label(block)}) of ${space} ${reason}` }))
    if (block.inChannels !== shape[2]) return fail(`takes ${block.inChannels} channels, and there are ${shape[2]}`)
    const { givesVector = false, takesVector = false } = kindOf(block)
    if (vector !== takesVector) {
      return fail(vector ? "takes an image, and there is a vector" : "takes a vector: put a GlobalAverage before it")
    }
    const reason = misplaced(block)
    if (reason !== undefined) return fail(`cannot be: ${reason}`)
    const after = outputShape(block, shape)
    if (after.some((side) => !(side >= 1) || !Number.isInteger(side))) {
      return fail(`has no output for an input of ${shape.join("x")}`)
    }
    shape = after
    vector = givesVector
  }
  return Result.succeed({ shape, vector })
}

/**
 * Makes a space of its parts, or says why it cannot be: an image too small, a block that does not fit its place, options
 * of a layer that differ in shape, an end that is not what the task asks for.
 *
 * **Example** (A space of one block)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Block from "./blocks/Block.ts"
 * import * as MacroSpace from "./MacroSpace.ts"
 *
 * const task = { input: [8, 8, 3], head: { _tag: "Embedding", dimension: 4 } } as const
 * const average = { name: "last.0", block: Block.place(Block.globalAverage, 4, 4, 1) }
 * const block = (name: string, kernel: number) => ({ name, block: Block.place(Block.conv({ kernel }), 3, 4, 1) })
 * const options = [1, 3].map((kernel, at) => ({ selection: [at], label: `k${kernel}`, block: block(`search.0.${at}`, kernel) }))
 * const space = MacroSpace.assemble({
 *   name: "one",
 *   interface: task,
 *   first: [],
 *   layers: [{ name: "search.0", width: 1, options }],
 *   last: [average],
 *   choices: [["k1", "k3"]]
 * })
 * Result.map(space, ({ size }) => size) // => Result.succeed(2n)
 * ```
 */
export const assemble = (parts: SpaceParts): Result.Result<SearchSpaceShape, SearchSpaceError> => {
  const { choices, first, last, layers, name } = parts
  const fail = (reason: string) => Result.fail(new SearchSpaceError({ space: name, reason }))

  const [height, width, channels] = parts.interface.input
  if (![height, width, channels].every((side) => Number.isInteger(side) && side > 0)) {
    return fail(`an input of ${height}x${width}x${channels} is no image`)
  }
  const outputs = headSize(parts.interface.head)
  if (!Number.isInteger(outputs) || outputs < 1) return fail(`a head of ${outputs} outputs is none`)

  const optionFor = (layer: SuperLayer, digits: ReadonlyArray<number>): NamedBlock | undefined => {
    if (layer.width === 1) return layer.options[digits[0] as number]?.block
    return layer.options.find((option) => option.selection.every((digit, i) => digit === digits[i]))?.block
  }

  // Shapes: every option of a layer must leave the image as the first one does.
  const before = reach(name, first, { shape: parts.interface.input, vector: false })
  if (Result.isFailure(before)) return Result.fail(before.failure)
  let reached = before.success
  for (const layer of layers) {
    let common: ImageShape | undefined
    for (const option of layer.options) {
      const one = reach(name, [option.block], reached)
      if (Result.isFailure(one)) return Result.fail(one.failure)
      const { shape, vector } = one.success
      if (vector) return fail(`in layer ${layer.name}, option ${option.label} makes the image a vector`)
      common ??= shape
      if (shape.some((side, i) => side !== common?.[i])) {
        return fail(
          `in layer ${layer.name}, option ${option.label} makes ${reached.shape.join("x")} into ${shape.join("x")} and the others into ${common.join("x")}`
        )
      }
    }
    reached = { shape: common ?? reached.shape, vector: false }
  }
  const end = reach(name, last, reached)
  if (Result.isFailure(end)) return Result.fail(end.failure)
  if (!end.success.vector || end.success.shape[2] !== outputs) {
    const found = end.success.vector
      ? `a vector of ${end.success.shape[2]}`
      : `an image of ${end.success.shape.join("x")}`
    return fail(
      `it ends in ${found}, and the task asks for a vector of ${outputs}: a GlobalAverage, and the width head`
    )
  }

  const validate = (genotype: Genotype): Result.Result<Genotype, GenotypeError> => {
    const checked = validateDigits(name, choices, genotype)
    if (Result.isFailure(checked)) return checked
    const reason = parts.refuse?.(genotype)
    return reason === undefined
      ? checked
      : Result.fail(new GenotypeError({ space: name, genotype: format(genotype), reason }))
  }

  const network = (genotype: Genotype): Network => {
    const valid = Result.getOrThrow(validate(genotype))
    let position = 0
    const searched = layers.map((layer, i) => {
      const digits = valid.slice(position, position + layer.width)
      position += layer.width
      const block = parts.blockOf?.(i, digits) ?? optionFor(layer, digits)
      if (block === undefined) throw new RangeError(`layer ${layer.name} of ${name} has no option ${format(digits)}`)
      return block
    })
    return { input: parts.interface.input, blocks: [...first, ...searched, ...last] }
  }

  return Result.succeed({
    name,
    interface: parts.interface,
    first,
    layers,
    last,
    choices,
    size: layers.reduce((product, layer) => product * BigInt(layer.options.length), 1n),
    validate,
    format,
    parse: (text) => Result.flatMap(parseDigits(name, text), validate),
    canonical: parts.canonical ?? ((genotype) => genotype),
    network,
    supernet: {
      input: parts.interface.input,
      blocks: [
        ...first,
        ...layers.flatMap((layer, i) => parts.superBlocks?.(i) ?? layer.options.map((option) => option.block)),
        ...last
      ]
    }
  })
}

/**
 * The stride that images of an interface get.
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
 * MacroSpace.headSize(image(112).head) // => 128
 * ```
 */
export const strideFor = (
  { largeStride, stride }: { readonly stride: number; readonly largeStride: number | null },
  networkInterface: NetworkInterface
): number => (largeStride !== null && isImageNetSize(networkInterface) ? largeStride : stride)

/** Puts fixed blocks one after another. */
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

/** The width after blocks placed one after another. */
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

/** Makes a space from its options and what data and task ask of it. */
export type Make<Options> = (
  options: Options,
  networkInterface: NetworkInterface
) => Result.Result<SearchSpaceShape, SearchSpaceError>

/**
 * The Layer of a space: made for the interface of the run.
 *
 * **Example** (A Layer for whatever the task asks)
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
 * The option of the spaces whose strides differ by the size of the images.
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
      "Strides for small images, or for large ones (halved once more early on); left out: large from 96 pixels on"
  })
)

/**
 * The interface with the strides that a space's options ask for.
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

/** The option that most spaces have. */
export const stemStrideOption = Schema.Literals([1, 2])
  .annotate({ description: "Stride of the first convolution; 1 is the full-resolution variant for small images" })
  .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2 as const)))

/**
 * The options that all spaces of the papers have: where images are halved.
 *
 * **Example** (A space with one more)
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
