/**
 * Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747): 28 x 28 grey images of ten kinds of clothes. Reads any
 * data set in the same four idx files (MNIST, KMNIST). A balanced subset of 10,000 training and 2,000 test images ships
 * with osnas, so that no download is needed to begin.
 */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as OptionKind from "../component/OptionKind.ts"
import { RunKey } from "../random/RunKey.ts"
import type { ImageBytes } from "./BatchPlan.ts"
import { Dataflow, DatasetError } from "./Dataflow.ts"
import * as Files from "./Files.ts"
import * as Idx from "./Idx.ts"
import * as InMemory from "./InMemory.ts"
import * as Wording from "./Wording.ts"

/** The classes, in the order of their labels. */
export const classes = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot"
] as const

/** Names of the four files, without `.gz`. */
export const files = {
  train: { images: "train-images-idx3-ubyte", labels: "train-labels-idx1-ubyte" },
  test: { images: "t10k-images-idx3-ubyte", labels: "t10k-labels-idx1-ubyte" }
} as const

const name = "fashion-mnist"

/** Folder of the shipped subset, in the sources and in the built package alike. */
export const shippedFolder = fileURLToPath(new URL("./data/fashion-mnist-mini/", import.meta.url))

/** SHA-256 of the shipped files; checked whenever they are read. */
export const shippedDigests: Readonly<Record<string, string>> = {
  "train-images-idx3-ubyte.gz": "13d4b0e6c4039fb6da49d54314a89ea48b5d5d468cce51c0d8247359cec44a2d",
  "train-labels-idx1-ubyte.gz": "e43128c6977447b7333b70c2fed2047f0a5b2ef8fb5e5180a37380c179153040",
  "t10k-images-idx3-ubyte.gz": "f4d915e94291f4bc73e56fab04ea9599dfa8654f8bd03c24e73db616e1933ea4",
  "t10k-labels-idx1-ubyte.gz": "02867bb9ac2eb01d57818359126fe0f142c48d6a688adc73daba5ff30c2dfb04"
}

// Four times the official training images. More is another kind of data set.
const limit = 16 + 4 * 60_000 * 784

/** Options of the dataflow `fashion-mnist`. */
export const Options = Schema.Struct({
  folder: Schema.NullOr(Schema.String)
    .annotate({
      description: "Folder of the four idx files, .gz or unpacked; null: the shipped subset",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  ...InMemory.optionFields({ mean: [0.286], std: [0.353], crop: 2, flip: true, side: 28 }),
  channels: Schema.Literals([1, 3])
    .annotate({ description: "3: grey in three channels, for networks of colour images" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1 as const))),
  perIdentity: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 }))
    .annotate({
      description: "Images of each class in a training batch, as if classes were people; 0: shuffled batches"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  verificationPairs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
    .annotate({
      description:
        "Pairs of test images to verify, as if classes were people: this many of the same class, as many of different ones; 0: none"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))
})
/** Options of the dataflow `fashion-mnist`. */
export type Options = typeof Options.Type

const fail = (file: string, reason: string) => Effect.fail(new DatasetError({ dataset: name, file, reason }))

/** Names that a file may have: the official one, one with a dot, and each in a folder of that name. */
const namesOf = (base: string): ReadonlyArray<string> => {
  const dotted = base.replace("-idx", ".idx")
  return [base, dotted, join(base, base), join(dotted, dotted), join(dotted, base)].flatMap((name) => [
    `${name}.gz`,
    name
  ])
}

/** Folders into which other programs unpack these data sets. */
const below = ["", "raw", join("FashionMNIST", "raw"), join("MNIST", "raw"), join("KMNIST", "raw")]

const find = Effect.fnUntraced(function* (folder: string, base: string) {
  for (const inner of below) {
    for (const candidate of namesOf(base)) {
      const file = join(folder, inner, candidate)
      if ((yield* Files.size(name, file)) !== null) return file
    }
  }
  const found = yield* Files.list(name, folder)
  const packed = join(folder, `${base}.gz`)
  return yield* fail(
    packed,
    `does not exist, nor does ${base} or ${base.replace("-idx", ".idx")}; the folder must contain the four idx files ` +
      `(${Object.values(files)
        .flatMap(({ images, labels }) => [images, labels])
        .join(", ")}, each packed or not), ` +
      (found.length === 0 ? "it is empty" : `it contains ${Wording.some(found, 5)}`)
  )
})

const readIdx = Effect.fnUntraced(function* (folder: string, base: string, dimensions: number, shipped: boolean) {
  const file = shipped ? join(folder, `${base}.gz`) : yield* find(folder, base)
  const bytes = yield* Files.read(name, file, limit)
  if (shipped) {
    const found = Files.sha256(bytes)
    if (found !== shippedDigests[`${base}.gz`]) {
      return yield* fail(file, `SHA-256 is ${found}, expected ${shippedDigests[`${base}.gz`]}: the file is damaged`)
    }
  }
  // Decided by its bytes: a browser may unpack a file and keep its name.
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b
  const content = isPacked ? yield* Files.inflate(name, file, bytes, limit) : bytes
  const idx = Idx.parse(content, dimensions)
  return Result.isFailure(idx) ? yield* fail(file, idx.failure) : { file, ...idx.success }
})

const readPart = Effect.fnUntraced(function* (folder: string, part: "train" | "test", shipped: boolean) {
  const labels = yield* readIdx(folder, files[part].labels, 1, shipped)
  const images = yield* readIdx(folder, files[part].images, 3, shipped)
  const [count = 0, height, width] = images.dimensions
  if (height !== 28 || width !== 28) {
    return yield* fail(images.file, `images of ${height} x ${width} pixels; must be 28 x 28`)
  }
  if (labels.dimensions[0] !== count) {
    return yield* fail(labels.file, `${labels.dimensions[0]} labels for ${count} images`)
  }
  const wrong = labels.data.findIndex((label) => label >= classes.length)
  if (wrong >= 0) {
    return yield* fail(labels.file, `record ${wrong}: label ${labels.data[wrong]}; must be from 0 to 9`)
  }
  const pixels = InMemory.sharedBytes(images.data.length)
  pixels.set(images.data)
  const shared = InMemory.sharedLabels(count)
  shared.set(labels.data)
  const bytes: ImageBytes = { pixels, labels: shared }
  return bytes
})

/** Reads the four files of a folder (null: the shipped subset), checking sizes, labels and the shipped digests. */
export const load = Effect.fn("FashionMnist.load")(function* (folder: string | null) {
  const shipped = folder === null
  const from = folder ?? shippedFolder
  const train = yield* readPart(from, "train", shipped)
  const test = yield* readPart(from, "test", shipped)
  const data: InMemory.ImageData = {
    name,
    stored: [28, 28, 1],
    classes,
    train,
    test
  }
  return data
})

/** Grey images with three equal channels. */
const inThreeChannels = ({ labels, pixels }: ImageBytes): ImageBytes => {
  const out = InMemory.sharedBytes(3 * pixels.length)
  for (let at = 0; at < pixels.length; at += 1) {
    const value = pixels[at]!
    out[3 * at] = value
    out[3 * at + 1] = value
    out[3 * at + 2] = value
  }
  return { labels, pixels: out }
}

/** The dataflow as a Layer. */
export const layer = (options: Options): Layer.Layer<Dataflow, DatasetError, RunKey> =>
  Layer.effect(
    Dataflow,
    Effect.gen(function* () {
      const place = options.folder ?? "the subset that ships with osnas"
      const grey = { ...(yield* load(options.folder)), place }
      const asFaces = { perIdentity: options.perIdentity, pairs: options.verificationPairs }
      if (options.channels === 1) return yield* InMemory.make(grey, options, yield* RunKey, asFaces)
      const data: InMemory.ImageData = {
        ...grey,
        stored: [28, 28, 3],
        train: inThreeChannels(grey.train),
        test: inThreeChannels(grey.test)
      }
      const thrice = (values: ReadonlyArray<number>) => [0, 1, 2].map(() => values[0]!)
      const inColour = { ...options, mean: thrice(options.mean), std: thrice(options.std) }
      return yield* InMemory.make(data, inColour, yield* RunKey, asFaces)
    })
  )

/**
 * The component `fashion-mnist`.
 *
 * **Example** (The images that ship)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as Key from "../random/Key.ts"
 * import { RunKey } from "../random/RunKey.ts"
 * import { Dataflow } from "./Dataflow.ts"
 * import * as FashionMnist from "./FashionMnist.ts"
 *
 * const data = await Effect.runPromise(FashionMnist.load(null))
 * data.classes // => FashionMnist.classes
 * Object.keys(FashionMnist.shippedDigests).includes(`${FashionMnist.files.test.labels}.gz`) // => true
 * FashionMnist.shippedFolder.includes("fashion-mnist-mini") // => true
 * const options = Schema.decodeUnknownSync(FashionMnist.Options)({ trainLimit: 100, prefetch: 0 })
 * const flow = FashionMnist.layer(options).pipe(Layer.provide(Layer.succeed(RunKey, Key.make(1))))
 * const summary = Effect.map(Dataflow, ({ count, name }) => [name, count("train"), count("supernet")])
 * await Effect.runPromise(Effect.provide(summary, flow)) // => [FashionMnist.component.name, 100, 80]
 * ```
 */
export const component = define({
  kind: "dataflow",
  name,
  description: "Fashion-MNIST, 28 x 28 grey, 10 classes; a subset is shipped",
  options: Options,
  layer
})
