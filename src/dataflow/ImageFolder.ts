/**
 * Classification from folders of images, one folder a class, as ImageNet (Russakovsky et al. 2015) is usually kept:
 * `train/<class>/…` and `val/<class>/…`; a folder `images` may stand between, and a file may list the classes of the test
 * images (`testLabels`). Images stay in their files; worker threads decode them ahead of the training.
 *
 * **Gotchas**: how a JPEG's bytes become pixels is the decoder's business: two runs have the same bits with the same
 * version of `sharp`. All that follows (crop, resizing, colours) is computed here and the same everywhere.
 */
import { basename, extname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as BatchPlan from "./BatchPlan.ts"
import * as CheckImages from "./CheckImages.ts"
import { Dataflow, DatasetError, type Skipped } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import * as ImageListing from "./ImageListing.ts"
import * as InMemory from "./InMemory.ts"
import * as LabelFile from "./LabelFile.ts"
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

/** With `check: auto`, so many images that score and test are decoded at the start: some 15 s on two cores. */
const mostDecoded = 5000

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
  testLabels: Schema.NullOr(Schema.String)
    .annotate({
      description:
        "A file of the test images' classes, `name class` a line, where they are not in class folders; null: class folders",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testClasses: Schema.NullOr(Schema.String)
    .annotate({
      description: "A file of the classes that numbers in testLabels stand for, one a line; null: testLabels has names",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  broken: Schema.Literals(["fail", "skip"])
    // A run that met no broken image has the same bits either way: it may go on with the other.
    .annotate({
      description: "What an image that cannot be read does: end the run, or be named and replaced",
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("fail" as const))),
  check: Schema.Literals(["auto", "none", "headers", "decode"])
    .annotate({
      description: `Look for broken images at the start: headers: at both ends of every file; decode: decode those that score and test, too; auto: decode up to ${mostDecoded}, else headers`,
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("auto" as const))),
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

/** Images of a part with their labels; paths are under `folder`. */
interface Part {
  readonly paths: ReadonlyArray<string>
  readonly labels: Int32Array
}

const part = (
  folder: string,
  groups: ReadonlyArray<ImageListing.Group>,
  labelOf: (name: string) => number | undefined
): Part => {
  const labels = InMemory.sharedLabels(groups.reduce((sum, group) => sum + group.files.length, 0))
  const paths: Array<string> = []
  for (const group of groups) {
    for (const file of group.files) {
      labels[paths.length] = labelOf(group.name)!
      paths.push(join(folder, group.name, file))
    }
  }
  return { labels, paths }
}

const fail = (file: string, reason: string) => Effect.fail(new DatasetError({ dataset: name, file, reason }))

/** Finds the label of a class by its name, also where composed characters are written in the other way. */
const labelsByName = (classes: ReadonlyArray<string>) => {
  const exact = new Map(classes.map((name, label) => [name, label]))
  const composed = new Map(classes.map((name, label) => [name.normalize("NFC"), label]))
  return (name: string): number | undefined => exact.get(name) ?? composed.get(name.normalize("NFC"))
}

/** What is listed of the test images. */
interface TestPart extends Part {
  readonly dangling: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<Skipped>
  readonly notices: ReadonlyArray<string>
  /** What the labels add to the digest, where no path says them. */
  readonly digested: string
}

/** Test images in one folder a class. */
const testInFolders = Effect.fnUntraced(function* (
  options: Options,
  train: ImageListing.Listing,
  labelOf: (name: string) => number | undefined
) {
  const { folder, testFolder } = options
  const root = join(folder, testFolder)
  const listing = yield* ImageListing.list(name, root, { of: "class", option: "testFolder" }).pipe(
    Effect.mapError((error) =>
      error.reason.startsWith("holds no folder with images")
        ? new DatasetError({
            ...error,
            reason: `${error.reason}\nor a list of the images' classes: set testLabels to a file with a line \`name class\` for each`
          })
        : error
    )
  )
  const unknown = listing.groups.filter((group) => labelOf(group.name) === undefined).map((group) => group.name)
  if (unknown.length > 0) {
    const hollow = unknown.filter((name) => train.empty.includes(name))
    return yield* fail(
      root,
      `${ImageListing.some(unknown, 5)} are not among the classes of ${options.trainFolder}` +
        (hollow.length > 0
          ? `, where ${ImageListing.some(hollow, 5)} ${hollow.length === 1 ? "has no image" : "have no images"}`
          : "") +
        `: ${ImageListing.counted(unknown.length, "class")} of ${testFolder} without a training image`
    )
  }
  const test: TestPart = {
    ...part(testFolder, listing.groups, labelOf),
    dangling: listing.dangling.map((path) => join(testFolder, path)),
    skipped: listing.skipped,
    notices: listing.notices,
    digested: ""
  }
  return test
})

const text = (file: string) => Files.readText(name, file, 1 << 28)

/** Test images whose classes a file lists. */
const testByList = Effect.fnUntraced(function* (
  options: Options,
  list: string,
  classes: ReadonlyArray<string>,
  labelOf: (name: string) => number | undefined
) {
  const { folder, testClasses, testFolder } = options
  const root = join(folder, testFolder)
  const images = yield* ImageListing.flat(name, root)
  const parsed = LabelFile.parse(yield* text(list))
  if (Result.isFailure(parsed)) return yield* fail(list, parsed.failure)
  const entries = parsed.success
  let numbers: ReadonlyMap<number, string> | undefined
  if (testClasses !== null) {
    const listed = LabelFile.parseClasses(
      yield* text(testClasses),
      entries.map(({ label }) => label)
    )
    if (Result.isFailure(listed)) return yield* fail(testClasses, listed.failure)
    numbers = listed.success
  }
  // A line may name a file without its ending, and without the folder it is in.
  const places = new Map<string, number>()
  images.files.forEach((file, at) => {
    const base = basename(file)
    for (const key of [base.slice(0, base.length - extname(base).length), base, file]) places.set(key, at)
  })
  const labels = new Map<number, number>()
  for (const [at, { image, label, line }] of entries.entries()) {
    const place = image === undefined ? at : (places.get(image) ?? places.get(basename(image)))
    if (place === undefined || place >= images.files.length) {
      return yield* fail(
        list,
        `line ${line}: ${image === undefined ? `there are ${images.files.length} images` : `there is no image ${image}`} in ${root}` +
          (at === 0 && image !== undefined ? "; if the first line is a header, remove it" : "")
      )
    }
    if (labels.has(place)) return yield* fail(list, `line ${line}: ${images.files[place]} has a class already`)
    const named = numbers === undefined ? label : numbers.get(Number(label))
    const found = named === undefined ? undefined : labelOf(named)
    if (named === undefined) {
      const known = [...(numbers?.keys() ?? [])].sort((a, b) => a - b)
      return yield* fail(
        list,
        `line ${line}: ${testClasses} has no class of the number ${label}; it has ${known.length}, from ${known[0]} to ${known.at(-1)}`
      )
    }
    if (found === undefined) {
      const isNumber = numbers === undefined && /^\d+$/.test(label)
      return yield* fail(
        list,
        `line ${line}: ${named} is not among the ${classes.length} classes of ${options.trainFolder} (${ImageListing.some(classes)})` +
          (isNumber ? "; set testClasses to a file that says which class each number stands for" : "")
      )
    }
    labels.set(place, found)
  }
  const without = images.files.filter((_, at) => !labels.has(at))
  if (without.length > 0) {
    return yield* fail(
      list,
      `has no line for ${ImageListing.counted(without.length, "image")} of ${root} (${ImageListing.some(without)})`
    )
  }
  const own = InMemory.sharedLabels(images.files.length)
  for (const [place, label] of labels) own[place] = label
  const test: TestPart = {
    paths: images.files.map((file) => join(testFolder, file)),
    labels: own,
    dangling: images.dangling.map((path) => join(testFolder, path)),
    skipped: images.skipped,
    notices: images.notices,
    digested: own.join()
  }
  return test
})

/** The flow of the options, drawn from `runKey`. Its digest is over the paths and sizes of the files. */
export const make = Effect.fn("ImageFolder.make")(function* (options: Options, runKey: Key.Key) {
  const { folder, size } = options
  const listing = yield* ImageListing.list(name, join(folder, options.trainFolder), {
    of: "class",
    option: "trainFolder"
  })
  const classes = listing.groups.map((group) => group.name)
  const labelOf = labelsByName(classes)
  const train = part(options.trainFolder, listing.groups, labelOf)
  const test =
    options.testLabels === null
      ? yield* testInFolders(options, listing, labelOf)
      : yield* testByList(options, options.testLabels, classes, labelOf)
  const key = Key.derive(runKey, "dataflow")
  const chosen = BatchPlan.balanced(train.labels, options.trainLimit)
  const tested = BatchPlan.balanced(test.labels, options.testLimit)
  if (chosen.length < 2 || tested.length < 1) {
    return yield* fail(folder, `${chosen.length} training and ${tested.length} test images; needs at least 2 and 1`)
  }
  const labels = Int32Array.from(chosen, (index) => train.labels[index]!)
  const [supernet, validation] = BatchPlan.stratified(labels, options.supernetFraction, Key.derive(key, "split"))
  const inTrain = (positions: Uint32Array) => ({
    part: "train" as const,
    indices: positions.map((position) => chosen[position]!)
  })

  const thorough =
    options.check === "decode" ||
    (options.check === "auto" && inTrain(validation).indices.length + tested.length <= mostDecoded)
  const light = options.check === "none" ? "none" : "headers"
  const levels = [train, test].map(({ paths }) => paths.map((): CheckImages.Level => "none"))
  for (const at of chosen) levels[0]![at] = light
  for (const at of inTrain(validation).indices) levels[0]![at] = thorough ? "decode" : light
  for (const at of tested) levels[1]![at] = thorough ? "decode" : light
  const paths = [...train.paths, ...test.paths]
  const { faults, sizes } = yield* CheckImages.check(
    name,
    folder,
    paths.map((path, at) => ({
      path,
      level: at < train.paths.length ? levels[0]![at]! : levels[1]![at - train.paths.length]!
    }))
  )
  const dangling = [...listing.dangling.map((path) => join(options.trainFolder, path)), ...test.dangling]
  const broken = [...dangling.map((path) => ({ path, reason: "is a link that leads nowhere" })), ...faults]
  if (broken.length > 0 && options.broken === "fail") return yield* CheckImages.failure(name, folder, broken, true)

  const counts = classes.map(() => 0)
  for (const label of test.labels) counts[label]! += 1
  const [trainRoot, testRoot] = [resolve(folder, options.trainFolder), resolve(folder, options.testFolder)]
  const untested = classes.filter((_, label) => counts[label] === 0)
  const notices = [
    ...listing.notices,
    ...test.notices,
    ...(trainRoot === testRoot
      ? [`${testRoot}: trainFolder and testFolder are the same folder: every test image is trained on`]
      : []),
    ...(options.testClasses !== null && options.testLabels === null
      ? [`${options.testClasses}: testClasses has no effect without testLabels`]
      : []),
    ...(untested.length === 0
      ? []
      : [
          `${join(folder, options.testFolder)}: no test images of ${ImageListing.counted(untested.length, "class")} (${ImageListing.some(untested, 5)})`
        ]),
    ...(broken.length === 0
      ? []
      : [CheckImages.notice(folder, broken, "replaced in training and left out of the test (broken: skip)")])
  ]
  const none = new Uint8Array(0)
  return yield* Planned.make({
    name,
    classes,
    plan: {
      stored: [size, size, 3],
      image: [size, size, 3],
      train: { pixels: none, labels: train.labels },
      test: { pixels: none, labels: test.labels },
      splits: {
        supernet: inTrain(supernet),
        validation: inTrain(validation),
        train: { part: "train", indices: chosen },
        test: { part: "test", indices: tested }
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
    // Reading a million images to the end takes too long for every start.
    digest: Files.sha256(paths.map((path, at) => `${path}\t${sizes[at]}\n`).join(""), test.digested),
    notices,
    place: folder,
    skipped: [...listing.skipped, ...test.skipped],
    broken: broken.map(({ path, reason }) => ({ file: join(folder, path), reason })),
    listing: paths.map((path, at) => [path, sizes[at]!] as const)
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
import * as Result from "effect/Result"
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
