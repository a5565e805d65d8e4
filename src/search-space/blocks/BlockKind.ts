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

/** Where a block is: the widths before and after it, and its stride. */
export interface Placement {
  readonly inChannels: number
  readonly outChannels: number
  readonly stride: number
}

/** `network`: one stand-alone network (`stages.3…`). `supernet`: all options (`search_stages.3.supernet_layer.1…`). */
export type TorchForm = "network" | "supernet"

/** Where PyTorch has the tensors of a stage: modules of convolution, normalisation, PReLU; and which part of them. */
export interface TorchPlace {
  readonly conv: string
  readonly norm: string
  readonly slope: string
  readonly weightSlice?: Slice
  readonly vectorSlice?: Slice
}

/** A layer whose options are selections of one block, all of them to be mixed at once. */
export interface LayerMix<Spec> {
  /** Prefix of the block's parameters. */
  readonly name: string
  readonly options: ReadonlyArray<Spec & Placement>
  /** One weight per option, through which gradients flow. */
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

/** How code writes a block: as a constant, where it is exactly that, or as a call with what differs from the defaults. */
export type Written<Spec> =
  | { readonly constant: string; readonly spec: Spec }
  | { readonly call: string; readonly defaults: Partial<Spec> }

/** What a kind says of its blocks, whose specs are `Spec`. */
export interface BlockRules<Spec> {
  /** Takes vectors instead of images. Default false. */
  readonly takesVector?: boolean
  /** Gives vectors instead of images. Default false. */
  readonly givesVector?: boolean
  /** How generated code makes it. */
  readonly written: Written<Spec>
  /** A short name for people. */
  readonly label: (spec: Spec) => string
  /** Why it cannot have the widths that it is put between; undefined where it can. Any widths unless given. */
  readonly misplaced?: (block: Spec & Placement) => string | undefined
  /** What it computes. Names of parameters begin with `name`. */
  readonly compile: (name: string, block: Spec & Placement) => ReadonlyArray<Operation>
  /**
   * Where PyTorch has the tensors of the stage `part` (its name below the block's). Unless given: `part.conv`,
   * `part.bn`, `part.prelu`.
   */
  readonly torch?: (block: Spec & Placement, part: string, form: TorchForm) => TorchPlace
  /**
   * Mixes the options of a layer that are selections of one block and share its parameters. Unless given, every option
   * is a block of its own and a mixture is the weighed sum of their outputs.
   */
  readonly mix?: (layer: LayerMix<Spec>) => Tensor
}

/** Everything about one kind of block. */
export interface BlockKind<S extends SpecSchema> extends BlockRules<S["Type"]> {
  /** Its settings; the descriptions are shown by editors and on the page about blocks. */
  readonly schema: S
  /** As a configuration writes it, for the page about blocks; with a comment where one helps. */
  readonly examples: ReadonlyArray<{ readonly comment?: string; readonly block: S["Encoded"] }>
}

/** A block kind, its types inferred from its Schema. */
export const define = <S extends SpecSchema>(kind: BlockKind<S>): BlockKind<S> => kind

/** Settings of a kind with the optional ones left out. */
export type Partially<S extends { readonly _tag: string }, Needed extends keyof S = never> = Pick<S, Needed> &
  Partial<Omit<S, Needed | "_tag">>
