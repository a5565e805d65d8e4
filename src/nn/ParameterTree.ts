/**
 * Parameter trees: tensors under dotted names, as in `search.3.1.expand.weight`. A tree is a plain
 * record that is never changed in place. Names are those of checkpoints.
 *
 * Memory: a function never disposes a tensor that it is given. Code that replaces a tree by its successor frees the tensors
 * that only the old one has, with {@link disposeReplacedUnsafe}.
 *
 * **Example** (Two trees)
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs-core"
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as ParameterTree from "./ParameterTree.ts"
 *
 * const before = { "b.weight": tf.zeros([2]), "a.weight": tf.ones([2]) }
 * const after = ParameterTree.merge(before, { "a.weight": tf.zeros([2]) })
 * ParameterTree.names(after) // => ["a.weight", "b.weight"]
 * ParameterTree.need(after, "b.weight") === before["b.weight"] // => true
 * ParameterTree.names(ParameterTree.pick(after, ["a.weight", "c.weight"])) // => ["a.weight"]
 * ParameterTree.disposeReplacedUnsafe(before, after)
 * before["a.weight"].isDisposed // => true
 * after["b.weight"].isDisposed // => false
 * ParameterTree.disposeUnsafe(after)
 * after["b.weight"].isDisposed // => true
 * ```
 */
import type { Tensor } from "@tensorflow/tfjs-core"

/** Tensors by name. If order matters, iterate over `names`, which are sorted. */
export type ParameterTree = Readonly<Record<string, Tensor>>

/** All tensors of a network: trained parameters, and running statistics of its normalisations. */
export interface Variables {
  /** Trainable: convolution and linear weights, biases, batch-norm scale (`…gamma`) and shift (`…beta`), PReLU slopes. */
  readonly params: ParameterTree
  /** Not trained by gradient: `….mean` and `….variance` of every batch normalisation. */
  readonly stats: ParameterTree
}

/** The names of a tree, sorted by code unit, which is the order of every file and digest. */
export const names = (tree: ParameterTree): ReadonlyArray<string> => Object.keys(tree).sort()

/** The tensor of a name; throws if the tree has none. */
export const need = (tree: ParameterTree, name: string): Tensor => {
  const tensor = tree[name]
  if (tensor === undefined) throw new RangeError(`the parameter tree has no tensor named ${name}`)
  return tensor
}

/** A tree with only the given names; a name the tree lacks is left out. */
export const pick = (tree: ParameterTree, wanted: Iterable<string>): ParameterTree => {
  const out: Record<string, Tensor> = {}
  for (const name of wanted) {
    const tensor = tree[name]
    if (tensor !== undefined) out[name] = tensor
  }
  return out
}

/** `base` with the entries of `updates` replaced or added. */
export const merge = (base: ParameterTree, updates: ParameterTree): ParameterTree => ({ ...base, ...updates })

/** Frees every tensor of `before` that is not (as the same object) in `after`. Do not use `before` afterwards. */
export const disposeReplacedUnsafe = (before: ParameterTree, after: ParameterTree): void => {
  const kept = new Set(Object.values(after))
  for (const tensor of Object.values(before)) {
    if (!kept.has(tensor) && !tensor.isDisposed) tensor.dispose()
  }
}

/** Frees every tensor of a tree. */
export const disposeUnsafe = (tree: ParameterTree): void => disposeReplacedUnsafe(tree, {})
