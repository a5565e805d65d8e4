/**
 * What CIFAR-10 and CIFAR-100 share: 32 x 32 colour images (Krizhevsky 2009: "Learning multiple layers of features from
 * tiny images"). A record has one or two label bytes, then the red, green and blue planes. The files are in a folder, or in
 * the official archive, which can be downloaded. Source of the format: https://www.cs.toronto.edu/~kriz/cifar.html.
 */
import { basename, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as OptionKind from "../component/OptionKind.ts"
import { RunKey } from "../random/RunKey.ts"
import * as Archive from "./Archive.ts"
import type { ImageBytes } from "./BatchPlan.ts"
import { Dataflow, DatasetError } from "./Dataflow.ts"
import * as Download from "./Download.ts"
import * as Files from "./Files.ts"
import * as InMemory from "./InMemory.ts"
import * as Wording from "./Wording.ts"

/** In what the two differ. */
export interface Variant {
  readonly name: string
  readonly classes: ReadonlyArray<string>
  /** Label bytes of a record: the last one is the label; of two, the first is a coarse label below 20. */
  readonly labelBytes: 1 | 2
  readonly url: string
  readonly checksum: string
  readonly archive: string
  /** The folder within the archive. */
  readonly inner: string
  readonly trainFiles: ReadonlyArray<string>
  readonly testFiles: ReadonlyArray<string>
  readonly folder: string
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
}

const planes = 3072
// Four times the official images. More is another data set.
const mostImages = 200_000

const FileNames = Schema.Array(Schema.String).check(Schema.isMinLength(1))

/** The Schema of the options of a variant. */
export const options = (variant: Variant) =>
  Schema.Struct({
    folder: Schema.String.annotate({
      description: `Folder of the .bin files or of ${variant.archive}, or that archive itself`,
      ...OptionKind.path
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(variant.folder))),
    download: Schema.Boolean.annotate({
      description: "Download the archive if the folder has no data",
      ...OptionKind.source
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
    url: Schema.String.annotate({ description: "Address of the archive", ...OptionKind.source }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(variant.url))
    ),
    checksum: Schema.NullOr(Download.Checksum)
      .annotate({ description: "Digest of the archive, `sha256:…` or `md5:…`; null: not checked" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(variant.checksum))),
    trainFiles: FileNames.annotate({ description: "Files of the training images" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(variant.trainFiles))
    ),
    testFiles: FileNames.annotate({ description: "Files of the test images" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(variant.testFiles))
    ),
    ...InMemory.optionFields({ mean: variant.mean, std: variant.std, crop: 4, flip: true, side: 32 })
  })
/** Options of the dataflows `cifar10` and `cifar100`. */
export type Options = ReturnType<typeof options>["Type"]

const fail = (variant: Variant, file: string, reason: string) =>
  Effect.fail(new DatasetError({ dataset: variant.name, file, reason }))

/** The number of records in `length` bytes, or what is wrong with that length. */
const recordsIn = (variant: Variant, length: number): number | string => {
  const record = variant.labelBytes + planes
  if (length === 0) return "is empty"
  if (length % record !== 0) {
    return `${length} bytes are ${Math.floor(length / record)} records of ${record} bytes and ${length % record} bytes more`
  }
  return length / record > mostImages
    ? `${length / record} records; at most ${mostImages} are expected`
    : length / record
}

/**
 * Parses the files of one part into channels-last bytes. Fails, with file and record, if a length is not a multiple of a
 * record or a label is out of range.
 */
export const parse = Effect.fnUntraced(function* (
  variant: Variant,
  files: ReadonlyArray<{ readonly file: string; readonly bytes: Uint8Array }>
) {
  let total = 0
  for (const { bytes, file } of files) {
    const records = recordsIn(variant, bytes.length)
    if (typeof records === "string") return yield* fail(variant, file, records)
    total += records
  }
  if (total > mostImages)
    return yield* fail(variant, files[0]!.file, `${total} images; at most ${mostImages} are expected`)
  const pixels = InMemory.sharedBytes(total * planes)
  const labels = InMemory.sharedLabels(total)
  const { classes, labelBytes } = variant
  const record = labelBytes + planes
  let image = 0
  for (const { bytes, file } of files) {
    for (let at = 0; at < bytes.length; at += record) {
      const label = bytes[at + labelBytes - 1]!
      if (label >= classes.length) {
        return yield* fail(
          variant,
          file,
          `record ${at / record}: label ${label}; must be from 0 to ${classes.length - 1}`
        )
      }
      if (labelBytes === 2 && bytes[at]! >= 20) {
        return yield* fail(variant, file, `record ${at / record}: coarse label ${bytes[at]}; must be from 0 to 19`)
      }
      labels[image] = label
      const to = image * planes
      const from = at + labelBytes
      for (let p = 0; p < 1024; p += 1) {
        pixels[to + 3 * p] = bytes[from + p]!
        pixels[to + 3 * p + 1] = bytes[from + 1024 + p]!
        pixels[to + 3 * p + 2] = bytes[from + 2048 + p]!
      }
      image += 1
    }
  }
  const images: ImageBytes = { pixels, labels }
  return images
})

/** All forms that the data sets are published in, by their files. */
const forms: ReadonlyArray<{
  readonly files: ReadonlyArray<string>
  readonly archive: string
  readonly folder: string
  readonly is: string
  /** How many of the files identify the form: names such as `train` are common. */
  readonly least: 2 | 3
}> = [
  {
    files: ["data_batch_1", "test_batch", "batches.meta"],
    archive: "cifar-10-python.tar.gz",
    folder: "cifar-10-batches-py",
    is: "CIFAR-10 for Python",
    least: 2
  },
  {
    files: ["data_batch_1.mat", "test_batch.mat", "batches.meta.mat"],
    archive: "cifar-10-matlab.tar.gz",
    folder: "cifar-10-batches-mat",
    is: "CIFAR-10 for Matlab",
    least: 2
  },
  {
    files: ["train", "test", "meta"],
    archive: "cifar-100-python.tar.gz",
    folder: "cifar-100-python",
    is: "CIFAR-100 for Python",
    least: 3
  },
  {
    files: ["train.mat", "test.mat", "meta.mat"],
    archive: "cifar-100-matlab.tar.gz",
    folder: "cifar-100-matlab",
    is: "CIFAR-100 for Matlab",
    least: 2
  },
  {
    files: ["data_batch_1.bin", "test_batch.bin", "batches.meta.txt"],
    archive: "cifar-10-binary.tar.gz",
    folder: "cifar-10-batches-bin",
    is: "CIFAR-10 in the binary version",
    least: 2
  },
  {
    files: ["train.bin", "test.bin", "fine_label_names.txt"],
    archive: "cifar-100-binary.tar.gz",
    folder: "cifar-100-binary",
    is: "CIFAR-100 in the binary version",
    least: 2
  }
]

/** The form that file names identify; undefined if it is the variant's own, or none. */
const formOf = (variant: Variant, names: ReadonlyArray<string>): string | undefined =>
  forms.find(
    ({ archive, files, least }) =>
      archive !== variant.archive && files.filter((file) => names.includes(file)).length >= least
  )?.is

const remedy = (variant: Variant): string =>
  `expected the binary version, ${variant.archive}: set \`download: true\`, or download it from ${variant.url}`

/** Another form of the data in a folder, or its archive. */
const otherForm = Effect.fnUntraced(function* (variant: Variant, folder: string) {
  if ((yield* Files.size(variant.name, folder)) !== null) return undefined
  const list = (at: string) =>
    Files.list(variant.name, at).pipe(Effect.catch(() => Effect.succeed<ReadonlyArray<string>>([])))
  const names = yield* list(folder)
  const here = formOf(variant, names)
  if (here !== undefined) return { file: folder, is: here }
  for (const form of forms) {
    if (form.archive === variant.archive) continue
    if (names.includes(form.archive)) return { file: join(folder, form.archive), is: form.is }
    if (names.includes(form.folder)) return { file: join(folder, form.folder), is: form.is }
  }
  return undefined
})

/** Fails with the form of an archive if it is not the variant's own, else with the given failure. */
const explained = (variant: Variant, file: string) =>
  Effect.fnUntraced(function* (failure: DatasetError) {
    // No published archive has more than 8 files.
    const names = yield* Archive.names(file, 20)
    const is = formOf(variant, names)
    return yield* is === undefined ? Effect.fail(failure) : fail(variant, file, `is ${is}; ${remedy(variant)}`)
  })

/** Finds the data: files in a folder, or an archive. Downloads the archive if that is allowed and needed. */
const locate = Effect.fnUntraced(function* (variant: Variant, options: Options) {
  const { name } = variant
  const wanted = [...options.trainFiles, ...options.testFiles]
  const first = wanted[0]!
  const { folder } = options
  for (const candidate of [folder, join(folder, variant.inner)]) {
    if ((yield* Files.size(name, join(candidate, first))) !== null)
      return { _tag: "Folder" as const, folder: candidate }
  }
  const inside = join(folder, variant.archive)
  for (const file of [folder, inside]) {
    if ((yield* Files.size(name, file)) !== null) return { _tag: "Archive" as const, file }
  }
  if (!options.download) {
    const other = yield* otherForm(variant, folder)
    if (other !== undefined) return yield* fail(variant, other.file, `is ${other.is}; ${remedy(variant)}`)
    const found = yield* Effect.match(Files.list(name, folder), {
      onFailure: ({ reason }) => reason,
      onSuccess: (names) => names
    })
    if (typeof found === "string") {
      return yield* fail(variant, folder, `${found}; set \`download: true\` to fetch ${options.url}`)
    }
    return yield* fail(
      variant,
      folder,
      `has neither ${first} nor ${join(variant.inner, first)} nor ${variant.archive}` +
        `${found.length === 0 ? "" : ` (it contains ${Wording.some(found, 5)})`}; ` +
        `set \`download: true\` to fetch ${options.url}`
    )
  }
  let logged = 0
  const runSync = Effect.runSyncWith(yield* Effect.context<never>())
  yield* Effect.logInfo(`${name}: downloading ${options.url}`)
  yield* Download.download({
    dataset: name,
    url: options.url,
    file: inside,
    checksum: options.checksum,
    limit: 1 << 30,
    attempts: 5,
    delay: 1000,
    onProgress: (received, total) => {
      const tenths = total === undefined ? Math.floor(received / (1 << 24)) : Math.floor((10 * received) / total)
      if (tenths === logged) return
      logged = tenths
      const of = total === undefined ? "" : ` of ${(total / 1e6).toFixed(1)}`
      runSync(Effect.logInfo(`${name}: ${(received / 1e6).toFixed(1)}${of} MB`))
    }
  })
  return { _tag: "Archive" as const, file: inside }
})

/** Notices about published files with fewer images than they were published with: truncated, or made by the user. */
const fewer = (variant: Variant, files: ReadonlyArray<{ readonly file: string; readonly bytes: number }>) => {
  const published = 50_000 / variant.trainFiles.length
  const named = new Set([...variant.trainFiles, ...variant.testFiles])
  return files.flatMap(({ bytes, file }) => {
    const base = basename(file)
    const whole = variant.testFiles.includes(base) ? 10_000 : published
    const images = bytes / (variant.labelBytes + planes)
    return named.has(base) && images < whole
      ? [`${base}: has ${Wording.counted(images, "image")}, the published file has ${Wording.counted(whole, "image")}`]
      : []
  })
}

/** Finds, checks and parses the data. Downloads the archive if that is allowed and needed. */
export const load = Effect.fn("Cifar.load")(function* (variant: Variant, options: Options) {
  const { name } = variant
  const place = yield* locate(variant, options)
  const fileLimit = mostImages * (variant.labelBytes + planes)
  const sizes: Array<{ readonly file: string; readonly bytes: number }> = []
  const parsed = (files: ReadonlyArray<{ readonly file: string; readonly bytes: Uint8Array }>) => {
    for (const { bytes, file } of files) sizes.push({ file, bytes: bytes.length })
    return parse(variant, files)
  }
  let part: (names: ReadonlyArray<string>) => Effect.Effect<ImageBytes, DatasetError>
  if (place._tag === "Folder") {
    part = Effect.fnUntraced(function* (names) {
      const files: Array<{ file: string; bytes: Uint8Array }> = []
      for (const base of names) {
        const file = join(place.folder, base)
        files.push({ file, bytes: yield* Files.read(name, file, fileLimit) })
      }
      return yield* parsed(files)
    })
  } else {
    yield* Effect.catch(Download.verify(name, place.file, options.checksum), explained(variant, place.file))
    const wanted = [...options.trainFiles, ...options.testFiles]
    const found = yield* Effect.catch(
      Archive.members(name, place.file, wanted, { member: fileLimit, total: 1 << 30 }),
      explained(variant, place.file)
    )
    part = (names) => parsed(names.map((base) => ({ file: `${place.file}/${base}`, bytes: found.get(base)! })))
  }
  const train = yield* part(options.trainFiles)
  const test = yield* part(options.testFiles)
  const data: InMemory.ImageData = {
    name,
    stored: [32, 32, 3],
    classes: variant.classes,
    train,
    test,
    notices: fewer(variant, sizes)
  }
  return data
})

/** The dataflow of a variant as a Layer. */
export const layer =
  (variant: Variant) =>
  (options: Options): Layer.Layer<Dataflow, DatasetError, RunKey> =>
    Layer.effect(
      Dataflow,
      Effect.gen(function* () {
        const data = yield* load(variant, options)
        return yield* InMemory.make({ ...data, place: options.folder }, options, yield* RunKey)
      })
    )
