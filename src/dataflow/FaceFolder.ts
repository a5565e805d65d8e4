/**
 * Faces in folders, one folder a person (CASIA-WebFace, LFW, ORL): training on some people, verification of pairs of
 * other people. Training batches are shuffled, for criteria that classify identities, or balanced with `perIdentity`
 * images of each person, for criteria that compare within the batch.
 */
import { realpath } from "node:fs/promises"
import { basename, extname, join, sep } from "node:path"
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
import { Dataflow, DatasetError, type Pair } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as FileBatch from "./FileBatch.ts"
import * as Files from "./Files.ts"
import * as ImageListing from "./ImageListing.ts"
import * as InMemory from "./InMemory.ts"
import * as Planned from "./Planned.ts"
import * as Resample from "./Resample.ts"
import * as VerificationPairs from "./VerificationPairs.ts"

const name = "face-folder"
const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
const Pixels = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 }))
const Limit = Schema.NullOr(PositiveInt)
const Names = Schema.NullOr(Schema.Array(Schema.String))

/** With `check: auto`, so many images to verify are decoded at the start. */
const mostDecoded = 5000

/** Options of the dataflow `face-folder`. */
export const Options = Schema.Struct({
  folder: Schema.String.annotate({
    description: "Folder with one folder of images a person",
    ...OptionKind.path
  }),
  people: Names.annotate({
    description: "People (folders) to train on; `s1..s30` is a range; null: all but the test's"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  peopleLimit: Limit.annotate({
    description: "Only so many people to train on, the first by name that have two images or more; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testFolder: Schema.NullOr(Schema.String)
    .annotate({ description: "Folder of the people to verify; null: the same folder", ...OptionKind.path })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testPeople: Names.annotate({ description: "People to verify; null: all of the test folder" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null))
  ),
  testPeopleLimit: Limit.annotate({
    description: "Only so many people to verify, the first by name that have two images or more; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  pairs: Schema.NullOr(Schema.String)
    .annotate({
      description: "A list in the form of LFW's pairs.txt; null: pairs are made of the people to verify",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  pairLimit: PositiveInt.annotate({ description: "At most so many made pairs of one person, and as many of two" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(3000))
  ),
  size: Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 512 }))
    .annotate({ description: "Side of the images in pixels" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(112))),
  channels: Schema.Literals([1, 3])
    .annotate({ description: "3: colour; 1: grey" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(3 as const))),
  fit: Schema.Literals(["stretch", "crop", "pad"])
    .annotate({ description: "How an image that is no square becomes one" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("stretch" as const))),
  perIdentity: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 }))
    .annotate({ description: "Images of each person in a training batch (triplet loss: 2 or more); 0: shuffled" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  supernetFraction: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
    .annotate({ description: "Fraction of the training images that trains the supernet; the rest scores" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.8))),
  splitBy: Schema.Literals(["image", "person"])
    .annotate({
      description: "image: every person's images are split; person: whole people are, who then are new when they score"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("image" as const))),
  crop: Pixels.annotate({ description: "Random crop from the image framed by so many pixels; 0: off" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  flip: Schema.Boolean.annotate({ description: "Mirror half of the training images" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  ),
  cutout: Pixels.annotate({ description: "Side of a blanked square in training images; 0: off" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  zoom: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.5 }))
    .annotate({ description: "Training images nearer, farther and off the middle by up to this fraction; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  jitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    .annotate({ description: "Brightness, contrast, saturation by a factor of 1 - jitter to 1 + jitter; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  mean: Schema.Finite.annotate({ description: "Mean of the pixels, from 0 to 1" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0.5))
  ),
  std: Schema.Finite.check(Schema.isGreaterThan(0))
    .annotate({ description: "Standard deviation of the pixels" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.5))),
  memory: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65536 }))
    .annotate({
      description: "Megabytes of images to keep in memory; more than that are read anew for every batch",
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1024))),
  broken: Schema.Literals(["fail", "skip"])
    // A run that met no broken image has the same bits either way: it may go on with the other.
    .annotate({
      ...OptionKind.performance,
      description:
        "What an image that cannot be read does: end the run, or be named and replaced (larger than memory: an image to verify ends it all the same)"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("fail" as const))),
  check: Schema.Literals(["auto", "none", "headers", "decode"])
    .annotate({
      description: `Larger than memory, look for broken images at the start: headers: at both ends of every file; decode: decode those to verify, too; auto: decode up to ${mostDecoded}, else headers`,
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
/** Options of the dataflow `face-folder`. */
export type Options = typeof Options.Type

const fail = (file: string, reason: string) => Effect.fail(new DatasetError({ dataset: name, file, reason }))

/** The first `limit` people of whom a pair can be made; null: all people. */
const limited = (groups: ReadonlyArray<ImageListing.Group>, limit: number | null): ReadonlyArray<ImageListing.Group> =>
  limit === null ? groups : groups.filter((group) => group.files.length > 1).slice(0, limit)

/** Who trains and who is verified, with the roots of their folders. */
const people = Effect.fnUntraced(function* (options: Options) {
  const testRoot = options.testFolder ?? options.folder
  // A test folder that is the folder itself, by whatever path, holds the same people.
  const isShared =
    options.testFolder === null ||
    (yield* Effect.promise(async () => {
      const [own, other] = await Promise.all([options.folder, testRoot].map((root) => realpath(root).catch(() => root)))
      return own === other
    }))
  const listing = yield* ImageListing.list(name, options.folder, { of: "person", option: "folder" })
  const testListing = isShared
    ? listing
    : yield* ImageListing.list(name, testRoot, { of: "person", option: "testFolder" })
  const [all, testAll] = [listing.groups, testListing.groups]
  if (isShared && options.testPeople === null) {
    return yield* fail(
      options.folder,
      "set testPeople (some of its folders) or testFolder (another folder): people to verify, not trained on"
    )
  }
  const named =
    options.testPeople === null ? testAll : yield* ImageListing.pick(name, testRoot, testAll, options.testPeople)
  const test = limited(named, options.testPeopleLimit)
  // Who is left out by the limit is not trained on for that.
  const testNames = new Set(isShared ? named.map((group) => group.name) : [])
  const train = limited(
    options.people === null
      ? all.filter((group) => !testNames.has(group.name))
      : yield* ImageListing.pick(name, options.folder, all, options.people),
    options.peopleLimit
  )
  const both = train.filter((group) => testNames.has(group.name)).map((group) => group.name)
  if (both.length > 0) return yield* fail(options.folder, `${both.join(", ")} both trained on and verified`)
  if (train.length < 2)
    return yield* fail(options.folder, `${ImageListing.counted(train.length, "person")} to train on; needs at least 2`)
  const listings = testListing === listing ? [listing] : [listing, testListing]
  const dangling = listings.flatMap(({ dangling, root }) =>
    dangling.map((path) => ({ path: join(root, path), reason: "is a link that leads nowhere" }))
  )
  if (dangling.length > 0 && options.broken === "fail") {
    return yield* CheckImages.failure(name, "", dangling, true)
  }
  const single = test.filter((group) => group.files.length === 1).map((group) => group.name)
  const notices = [
    ...listings.flatMap((listing) => listing.notices),
    ...(dangling.length === 0 ? [] : [CheckImages.notice(options.folder, dangling, "left out (broken: skip)")]),
    ...(single.length === 0 || options.pairs !== null
      ? []
      : [
          `${testRoot}: ${ImageListing.counted(single.length, "person")} to verify ${single.length === 1 ? "has" : "have"} one image, of which no pair of one person can be made (${ImageListing.some(single, 5)})`
        ])
  ]
  return { train, test, testRoot, notices, skipped: listings.flatMap((listing) => listing.skipped) }
})

/** The pairs of LFW's list, as places among the test images. */
const listedPairs = Effect.fnUntraced(function* (
  list: string,
  root: string,
  paths: ReadonlyArray<string>,
  broken: ReadonlyArray<string>
) {
  const parsed = VerificationPairs.parseLfw(yield* Files.readText(name, list, 1 << 26))
  if (Result.isFailure(parsed)) return yield* fail(list, parsed.failure)
  // By person and name of the file without its ending: a file may be in the person's folder or in one below it.
  const key = (path: string): string => {
    const [person = ""] = path.split(sep)
    return join(person, basename(path).slice(0, basename(path).length - extname(path).length)).normalize("NFC")
  }
  const places = new Map(paths.map((path, at) => [key(path), at]))
  const skipped = new Set(broken.map(key))
  const people = new Set(paths.map((path) => path.split(sep)[0]!.normalize("NFC")))
  const pairs: Array<Pair> = []
  for (const { first, fold, line, same, second } of parsed.success) {
    const [a, b] = [first, second].map((image) =>
      places.get(join(image.person, VerificationPairs.lfwName(image)).normalize("NFC"))
    )
    if (a === undefined || b === undefined) {
      const missing = a === undefined ? first : second
      const file = VerificationPairs.lfwName(missing)
      const folder = join(root, missing.person)
      if (skipped.has(join(missing.person, file).normalize("NFC"))) {
        return yield* fail(
          list,
          `line ${line}: the image ${file} of ${missing.person} is broken and was skipped; mend it, or remove its pairs`
        )
      }
      return yield* fail(
        list,
        people.has(missing.person.normalize("NFC"))
          ? `line ${line}: there is no image ${file} of ${missing.person} in ${folder} (with any of ${ImageListing.endings.join(" ")})`
          : `line ${line}: ${missing.person} is not among the people to verify: looked for ${file} in ${folder}`
      )
    }
    pairs.push({ first: a, second: b, same, fold })
  }
  return pairs
})

interface Listed {
  readonly root: string
  readonly paths: ReadonlyArray<string>
  readonly labels: Int32Array
}

const listed = (root: string, groups: ReadonlyArray<ImageListing.Group>): Listed => {
  const labels = InMemory.sharedLabels(groups.reduce((sum, group) => sum + group.files.length, 0))
  const paths: Array<string> = []
  groups.forEach((group, label) => {
    for (const file of group.files) {
      labels[paths.length] = label
      paths.push(join(group.name, file))
    }
  })
  return { root, paths, labels }
}

/** A part whose images are decoded, without those that could not be. */
interface Decoded extends Listed {
  readonly pixels: Uint8Array
  readonly faults: ReadonlyArray<CheckImages.Fault>
}

/** Decodes all images of a part into shared memory; broken ones fail, or are left out. */
const decodeAll = Effect.fnUntraced(function* (part: Listed, options: Options) {
  const { channels, fit, size } = options
  const length = size * size * channels
  const faults: Array<CheckImages.Fault & { readonly at: number }> = []
  let done = 0
  const decoding = Effect.forEach(
    part.paths,
    (path, at) =>
      Effect.promise(async () => {
        try {
          const raw = await DecodeImage.decode(join(part.root, path))
          return FileBatch.whole(Resample.withChannels(raw, channels), fit, size, size)
        } catch (cause) {
          faults.push({ at, path, reason: cause instanceof Error ? cause.message : String(cause) })
          return undefined
        } finally {
          done += 1
        }
      }),
    { concurrency: 8 }
  )
  const all = ImageListing.counted(part.paths.length, "image")
  const images = yield* CheckImages.reporting(() => `${name}: decoded ${done} of ${all} in ${part.root}`, decoding)
  faults.sort((a, b) => a.at - b.at)
  if (faults.length > 0 && options.broken === "fail") return yield* CheckImages.failure(name, part.root, faults, true)
  const kept = Array.from(images.keys()).filter((at) => images[at] !== undefined)
  const pixels = InMemory.sharedBytes(kept.length * length)
  const labels = InMemory.sharedLabels(kept.length)
  kept.forEach((at, position) => {
    pixels.set(images[at]!, position * length)
    labels[position] = part.labels[at]!
  })
  const decoded: Decoded = { root: part.root, paths: kept.map((at) => part.paths[at]!), labels, pixels, faults }
  return decoded
})

/** Looks at the files of a part that stays on disk: broken ones fail, or are named where they may be replaced. */
const checkFiles = Effect.fnUntraced(function* (part: Listed, isTest: boolean, options: Options) {
  const thorough =
    isTest && (options.check === "decode" || (options.check === "auto" && part.paths.length <= mostDecoded))
  const level = options.check === "none" ? "none" : thorough ? "decode" : "headers"
  const { faults } = yield* CheckImages.check(
    name,
    part.root,
    part.paths.map((path) => ({ path, level }))
  )
  // An image to verify has a place that the pairs name.
  if (faults.length > 0 && (isTest || options.broken === "fail")) {
    return yield* CheckImages.failure(name, part.root, faults, !isTest)
  }
  const checked: Decoded = { ...part, pixels: new Uint8Array(0), faults }
  return checked
})

/** Sizes of the files of parts, by path. */
const sizesOf = Effect.fnUntraced(function* (parts: ReadonlyArray<Listed>) {
  const found: Array<ReadonlyArray<readonly [path: string, size: number]>> = []
  for (const { paths, root } of parts) {
    const looked = paths.map((path) => ({ path, level: "none" as const }))
    const { faults, sizes } = yield* CheckImages.check(name, root, looked)
    if (faults.length > 0) return yield* CheckImages.failure(name, root, faults, false)
    found.push(paths.map((path, at) => [path, sizes[at]!]))
  }
  return found
})

const digestOfFiles = (parts: ReadonlyArray<ReadonlyArray<readonly [path: string, size: number]>>): string =>
  Files.sha256(parts.flatMap((files) => [...files.map(([path, size]) => `${path}\t${size}`), ""]).join("\n"))

/**
 * The flow of the options, drawn from `runKey`. Images that fit into `memory` are decoded at once, and the digest is
 * over their pixels; else it is over paths and sizes, because decoding half a million images takes too long for every
 * start. The latter is `listingDigest` in both cases, so that a run may go on with another `memory`.
 */
export const make = Effect.fn("FaceFolder.make")(function* (options: Options, runKey: Key.Key) {
  const { channels, size } = options
  const { notices, skipped, test, testRoot, train } = yield* people(options)
  const trainListed = listed(options.folder, train)
  const testListed = listed(testRoot, test)
  const bytes = (trainListed.paths.length + testListed.paths.length) * size * size * channels
  const inMemory = bytes <= options.memory * 1e6
  const read = (part: Listed, isTest: boolean): Effect.Effect<Decoded, DatasetError> =>
    inMemory ? decodeAll(part, options) : checkFiles(part, isTest, options)
  const trainPart = yield* read(trainListed, false)
  const testPart = yield* read(testListed, true)
  const pairs =
    options.pairs === null
      ? VerificationPairs.made(testPart.labels, options.pairLimit)
      : yield* listedPairs(
          options.pairs,
          testRoot,
          testPart.paths,
          testPart.faults.map(({ path }) => path)
        )
  if (pairs.length === 0) {
    return yield* fail(testRoot, "no pairs can be made: needs two people to verify, one of them with two images")
  }
  const key = Key.derive(runKey, "dataflow")
  const split = options.splitBy === "image" ? BatchPlan.stratified : BatchPlan.byWholeLabels
  const parts = split(trainPart.labels, options.supernetFraction, Key.derive(key, "split"))
  if (parts === undefined) {
    return yield* fail(
      options.folder,
      `splitBy: person needs 4 people to train on, there are ${train.length}; use splitBy: image`
    )
  }
  const [supernet, validation] = parts
  const files: BatchPlan.ImageFiles = {
    root: "",
    train: trainPart.paths.map((path) => join(trainPart.root, path)),
    test: testPart.paths.map((path) => join(testPart.root, path)),
    view: { _tag: "Whole", fit: options.fit },
    broken: options.broken === "skip" ? "skipUntested" : "fail"
  }
  const plan: BatchPlan.BatchPlan = {
    stored: [size, size, channels],
    image: [size, size, channels],
    train: { pixels: trainPart.pixels, labels: trainPart.labels },
    test: { pixels: testPart.pixels, labels: testPart.labels },
    splits: {
      supernet: { part: "train", indices: supernet },
      validation: { part: "train", indices: validation },
      train: { part: "train", indices: BatchPlan.balanced(trainPart.labels, null) },
      test: { part: "test", indices: BatchPlan.balanced(testPart.labels, null) }
    },
    table: BatchPlan.normalisation(
      Array.from({ length: channels }, () => options.mean),
      Array.from({ length: channels }, () => options.std)
    ),
    augmentation: {
      crop: options.crop,
      flip: options.flip,
      cutout: options.cutout,
      zoom: options.zoom,
      jitter: options.jitter
    },
    perIdentity: options.perIdentity,
    files: inMemory ? null : files,
    key
  }
  const sizes = yield* sizesOf([trainPart, testPart])
  const digestWith = (files: string): string => Files.sha256(files, JSON.stringify(pairs))
  const listingDigest = digestWith(digestOfFiles(sizes))
  return yield* Planned.make({
    name,
    classes: train.map((group) => group.name),
    plan,
    prefetch: options.prefetch,
    workers: inMemory ? 1 : options.workers,
    digest: inMemory
      ? digestWith(Files.sha256(JSON.stringify([trainPart.paths, testPart.paths]), trainPart.pixels, testPart.pixels))
      : listingDigest,
    listingDigest,
    notices: [
      ...notices,
      ...[trainPart, testPart].flatMap(({ faults, root }) =>
        faults.length === 0
          ? []
          : [
              CheckImages.notice(
                root,
                faults,
                inMemory ? "left out (broken: skip)" : "replaced in training (broken: skip)"
              )
            ]
      )
    ],
    place: options.folder,
    skipped,
    broken: [trainPart, testPart].flatMap(({ faults, root }) =>
      faults.map(({ path, reason }) => ({ file: join(root, path), reason }))
    ),
    listing: sizes.flatMap((files, at) =>
      files.map(([path, size]) => [at === 0 || options.testFolder === null ? path : `(test)/${path}`, size] as const)
    ),
    files: { train: files.train, test: files.test },
    verification: {
      identities: test.map((group) => group.name),
      pairs,
      newInValidation: options.splitBy === "person"
    }
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
 * The component `face-folder`.
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
 * import * as FaceFolder from "./FaceFolder.ts"
 *
 * const options = Schema.decodeUnknownSync(FaceFolder.Options)({ folder: "nowhere", perIdentity: 4 })
 * options.size // => 112
 * const flow = FaceFolder.layer(options).pipe(Layer.provide(Layer.succeed(RunKey, Key.make(1))))
 * const failure = Effect.runPromise(Effect.flip(Effect.provide(Effect.map(Dataflow, (data) => data.name), flow)))
 * ;(await failure).dataset // => FaceFolder.component.name
 * ;(await Effect.runPromise(Effect.flip(Effect.scoped(FaceFolder.make(options, Key.make(1)))))).file // => "nowhere"
 * ```
 */
export const component = define({
  kind: "dataflow",
  name,
  description: "Faces, one folder a person; verification pairs of other people, made or from LFW's pairs.txt",
  options: Options,
  layer
})
