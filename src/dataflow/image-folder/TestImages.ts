/** Images with their labels: in one folder per class, or for test images by a file of labels. */
import { basename, extname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { DatasetError, type Skipped } from "../Dataflow.ts"
import * as Files from "../Files.ts"
import * as ImageListing from "../ImageListing.ts"
import * as InMemory from "../InMemory.ts"
import * as LabelFile from "../LabelFile.ts"
import { noFolders } from "../ListingNotices.ts"
import * as Wording from "../Wording.ts"
import { fail, name, type Options } from "./ImageFolderOptions.ts"

/** Images of a part with their labels; paths are under `folder`. */
export interface Part {
  readonly paths: ReadonlyArray<string>
  readonly labels: Int32Array
}

/** The label of a class by its name; undefined if there is no such class. */
export type LabelOf = (name: string) => number | undefined

/** The images of groups below `folder`, whose names are all known to `labelOf`. */
export const part = (folder: string, groups: ReadonlyArray<ImageListing.Group>, labelOf: LabelOf): Part => {
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

/** Labels by name; composed and decomposed characters are the same. */
export const labelsByName = (classes: ReadonlyArray<string>): LabelOf => {
  const exact = new Map(classes.map((name, label) => [name, label]))
  const composed = new Map(classes.map((name, label) => [name.normalize("NFC"), label]))
  return (name) => exact.get(name) ?? composed.get(name.normalize("NFC"))
}

/** The test images. */
export interface TestPart extends Part {
  readonly dangling: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<Skipped>
  readonly notices: ReadonlyArray<string>
  /** What enters the digest beside paths and sizes: the labels, if they do not follow from the paths. */
  readonly digested: string
}

/** Test images in one folder per class. */
export const testInFolders = Effect.fnUntraced(function* (
  options: Options,
  train: ImageListing.Listing,
  labelOf: LabelOf
) {
  const { folder, testFolder } = options
  const root = join(folder, testFolder)
  const listing = yield* ImageListing.list(name, root, { of: "class", option: "testFolder" }).pipe(
    Effect.mapError((error) =>
      error.reason.startsWith(noFolders)
        ? new DatasetError({
            ...error,
            reason: `${error.reason}\nor a list of the images' classes: set testLabels to a file with a line \`name class\` for each`
          })
        : error
    )
  )
  const unknown = listing.groups.filter((group) => labelOf(group.name) === undefined).map((group) => group.name)
  if (unknown.length > 0) {
    const empty = unknown.filter((name) => train.empty.includes(name))
    return yield* fail(
      root,
      `${Wording.some(unknown, 5)} are not among the classes of ${options.trainFolder}` +
        (empty.length > 0
          ? `, where ${Wording.some(empty, 5)} ${empty.length === 1 ? "has no image" : "have no images"}`
          : "") +
        `: ${Wording.counted(unknown.length, "class")} of ${testFolder} without a training image`
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

/** The classes that the numbers of a label file mean; undefined without a list of classes. */
const classesByNumber = Effect.fnUntraced(function* (file: string | null, entries: ReadonlyArray<LabelFile.Entry>) {
  if (file === null) return undefined
  const listed = LabelFile.parseClasses(
    yield* text(file),
    entries.map(({ label }) => label)
  )
  return Result.isFailure(listed) ? yield* fail(file, listed.failure) : listed.success
})

/** Positions of images by every name that a line may use: with or without its ending, with or without its folder. */
const positionsByName = (files: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const positions = new Map<string, number>()
  files.forEach((file, at) => {
    const base = basename(file)
    for (const key of [base.slice(0, base.length - extname(base).length), base, file]) positions.set(key, at)
  })
  return positions
}

/** The label of a line; fails if its class is unknown. */
const labelOfEntry = Effect.fnUntraced(function* (
  { label, line }: LabelFile.Entry,
  {
    list,
    options,
    classes,
    labelOf,
    numbers
  }: {
    readonly list: string
    readonly options: Options
    readonly classes: ReadonlyArray<string>
    readonly labelOf: LabelOf
    readonly numbers: ReadonlyMap<number, string> | undefined
  }
) {
  const named = numbers === undefined ? label : numbers.get(Number(label))
  if (named === undefined) {
    const known = [...(numbers?.keys() ?? [])].sort((a, b) => a - b)
    return yield* fail(
      list,
      `line ${line}: ${options.testClasses} has no class of the number ${label}; it has ${known.length}, from ${known[0]} to ${known.at(-1)}`
    )
  }
  const found = labelOf(named)
  if (found !== undefined) return found
  const isNumber = numbers === undefined && /^\d+$/.test(label)
  return yield* fail(
    list,
    `line ${line}: ${named} is not among the ${classes.length} classes of ${options.trainFolder} (${Wording.some(classes)})` +
      (isNumber ? "; set testClasses to a file that says which class each number means" : "")
  )
})

/** Test images whose classes are in a file. */
export const testByList = Effect.fnUntraced(function* (
  options: Options,
  list: string,
  classes: ReadonlyArray<string>,
  labelOf: LabelOf
) {
  const { folder, testClasses, testFolder } = options
  const root = join(folder, testFolder)
  const images = yield* ImageListing.flat(name, root)
  const parsed = LabelFile.parse(yield* text(list))
  if (Result.isFailure(parsed)) return yield* fail(list, parsed.failure)
  const entries = parsed.success
  const numbers = yield* classesByNumber(testClasses, entries)
  const positions = positionsByName(images.files)
  const labels = new Map<number, number>()
  for (const [at, entry] of entries.entries()) {
    const { image, line } = entry
    const position = image === undefined ? at : (positions.get(image) ?? positions.get(basename(image)))
    if (position === undefined || position >= images.files.length) {
      return yield* fail(
        list,
        `line ${line}: ${image === undefined ? `there are ${images.files.length} images` : `there is no image ${image}`} in ${root}` +
          (at === 0 && image !== undefined ? "; if the first line is a header, remove it" : "")
      )
    }
    if (labels.has(position)) return yield* fail(list, `line ${line}: ${images.files[position]} has a class already`)
    labels.set(position, yield* labelOfEntry(entry, { list, options, classes, labelOf, numbers }))
  }
  const without = images.files.filter((_, at) => !labels.has(at))
  if (without.length > 0) {
    return yield* fail(
      list,
      `has no line for ${Wording.counted(without.length, "image")} of ${root} (${Wording.some(without)})`
    )
  }
  const own = InMemory.sharedLabels(images.files.length)
  for (const [position, label] of labels) own[position] = label
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
