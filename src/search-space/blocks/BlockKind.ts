/**
 * The contract of a block kind. Everything about a kind is one file that exports three things: the Schema of its
 * settings (`ConvSpec`), the function or constant that makes them (`conv`), and the record of the kind (`Conv`), a
 * {@link BlockKind}. One line of `Kinds.ts` registers it; the union of blocks, decoding, the generator's templates and
 * the page about blocks follow from that.
 */
import type { Tensor, Tensor1D } from "@tensorflow/tfjs-core"
import type * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import type { Slice } from "../../nn/TorchTensors.ts"

/** The position of a block: the widths before and after it, and its stride. */
export interface Placement {
  readonly inChannels: number
  readonly outChannels: number
  readonly stride: number
}

/** `network`: one stand-alone network (`stages.3…`). `supernet`: all options (`search_stages.3.supernet_layer.1…`). */
export type TorchForm = "network" | "supernet"

/** PyTorch's modules for a stage: convolution, normalisation, PReLU; and the slice of their tensors. */
export interface TorchPlace {
  readonly conv: string
  readonly norm: string
  readonly slope: string
  readonly weightSlice?: Slice
  readonly vectorSlice?: Slice
}

/** A layer whose options are selections of one block, to be mixed together. */
export interface LayerMix<Spec> {
  /** Prefix of the block's parameters. */
  readonly name: string
  readonly options: ReadonlyArray<Spec & Placement>
  /** One weight per option; gradients flow through them. */
  readonly weights: Tensor1D
  /** The weights as numbers. */
  readonly numbers: ReadonlyArray<number>
  readonly x: Tensor
  /** Applies operations with the layer's parameters. */
  readonly run: (operations: ReadonlyArray<Operation>, x: Tensor) => Tensor
}

/** The Schema of a kind's settings. */
type SpecSchema = Schema.Constraint & {
  readonly Type: { readonly _tag: string }
  readonly fields: { readonly _tag: { readonly schema: { readonly literal: string } } }
}

/** How code writes a block: as a constant if it equals that, or as a call with the settings that are not defaults. */
export type Written<Spec> =
  | { readonly constant: string; readonly spec: Spec }
  | { readonly call: string; readonly defaults: Partial<Spec> }

/** The properties of a kind, with specs of type `Spec`. */
export interface BlockRules<Spec> {
  /** Takes vectors instead of images. Default: false. */
  readonly takesVector?: boolean
  /** Makes vectors instead of images. Default: false. */
  readonly givesVector?: boolean
  /** How generated code writes it. */
  readonly written: Written<Spec>
  /** A short name. */
  readonly label: (spec: Spec) => string
  /** Why it cannot have its input and output widths; undefined if it can. Default: all widths are allowed. */
  readonly misplaced?: (block: Spec & Placement) => string | undefined
  /** Its operations. Names of parameters begin with `name`. */
  readonly compile: (name: string, block: Spec & Placement) => ReadonlyArray<Operation>
  /**
   * PyTorch's modules for the stage `part` (its name below the block's). Default: `part.conv`, `part.bn`,
   * `part.prelu`.
   */
  readonly torch?: (block: Spec & Placement, part: string, form: TorchForm) => TorchPlace
  /**
   * Mixes the options of a layer that are selections of one block and share its parameters. Default: every option is a block
   * of its own, and a mixture is the weighted sum of their outputs.
   */
  readonly mix?: (layer: LayerMix<Spec>) => Tensor
}

/** Everything about one kind of block. */
export interface BlockKind<S extends SpecSchema> extends BlockRules<S["Type"]> {
  /** Its settings; the descriptions are shown by editors and on the page about blocks. */
  readonly schema: S
  /** Examples for the page about blocks, as a configuration writes them; some have a comment. */
  readonly examples: ReadonlyArray<{ readonly comment?: string; readonly block: S["Encoded"] }>
}

/** A block kind, its types inferred from its Schema. */
export const define = <S extends SpecSchema>(kind: BlockKind<S>): BlockKind<S> => kind

/** Settings of a kind; those with defaults are optional. */
export type Partially<S extends { readonly _tag: string }, Needed extends keyof S = never> = Pick<S, Needed> &
  Partial<Omit<S, Needed | "_tag">>
