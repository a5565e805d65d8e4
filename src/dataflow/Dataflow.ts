/**
 * A dataflow turns images on disk into batches. Access is random: `batch(request)` depends only on its request and the run's
 * key, so there is no iterator state, and a resumed run sees the same data.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ImageShape } from "../engine/Shape.ts"
import type { RawImage } from "./Netpbm.ts"

/**
 * `supernet`: the training images (by default 80 %) that train the supernet; `validation`: the rest, which scores
 * candidates; `train`: all training images, for retraining; `test`: the official test set, for evaluation only.
 */
export type Split = "supernet" | "validation" | "train" | "test"

/** Names one batch. */
export interface BatchRequest {
  readonly split: Split
  readonly epoch: number
  /** From 0. A last, incomplete batch is dropped in training; see `steps`. */
  readonly step: number
  readonly batchSize: number
  /** True: shuffled, augmented, full batches only. False: fixed order, no augmentation, up to the last image. */
  readonly training: boolean
}

/** Images as float32 NHWC, normalised, with one label per image. The caller owns the arrays. */
export interface Batch {
  readonly images: Float32Array
  readonly labels: Int32Array
  readonly size: number
}

/** Data that are missing, unreadable or wrong: which file, which record, what is expected. */
export class DatasetError extends Schema.TaggedError<DatasetError>()("DatasetError", {
  dataset: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `dataset ${this.dataset}: ${this.file}: ${this.reason}`
  }
}

/** Two images of a split, by their positions in its fixed order, and whether they show the same identity. */
export interface Pair {
  readonly first: number
  readonly second: number
  readonly same: boolean
  /** Which fold of the cross-validation the pair belongs to, from 0. */
  readonly fold: number
}

/** Files of one kind that a dataflow skipped while listing. */
export interface Skipped {
  /** An ending (`.txt`; `.` for none), or a description. */
  readonly kind: string
  readonly count: number
  /** The first names. */
  readonly names: ReadonlyArray<string>
}

/** What a dataflow knows of its images beside batches: for `osnas inspect-data` and the report of a run. */
export interface Inventory {
  /** The folder or file of the images, or a description of their source. */
  readonly place: string
  /** Normalisation of each channel, for pixels from 0 to 1. */
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
  /** The label of every image of a split, in its fixed order. */
  readonly labels: (split: Split) => Int32Array
  /** An image of a split, by its position in the fixed order: as stored, neither augmented nor normalised. */
  readonly image: (split: Split, at: number) => Effect.Effect<RawImage, DatasetError>
  /** The file of an image, if each has its own. */
  readonly file?: ((split: Split, at: number) => string) | undefined
  readonly skipped: ReadonlyArray<Skipped>
  /** Files that were skipped because they cannot be read. */
  readonly broken?: ReadonlyArray<{ readonly file: string; readonly reason: string }> | undefined
  /** Every file with its size in bytes, if each image has its own. */
  readonly listing?: ReadonlyArray<readonly [path: string, size: number]> | undefined
}

/** The contract. */
export interface DataflowShape {
  readonly name: string
  readonly image: ImageShape
  /** Names of the classes (or identities), in the order of their labels. */
  readonly classes: ReadonlyArray<string>
  /** The number of images in a split. */
  readonly count: (split: Split) => number
  /** Batches per epoch: rounded down in training, up otherwise. */
  readonly steps: (split: Split, batchSize: number, training: boolean) => number
  readonly batch: (request: BatchRequest) => Effect.Effect<Batch, DatasetError>
  /** Why there is no batch for a request, and what is expected; undefined if there is one. */
  readonly refusal?: ((request: BatchRequest) => string | undefined) | undefined
  /** SHA-256 (hex) of the data that the dataflow reads, for the manifest. */
  readonly digest: string
  /**
   * SHA-256 (hex) of paths and sizes. Set if a performance option decides whether `digest` is over the content of the files
   * or over paths and sizes (then both are equal). A run can resume with the other kind if this is unchanged.
   */
  readonly listingDigest?: string | undefined
  /** One sentence per thing that was skipped or missing when the data were listed. Default: none. */
  readonly notices?: ReadonlyArray<string> | undefined
  /** What is known of the images beside batches. Default: nothing. */
  readonly inventory?: Inventory | undefined
  /**
   * Set if the test split has identities that are not in training: their names, in the order of the test split's labels,
   * and the pairs to verify.
   */
  readonly verification?: {
    readonly identities: ReadonlyArray<string>
    readonly pairs: ReadonlyArray<Pair>
    /** Whether the validation split, too, has identities that the supernet is not trained on. Default: false. */
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
