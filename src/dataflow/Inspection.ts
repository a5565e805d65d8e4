/**
 * Statistics of a dataflow's images: sizes, formats, mean and standard deviation, duplicates, speed, a contact sheet. They
 * need only the contract; an `inventory` adds details.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Median from "../support/Median.ts"
import { type BatchRequest, type DataflowShape, DatasetError, type Inventory, type Split } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"

/** Reports progress of long work: what it is, how much of it is done, the total. */
export type Report = (stage: string, done: number, total: number) => Effect.Effect<void>

/** An image, by its split and its position there. */
export interface Place {
  readonly split: Split
  readonly at: number
}

/**
 * `wanted` evenly spaced positions below `count`, the first among them; all if there are not more.
 *
 * **Example** (Three of ten)
 *
 * ```ts
 * import * as Inspection from "./Inspection.ts"
 *
 * Inspection.spreadOut(10, 3) // => [0, 3, 6]
 * ```
 */
export const spreadOut = (count: number, wanted: number): ReadonlyArray<number> =>
  Array.from({ length: Math.min(count, wanted) }, (_, i) => Math.floor((i * count) / Math.min(count, wanted)))

/** Mean and standard deviation of every channel, for pixels from 0 to 1. */
export interface PixelFigures {
  readonly images: number
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
}

/** Sums over images; every image has the same weight, whatever its size. */
class Sums {
  private images = 0
  private sums: Array<number> = []
  private squares: Array<number> = []
  add(pixels: ArrayLike<number>, from: number, to: number, channels: number, scale: number): void {
    this.images += 1
    const share = channels / (to - from)
    for (let c = 0; c < channels; c += 1) {
      let [sum, square] = [0, 0]
      for (let at = from + c; at < to; at += channels) {
        const value = pixels[at]! * scale
        sum += value
        square += value * value
      }
      this.sums[c] = (this.sums[c] ?? 0) + sum * share
      this.squares[c] = (this.squares[c] ?? 0) + square * share
    }
  }
  figures(): PixelFigures | undefined {
    if (this.images === 0) return undefined
    const mean = this.sums.map((sum) => sum / this.images)
    const std = this.squares.map((square, c) => Math.sqrt(Math.max(square / this.images - mean[c]! ** 2, 0)))
    return { images: this.images, mean, std }
  }
}

/** The number of images with a property. */
export interface Counted {
  readonly value: string
  readonly count: number
}

const sorted = (counts: ReadonlyMap<string, number>): ReadonlyArray<Counted> =>
  [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))

/** What a sample of the images shows. */
export interface Sampled {
  readonly images: number
  readonly of: number
  /** Of the training images in the sample. */
  readonly pixels: PixelFigures | undefined
  /** `width x height`, the most frequent first. */
  readonly sizes: ReadonlyArray<Counted>
  readonly widths: readonly [least: number, median: number, most: number]
  readonly heights: readonly [least: number, median: number, most: number]
  readonly formats: ReadonlyArray<Counted>
  readonly broken: ReadonlyArray<{ readonly file: string; readonly reason: string }>
}

/** Decodes a sample of the training and test images, in proportion to their numbers. */
export const sampled = Effect.fnUntraced(function* (
  flow: DataflowShape,
  inventory: Inventory,
  wanted: number,
  report: Report
) {
  const counts = { train: flow.count("train"), test: flow.count("test") }
  const all = counts.train + counts.test
  const share = Math.max(1, Math.round((Math.min(wanted, all) * counts.train) / Math.max(all, 1)))
  const places: ReadonlyArray<Place> = [
    ...spreadOut(counts.train, share).map((at) => ({ split: "train" as const, at })),
    ...spreadOut(counts.test, Math.max(1, Math.min(wanted, all) - share)).map((at) => ({ split: "test" as const, at }))
  ]
  const sums = new Sums()
  const sizes = new Map<string, number>()
  const formats = new Map<string, number>()
  const [widths, heights]: [Array<number>, Array<number>] = [[], []]
  const broken: Array<{ readonly file: string; readonly reason: string; readonly order: number }> = []
  const count = (counts: Map<string, number>, value: string) => counts.set(value, (counts.get(value) ?? 0) + 1)
  let done = 0
  const measure = Effect.fnUntraced(function* ({ at, split }: Place) {
    const file = inventory.file?.(split, at)
    const image = yield* inventory.image(split, at)
    const facts =
      file === undefined
        ? { format: "in memory", width: image.width, height: image.height }
        : yield* Effect.tryPromise({
            try: () => DecodeImage.facts(file),
            catch: (cause) =>
              new DatasetError({
                dataset: flow.name,
                file,
                reason: cause instanceof Error ? cause.message : String(cause)
              })
          })
    if (split === "train") sums.add(image.pixels, 0, image.pixels.length, image.channels, 1 / 255)
    count(sizes, `${facts.width} x ${facts.height}`)
    count(formats, facts.format)
    widths.push(facts.width)
    heights.push(facts.height)
  })
  const one = (place: Place, order: number) =>
    measure(place).pipe(
      Effect.catch((error: DatasetError) =>
        Effect.sync(() => {
          broken.push({ file: error.file, reason: error.reason, order })
        })
      ),
      Effect.andThen(
        Effect.suspend(() => {
          done += 1
          return report("Reading images", done, places.length)
        })
      )
    )
  yield* Effect.forEach(places, one, { concurrency: inventory.file === undefined ? 1 : 8, discard: true })
  const known = inventory.broken ?? []
  const names = new Set(known.map(({ file }) => file))
  broken.sort((a, b) => a.order - b.order)
  const found: Sampled = {
    images: places.length,
    of: all,
    pixels: sums.figures(),
    sizes: sorted(sizes),
    widths: Median.range(widths),
    heights: Median.range(heights),
    formats: sorted(formats),
    broken: [...known, ...broken.filter(({ file }) => !names.has(file)).map(({ file, reason }) => ({ file, reason }))]
  }
  return found
})

/** Two positions of the same image. */
export interface Duplicate {
  readonly first: Place
  readonly second: Place
}

/** Repeated images, by the bytes of their files or by their pixels. */
export interface Duplicates {
  readonly by: "files" | "pixels"
  /** Images that were compared, and all images. */
  readonly compared: number
  readonly of: number
  /** Test images that are also in training, although a test score counts them as new. */
  readonly across: number
  readonly withinTrain: number
  readonly withinTest: number
  /** The first of them; those across the parts come first. */
  readonly examples: ReadonlyArray<Duplicate>
}

/** The most files that are read for comparison. */
const mostRead = 20_000
/** The most images in memory that are compared. */
const mostCompared = 200_000
const mostExamples = 5

/** Finds repeated images. A file is read only if another one has the same size. */
export const duplicates = Effect.fnUntraced(function* (flow: DataflowShape, inventory: Inventory, report: Report) {
  const all = (["train", "test"] as const).flatMap((split) =>
    Array.from({ length: flow.count(split) }, (_, at): Place => ({ split, at }))
  )
  const fileOf = inventory.file
  const digests = new Map<string, Place>()
  const [across, within]: [Array<Duplicate>, Array<Duplicate>] = [[], []]
  const counts = { train: 0, test: 0 }
  const enter = (digest: string, second: Place) => {
    const first = digests.get(digest)
    if (first === undefined) digests.set(digest, second)
    else if (first.split === second.split) {
      counts[second.split === "test" ? "test" : "train"] += 1
      if (within.length < mostExamples) within.push({ first, second })
    } else across.push({ first, second })
  }
  const found = (by: Duplicates["by"], compared: number): Duplicates => ({
    by,
    compared,
    of: all.length,
    across: across.length,
    withinTrain: counts.train,
    withinTest: counts.test,
    examples: [...across, ...within].slice(0, mostExamples)
  })
  if (fileOf === undefined) {
    const compared = all.slice(0, mostCompared)
    for (const [done, place] of compared.entries()) {
      const { pixels } = yield* inventory.image(place.split, place.at)
      enter(createHash("sha1").update(pixels).digest("base64"), place)
      if (done % 1000 === 0) yield* report("Comparing images", done, compared.length)
    }
    return found("pixels", compared.length)
  }
  const sizes = yield* Effect.forEach(
    all,
    ({ at, split }, done) =>
      Effect.promise(() =>
        fs.stat(fileOf(split, at)).then(
          (stat) => stat.size,
          () => -1
        )
      ).pipe(Effect.tap(() => (done % 1000 === 0 ? report("Comparing sizes", done, all.length) : Effect.void))),
    { concurrency: 16 }
  )
  const bySize = new Map<number, number>()
  for (const size of sizes) bySize.set(size, (bySize.get(size) ?? 0) + 1)
  // Only files of equal size can be the same. A file that is alone in its size counts as compared.
  const alike = all.filter((_, at) => sizes[at]! > 0 && bySize.get(sizes[at]!)! > 1)
  const read = alike.slice(0, mostRead)
  for (const [done, place] of read.entries()) {
    const bytes = yield* Effect.promise(() => fs.readFile(fileOf(place.split, place.at)).catch(() => null))
    if (bytes !== null) enter(createHash("sha1").update(bytes).digest("base64"), place)
    yield* report("Comparing files", done, read.length)
  }
  return found("files", all.length - (alike.length - read.length))
})

/**
 * Warnings about splits that look wrong: a test split larger than the training split, and test images that are all in training,
 * too. `duplicates` are those of the same dataflow.
 */
export const warnings = (
  flow: Pick<DataflowShape, "count">,
  duplicates: Pick<Duplicates, "across"> | undefined
): ReadonlyArray<string> => {
  const [train, test] = [flow.count("train"), flow.count("test")]
  const found: Array<string> = []
  if (test > train) found.push(`test has more images than train (${test} and ${train}): are they swapped?`)
  if (test > 0 && duplicates?.across === test) {
    found.push(`all ${test} test images are also in training: do train and test read the same files?`)
  }
  return found
}

/** The speed of training batches. */
export interface Speed {
  readonly batchSize: number
  readonly batches: number
  readonly seconds: number
}

/** Times training batches of the supernet for a second or 64 batches; undefined if the split has no batch. */
export const speed = Effect.fnUntraced(function* (flow: DataflowShape, batchSize: number) {
  const steps = flow.steps("supernet", batchSize, true)
  if (steps === 0) return undefined
  const request = (n: number): BatchRequest => ({
    split: "supernet",
    epoch: Math.floor(n / steps),
    step: n % steps,
    batchSize,
    training: true
  })
  // The first batch starts threads and loads decoders.
  yield* flow.batch(request(0))
  const start = yield* Clock.currentTimeMillis
  let batches = 0
  let seconds = 0
  while (batches < 64 && (seconds < 1 || batches < 3)) {
    batches += 1
    yield* flow.batch(request(batches))
    seconds = ((yield* Clock.currentTimeMillis) - start) / 1000
  }
  const measured: Speed = { batchSize, batches, seconds }
  return measured
})

/** Labels of a split and statistics of its normalised pixels, from its batches: for a dataflow without an inventory. */
export const throughBatches = Effect.fnUntraced(function* (
  flow: DataflowShape,
  split: Split,
  wanted: number,
  report: Report
) {
  const batchSize = Math.min(64, Math.max(1, flow.count(split)))
  const names = split === "test" ? (flow.verification?.identities ?? flow.classes) : flow.classes
  const perClass = names.map(() => 0)
  const sums = new Sums()
  const length = flow.image[0] * flow.image[1] * flow.image[2]
  const steps = Math.min(flow.steps(split, batchSize, false), Math.ceil(wanted / batchSize))
  let images = 0
  for (let step = 0; step < steps; step += 1) {
    const batch = yield* flow.batch({ split, epoch: 0, step, batchSize, training: false })
    for (let i = 0; i < batch.size; i += 1) {
      const label = batch.labels[i]!
      if (perClass[label] !== undefined) perClass[label] += 1
      sums.add(batch.images, i * length, (i + 1) * length, flow.image[2], 1)
    }
    images += batch.size
    yield* report(`Reading ${split} batches`, step + 1, steps)
  }
  return { images, perClass, normalised: sums.figures() }
})

/** A contact sheet: RGB bytes. */
export interface Sheet {
  readonly width: number
  readonly height: number
  readonly pixels: Uint8Array
  /** Names of the rows, from the top. */
  readonly rows: ReadonlyArray<string>
}

const sheetRows = 10
const sheetColumns = 10

/** Augmented training images, one row per class, each side at least 64 pixels; undefined if there is no batch. */
export const sheet = Effect.fnUntraced(function* (flow: DataflowShape, asked: number) {
  const [height, width, channels] = flow.image
  const batchSize = flow.steps("supernet", asked, true) > 0 ? asked : Math.max(1, flow.count("supernet"))
  const steps = flow.steps("supernet", batchSize, true)
  if (steps === 0) return undefined
  // If whole people are in the validation split, the supernet has no images of them.
  const seen = flow.inventory === undefined ? undefined : new Set(flow.inventory.labels("supernet"))
  const candidates = [...flow.classes.keys()].filter((label) => seen === undefined || seen.has(label))
  const wanted = spreadOut(candidates.length, sheetRows).map((at) => candidates[at]!)
  const rows = new Map(wanted.map((label) => [label, [] as Array<Float32Array>]))
  const length = height * width * channels
  // About 600 images, and at least 4 batches: rows of rare classes may stay incomplete.
  const most = Math.max(4, Math.ceil(600 / batchSize))
  for (let n = 0; n < most && [...rows.values()].some((row) => row.length < sheetColumns); n += 1) {
    const request = {
      split: "supernet",
      epoch: Math.floor(n / steps),
      step: n % steps,
      batchSize,
      training: true
    } as const
    const batch = yield* flow.batch(request)
    batch.labels.forEach((label, i) => {
      const row = rows.get(label)
      if (row !== undefined && row.length < sheetColumns) row.push(batch.images.slice(i * length, (i + 1) * length))
    })
  }
  const scale = Math.max(1, Math.ceil(64 / Math.max(height, width)))
  const gap = 4
  const cell = { width: width * scale + gap, height: height * scale + gap }
  const size = { width: sheetColumns * cell.width + gap, height: wanted.length * cell.height + gap }
  const pixels = new Uint8Array(size.width * size.height * 3).fill(40)
  const { inventory } = flow
  const shown = [...rows.values()].flat()
  // If the normalisation is unknown, scale from the least to the largest value.
  let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  if (inventory === undefined) {
    for (const image of shown) {
      for (const value of image) {
        least = Math.min(least, value)
        largest = Math.max(largest, value)
      }
    }
  }
  const byteOf = (value: number, channel: number): number => {
    const unit =
      inventory === undefined
        ? (value - least) / Math.max(largest - least, 1e-9)
        : value * inventory.std[channel]! + inventory.mean[channel]!
    return Math.min(Math.max(Math.round(unit * 255), 0), 255)
  }
  wanted.forEach((label, row) => {
    rows.get(label)!.forEach((image, column) => {
      for (let y = 0; y < height * scale; y += 1) {
        for (let x = 0; x < width * scale; x += 1) {
          const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * channels
          const to = ((gap + row * cell.height + y) * size.width + gap + column * cell.width + x) * 3
          for (let c = 0; c < 3; c += 1) {
            const channel = channels === 3 ? c : 0
            pixels[to + c] = byteOf(image[from + channel]!, channel)
          }
        }
      }
    })
  })
  const made: Sheet = { ...size, pixels, rows: wanted.map((label) => flow.classes[label]!) }
  return made
})
