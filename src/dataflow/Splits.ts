/** Splits and subsets of images by their labels. */
import * as Draws from "../random/Draws.ts"
import type { Split } from "./Dataflow.ts"

/** The images of a split: the part they are in, and their indices there. */
export interface SplitIndices {
  readonly part: "train" | "test"
  readonly indices: Uint32Array
}

/** Indices by their label, labels ascending. */
export const byLabel = (
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

/**
 * Splits the indices of `labels` in two. The first part has `fraction` of every label's images, rounded, and of two or more
 * images at least one is in each part. Drawn by key, label by label; both parts are in ascending order.
 *
 * **Example** (Half of every label)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as Splits from "./Splits.ts"
 *
 * const labels = Int32Array.from([0, 0, 1, 1, 1, 1])
 * const [first, second] = Splits.stratified(labels, 0.5, Key.make(1))
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
 * Splits the indices of `labels` in two by whole labels. The first part has `fraction` of the labels, rounded, the second
 * has the others; each has at least two. Undefined if there are fewer than four labels. Drawn by key; both parts are in
 * ascending order.
 *
 * **Example** (Three labels are too few)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as Splits from "./Splits.ts"
 *
 * Splits.byWholeLabels(Int32Array.of(0, 1, 2), 0.8, Key.make(0)) // => undefined
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
 * `limit` indices of `labels`, in ascending order: the first image of each label, then the second, and so on. The subset is
 * as balanced as the data allow, and the same for every key. All indices if `limit` is null.
 *
 * **Example** (Labels take turns)
 *
 * ```ts
 * import * as Splits from "./Splits.ts"
 *
 * Array.from(Splits.balanced(Int32Array.from([7, 7, 7, 8, 9]), 3)) // => [0, 3, 4]
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

/** Options that decide the splits. */
export interface SplitOptions {
  readonly supernetFraction: number
  readonly trainLimit: number | null
  readonly testLimit: number | null
}

/**
 * The splits of a classification data set: limited by taking labels in turn, training images split by `key` into those of
 * the supernet and of validation.
 *
 * **Example** (Four of ten images for training)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import { splitsOf } from "./Splits.ts"
 *
 * const labels = Int32Array.from({ length: 10 }, (_, index) => index % 2)
 * const options = { supernetFraction: 0.5, trainLimit: 4, testLimit: null }
 * const splits = splitsOf(labels, labels, options, Key.make(1))
 * Array.from(splits.train.indices) // => [0, 1, 2, 3]
 * splits.supernet.indices.length // => 2
 * splits.test.indices.length // => 10
 * ```
 */
export const splitsOf = (
  train: Int32Array,
  test: Int32Array,
  { supernetFraction, testLimit, trainLimit }: SplitOptions,
  key: Draws.Key
): Readonly<Record<Split, SplitIndices>> => {
  const chosen = balanced(train, trainLimit)
  const labels = Int32Array.from(chosen, (index) => train[index]!)
  const [supernet, validation] = stratified(labels, supernetFraction, key)
  const inTrain = (positions: Uint32Array): SplitIndices => ({
    part: "train",
    indices: positions.map((position) => chosen[position]!)
  })
  return {
    supernet: inTrain(supernet),
    validation: inTrain(validation),
    train: { part: "train", indices: chosen },
    test: { part: "test", indices: balanced(test, testLimit) }
  }
}
