/**
 * A dataflow turns images on disk into batches. Access is random: `batch(request)` depends on nothing but its request
 * and the run's key, so order and augmentation never hang on an iterator's past, and a resumed run sees the same data.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ImageShape } from "../engine/Shape.ts"
import type { RawImage } from "./Netpbm.ts"

/**
 * `supernet`: the fraction (80 %) of the training images that trains the supernet; `validation`: the rest, which scores
 * candidates; `train`: all training images, for retraining; `test`: the official test set, for evaluation alone.
 */
export type Split = "supernet" | "validation" | "train" | "test"

/** Names one batch. */
export interface BatchRequest {
  readonly split: Split
  readonly epoch: number
  /** From 0; the last one of an epoch may be smaller (evaluation) or is dropped (training), see `steps`. */
  readonly step: number
  readonly batchSize: number
  /** Shuffled, augmented and full batches only; otherwise in fixed order, untouched, to the last image. */
  readonly training: boolean
}

/** Images as float32 NHWC, normalised; one label an image. The arrays belong to the receiver. */
export interface Batch {
  readonly images: Float32Array
  readonly labels: Int32Array
  readonly size: number
}

/** Data that is missing, unreadable or not what it should be: which file, which record, what would be right. */
export class DatasetError extends Schema.TaggedError<DatasetError>()("DatasetError", {
  dataset: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `dataset ${this.dataset}: ${this.file}: ${this.reason}`
  }
}

/** Two images of a split, by their places in its fixed order, and whether they show the same identity. */
export interface Pair {
  readonly first: number
  readonly second: number
  readonly same: boolean
  /** Which fold of the cross-validation the pair belongs to, from 0. */
  readonly fold: number
}

/** Files that a dataflow left out while listing, of one kind: by their ending, or by what else is wrong with them. */
export interface Skipped {
  /** An ending (`.txt`; `.`: without one), or words. */
  readonly kind: string
  readonly count: number
  /** The first names. */
  readonly names: ReadonlyArray<string>
}

/** What a dataflow can say of its images beside batches: for `osnas inspect-data` and the report of a run. */
export interface Inventory {
  /** The folder or file, or words that say where the images come from. */
  readonly place: string
  /** What every channel of the pixels, from 0 to 1, is normalised with. */
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
  /** The label of every image of a split, in its fixed order. */
  readonly labels: (split: Split) => Int32Array
  /** An image of a split, by its place in the fixed order: as it is stored, neither augmented nor normalised. */
  readonly image: (split: Split, at: number) => Effect.Effect<RawImage, DatasetError>
  /** The file of an image, where it has one of its own. */
  readonly file?: ((split: Split, at: number) => string) | undefined
  readonly skipped: ReadonlyArray<Skipped>
  /** Files that cannot be read, where they are skipped. */
  readonly broken?: ReadonlyArray<{ readonly file: string; readonly reason: string }> | undefined
  /** Every file with its size in bytes, where each image has one of its own. */
  readonly listing?: ReadonlyArray<readonly [path: string, size: number]> | undefined
}

/** The contract. */
export interface DataflowShape {
  readonly name: string
  readonly image: ImageShape
  /** Names of the classes (or identities), in the order of their labels. */
  readonly classes: ReadonlyArray<string>
  /** How many images a split has. */
  readonly count: (split: Split) => number
  /** Batches an epoch: floor for training, ceiling otherwise. At least 1 where the split holds a batch at all. */
  readonly steps: (split: Split, batchSize: number, training: boolean) => number
  readonly batch: (request: BatchRequest) => Effect.Effect<Batch, DatasetError>
  /** Why a request names no batch, with what would be right; undefined where it names one. */
  readonly refusal?: ((request: BatchRequest) => string | undefined) | undefined
  /** SHA-256 over the data the flow reads (hex), for the manifest. */
  readonly digest: string
  /**
   * SHA-256 over paths and sizes (hex), where an option of performance decides whether `digest` is over what the files
   * hold or over this alone: equal to `digest` then. A run may go on with the other kind where it is the same.
   */
  readonly listingDigest?: string | undefined
  /** One sentence for each thing that was skipped, left out or lacking when the data was listed. Default none. */
  readonly notices?: ReadonlyArray<string> | undefined
  /** What is known of the images beside batches. Default: nothing. */
  readonly inventory?: Inventory | undefined
  /**
   * Set where the test split shows identities that training does not: their names, in the order of the test split's
   * labels, and the pairs to verify.
   */
  readonly verification?: {
    readonly identities: ReadonlyArray<string>
    readonly pairs: ReadonlyArray<Pair>
    /** Whether the validation split, too, shows identities that the supernet is not trained on. Default false. */
    readonly newInValidation?: boolean | undefined
  }
}

/**
 * The dataflow of a run.
 *
 * **Example** (Reading the run's)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Dataflow from "./Dataflow.ts"
 *
 * const flow = Dataflow.Dataflow.of({
 *   name: "noise",
 *   image: [8, 8, 1],
 *   classes: ["a", "b"],
 *   count: () => 100,
 *   steps: (_split, batchSize, training) => (training ? Math.floor : Math.ceil)(100 / batchSize),
 *   batch: () => Effect.fail(new Dataflow.DatasetError({ dataset: "noise", file: "none", reason: "has no images" })),
 *   digest: ""
 * })
 * const steps = Effect.map(Dataflow.Dataflow, (data) => data.steps("test", 32, false))
 * Effect.runSync(Effect.provideService(steps, Dataflow.Dataflow, flow)) // => 4
 * ```
 */
export class Dataflow extends Context.Service<Dataflow, DataflowShape>()("osnas/dataflow/Dataflow") {}
