/** Describes an architecture block by block, with shapes and costs. */

import { label } from "../search-space/blocks/Block.ts"
import * as Network from "../search-space/Network.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { DrawnBlock, FoundArchitecture } from "./ReportData.ts"

/** The blocks of a network in order, each with its output shape, multiply-accumulates and parameters. */
const drawn = (
  network: Network.Network,
  searched: ReadonlyMap<string, { readonly name: string; readonly choice: number; readonly label: string }>
): ReadonlyArray<DrawnBlock> => {
  let shape = network.input
  return network.blocks.map(({ block, name }) => {
    const { macs, params } = Network.blockCost(block, shape)
    shape = Network.outputShape(block, shape)
    const [height, width, channels] = shape
    const taken = searched.get(name)
    const isVector = height === 1 && width === 1 && /^(Classifier|GlobalAverage)$/.test(block._tag)
    return {
      name: taken?.name ?? name,
      label: taken?.label ?? label(block),
      choice: taken?.choice ?? null,
      output: isVector ? [channels] : [height, width, channels],
      macs,
      params
    }
  })
}

/** A valid genotype of a space, described. `cost` is in the metric of the budget; by default its MACs. */
export const describe = (space: SearchSpaceShape, genotype: Genotype, cost?: number): FoundArchitecture => {
  const network = space.network(genotype)
  const { macs, params } = Network.count(network)
  const blocks = network.blocks.slice(space.first.length, network.blocks.length - space.last.length)
  let position = 0
  const layers = space.layers.map((layer) => {
    const digits = genotype.slice(position, position + layer.width)
    const taken = layer.options.findIndex((option) => option.selection.every((digit, k) => digit === digits[k]))
    position += layer.width
    return { name: layer.name, choices: layer.options.map((option) => option.label), taken: Math.max(0, taken) }
  })
  const searched = new Map(
    blocks.map((block, i) => {
      const layer = layers[i]!
      return [block.name, { name: layer.name, choice: layer.taken, label: layer.choices[layer.taken] ?? "" }] as const
    })
  )
  return { text: space.format(genotype), cost: cost ?? macs, macs, params, blocks: drawn(network, searched), layers }
}
