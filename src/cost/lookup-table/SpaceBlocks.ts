/** The blocks of a search space, each with the shape that reaches it: what a lookup table has entries for. */
import { type ImageShape, type NamedBlock, outputShape } from "../../search-space/Network.ts"
import type { SearchSpaceShape } from "../../search-space/SearchSpace.ts"
import * as CanonicalJson from "../../support/CanonicalJson.ts"

/** A block at its position in a network, with the shape that reaches it. */
export interface PlacedBlock {
  readonly block: NamedBlock
  readonly input: ImageShape
}

/**
 * All blocks of a space with their input shapes: the fixed ones, and every option of every layer.
 *
 * **Example** (The shape that reaches the last block)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as SpaceBlocks from "./SpaceBlocks.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { first, layers, last } = SpaceBlocks.placedBlocks(space)
 * first[0]?.input // => [28, 28, 1]
 * layers[0]?.length // => 7
 * last.length // => space.last.length
 * ```
 */
export const placedBlocks = (
  space: SearchSpaceShape
): {
  readonly first: ReadonlyArray<PlacedBlock>
  readonly layers: ReadonlyArray<ReadonlyArray<PlacedBlock>>
  readonly last: ReadonlyArray<PlacedBlock>
} => {
  let shape = space.interface.input
  const chain = (blocks: ReadonlyArray<NamedBlock>): ReadonlyArray<PlacedBlock> =>
    blocks.map((block) => {
      const placed = { block, input: shape }
      shape = outputShape(block.block, shape)
      return placed
    })
  const first = chain(space.first)
  const layers = space.layers.map((layer) => {
    const input = shape
    // All options of a layer have the same output shape: assembling the space checks it.
    shape = outputShape(layer.options[0]!.block.block, input)
    return layer.options.map(({ block }) => ({ block, input }))
  })
  return { first, layers, last: chain(space.last) }
}

/**
 * Equal for identical blocks on identical shapes, whatever their position.
 *
 * **Example** (The name is ignored, the shape is not)
 *
 * ```ts
 * import { conv, place } from "../../search-space/blocks/Block.ts"
 * import * as SpaceBlocks from "./SpaceBlocks.ts"
 *
 * const block = place(conv({ kernel: 3 }), 8, 8, 1)
 * const at = (name: string, side: number) => SpaceBlocks.blockKey({ block: { name, block }, input: [side, side, 8] })
 * at("a", 14) === at("b", 14) // => true
 * at("a", 14) === at("a", 7) // => false
 * ```
 */
export const blockKey = ({ block, input }: PlacedBlock): string => CanonicalJson.stringify([block.block, input])

/**
 * SHA-256 of a space's blocks, hex. Tables and weights record it to recognise the space they were made for.
 *
 * **Example** (Another stride, another digest)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../../search-space/Tiny.ts"
 * import * as SpaceBlocks from "./SpaceBlocks.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const digest = (stemStride: 1 | 2) => SpaceBlocks.blocksDigest(Result.getOrThrow(Tiny.make({ stemStride }, task)))
 * digest(1) === digest(2) // => false
 * ```
 */
export const blocksDigest = (space: SearchSpaceShape): string => {
  const blocks = (list: ReadonlyArray<NamedBlock>) => list.map(({ block }) => block)
  return CanonicalJson.digest({
    first: blocks(space.first),
    layers: space.layers.map((layer) => layer.options.map(({ block, selection }) => [selection, block.block])),
    last: blocks(space.last)
  })
}
