/**
 * All that decides what a batch holds, as plain data, and the pure function from it and a request to the batch. A plan
 * crosses to a worker thread as it is (its pixels lie in shared memory), so a batch made there has the same bits.
 *
 * Keys: order of an epoch `order, split, epoch`; augmentation of an image `augment, split, epoch, index`. Both from the
 * plan's key, none from the past.
 *
 * **Example** (Three images, two splits)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as BatchPlan from "./BatchPlan.ts"
 *
 * const labels = Int32Array.from([0, 1, 1])
 * const images: BatchPlan.ImageBytes = { pixels: Uint8Array.from([0, 127, 255]), labels }
 * const all = { part: "train", indices: Uint32Array.from([0, 1, 2]) } as const
 * const plan: BatchPlan.BatchPlan = {
 *   stored: [1, 1, 1],
 *   image: [1, 1, 1],
 *   train: images,
 *   test: images,
 *   splits: { supernet: all, validation: all, train: all, test: { part: "test", indices: Uint32Array.from([2]) } },
 *   table: BatchPlan.normalisation([0], [1]),
 *   augmentation: { crop: 0, flip: false, cutout: 0 },
 *   perIdentity: 0,
 *   files: null,
 *   key: Key.make(1)
 * }
 * BatchPlan.count(plan, "test") // => 1
 * BatchPlan.steps(plan, "train", 2, true) // => 1
 * BatchPlan.steps(plan, "train", 2, false) // => 2
 * const request = { split: "train", epoch: 0, step: 1, batchSize: 2, training: false } as const
 * Array.from(BatchPlan.indices(plan, request)) // => [2]
 * const last = BatchPlan.batch(plan, request)
 * Array.from(last.images) // => [1]
 * Array.from(last.labels) // => [1]
 * BatchPlan.assemble(plan, request, Uint32Array.from([2]), images.pixels, () => 2) // => last
 * BatchPlan.refusal(plan, request) // => undefined
 * BatchPlan.refusal(plan, { ...request, step: 2 }) // => "step 2 of split train, which has 2 batches of 2 (3 images)"
 * BatchPlan.augmentationKey(plan, request, 2, 0) // => Key.derive(plan.key, "augment", "train", 0, 2)
 * ```
 */
import type { ImageShape } from "../engine/Shape.ts"
import * as Draws from "../random/Draws.ts"
import type { Batch, BatchRequest, Split } from "./Dataflow.ts"
import * as Distortion from "./Distortion.ts"

/** Images as stored: bytes, one image after the other, channels last. */
export interface ImageBytes {
  readonly pixels: Uint8Array
  /** One label an image. */
  readonly labels: Int32Array
}

/** What training does to an image. Sizes in pixels of the result; 0 switches a part off. */
export interface Augmentation {
  /** Random crop from the image framed by so many black pixels on every side. */
  readonly crop: number
  /** Mirror left and right with probability one half. */
  readonly flip: boolean
  /**
   * Side of a square set to the mean colour, its centre anywhere in the image, the part outside cut off (DeVries and
   * Taylor: "Improved regularization of convolutional neural networks with cutout", 2017).
   */
  readonly cutout: number
  /** Window of 1 - zoom to 1 + zoom of the image, a little off its middle (`Distortion.zoomed`). Default 0. */
  readonly zoom?: number | undefined
  /** Brightness and contrast by a factor of 1 - jitter to 1 + jitter (`Distortion.jittered`). Default 0. */
  readonly jitter?: number | undefined
}

/** Where the images of a split lie: in which part, and there at which indices. */
export interface SplitIndices {
  readonly part: "train" | "test"
  readonly indices: Uint32Array
}

/** How an image file of any size becomes the stored shape. */
export type View =
  | {
      readonly _tag: "Whole"
      /**
       * `stretch` changes the proportions, `crop` takes the middle, `pad` adds black: as images outside training are
       * seen too.
       */
      readonly fit: "stretch" | "crop" | "pad"
    }
  | {
      /**
       * In training a random part of the image, by its share of the area and its width over height; otherwise the
       * middle of the image, its shorter side first brought to `evaluationSide`.
       */
      readonly _tag: "RandomResizedCrop"
      readonly area: readonly [least: number, most: number]
      readonly ratio: readonly [least: number, most: number]
      readonly evaluationSide: number
      /** Brightness, contrast and saturation are each multiplied by 1 - jitter to 1 + jitter. */
      readonly jitter: number
    }

/** Images that stay in their files until a batch needs them. */
export interface ImageFiles {
  readonly root: string
  /** Paths under `root`, one an image. */
  readonly train: ReadonlyArray<string>
  readonly test: ReadonlyArray<string>
  readonly view: View
  /**
   * What a file that cannot be read does: fails the batch, or is replaced by another image of its label.
   * `skipUntested`: fails the test batches alone, whose images stand at places that pairs name.
   */
  readonly broken: "fail" | "skip" | "skipUntested"
}

/** See the module's description. */
export interface BatchPlan {
  /** Shape of an image as stored. */
  readonly stored: ImageShape
  /** Shape of an image in a batch: at least as large, the same channels; the image is centred on black. */
  readonly image: ImageShape
  readonly train: ImageBytes
  readonly test: ImageBytes
  readonly splits: Readonly<Record<Split, SplitIndices>>
  /** `table[256 * channel + byte]` is the normalised value. */
  readonly table: Float32Array
  readonly augmentation: Augmentation
  /**
   * 0: training batches are drawn from a shuffled split. Otherwise a batch holds so many images of each of
   * `batchSize / perIdentity` labels.
   */
  readonly perIdentity: number
  /** Set where pixels are read from files; the parts then have labels alone. */
  readonly files: ImageFiles | null
  readonly key: Draws.Key
}

/**
 * The table of normalised values, `(byte / 255 - mean) / std` for each channel, as float32.
 *
 * **Example** (Black and white)
 *
 * ```ts
 * import * as BatchPlan from "./BatchPlan.ts"
 *
 * BatchPlan.normalisation([0.5], [0.5])[255] // => 1
 * ```
 */
export const normalisation = (mean: ReadonlyArray<number>, std: ReadonlyArray<number>): Float32Array => {
  const table = new Float32Array(256 * mean.length)
  mean.forEach((centre, channel) => {
    for (let byte = 0; byte < 256; byte += 1) {
      table[256 * channel + byte] = (byte / 255 - centre) / std[channel]!
    }
  })
  return table
}

/** Images of a split. */
export const count = (plan: BatchPlan, split: Split): number => plan.splits[split].indices.length

/** A split's images by their label, labels ascending. */
const byLabel = (
  labels: Int32Array,
  indices: Iterable<number>
): ReadonlyArray<readonly [number, ReadonlyArray<number>]> => {
  const groups = new Map<number, Array<number>>()
  for (const index of indices) {
    const label = labels[index]!
    const group = groups.get(label)
    if (group === undefined) groups.set(label, [index])
    else group.push(index)
  }
  return [...groups].sort(([a], [b]) => a - b)
}

// What follows from a plan and a split alone is kept with the plan.
const groupsOfPlan = new WeakMap<BatchPlan, Map<Split, ReadonlyArray<ReadonlyArray<number>>>>()

const identities = (plan: BatchPlan, split: Split): ReadonlyArray<ReadonlyArray<number>> => {
  const known = groupsOfPlan.get(plan) ?? new Map<Split, ReadonlyArray<ReadonlyArray<number>>>()
  groupsOfPlan.set(plan, known)
  const groups = known.get(split)
  if (groups !== undefined) return groups
  const { indices: all, part } = plan.splits[split]
  const made = byLabel(plan[part].labels, all).map(([, group]) => group)
  known.set(split, made)
  return made
}

/**
 * Batches an epoch: full ones only in training, to the last image otherwise. Balanced batches are as many as the images
 * would fill, and none where the split has too few labels for one.
 */
export const steps = (plan: BatchPlan, split: Split, batchSize: number, training: boolean): number => {
  const images = count(plan, split)
  if (!training) return Math.ceil(images / batchSize)
  if (plan.perIdentity === 0) return Math.floor(images / batchSize)
  const wanted = batchSize / plan.perIdentity
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > identities(plan, split).length) return 0
  return Math.max(Math.floor(images / batchSize), 1)
}

/**
 * Splits 0 .. n-1 in two, so that the first has `fraction` of every label's images, rounded to the nearest image, and
 * never all or none of them where there are two. Drawn by key, label by label; both halves in ascending order.
 *
 * **Example** (Half of every label)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as BatchPlan from "./BatchPlan.ts"
 *
 * const labels = Int32Array.from([0, 0, 1, 1, 1, 1])
 * const [first, second] = BatchPlan.stratified(labels, 0.5, Key.make(1))
 * Array.from(first, (index) => labels[index]) // => [0, 1, 1]
 * Array.from(second, (index) => labels[index]) // => [0, 1, 1]
 * ```
 */
export const stratified = (
  labels: Int32Array,
  fraction: number,
  key: Draws.Key
): readonly [first: Uint32Array, second: Uint32Array] => {
  const first: Array<number> = []
  const second: Array<number> = []
  for (const [label, members] of byLabel(labels, labels.keys())) {
    const wanted = Math.min(Math.max(Math.round(members.length * fraction), 1), Math.max(members.length - 1, 1))
    Draws.permutation(Draws.derive(key, label), members.length).forEach((at, rank) => {
      ;(rank < wanted ? first : second).push(members[at]!)
    })
  }
  return [Uint32Array.from(first).sort(), Uint32Array.from(second).sort()]
}

/**
 * Splits 0 .. n-1 in two by whole labels: the first has `fraction` of them, rounded, the second the others, each at
 * least two. Fewer than four labels are refused with undefined. Drawn by key; both halves in ascending order.
 *
 * **Example** (Three labels are too few)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as BatchPlan from "./BatchPlan.ts"
 *
 * BatchPlan.byWholeLabels(Int32Array.of(0, 1, 2), 0.8, Key.make(0)) // => undefined
 * ```
 */
export const byWholeLabels = (
  labels: Int32Array,
  fraction: number,
  key: Draws.Key
): readonly [first: Uint32Array, second: Uint32Array] | undefined => {
  const groups = byLabel(labels, labels.keys())
  if (groups.length < 4) return undefined
  const wanted = Math.min(Math.max(Math.round(groups.length * fraction), 2), groups.length - 2)
  const first: Array<number> = []
  const second: Array<number> = []
  Draws.permutation(key, groups.length).forEach((at, rank) => {
    ;(rank < wanted ? first : second).push(...groups[at]![1])
  })
  return [Uint32Array.from(first).sort(), Uint32Array.from(second).sort()]
}

/**
 * The first `limit` of the given labels' indices when the labels take turns, in ascending order: a subset as balanced as
 * the data allow, and the same for every key. All of them where `limit` is null.
 *
 * **Example** (Labels take turns)
 *
 * ```ts
 * import * as BatchPlan from "./BatchPlan.ts"
 *
 * Array.from(BatchPlan.balanced(Int32Array.from([7, 7, 7, 8, 9]), 3)) // => [0, 3, 4]
 * ```
 */
export const balanced = (labels: Int32Array, limit: number | null): Uint32Array => {
  if (limit === null || limit >= labels.length) return Uint32Array.from(labels, (_, index) => index)
  const seen = new Map<number, number>()
  const turns = Array.from(labels, (label, index) => {
    const turn = seen.get(label) ?? 0
    seen.set(label, turn + 1)
    return { turn, label, index }
  })
  turns.sort((a, b) => a.turn - b.turn || a.label - b.label)
  return Uint32Array.from(turns.slice(0, limit), (entry) => entry.index).sort()
}

// The order of an epoch serves all its batches; the last one made is kept. It follows from its name alone, so keeping
// it changes no result.
const orders = new WeakMap<BatchPlan, { readonly name: string; readonly order: Uint32Array }>()

const epochOrder = (plan: BatchPlan, split: Split, epoch: number): Uint32Array => {
  const name = `${split}/${epoch}`
  const kept = orders.get(plan)
  if (kept !== undefined && kept.name === name) return kept.order
  const order = Draws.permutation(Draws.derive(plan.key, "order", split, epoch), count(plan, split))
  orders.set(plan, { name, order })
  return order
}

/**
 * The images of a balanced batch. Labels are gone through in rounds, each in an order of its own, as many batches as a
 * round fills; what is left of it is dropped, so that no label comes twice in a batch. In round r a label shows the
 * r-th images of the epoch's order of its own, from the front again where they run out.
 */
const balancedIndices = (plan: BatchPlan, { batchSize, epoch, split, step }: BatchRequest): Uint32Array => {
  const groups = identities(plan, split)
  const { perIdentity } = plan
  const wanted = batchSize / perIdentity
  const batchesARound = Math.floor(groups.length / wanted)
  const round = Math.floor(step / batchesARound)
  const from = (step % batchesARound) * wanted
  const order = Draws.permutation(Draws.derive(plan.key, "identities", split, epoch, round), groups.length)
  const chosen = new Uint32Array(batchSize)
  for (let i = 0; i < wanted; i += 1) {
    const position = order[from + i]!
    const group = groups[position]!
    const own = Draws.permutation(Draws.derive(plan.key, "identity", split, epoch, position), group.length)
    for (let k = 0; k < perIdentity; k += 1) {
      chosen[i * perIdentity + k] = group[own[(round * perIdentity + k) % group.length]!]!
    }
  }
  return chosen
}

/** The images of a request, as indices into the split's part, in the order of the batch. */
export const indices = (plan: BatchPlan, request: BatchRequest): Uint32Array => {
  if (request.training && plan.perIdentity > 0) return balancedIndices(plan, request)
  const { indices: all } = plan.splits[request.split]
  const from = request.step * request.batchSize
  const to = Math.min(from + request.batchSize, all.length)
  if (!request.training) return all.slice(from, to)
  return epochOrder(plan, request.split, request.epoch)
    .subarray(from, to)
    .map((at) => all[at]!)
}

/**
 * Where an image shows up twice in a batch, as one of a label with too few images does, each showing has an augmentation
 * of its own: how often each entry's image came before it.
 */
const showings = (chosen: Uint32Array): Uint32Array => {
  const seen = new Map<number, number>()
  return chosen.map((index) => {
    const before = seen.get(index) ?? 0
    seen.set(index, before + 1)
    return before
  })
}

/** The key of an image's augmentation. */
export const augmentationKey = (plan: BatchPlan, request: BatchRequest, index: number, showing: number): Draws.Key => {
  const key = Draws.derive(plan.key, "augment", request.split, request.epoch, index)
  return showing === 0 ? key : Draws.derive(key, request.step, showing)
}

/** How an image is placed; see {@link place}. */
interface Placement {
  readonly flip: boolean
  readonly top: number
  readonly left: number
  /** Square to be blanked, by its corner; side 0: none. */
  readonly cut: { readonly top: number; readonly left: number; readonly side: number }
}

const placement = (plan: BatchPlan, request: BatchRequest, index: number, showing: number): Placement => {
  const [height, width] = plan.image
  const top = (height - plan.stored[0]) >> 1
  const left = (width - plan.stored[1]) >> 1
  if (!request.training) return { flip: false, top, left, cut: { top: 0, left: 0, side: 0 } }
  const { crop, cutout, flip } = plan.augmentation
  const key = augmentationKey(plan, request, index, showing)
  const half = cutout >> 1
  return {
    flip: flip && Draws.integer(key, 2, 0) === 1,
    top: top + crop - (crop > 0 ? Draws.integer(key, 2 * crop + 1, 1) : 0),
    left: left + crop - (crop > 0 ? Draws.integer(key, 2 * crop + 1, 2) : 0),
    cut: {
      top: cutout > 0 ? Draws.integer(key, height, 3) - half : 0,
      left: cutout > 0 ? Draws.integer(key, width, 4) - half : 0,
      side: cutout
    }
  }
}

/** The stored bytes of an image as an epoch sees them, or undefined where they stay as they are. */
const distorted = (
  plan: BatchPlan,
  request: BatchRequest,
  index: number,
  showing: number,
  pixels: Uint8Array,
  at: number
): Uint8Array | undefined => {
  const { jitter = 0, zoom = 0 } = plan.augmentation
  if (!request.training || (jitter === 0 && zoom === 0)) return undefined
  const length = plan.stored[0] * plan.stored[1] * plan.stored[2]
  const key = augmentationKey(plan, request, index, showing)
  const own = pixels.subarray(at * length, (at + 1) * length)
  const moved = zoom === 0 ? own : Distortion.zoomed(own, plan.stored, zoom, key)
  return jitter === 0 ? moved : Distortion.jittered(moved, plan.stored[2], jitter, key)
}

/** Writes one image at `at`: its upper left corner at (top, left), black around it, mirrored after that. */
const place = (plan: BatchPlan, out: Float32Array, at: number, pixels: Uint8Array, index: number, how: Placement) => {
  const [height, width, channels] = plan.image
  const [storedHeight, storedWidth] = plan.stored
  const { table } = plan
  const base = index * storedHeight * storedWidth * channels
  let write = at
  for (let y = 0; y < height; y += 1) {
    const row = y - how.top
    const inside = row >= 0 && row < storedHeight
    for (let x = 0; x < width; x += 1) {
      const column = (how.flip ? width - 1 - x : x) - how.left
      if (inside && column >= 0 && column < storedWidth) {
        const read = base + (row * storedWidth + column) * channels
        for (let c = 0; c < channels; c += 1) out[write + c] = table[256 * c + pixels[read + c]!]!
      } else {
        for (let c = 0; c < channels; c += 1) out[write + c] = table[256 * c]!
      }
      write += channels
    }
  }
  const { cut } = how
  for (let y = Math.max(cut.top, 0); y < Math.min(cut.top + cut.side, height); y += 1) {
    const from = Math.max(cut.left, 0)
    const to = Math.min(cut.left + cut.side, width)
    // Zero is the mean colour once normalised.
    if (to > from) out.fill(0, at + (y * width + from) * channels, at + (y * width + to) * channels)
  }
}

/** Why a request names no batch, or undefined where it does. */
export const refusal = (plan: BatchPlan, request: BatchRequest): string | undefined => {
  const { batchSize, epoch, split, step, training } = request
  const integers = [batchSize, epoch, step].every((value) => Number.isSafeInteger(value) && value >= 0)
  if (!integers || batchSize < 1) {
    return `epoch ${epoch}, step ${step} and batch size ${batchSize} must be integers from 0, the batch size from 1`
  }
  const available = steps(plan, split, batchSize, training)
  if (step < available) return undefined
  if (training && plan.perIdentity > 0 && available === 0) {
    return (
      `a batch of ${batchSize} with ${plan.perIdentity} images of each identity: must be ${plan.perIdentity} times a ` +
      `number of identities up to ${identities(plan, split).length}, as many as split ${split} has`
    )
  }
  return (
    `step ${step} of split ${split}, which has ${available} ${training ? "full " : ""}batches of ${batchSize} ` +
    `(${count(plan, split)} images)`
  )
}

/**
 * The batch of the chosen images, whose stored bytes lie in `pixels` at the places that `at` gives for the entries of
 * `chosen`.
 */
export const assemble = (
  plan: BatchPlan,
  request: BatchRequest,
  chosen: Uint32Array,
  pixels: Uint8Array,
  at: (position: number) => number
): Batch => {
  const { labels } = plan[plan.splits[request.split].part]
  const length = plan.image[0] * plan.image[1] * plan.image[2]
  const images = new Float32Array(chosen.length * length)
  const shown = showings(chosen)
  chosen.forEach((index, position) => {
    const how = placement(plan, request, index, shown[position]!)
    const own = distorted(plan, request, index, shown[position]!, pixels, at(position))
    place(plan, images, position * length, own ?? pixels, own === undefined ? at(position) : 0, how)
  })
  return { images, labels: Int32Array.from(chosen, (index) => labels[index]!), size: chosen.length }
}

/** The batch of a request that {@link refusal} does not refuse, of a plan whose pixels are in memory. */
export const batch = (plan: BatchPlan, request: BatchRequest): Batch => {
  const chosen = indices(plan, request)
  return assemble(plan, request, chosen, plan[plan.splits[request.split].part].pixels, (position) => chosen[position]!)
}
