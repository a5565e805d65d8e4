/**
 * Faces in folders, one folder per person (CASIA-WebFace, LFW, ORL): training on some people, verification of pairs of
 * other people. Training batches are shuffled, for criteria that classify identities, or balanced with `perIdentity`
 * images of each person, for criteria that compare within the batch.
 */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { define } from "../component/Component.ts"
import * as Key from "../random/Key.ts"
import * as BatchPlan from "./BatchPlan.ts"
import * as CheckImages from "./CheckImages.ts"
import type { Pair } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import { fail, name, Options } from "./face-folder/FaceFolderOptions.ts"
import {
  checkFiles,
  decodeAll,
  digestOfFiles,
  type FacePart,
  type Listed,
  listed,
  sizesOf
} from "./face-folder/FaceParts.ts"
import { listedPairs } from "./face-folder/ListedPairs.ts"
import { people } from "./face-folder/People.ts"
import * as Planned from "./Planned.ts"
import * as Splits from "./Splits.ts"
import * as VerificationPairs from "./VerificationPairs.ts"

export { Options } from "./face-folder/FaceFolderOptions.ts"

/** The parts of the data: what is trained on, and what is verified. */
interface Parts {
  readonly train: FacePart
  readonly test: FacePart
}

/** The pairs to verify: from a list, or made. */
const pairsOf = Effect.fnUntraced(function* ({ test }: Parts, { pairLimit, pairs }: Options) {
  const found =
    pairs === null
      ? VerificationPairs.made(test.labels, pairLimit)
      : yield* listedPairs(
          pairs,
          test.root,
          test.paths,
          test.faults.map(({ path }) => path)
        )
  return found.length > 0
    ? found
    : yield* fail(test.root, "no pairs can be made: needs two people to verify, one of them with two images")
})

/** The plan of the parts; splits are drawn from `key`. */
const planOf = Effect.fnUntraced(function* (
  { test, train }: Parts,
  people: number,
  inMemory: boolean,
  options: Options,
  key: Key.Key
) {
  const { channels, size } = options
  const split = options.splitBy === "image" ? Splits.stratified : Splits.byWholeLabels
  const halves = split(train.labels, options.supernetFraction, Key.derive(key, "split"))
  if (halves === undefined) {
    return yield* fail(
      options.folder,
      `splitBy: person needs 4 people to train on, there are ${people}; use splitBy: image`
    )
  }
  const [supernet, validation] = halves
  const files: BatchPlan.ImageFiles = {
    root: "",
    train: train.paths.map((path) => join(train.root, path)),
    test: test.paths.map((path) => join(test.root, path)),
    view: { _tag: "Whole", fit: options.fit },
    broken: options.broken === "skip" ? "skipUntested" : "fail"
  }
  const plan: BatchPlan.BatchPlan = {
    stored: [size, size, channels],
    image: [size, size, channels],
    train: { pixels: train.pixels, labels: train.labels },
    test: { pixels: test.pixels, labels: test.labels },
    splits: {
      supernet: { part: "train", indices: supernet },
      validation: { part: "train", indices: validation },
      train: { part: "train", indices: Splits.balanced(train.labels, null) },
      test: { part: "test", indices: Splits.balanced(test.labels, null) }
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
  return { plan, files: { train: files.train, test: files.test } }
})

/**
 * Digests of what the dataflow reads. `digest` is over the pixels of images in memory, else over paths and sizes, because
 * decoding half a million images takes too long for every start. `listingDigest` is over paths and sizes in both cases, so
 * that a run can resume with another `memory`.
 */
const digestsOf = (
  { test, train }: Parts,
  pairs: ReadonlyArray<Pair>,
  sizes: Parameters<typeof digestOfFiles>[0],
  inMemory: boolean
) => {
  const digestWith = (files: string): string => Files.sha256(files, JSON.stringify(pairs))
  const listingDigest = digestWith(digestOfFiles(sizes))
  return {
    digest: inMemory
      ? digestWith(Files.sha256(JSON.stringify([train.paths, test.paths]), train.pixels, test.pixels))
      : listingDigest,
    listingDigest
  }
}

/** The dataflow of the options; everything random is drawn from `runKey`. Images that fit into `memory` are decoded at once. */
export const make = Effect.fn("FaceFolder.make")(function* (options: Options, runKey: Key.Key) {
  const { notices, skipped, test, testRoot, train } = yield* people(options)
  const [trainListed, testListed] = [listed(options.folder, train), listed(testRoot, test)]
  const bytes = (trainListed.paths.length + testListed.paths.length) * options.size * options.size * options.channels
  const inMemory = bytes <= options.memory * 1e6
  const read = (part: Listed, isTest: boolean) =>
    inMemory ? decodeAll(part, options) : checkFiles(part, isTest, options)
  const parts: Parts = { train: yield* read(trainListed, false), test: yield* read(testListed, true) }
  const both = [parts.train, parts.test]
  const pairs = yield* pairsOf(parts, options)
  const { files, plan } = yield* planOf(parts, train.length, inMemory, options, Key.derive(runKey, "dataflow"))
  const sizes = yield* sizesOf(both)
  const fate = inMemory ? "left out (broken: skip)" : "replaced in training (broken: skip)"
  return yield* Planned.make({
    name,
    classes: train.map((group) => group.name),
    plan,
    prefetch: options.prefetch,
    workers: inMemory ? 1 : options.workers,
    ...digestsOf(parts, pairs, sizes, inMemory),
    notices: [...notices, ...both.flatMap(({ faults, root }) => CheckImages.notices(root, faults, fate))],
    place: options.folder,
    skipped,
    broken: both.flatMap(({ faults, root }) => CheckImages.brokenFiles(root, faults)),
    listing: sizes.flatMap((files, at) =>
      files.map(([path, size]) => [at === 0 || options.testFolder === null ? path : `(test)/${path}`, size] as const)
    ),
    files,
    verification: {
      identities: test.map((group) => group.name),
      pairs,
      newInValidation: options.splitBy === "person"
    }
  })
})

/** The dataflow as a Layer. */
export const layer = Planned.layerOf(make)

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
  description: "Faces, one folder per person; verification pairs of other people, made or from LFW's pairs.txt",
  options: Options,
  layer
})
