/**
 * A network is data: a list of named blocks. What it computes, which parameters it has, how they start and what it
 * costs are all functions of that data, so that a cost table and the built network cannot disagree.
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import type { Block } from "../search-space/blocks/Block.ts"

/** A block under the name that prefixes its parameters, e.g. `search.3.1` or `first.0`. */
export interface NamedBlock {
  readonly name: string
  readonly block: Block
}

/** Shape of one image: height, width, channels. */
export type ImageShape = readonly [height: number, width: number, channels: number]

/** A stand-alone network, or one path of a supernet, which is the same thing. */
export interface Network {
  readonly input: ImageShape
  readonly blocks: ReadonlyArray<NamedBlock>
}

/**
 * `train` normalises by the batch's own statistics and reports them; `eval` uses the running statistics.
 */
export type Mode = "train" | "eval"

/** What applying a network gives. */
export interface Applied {
  /** Logits [batch, classes] or embeddings [batch, dimension]. */
  readonly output: Tensor
  /** In `train` mode: statistics of the batch for every batch normalisation passed, by its name (`search.3.1.expand.norm`). */
  readonly statistics: Readonly<Record<string, BatchStatistics>>
}
