/**
 * A batch plan is plain data that decides every batch: a pure function maps a plan and a request to the batch. A plan can be
 * sent to a worker thread (its pixels are in shared memory), so a batch made there has the same bits.
 *
 * Keys, derived from the plan's key alone: the order of an epoch is `order, split, epoch`, the augmentation of an image is
 * `augment, split, epoch, index`.
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
import { sizeOf } from "../engine/Shape.ts"
import * as Draws from "../random/Draws.ts"
import * as Augmentation from "./Augmentation.ts"
import type { Batch, BatchRequest, Split } from "./Dataflow.ts"
import { byLabel, type SplitIndices } from "./Splits.ts"

export { type Augmentation, normalisation } from "./Augmentation.ts"
export { balanced, byWholeLabels, type SplitIndices, stratified } from "./Splits.ts"

/** Images as stored: bytes, one image after the other, channels last. */
export interface ImageBytes {
  readonly pixels: Uint8Array
  /** One label per image. */
  readonly labels: Int32Array
}

/** How an image of any size gets the stored shape. */
export type View =
  | {
      readonly _tag: "Whole"
      /** The same in training and outside: `stretch` changes the proportions, `crop` takes the middle, `pad` adds black. */
      readonly fit: "stretch" | "crop" | "pad"
    }
  | {
      /**
       * In training a random part of the image, by its fraction of the area and its aspect ratio (width over height).
       * Outside training the middle of the image, after its shorter side is resized to `evaluationSide`.
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
  /** Paths under `root`, one per image. */
  readonly train: ReadonlyArray<string>
  readonly test: ReadonlyArray<string>
  readonly view: View
  /**
   * `fail`: a file that cannot be read fails its batch. `skip`: in training, another image of its label takes its place;
   * otherwise the batch is smaller. `skipUntested`: as `skip`, but `fail` in the test split, where verification pairs
   * refer to images by position.
   */
  readonly broken: "fail" | "skip" | "skipUntested"
}

/** Everything that decides the batches of a dataflow. */
export interface BatchPlan extends Augmentation.ImagePipeline {
  readonly train: ImageBytes
  readonly test: ImageBytes
  readonly splits: Readonly<Record<Split, SplitIndices>>
  /**
   * 0: training batches are taken from a shuffled split. Otherwise a batch has `perIdentity` images of each of
   * `batchSize / perIdentity` labels.
   */
  readonly perIdentity: number
  /** Set if pixels are read from files: the parts then have labels only. */
  readonly files: ImageFiles | null
  readonly key: Draws.Key
}

/** The number of images in a split. */
export const count = (plan: BatchPlan, split: Split): number => plan.splits[split].indices.length

// The groups follow from plan and split alone, so they are cached per plan.
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
 * Batches per epoch: only full ones in training, otherwise up to the last image. An epoch of balanced batches has as many
 * as the images fill, and none if the split has too few labels for one batch.
 */
export const steps = (plan: BatchPlan, split: Split, batchSize: number, training: boolean): number => {
  const images = count(plan, split)
  if (!training) return Math.ceil(images / batchSize)
  if (plan.perIdentity === 0) return Math.floor(images / batchSize)
  const wanted = batchSize / plan.perIdentity
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > identities(plan, split).length) return 0
  return Math.max(Math.floor(images / batchSize), 1)
}

// All batches of an epoch share its order, so the latest one is cached. It follows from its name alone: the cache changes
// no result.
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
 * The images of a balanced batch. A round visits all labels in an order of its own and fills as many batches as it can; the
 * rest is dropped, so that no label is twice in a batch. A label's images have an order of their own in each epoch: round r
 * takes the r-th `perIdentity` of them, and starts again at the front when they run out.
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
 * For each entry, how often its image is in the batch before it. An image of a label with too few images may be in a batch
 * several times; each time it has another augmentation.
 */
const repeats = (chosen: Uint32Array): Uint32Array => {
  const seen = new Map<number, number>()
  return chosen.map((index) => {
    const before = seen.get(index) ?? 0
    seen.set(index, before + 1)
    return before
  })
}

/** The key of an image's augmentation; `repeat` is how often the image is in the batch before this entry. */
export const augmentationKey = (plan: BatchPlan, request: BatchRequest, index: number, repeat: number): Draws.Key => {
  const key = Draws.derive(plan.key, "augment", request.split, request.epoch, index)
  return repeat === 0 ? key : Draws.derive(key, request.step, repeat)
}

/** Why there is no batch for a request; undefined if there is one. */
export const refusal = (plan: BatchPlan, request: BatchRequest): string | undefined => {
  const { batchSize, epoch, split, step, training } = request
  const integers = [batchSize, epoch, step].every((value) => Number.isSafeInteger(value) && value >= 0)
  if (!integers || batchSize < 1) {
    return `epoch ${epoch}, step ${step} and batch size ${batchSize} must be integers: epoch and step from 0, batch size from 1`
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
 * The batch of the chosen images. `at(position)` is the position in `pixels` of the stored bytes of entry `position` of
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
  const length = sizeOf(plan.image)
  const images = new Float32Array(chosen.length * length)
  const shown = repeats(chosen)
  chosen.forEach((index, position) => {
    const key = request.training ? augmentationKey(plan, request, index, shown[position]!) : undefined
    Augmentation.write(plan, images, position * length, pixels, at(position), key)
  })
  return { images, labels: Int32Array.from(chosen, (index) => labels[index]!), size: chosen.length }
}

/** The batch of a valid request ({@link refusal}) to a plan whose pixels are in memory. */
export const batch = (plan: BatchPlan, request: BatchRequest): Batch => {
  const chosen = indices(plan, request)
  return assemble(plan, request, chosen, plan[plan.splits[request.split].part].pixels, (position) => chosen[position]!)
}
