/**
 * Classification from folders of images, one folder a class, as ImageNet (Russakovsky et al. 2015) is usually kept:
 * `train/<class>/…` and `val/<class>/…`. Images stay in their files; worker threads decode them ahead of the training.
 *
 * **Gotchas**: how a JPEG's bytes become pixels is the decoder's business: two runs have the same bits with the same
 * version of `sharp`. All that follows (crop, resizing, colours) is computed here and the same everywhere.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as BatchPlan from "./BatchPlan.ts"
import { Dataflow, DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import * as ImageListing from "./ImageListing.ts"
import * as InMemory from "./InMemory.ts"
import * as Planned from "./Planned.ts"

const name = "image-folder"
const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const Limit = Schema.NullOr(PositiveInt)
const Range = (most: number) => {
  const bound = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: most, exclusiveMinimum: true }))
  return Schema.Tuple([bound, bound]).check(
    Schema.makeFilter(([least, largest]: readonly [number, number]) => least <= largest || "the smaller number first")
  )
}
const Side = Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 2048 }))
const Colour = Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite])

/** Options of the dataflow `image-folder`. */
export const Options = Schema.Struct({
  folder: Schema.String.annotate({ description: "Folder that holds the two below", ...OptionKind.path }),
  trainFolder: Schema.String.annotate({ description: "Training images, one folder a class" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("train"))
  ),
  testFolder: Schema.String.annotate({ description: "Test images, folders named as the training images'" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("val"))
  ),
  size: Side.annotate({ description: "Side of the images in pixels" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(224))
  ),
  evaluationSide: Schema.NullOr(Side)
    .annotate({ description: "Outside training: the shorter side before the middle is taken; null: size * 8 / 7" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  area: Range(1)
    .annotate({ description: "Share of an image's area that a random crop takes, least and most" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.08, 1] as const))),
  ratio: Range(16)
    .annotate({ description: "Width over height of a random crop, least and most" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.75, 4 / 3] as const))),
  jitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    .annotate({
      description: "Colour jitter: brightness, contrast, saturation by a factor of 1 - jitter to 1 + jitter"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  flip: Schema.Boolean.annotate({ description: "Mirror half of the training images" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  ),
  cutout: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2048 }))
    .annotate({ description: "Side of a blanked square in training images; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  mean: Colour.annotate({ description: "Mean of every channel, pixels from 0 to 1" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([0.485, 0.456, 0.406] as const))
  ),
  std: Schema.Tuple([Positive, Positive, Positive])
    .annotate({ description: "Standard deviation of every channel" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.229, 0.224, 0.225] as const))),
  supernetFraction: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
    .annotate({ description: "Fraction of every class's training images that trains the supernet; the rest scores" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.8))),
  trainLimit: Limit.annotate({
    description: "Only so many training images, the first of each class in turn; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testLimit: Limit.annotate({
    description: "Only so many test images, the first of each class in turn; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  broken: Schema.Literals(["fail", "skip"])
    .annotate({ description: "What an image that cannot be read does: end the run, or be named and replaced" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("fail" as const))),
  prefetch: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 64 }))
    .annotate({
      description: "Batches made ahead in worker threads; 0: made when asked for",
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(4))),
  workers: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
    .annotate({ description: "Worker threads", ...OptionKind.performance })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2)))
})
/** Options of the dataflow `image-folder`. */
export type Options = typeof Options.Type

const part = (folder: string, groups: ReadonlyArray<ImageListing.Group>, classes: ReadonlyMap<string, number>) => {
  const labels = InMemory.sharedLabels(groups.reduce((sum, group) => sum + group.files.length, 0))
  const paths: Array<string> = []
  for (const group of groups) {
    for (const file of group.files) {
      labels[paths.length] = classes.get(group.name)!
      paths.push(join(folder, group.name, file))
    }
  }
  return { labels, paths }
}

/** Paths and sizes of all files, digested: reading a million images to the end takes too long for every start. */
const digestOf = (root: string, paths: ReadonlyArray<string>): Effect.Effect<string, DatasetError> =>
  Effect.map(
    Effect.tryPromise({
      try: async () => {
        const sizes = new Array<number>(paths.length)
        let next = 0
        const lane = async () => {
          while (next < paths.length) {
            const at = next
            next += 1
            sizes[at] = (await fs.stat(join(root, paths[at]!))).size
          }
        }
        await Promise.all(Array.from({ length: 32 }, lane))
        return sizes
      },
      catch: Files.failure(name, root)
    }),
    (sizes) => Files.sha256(paths.map((path, at) => `${path}\t${sizes[at]}\n`).join(""))
  )

/** The flow of the options, drawn from `runKey`. Its digest is over the paths and sizes of the files. */
export const make = Effect.fn("ImageFolder.make")(function* (options: Options, runKey: Key.Key) {
  const { folder, size } = options
  const trainGroups = yield* ImageListing.groups(name, join(folder, options.trainFolder))
  const testGroups = yield* ImageListing.groups(name, join(folder, options.testFolder))
  const classes = new Map(trainGroups.map((group, label) => [group.name, label]))
  const unknown = testGroups.filter((group) => !classes.has(group.name)).map((group) => group.name)
  if (unknown.length > 0) {
    return yield* new DatasetError({
      dataset: name,
      file: join(folder, options.testFolder),
      reason: `${unknown.slice(0, 5).join(", ")} are not among the classes of ${options.trainFolder}`
    })
  }
  const train = part(options.trainFolder, trainGroups, classes)
  const test = part(options.testFolder, testGroups, classes)
  const key = Key.derive(runKey, "dataflow")
  const chosen = BatchPlan.balanced(train.labels, options.trainLimit)
  const labels = Int32Array.from(chosen, (index) => train.labels[index]!)
  const [supernet, validation] = BatchPlan.stratified(labels, options.supernetFraction, Key.derive(key, "split"))
  const inTrain = (positions: Uint32Array) => ({
    part: "train" as const,
    indices: positions.map((position) => chosen[position]!)
  })
  const none = new Uint8Array(0)
  return yield* Planned.make({
    name,
    classes: trainGroups.map((group) => group.name),
    plan: {
      stored: [size, size, 3],
      image: [size, size, 3],
      train: { pixels: none, labels: train.labels },
      test: { pixels: none, labels: test.labels },
      splits: {
        supernet: inTrain(supernet),
        validation: inTrain(validation),
        train: { part: "train", indices: chosen },
        test: { part: "test", indices: BatchPlan.balanced(test.labels, options.testLimit) }
      },
      table: BatchPlan.normalisation(options.mean, options.std),
      augmentation: { crop: 0, flip: options.flip, cutout: options.cutout },
      perIdentity: 0,
      files: {
        root: folder,
        train: train.paths,
        test: test.paths,
        view: {
          _tag: "RandomResizedCrop",
          area: options.area,
          ratio: options.ratio,
          evaluationSide: options.evaluationSide ?? Math.round((size * 8) / 7),
          jitter: options.jitter
        },
        broken: options.broken
      },
      key
    },
    prefetch: options.prefetch,
    workers: options.workers,
    digest: yield* digestOf(folder, [...train.paths, ...test.paths])
  })
})

/** The dataflow as a Layer. */
export const layer = (options: Options): Layer.Layer<Dataflow, DatasetError, RunKey> =>
  Layer.effect(
    Dataflow,
    Effect.gen(function* () {
      return yield* make(options, yield* RunKey)
    })
  )

/**
 * The component `image-folder`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as Key from "../random/Key.ts"
 * import { RunKey } from "../random/RunKey.ts"
 * import { Dataflow } from "./Dataflow.ts"
 * import * as ImageFolder from "./ImageFolder.ts"
 *
 * const options = Schema.decodeUnknownSync(ImageFolder.Options)({ folder: "nowhere" })
 * options.size // => 224
 * const flow = ImageFolder.layer(options).pipe(Layer.provide(Layer.succeed(RunKey, Key.make(1))))
 * const failure = Effect.runPromise(Effect.flip(Effect.provide(Effect.map(Dataflow, (data) => data.name), flow)))
 * ;(await failure).dataset // => ImageFolder.component.name
 * ;(await Effect.runPromise(Effect.flip(Effect.scoped(ImageFolder.make(options, Key.make(1)))))).file // => "nowhere/train"
 * ```
 */
export const component = define({
  kind: "dataflow",
  name,
  description: "JPEG and PNG in one folder a class, as ImageNet: random resized crop, flip, colour jitter",
  options: Options,
  layer
})
