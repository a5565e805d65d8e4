/**
 * Dataflows whose images fit into memory as bytes, such as CIFAR and Fashion-MNIST. Each data set has its own parser; splits,
 * order, augmentation, normalisation and prefetching are shared here.
 *
 * **Example** (Images made by a program)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Key from "../random/Key.ts"
 * import * as InMemory from "./InMemory.ts"
 *
 * const Options = Schema.Struct(InMemory.optionFields({ mean: [0.5], std: [0.5], crop: 0, flip: false, side: 8 }))
 * const options = { ...Schema.decodeUnknownSync(Options)({}), prefetch: 0 }
 * const images = (count: number) => {
 *   const pixels = InMemory.sharedBytes(64 * count).map((_, at) => at)
 *   return { pixels, labels: InMemory.sharedLabels(count).map((_, at) => at % 2) }
 * }
 * const data: InMemory.ImageData = {
 *   name: "stripes",
 *   stored: [8, 8, 1],
 *   classes: ["even", "odd"],
 *   train: images(20),
 *   test: images(4)
 * }
 * const flow = await Effect.runPromise(Effect.scoped(InMemory.make(data, options, Key.make(1))))
 * flow.count("supernet") // => 16
 * flow.steps("test", 3, false) // => 2
 * InMemory.plan(data, options, Key.make(1)).image // => [8, 8, 1]
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as OptionKind from "../component/OptionKind.ts"
import type { ImageShape } from "../engine/Shape.ts"
import * as Key from "../random/Key.ts"
import * as BatchPlan from "./BatchPlan.ts"
import { DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import * as Planned from "./Planned.ts"
import { splitsOf } from "./Splits.ts"
import * as VerificationPairs from "./VerificationPairs.ts"

/** A parsed data set. Keep pixels and labels in shared memory ({@link sharedBytes}), so that workers need no copy. */
export interface ImageData {
  readonly name: string
  readonly stored: ImageShape
  readonly classes: ReadonlyArray<string>
  readonly train: BatchPlan.ImageBytes
  readonly test: BatchPlan.ImageBytes
  /** The folder or file of the images. Default: the name. */
  readonly place?: string | undefined
  /** One sentence per thing that was skipped when the data were read. */
  readonly notices?: ReadonlyArray<string> | undefined
}

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
const Pixels = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 }))

/** Defaults that differ between data sets. */
export interface OptionDefaults {
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
  readonly crop: number
  readonly flip: boolean
  /** Side of the stored image: the minimum of `size`. */
  readonly side: number
}

/** Fields of the options that all in-memory data sets share. */
export const optionFields = (defaults: OptionDefaults) => {
  const channels = defaults.mean.length
  const perChannel = (value: typeof Schema.Finite) =>
    Schema.Array(value).check(Schema.isBetweenLength(channels, channels))
  const size = Schema.Int.check(Schema.isBetween({ minimum: defaults.side, maximum: 512 }))
  return {
    size: size
      .annotate({
        description: `Side of the images in pixels, from ${defaults.side}; if larger, the image is centred on black`
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.side))),
    supernetFraction: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
      .annotate({
        description:
          "Fraction of the training images of every class that trains the supernet; the rest is the validation split"
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.8))),
    crop: Pixels.annotate({
      description: "Random crop from the image with this many black pixels added on every side; 0: off"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.crop))),
    flip: Schema.Boolean.annotate({ description: "Mirror half of the training images" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(defaults.flip))
    ),
    cutout: Pixels.annotate({ description: "Side of a blanked square in training images; 0: off" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(0))
    ),
    mean: perChannel(Schema.Finite)
      .annotate({ description: "Mean of every channel, for pixels from 0 to 1" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.mean))),
    std: perChannel(Schema.Finite.check(Schema.isGreaterThan(0)) as typeof Schema.Finite)
      .annotate({ description: "Standard deviation of every channel, for pixels from 0 to 1" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.std))),
    trainLimit: Schema.NullOr(PositiveInt)
      .annotate({ description: "At most this many training images, taken from the classes in turn; null: all" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
    testLimit: Schema.NullOr(PositiveInt)
      .annotate({ description: "At most this many test images, taken from the classes in turn; null: all" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
    digest: Schema.NullOr(Schema.String)
      .annotate({ description: "SHA-256 that the data must have (as in a run's manifest); null: not checked" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
    prefetch: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 64 }))
      .annotate({
        description: "Batches prepared ahead in a worker thread; 0: each is made when it is needed",
        ...OptionKind.performance
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2)))
  }
}

/** The decoded options of {@link optionFields}. */
export interface Options {
  readonly size: number
  readonly supernetFraction: number
  readonly crop: number
  readonly flip: boolean
  readonly cutout: number
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
  readonly trainLimit: number | null
  readonly testLimit: number | null
  readonly digest: string | null
  readonly prefetch: number
}

/** Zeroed bytes that worker threads see without a copy. */
export const sharedBytes = (length: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(length))

/** Zeroed labels that worker threads see without a copy. */
export const sharedLabels = (length: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * length))

/** Settings of a data set whose classes are treated as people. */
export interface AsFaces {
  /** Images of each label in a training batch; 0: shuffled batches. */
  readonly perIdentity: number
  /** At most this many pairs of test images with the same label, and as many with different ones; 0: none. */
  readonly pairs: number
}

/** The plan of an in-memory data set; splits are drawn from `key`. */
export const plan = (data: ImageData, options: Options, key: Key.Key, perIdentity = 0): BatchPlan.BatchPlan => {
  return {
    stored: data.stored,
    image: [options.size, options.size, data.stored[2]],
    train: data.train,
    test: data.test,
    splits: splitsOf(data.train.labels, data.test.labels, options, Key.derive(key, "split")),
    table: BatchPlan.normalisation(options.mean, options.std),
    augmentation: { crop: options.crop, flip: options.flip, cutout: options.cutout },
    perIdentity,
    files: null,
    key
  }
}

/** Digest of the data: shapes, labels and pixels of both parts, whatever the files were. */
const digest = (data: ImageData): string =>
  Files.sha256(
    JSON.stringify([data.stored, data.classes, data.train.labels.length, data.test.labels.length]),
    ...[data.train, data.test].flatMap(({ labels, pixels }) => [Uint8Array.from(labels), pixels])
  )

/** What is wrong with parsed data; undefined if nothing is. */
const faultOf = ({ classes, stored, test, train }: ImageData, verifies: boolean): string | undefined => {
  const length = stored[0] * stored[1] * stored[2]
  for (const [part, { labels, pixels }] of [
    ["training", train],
    ["test", test]
  ] as const) {
    if (pixels.length !== labels.length * length) {
      return `${labels.length} ${part} labels and ${pixels.length} bytes of pixels; images of ${stored.join(" x ")} need ${labels.length * length}`
    }
    const wrong = labels.findIndex((label) => label < 0 || label >= classes.length)
    if (wrong >= 0) return `${part} image ${wrong}: label ${labels[wrong]}; must be from 0 to ${classes.length - 1}`
  }
  if (train.labels.length < 2 || test.labels.length < 1) {
    return `${train.labels.length} training and ${test.labels.length} test images; needs at least 2 and 1`
  }
  // Identities to verify need not be in training.
  if (verifies) return undefined
  const trained = new Set(train.labels)
  const untrained = [...new Set(test.labels)].filter((label) => !trained.has(label)).sort((a, b) => a - b)
  return untrained.length === 0
    ? undefined
    : `test images of classes without a training image: ${untrained.map((label) => classes[label]).join(", ")}`
}

/** Notices about classes without images. */
const noticesOf = ({ classes, name, place, test, train }: ImageData): ReadonlyArray<string> => {
  const of = (part: string, labels: Int32Array) => {
    const shown = new Set(labels)
    const absent = classes.filter((_, label) => !shown.has(label))
    if (absent.length === 0) return []
    const names = absent.slice(0, 5).join(", ") + (absent.length > 5 ? ", …" : "")
    return [
      `${place ?? name}: no ${part} images of ${absent.length} ${absent.length === 1 ? "class" : "classes"} (${names})`
    ]
  }
  return [...of("training", train.labels), ...of("test", test.labels)]
}

/** The dataflow of an in-memory data set, drawn from `runKey`. Its worker thread ends with the scope. */
export const make = Effect.fn("InMemory.make")(function* (
  data: ImageData,
  options: Options,
  runKey: Key.Key,
  asFaces: AsFaces = { perIdentity: 0, pairs: 0 }
) {
  const fault = faultOf(data, asFaces.pairs > 0)
  if (fault !== undefined)
    return yield* new DatasetError({ dataset: data.name, file: data.place ?? "(all)", reason: fault })
  const found = digest(data)
  if (options.digest !== null && options.digest !== found) {
    return yield* new DatasetError({
      dataset: data.name,
      file: "(all)",
      reason: `the images and labels have SHA-256 ${found}; the option digest is ${options.digest}`
    })
  }
  const made = plan(data, options, Key.derive(runKey, "dataflow"), asFaces.perIdentity)
  const pairs =
    asFaces.pairs === 0
      ? []
      : VerificationPairs.made(
          Array.from(made.splits.test.indices, (index) => data.test.labels[index]!),
          asFaces.pairs
        )
  return yield* Planned.make({
    name: data.name,
    classes: data.classes,
    plan: made,
    ...(pairs.length === 0 ? {} : { verification: { identities: data.classes, pairs } }),
    prefetch: options.prefetch,
    workers: 1,
    digest: found,
    notices: [...(data.notices ?? []), ...(asFaces.pairs > 0 ? [] : noticesOf(data))],
    place: data.place ?? data.name
  })
})
