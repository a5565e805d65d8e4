/**
 * Blocks as data. A {@link BlockSpec} is the kind of a block and its settings. A {@link Block} is a spec at a position of a
 * network, with its input and output width and its stride. Its value, its parameters and its cost follow from that data.
 *
 * Every kind is one file, described in `BlockKind.ts` and listed in `Kinds.ts`.
 */
import * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import type { BlockRules, Placement } from "./BlockKind.ts"
import * as Kinds from "./Kinds.ts"

export type { Placement } from "./BlockKind.ts"
export * from "./Kinds.ts"

/** The records among what the files of kinds export. */
type Kind = Extract<(typeof Kinds)[keyof typeof Kinds], { readonly schema: unknown; readonly compile: unknown }>

/**
 * Every kind of block, in alphabetical order.
 *
 * **Example** (Their names in a configuration)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.kinds.map((kind) => kind.schema.fields._tag.schema.literal).slice(0, 3) // => ["Aspp", "AveragePool", "Classifier"]
 * ```
 */
export const kinds: ReadonlyArray<Kind> = Object.values(Kinds).filter(
  (one): one is Kind => "compile" in one && "schema" in one
)

/**
 * A block of any kind, without its position. Decoding adds the defaults.
 *
 * **Example** (As YAML writes them)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Block from "./Block.ts"
 *
 * const decode = Schema.decodeUnknownSync(Block.BlockSpec)
 * decode({ _tag: "Conv", kernel: 3 }) // => Block.conv({ kernel: 3 })
 * decode({ _tag: "Skip" }) // => Block.skip
 * ```
 */
export const BlockSpec = Schema.Union(kinds.map((kind) => kind.schema))
/** A kind of block and its settings. */
export type BlockSpec = typeof BlockSpec.Type

/** A block of a network. */
export type Block = BlockSpec & Placement

/** A block of one kind. */
export type BlockOf<Tag extends BlockSpec["_tag"]> = Extract<BlockSpec, { readonly _tag: Tag }> & Placement

const byTag = new Map(kinds.map((kind) => [kind.schema.fields._tag.schema.literal as string, kind]))

/**
 * The kind of a block or spec.
 *
 * **Example** (Whether it takes a vector)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.kindOf(Block.classifier).takesVector // => true
 * ```
 */
export const kindOf = (spec: BlockSpec): BlockRules<BlockSpec> =>
  byTag.get(spec._tag) as unknown as BlockRules<BlockSpec>

/**
 * Puts a spec at a position of a network.
 *
 * **Example** (An inverted residual)
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.place(Block.mobile({ kernel: 3, expansion: 6 }), 16, 24, 2).outChannels // => 24
 * ```
 */
export const place = (spec: BlockSpec, inChannels: number, outChannels: number, stride: number): Block => ({
  ...spec,
  inChannels,
  outChannels,
  stride
})

/**
 * Why a block cannot have its input and output widths; undefined if it can.
 *
 * **Example** (A pooling keeps the width)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.misplaced(Block.place(Block.shuffle({ kernel: 3 }), 16, 16, 1)) // => undefined
 * Block.misplaced(Block.place({ _tag: "MaxPool", kernel: 3 }, 16, 24, 1)) // => "it keeps the width, and 16 channels should become 24"
 * ```
 */
export const misplaced = (block: Block): string | undefined => kindOf(block).misplaced?.(block)

/**
 * A short name of a block.
 *
 * **Example** (Labels)
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mobile({ kernel: 5, expansion: 3 })) // => "k5 e3"
 * Block.label(Block.skip) // => "skip"
 * ```
 */
export const label = (spec: BlockSpec): string => kindOf(spec).label(spec)

/**
 * The operations of a block whose parameters are prefixed by `name`.
 *
 * **Example** (An inverted residual is one chain of three convolutions)
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.compile("search.0.1", Block.place(Block.mobile({ kernel: 3, expansion: 6 }), 16, 24, 2)).length // => 1
 * ```
 */
export const compile = (name: string, block: Block): ReadonlyArray<Operation> => kindOf(block).compile(name, block)
