/**
 * All that decides what a batch holds, as plain data, and the pure function from it and a request to the batch. A plan
 * crosses to a worker thread as it is (its pixels lie in shared memory), so a batch made there has the same bits.
 *
 * Keys: order of an epoch `order, split, epoch`; augmentation of an image `augment, split, epoch, index`. Both from the
 * plan's key, none from the past.
 */
import type { ImageShape } from "../nn/Network.ts"
import * as Draws from "../random/Draws.ts"
import type { Batch, BatchRequest, Split } from "./Dataflow.ts"

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
}

/** Where the images of a split lie: in which part, and there at which indices. */
export interface SplitIndices {
  readonly part: "train" | "test"
  readonly indices: Uint32Array
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

/** Batches an epoch: full ones only in training, to the last image otherwise. */
export const steps = (images: number, batchSize: number, training: boolean): number =>
  training ? Math.floor(images / batchSize) : Math.ceil(images / batchSize)

/**
 * Splits 0 .. n-1 in two, so that the first has `fraction` of every label's images, rounded to the nearest image, and
 * never all or none of them where there are two. Drawn by key, label by label; both halves in ascending order.
 */
export const stratified = (
  labels: Int32Array,
  fraction: number,
  key: Draws.Key
): readonly [first: Uint32Array, second: Uint32Array] => {
  const byLabel = new Map<number, Array<number>>()
  labels.forEach((label, index) => {
    const list = byLabel.get(label)
    if (list === undefined) byLabel.set(label, [index])
    else list.push(index)
  })
  const first: Array<number> = []
  const second: Array<number> = []
  for (const label of [...byLabel.keys()].sort((a, b) => a - b)) {
    const members = byLabel.get(label)!
    const wanted = Math.min(Math.max(Math.round(members.length * fraction), 1), Math.max(members.length - 1, 1))
    Draws.permutation(Draws.derive(key, label), members.length).forEach((at, rank) => {
      ;(rank < wanted ? first : second).push(members[at]!)
    })
  }
  return [Uint32Array.from(first).sort(), Uint32Array.from(second).sort()]
}

/**
 * The first `limit` of the given labels' indices when the labels take turns, in ascending order: a subset as balanced as
 * the data allow, and the same for every key. All of them where `limit` is null.
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

/** The images of a request, as indices into the split's part, in the order of the batch. */
export const indices = (plan: BatchPlan, request: BatchRequest): Uint32Array => {
  const { indices: all } = plan.splits[request.split]
  const from = request.step * request.batchSize
  const to = Math.min(from + request.batchSize, all.length)
  if (!request.training) return all.slice(from, to)
  return epochOrder(plan, request.split, request.epoch)
    .subarray(from, to)
    .map((at) => all[at]!)
}

/** How an image is placed; see {@link place}. */
interface Placement {
  readonly flip: boolean
  readonly top: number
  readonly left: number
  /** Square to be blanked, by its corner; side 0: none. */
  readonly cut: { readonly top: number; readonly left: number; readonly side: number }
}

const placement = (plan: BatchPlan, request: BatchRequest, index: number): Placement => {
  const [height, width] = plan.image
  const top = (height - plan.stored[0]) >> 1
  const left = (width - plan.stored[1]) >> 1
  if (!request.training) return { flip: false, top, left, cut: { top: 0, left: 0, side: 0 } }
  const { crop, cutout, flip } = plan.augmentation
  const key = Draws.derive(plan.key, "augment", request.split, request.epoch, index)
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
export const refusal = (images: number, request: BatchRequest): string | undefined => {
  const { batchSize, epoch, split, step, training } = request
  const integers = [batchSize, epoch, step].every((value) => Number.isSafeInteger(value) && value >= 0)
  if (!integers || batchSize < 1) {
    return `epoch ${epoch}, step ${step} and batch size ${batchSize} must be integers from 0, the batch size from 1`
  }
  const available = steps(images, batchSize, training)
  if (step < available) return undefined
  return (
    `step ${step} of split ${split}, which has ${available} ${training ? "full " : ""}batches of ${batchSize} ` +
    `(${images} images)`
  )
}

/** The batch of a request that {@link refusal} does not refuse. */
export const batch = (plan: BatchPlan, request: BatchRequest): Batch => {
  const chosen = indices(plan, request)
  const { labels, pixels } = plan[plan.splits[request.split].part]
  const length = plan.image[0] * plan.image[1] * plan.image[2]
  const images = new Float32Array(chosen.length * length)
  chosen.forEach((index, position) => {
    place(plan, images, position * length, pixels, index, placement(plan, request, index))
  })
  return { images, labels: Int32Array.from(chosen, (index) => labels[index]!), size: chosen.length }
}
