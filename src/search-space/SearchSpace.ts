/**
 * A search space: a set of networks, and how the supernet and the stand-alone networks are built from one description.
 *
 * A supernet is a sequence of layers; a layer offers options, each a block. A genotype chooses one option per layer by one
 * digit, or by several digits if the layer is composed, as in SGNAS. A stand-alone network is the supernet restricted to
 * the blocks of a genotype. Parameter names are the same, so weights can be copied without renaming.
 */
import * as Context from "effect/Context"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ImageShape, NamedBlock, Network } from "./Network.ts"

/** One digit per position: the index of the choice. */
export type Genotype = ReadonlyArray<number>

/** The end of a network: a classifier over `classes`, or an embedding of `dimension` numbers. */
export type Head =
  | { readonly _tag: "Classifier"; readonly classes: number }
  | { readonly _tag: "Embedding"; readonly dimension: number }

/**
 * The number of outputs of a head.
 *
 * **Example** (Both kinds)
 *
 * ```ts
 * import { headSize } from "./SearchSpace.ts"
 *
 * headSize({ _tag: "Classifier", classes: 10 }) // => 10
 * headSize({ _tag: "Embedding", dimension: 128 }) // => 128
 * ```
 */
export const headSize = (head: Head): number => (head._tag === "Classifier" ? head.classes : head.dimension)

/** Strides for images of CIFAR's size, or for those of ImageNet's, with one more halving early in the network. */
export type Strides = "small" | "large"

/** The input shape and the head of a network, by the data and the task. */
export interface NetworkInterface {
  readonly input: ImageShape
  readonly head: Head
  /** Strides for small or for large images. Default: by the size of the input. */
  readonly strides?: Strides
}

/** The interface of a run, from its dataflow and its training agent. The search space is built for it. */
export class TaskInterface extends Context.Service<TaskInterface, NetworkInterface>()(
  "osnas/search-space/TaskInterface"
) {}

/** One option of a layer. `selection` has the digits that choose it, as many as the layer's `width`. */
export interface LayerOption {
  readonly selection: ReadonlyArray<number>
  /** A short name, as `k5 e3` or `skip`. */
  readonly label: string
  readonly block: NamedBlock
}

/** A searched layer of the supernet. */
export interface SuperLayer {
  readonly name: string
  /** The number of digits of the layer. */
  readonly width: number
  /** In the order of their selections; at least one. */
  readonly options: ReadonlyArray<LayerOption>
}

/**
 * A genotype that does not belong to the space, and why.
 *
 * **Example** (What it says)
 *
 * ```ts
 * import * as SearchSpace from "./SearchSpace.ts"
 *
 * const error = new SearchSpace.GenotypeError({ space: "tiny", genotype: "9", reason: "it is too short" })
 * error.message // => "architecture 9 is not in search space tiny: it is too short"
 * const small = new SearchSpace.SearchSpaceError({ space: "tiny", reason: "the image is too small" })
 * small.message // => "search space tiny: the image is too small"
 * ```
 */
export class GenotypeError extends Schema.TaggedError<GenotypeError>()("GenotypeError", {
  space: Schema.String,
  genotype: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `architecture ${this.genotype} is not in search space ${this.space}: ${this.reason}`
  }
}

/** A search space that cannot be built for an interface, and why. */
export class SearchSpaceError extends Schema.TaggedError<SearchSpaceError>()("SearchSpaceError", {
  space: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `search space ${this.space}: ${this.reason}`
  }
}

/** The contract. All fields are pure values or pure functions. */
export interface SearchSpaceShape {
  readonly name: string
  readonly interface: NetworkInterface
  /** Blocks before, the searched layers, blocks after. */
  readonly first: ReadonlyArray<NamedBlock>
  readonly layers: ReadonlyArray<SuperLayer>
  readonly last: ReadonlyArray<NamedBlock>
  /** Names of the choices by position; a genotype has one digit per position. */
  readonly choices: ReadonlyArray<ReadonlyArray<string>>
  /** The number of valid genotypes. */
  readonly size: bigint
  /** Checks length, range and the space's own constraints. */
  readonly validate: (genotype: Genotype) => Result.Result<Genotype, GenotypeError>
  /** Digits separated by commas, `2,0,6,…`; the inverse of `parse`. */
  readonly format: (genotype: Genotype) => string
  readonly parse: (text: string) => Result.Result<Genotype, GenotypeError>
  /** The representative of all genotypes that build the same network; most spaces: the genotype itself. */
  readonly canonical: (genotype: Genotype) => Genotype
  /** The stand-alone network of a valid genotype, equal to the supernet's path. */
  readonly network: (genotype: Genotype) => Network
  /** All blocks of the supernet; its parameters are theirs. */
  readonly supernet: Network
}

/**
 * The search space of a run.
 *
 * **Example** (Reading the run's)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Tiny from "./Tiny.ts"
 * import * as SearchSpace from "./SearchSpace.ts"
 *
 * const task = SearchSpace.TaskInterface.of({ input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } })
 * const layer = Tiny.component.layer({ stemStride: 2 }).pipe(Layer.provide(Layer.succeed(SearchSpace.TaskInterface, task)))
 * const size = Effect.map(SearchSpace.SearchSpace, (space) => space.size)
 * Effect.runSync(Effect.provide(size, layer)) // => 117649n
 * ```
 */
export class SearchSpace extends Context.Service<SearchSpace, SearchSpaceShape>()("osnas/search-space/SearchSpace") {}
