/**
 * The search space of SGNAS (Huang and Chu 2021, "Searching by Generating", section 3.3): the 21 layers of ProxylessNAS,
 * each a unified block of six sub-blocks. A sub-block is a depthwise convolution of kernel 3, 5 or 7, or it is omitted. A
 * genotype has six digits per layer.
 *
 * The order of the sub-blocks of a layer does not matter: the canonical genotype has sorted digits, and only sorted selections
 * are options of a layer. A layer keeps at least `minimum` convolutions.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { conv, label, mobile, place, unified } from "./blocks/Block.ts"
import {
  assemble,
  type FixedBlock,
  fixed,
  headAfter,
  layerOf,
  type Make,
  placeFixed,
  strideFor,
  strideOptions,
  widthAfter,
  withStrides
} from "./MacroSpace.ts"
import type { NamedBlock } from "./Network.ts"
import { searchedLayers, standardWidths } from "./ProxylessNas.ts"
import { type Genotype, SearchSpaceError, type SuperLayer } from "./SearchSpace.ts"

/** Sub-blocks of a layer. */
export const slots = 6

/** The kernels of the digits; 0 omits the sub-block. */
export const kernels = [3, 5, 7, 0] as const

const none = kernels.indexOf(0)

/** Options of the space. */
export const Options = Schema.Struct({
  ...strideOptions,
  minimum: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: slots }))
    .annotate({ description: "Least number of sub-blocks in a layer" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
})
/** Options of the space. */
export type Options = typeof Options.Type

/** All sorted selections of a layer with at least `minimum` convolutions, in lexicographic order. */
export const selections = (minimum: number): ReadonlyArray<ReadonlyArray<number>> => {
  const out: Array<ReadonlyArray<number>> = []
  const extend = (digits: ReadonlyArray<number>): void => {
    if (digits.length === slots) {
      if (digits.filter((digit) => digit !== none).length >= minimum) out.push(digits)
      return
    }
    for (let digit = digits.at(-1) ?? 0; digit < kernels.length; digit++) extend([...digits, digit])
  }
  extend([])
  return out
}

/**
 * The genotype with the digits of every layer in ascending order.
 *
 * **Example** (One layer)
 * ```ts
 * import * as Sgnas from "./Sgnas.ts"
 * Sgnas.canonical([3, 0, 2, 1, 0, 3]).join("") // => "001233"
 * ```
 */
export const canonical = (genotype: Genotype): Genotype =>
  Array.from({ length: Math.ceil(genotype.length / slots) }, (_, layer) =>
    genotype.slice(layer * slots, (layer + 1) * slots).sort((a, b) => a - b)
  ).flat()

const first = (options: Options): ReadonlyArray<FixedBlock> => [
  fixed(conv({ kernel: 3 }), standardWidths.stem, options.stemStride),
  fixed(mobile({ kernel: 3, expansion: 1 }), standardWidths.first)
]

const last: ReadonlyArray<FixedBlock> = headAfter(standardWidths.head)

/**
 * The space for images and a head. `size` counts networks, that is sorted genotypes.
 *
 * **Example** (Options of one layer: multisets of six out of four kinds, except six times none)
 * ```ts
 * import * as Sgnas from "./Sgnas.ts"
 * Sgnas.selections(1).length // => 83
 * ```
 */
export const make: Make<Options> = (options, given) => {
  const networkInterface = withStrides(options, given)
  if (!Number.isInteger(options.minimum) || options.minimum < 1 || options.minimum > slots) {
    return Result.fail(
      new SearchSpaceError({
        space: "sgnas",
        reason: `minimum is ${options.minimum}; a layer keeps at least 1 and at most ${slots} sub-blocks`
      })
    )
  }
  const firstBlocks = placeFixed("first", first(options), networkInterface.input[2], networkInterface)
  let channels = widthAfter(firstBlocks, networkInterface.input[2])
  const offered = selections(options.minimum)
  const places = searchedLayers(standardWidths).map((row) => {
    const before = channels
    channels = row.width
    return { inChannels: before, outChannels: row.width, stride: strideFor(row, networkInterface) }
  })
  const blockOf = (layer: number, digits: ReadonlyArray<number>): NamedBlock => {
    const { inChannels, outChannels, stride } = places[layer] as (typeof places)[number]
    const spec = unified({ slots: digits.map((digit) => kernels[digit] as number) })
    return { name: `search.${layer}`, block: place(spec, inChannels, outChannels, stride) }
  }
  const layers = places.map((_, layer): SuperLayer => {
    const options = offered.map((selection) => {
      const block = blockOf(layer, selection)
      return { selection, label: label(block.block), block }
    })
    return { name: `search.${layer}`, width: slots, options }
  })
  // All parameters of a layer are in the selections of a single kernel and those with each number of empty sub-blocks.
  const covering = [
    ...[0, 1, 2].map((digit) => Array.from({ length: slots }, () => digit)),
    ...Array.from({ length: slots - options.minimum }, (_, i) =>
      Array.from({ length: slots }, (_, slot) => (slot < slots - 1 - i ? 0 : none))
    )
  ]
  return assemble({
    name: "sgnas",
    interface: networkInterface,
    first: firstBlocks,
    layers,
    last: placeFixed("last", last, channels, networkInterface),
    choices: Array.from({ length: layers.length * slots }, () =>
      kernels.map((kernel) => (kernel === 0 ? "none" : `k${kernel}`))
    ),
    refuse: (genotype) => {
      for (let layer = 0; layer < layers.length; layer++) {
        const digits = genotype.slice(layer * slots, (layer + 1) * slots)
        const kept = digits.filter((digit) => digit !== none).length
        if (kept < options.minimum) {
          return `layer ${layer} keeps ${kept} of its sub-blocks, and at least ${options.minimum} must stay`
        }
      }
      return undefined
    },
    canonical,
    blockOf,
    superBlocks: (layer) => covering.map((digits) => blockOf(layer, digits))
  })
}

/**
 * `name: sgnas`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Sgnas from "./Sgnas.ts"
 *
 * const options = Schema.decodeUnknownSync(Sgnas.Options)({})
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Sgnas.make(options, task))
 * space.choices.length // => 21 * Sgnas.slots
 * space.layers[0]?.options.length // => Sgnas.selections(1).length
 * space.name // => Sgnas.component.name
 * Sgnas.kernels.length // => 4
 * ```
 */
export const component = define({
  kind: "searchSpace",
  name: "sgnas",
  description: "SGNAS: 21 layers of six sub-blocks, each k3, k5, k7 or none",
  options: Options,
  layer: layerOf(make)
})
