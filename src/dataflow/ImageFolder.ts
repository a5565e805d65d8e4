/**
 * Classification from folders of images, one folder per class, the usual layout of ImageNet (Russakovsky et al. 2015):
 * `train/<class>/…` and `val/<class>/…`. A class folder may have its images in a folder `images`, and a file may list the
 * classes of the test images (`testLabels`). Images stay in their files; worker threads decode them ahead of training.
 *
 * **Gotchas**: a JPEG is decoded by `sharp`, so two runs have the same bits only with the same version of it. Everything
 * after decoding (crop, resize, colours) is computed here and is the same everywhere.
 */
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { define } from "../component/Component.ts"
import * as Key from "../random/Key.ts"
import * as BatchPlan from "./BatchPlan.ts"
import * as CheckImages from "./CheckImages.ts"
import * as Files from "./Files.ts"
import { mostDecoded } from "./FolderOptions.ts"
import * as ImageListing from "./ImageListing.ts"
import { fail, name, Options } from "./image-folder/ImageFolderOptions.ts"
import { labelsByName, type Part, part, type TestPart, testByList, testInFolders } from "./image-folder/TestImages.ts"
import * as Planned from "./Planned.ts"
import * as Splits from "./Splits.ts"
import * as Wording from "./Wording.ts"

export { Options } from "./image-folder/ImageFolderOptions.ts"

type PlanSplits = BatchPlan.BatchPlan["splits"]

/** Checks the files of both parts; those of the splits as thoroughly as the option `check` says. */
const checked = Effect.fnUntraced(function* (train: Part, test: Part, splits: PlanSplits, options: Options) {
  const { indices: validation } = splits.validation
  const { indices: tested } = splits.test
  const thorough =
    options.check === "decode" || (options.check === "auto" && validation.length + tested.length <= mostDecoded)
  const light = options.check === "none" ? "none" : "headers"
  const levels = [train, test].map(({ paths }) => paths.map((): CheckImages.Level => "none"))
  for (const at of splits.train.indices) levels[0]![at] = light
  for (const at of validation) levels[0]![at] = thorough ? "decode" : light
  for (const at of tested) levels[1]![at] = thorough ? "decode" : light
  const paths = [...train.paths, ...test.paths]
  return yield* CheckImages.check(
    name,
    options.folder,
    paths.map((path, at) => ({
      path,
      level: at < train.paths.length ? levels[0]![at]! : levels[1]![at - train.paths.length]!
    }))
  )
})

/** Notices about the options, and about classes without test images. */
const noticesOf = (classes: ReadonlyArray<string>, test: TestPart, options: Options): ReadonlyArray<string> => {
  const { folder, testClasses, testFolder, testLabels, trainFolder } = options
  const [trainRoot, testRoot] = [resolve(folder, trainFolder), resolve(folder, testFolder)]
  const shown = new Set(test.labels)
  const untested = classes.filter((_, label) => !shown.has(label))
  return [
    ...(trainRoot === testRoot
      ? [`${testRoot}: trainFolder and testFolder are the same folder: every test image is trained on`]
      : []),
    ...(testClasses !== null && testLabels === null
      ? [`${testClasses}: testClasses has no effect without testLabels`]
      : []),
    ...(untested.length === 0
      ? []
      : [
          `${join(folder, testFolder)}: no test images of ${Wording.counted(untested.length, "class")} (${Wording.some(untested, 5)})`
        ])
  ]
}

/** The plan of the parts: images stay in their files. */
const planOf = (train: Part, test: Part, splits: PlanSplits, options: Options, key: Key.Key): BatchPlan.BatchPlan => {
  const { size } = options
  const none = new Uint8Array(0)
  return {
    stored: [size, size, 3],
    image: [size, size, 3],
    train: { pixels: none, labels: train.labels },
    test: { pixels: none, labels: test.labels },
    splits,
    table: BatchPlan.normalisation(options.mean, options.std),
    augmentation: { crop: 0, flip: options.flip, cutout: options.cutout },
    perIdentity: 0,
    files: {
      root: options.folder,
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
  }
}

/** The dataflow of the options; everything random is drawn from `runKey`. Its digest is over paths and sizes of the files. */
export const make = Effect.fn("ImageFolder.make")(function* (options: Options, runKey: Key.Key) {
  const { folder } = options
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
  const splits = Splits.splitsOf(train.labels, test.labels, options, Key.derive(key, "split"))
  const [trained, tested] = [splits.train.indices.length, splits.test.indices.length]
  if (trained < 2 || tested < 1) {
    return yield* fail(folder, `${trained} training and ${tested} test images; needs at least 2 and 1`)
  }
  const { faults, sizes } = yield* checked(train, test, splits, options)
  const dangling = [...listing.dangling.map((path) => join(options.trainFolder, path)), ...test.dangling]
  const broken = [...dangling.map((path) => ({ path, reason: "is a broken link" })), ...faults]
  if (broken.length > 0 && options.broken === "fail") return yield* CheckImages.failure(name, folder, broken, true)
  const paths = [...train.paths, ...test.paths]
  return yield* Planned.make({
    name,
    classes,
    plan: planOf(train, test, splits, options, key),
    prefetch: options.prefetch,
    workers: options.workers,
    // Reading a million images in full takes too long for every start.
    digest: Files.sha256(paths.map((path, at) => `${path}\t${sizes[at]}\n`).join(""), test.digested),
    notices: [
      ...listing.notices,
      ...test.notices,
      ...noticesOf(classes, test, options),
      ...CheckImages.notices(folder, broken, "replaced in training and left out of the test (broken: skip)")
    ],
    place: folder,
    skipped: [...listing.skipped, ...test.skipped],
    broken: CheckImages.brokenFiles(folder, broken),
    listing: paths.map((path, at) => [path, sizes[at]!] as const)
  })
})

/** The dataflow as a Layer. */
export const layer = Planned.layerOf(make)

/**
 * The component `image-folder`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Result from "effect/Result"
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
  description: "JPEG and PNG in one folder per class, as ImageNet: random resized crop, flip, colour jitter",
  options: Options,
  layer
})
