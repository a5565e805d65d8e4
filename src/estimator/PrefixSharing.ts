/**
 * Paths of a supernet that begin with the same blocks share their activations: architectures are scored in an order that
 * puts like beginnings next to each other, and what the previous one computed of the common beginning is not computed
 * again. The results are the same bits, in whatever order and with whatever memory.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import { disposeStatisticsUnsafe } from "../nn/Normalisation.ts"
import type { Variables } from "../nn/ParameterTree.ts"
import { scoped } from "../nn/Scope.ts"
import { type Applied, applyBlockUnsafe, type Mode, type NamedBlock, type Network } from "../search-space/Network.ts"

/** What names a block and everything it computes. */
const identityOf = ({ block, name }: NamedBlock): string => `${name} ${JSON.stringify(block)}`

/** The identities of a network's blocks in order. */
const blocksOf = (network: Network): ReadonlyArray<string> => network.blocks.map(identityOf)

const commonLength = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
  const end = Math.min(a.length, b.length)
  for (let at = 0; at < end; at += 1) if (a[at] !== b[at]) return at
  return end
}

/** An architecture in the order of scoring. */
export interface Planned {
  /** Its place in the list that was given. */
  readonly index: number
  /** After how many blocks its activations are needed by a later one, ascending. */
  readonly shared: ReadonlyArray<number>
}

/**
 * The order in which to score networks: sorted by their blocks, beginning with the first of the list, so that the first
 * score to arrive is that of the first network.
 *
 * **Example** (The first and the third begin alike)
 *
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import * as PrefixSharing from "./PrefixSharing.ts"
 *
 * const block = (name: string) => ({ name, block: place(conv({ kernel: 3 }), 3, 3, 1) })
 * const network = (...names: ReadonlyArray<string>) => ({ input: [8, 8, 3] as const, blocks: names.map(block) })
 * const plan = PrefixSharing.plan([network("b", "c"), network("a", "c"), network("b", "d")])
 * plan.map(({ index }) => index) // => [0, 2, 1]
 * plan.map(({ shared }) => shared) // => [[1], [], []]
 * ```
 */
export const plan = (networks: ReadonlyArray<Network>): ReadonlyArray<Planned> => {
  const blocks = networks.map(blocksOf)
  const ranks = new Map([...new Set(blocks.flat())].map((name, rank) => [name, rank]))
  const compare = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
    const at = commonLength(a, b)
    return (ranks.get(a[at] ?? "") ?? -1) - (ranks.get(b[at] ?? "") ?? -1)
  }
  // Names are ranked by where they first occur, so the first network comes first.
  const order = blocks.map((_, index) => index).sort((i, j) => compare(blocks[i]!, blocks[j]!) || i - j)
  const common = order.map((index, at) => {
    const next = order[at + 1]
    return next === undefined ? 0 : commonLength(blocks[index]!, blocks[next]!)
  })
  const planned: Array<Planned> = []
  let later: ReadonlyArray<number> = []
  for (let at = order.length - 1; at >= 0; at -= 1) {
    const depth = common[at]!
    // What a later one shares with this one is no more than the next one does.
    later = depth === 0 ? [] : [...later.filter((one) => one < depth), depth]
    planned.unshift({ index: order[at]!, shared: later })
  }
  return planned
}

/** Activations after some of the blocks of a network, on one batch. */
interface Kept {
  readonly blocks: ReadonlyArray<string>
  /** By the number of blocks that they come after. */
  readonly activations: Map<number, tf.Tensor>
  /** Batch statistics of each block, by its place. */
  readonly statistics: ReadonlyArray<Readonly<Record<string, BatchStatistics>>>
}

/** Activations in memory. */
export interface SharedActivations {
  /**
   * As `Network.apply`, for the batch of a name: what the last network computed on that batch is used again as far as
   * both begin alike. `shared` says after how many blocks activations are to be kept. Statistics belong to the cache and
   * are valid until the next call for this batch; the output is the caller's.
   */
  readonly apply: (
    batch: string,
    shared: ReadonlyArray<number>,
    network: Network,
    variables: Variables,
    images: tf.Tensor,
    mode: Mode
  ) => Applied
  /** Blocks computed so far, and blocks that were not computed because their result was known. */
  readonly counts: () => { readonly computed: number; readonly spared: number }
  /** Disposes everything. */
  readonly release: () => void
}

const bytesOf = (tensor: tf.Tensor): number => tensor.size * 4

/**
 * Shared activations that take at most `limit` bytes; what does not fit is computed again.
 *
 * **Example** (The second network computes only its last block)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import { conv, globalAverage, place } from "../search-space/blocks/Block.ts"
 * import * as Network from "../search-space/Network.ts"
 * import * as PrefixSharing from "./PrefixSharing.ts"
 *
 * const stem = { name: "stem", block: place(conv({ kernel: 3 }), 3, 4, 2) }
 * const pool = { name: "pool", block: place(globalAverage, 4, 4, 1) }
 * const input = [8, 8, 3] as const
 * const [short, long] = [{ input, blocks: [stem] }, { input, blocks: [stem, pool] }]
 * const variables = Network.initialise(long, Key.make(1))
 * const shared = PrefixSharing.make(1 << 20)
 * shared.apply("first", [1], short, variables, tf.ones([2, 8, 8, 3]), "eval")
 * const { output } = shared.apply("first", [], long, variables, tf.ones([2, 8, 8, 3]), "eval")
 * output.shape // => [2, 4]
 * shared.counts() // => { computed: 2, spared: 1 }
 * shared.release()
 * ```
 */
export const make = (limit: number): SharedActivations => {
  const batches = new Map<string, Kept>()
  let [bytes, computed, spared] = [0, 0, 0]
  const drop = (tensor: tf.Tensor): void => {
    bytes -= bytesOf(tensor)
    tensor.dispose()
  }
  /** The kept activations that a network with these blocks begins with; all others are disposed. */
  const reusable = (batch: string, blocks: ReadonlyArray<string>): Kept => {
    const before = batches.get(batch)
    if (before === undefined) return { blocks, activations: new Map(), statistics: [] }
    const common = commonLength(before.blocks, blocks)
    for (const [depth, tensor] of before.activations) {
      if (depth <= common) continue
      before.activations.delete(depth)
      drop(tensor)
    }
    const from = Math.max(0, ...before.activations.keys())
    before.statistics.slice(from).forEach(disposeStatisticsUnsafe)
    return { blocks, activations: before.activations, statistics: before.statistics.slice(0, from) }
  }
  const apply: SharedActivations["apply"] = (batch, shared, network, variables, images, mode) => {
    const { activations, blocks, statistics: known } = reusable(batch, blocksOf(network))
    const from = Math.max(0, ...activations.keys())
    const keep = new Set(shared)
    const statistics = [...known]
    const kept = new Map<number, tf.Tensor>()
    const output = scoped(() => {
      let out = activations.get(from) ?? images
      for (const [ahead, block] of network.blocks.slice(from).entries()) {
        const own: Record<string, BatchStatistics> = {}
        out = applyBlockUnsafe(block, variables, out, mode, own)
        // Kept beyond the caller's scopes.
        for (const { mean, variance } of Object.values(own)) for (const one of [mean, variance]) tf.keep(one)
        statistics.push(own)
        const depth = from + ahead + 1
        if (!keep.has(depth) || bytes + bytesOf(out) > limit) continue
        bytes += bytesOf(out)
        kept.set(depth, tf.keep(tf.clone(out)))
      }
      return tf.clone(out)
    })
    for (const [depth, tensor] of activations) {
      if (keep.has(depth)) continue
      activations.delete(depth)
      drop(tensor)
    }
    for (const [depth, tensor] of kept) activations.set(depth, tensor)
    computed += network.blocks.length - from
    spared += from
    batches.set(batch, { blocks, activations, statistics })
    return { output, statistics: Object.assign({}, ...statistics) as Applied["statistics"] }
  }
  const release = () => {
    for (const { activations, statistics } of batches.values()) {
      for (const tensor of activations.values()) drop(tensor)
      statistics.forEach(disposeStatisticsUnsafe)
    }
    batches.clear()
  }
  return { apply, counts: () => ({ computed, spared }), release }
}
