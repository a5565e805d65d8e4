/**
 * Laws of a criterion. Apply them to one of your own in a line of vitest:
 * `it("is lawful", () => CriterionLaws.check(criterion, { outputs: 4, classes: 4 }))`. A broken law throws an Error that
 * says which, and where. They run on tfjs's current backend, on its reference in plain JavaScript where there is none.
 */
import * as tf from "@tensorflow/tfjs-core"
import fc from "fast-check"
import type { CriterionInput, CriterionShape } from "../src/criterion/Criterion.ts"
import { gradientMismatch } from "../src/engine/FiniteDifferences.ts"
import type { ParameterTree } from "../src/nn/ParameterTree.ts"
import { disposeUnsafe, names } from "../src/nn/ParameterTree.ts"
import * as Key from "../src/random/Key.ts"
import { ensureBackend } from "./Reference.ts"

/** What to check with. */
export interface Options extends CriterionInput {
  /** Images a batch; default 6. */
  readonly batch?: number | undefined
  /** Random batches to try; default 12. */
  readonly runs?: number | undefined
  /** Seed of the random batches; default 1. */
  readonly seed?: number | undefined
  /**
   * Whether the order of the images in a batch makes no difference to the loss; default true. A criterion that draws
   * negatives by their place in the batch says false.
   */
  readonly orderFree?: boolean | undefined
  /**
   * Whether the loss is smooth, so that its gradients equal finite differences; default true. One that picks the hardest
   * triplet has kinks where two are equally hard.
   */
  readonly smooth?: boolean | undefined
  /** Largest error of a gradient, of the largest entry of its tensor; default 2e-2 (float32, step 1e-2). */
  readonly tolerance?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`criterion law broken: ${name}: ${about}`)
}

const scalar = (tensor: tf.Tensor): number => tensor.dataSync()[0] ?? Number.NaN

interface Draw {
  readonly outputs: Float32Array
  readonly labels: Int32Array
  readonly key: Key.Key
}

const drawBatch = (seed: number, batch: number, options: Options): Draw => {
  const key = Key.derive(Key.make(seed), "batch")
  return {
    outputs: Key.normals(Key.derive(key, "outputs"), batch * options.outputs),
    // Two images a label at least, where there is room: criteria that compare images need pairs.
    labels: Int32Array.from({ length: batch }, (_, i) =>
      Key.integer(Key.derive(key, "label", Math.floor(i / 2)), options.classes)
    ),
    key: Key.derive(key, "loss")
  }
}

const checkBatch = (criterion: CriterionShape, seed: number, options: Options): void => {
  const batch = options.batch ?? 6
  const { key, labels, outputs } = drawBatch(seed, batch, options)
  const about = `seed ${seed}, labels ${[...labels].join(",")}`
  tf.tidy(() => {
    const params = criterion.init(Key.derive(key, "init"), options)
    const x = tf.tensor2d(outputs, [batch, options.outputs])
    const y = tf.tensor1d(labels, "int32")
    const loss = criterion.loss(params, x, y, key)
    law(loss.shape.length === 0, "the loss is one number", `${about}: its shape is [${loss.shape}]`)
    const value = scalar(loss)
    law(Number.isFinite(value), "the loss of finite outputs is finite", `${about}: ${value}`)
    law(
      scalar(criterion.loss(params, x, y, key)) === value,
      "the loss follows from weights, outputs, labels and key",
      `${about}: twice asked, two answers`
    )
    if (options.orderFree ?? true) {
      const order = Key.permutation(Key.derive(key, "order"), batch)
      const turned = tf.gather(x, tf.tensor1d(Int32Array.from(order), "int32")) as tf.Tensor2D
      const turnedLabels = tf.tensor1d(
        Int32Array.from(order, (index) => labels[index] ?? 0),
        "int32"
      )
      const other = scalar(criterion.loss(params, turned, turnedLabels, key))
      law(
        Math.abs(other - value) <= 1e-4 * Math.max(1, Math.abs(value)),
        "the order of a batch makes no difference",
        `${about}: ${value}, and in the order ${[...order].join(",")} ${other}`
      )
    }
    if (options.smooth ?? true) {
      const own = names(params)
      const { error, index, input, analytic, numeric } = gradientMismatch(
        (given, ...weights) => {
          const tree: ParameterTree = Object.fromEntries(own.map((name, i) => [name, weights[i] as tf.Tensor]))
          return criterion.loss(tree, given as tf.Tensor2D, y, key)
        },
        [x, ...own.map((name) => params[name] as tf.Tensor)],
        { step: 1e-2, entries: 24 }
      )
      const what = input === 0 ? "the outputs" : own[input - 1]
      law(
        error <= (options.tolerance ?? 2e-2),
        "gradients equal finite differences",
        `${about}: entry ${index} of ${what}: ${analytic}, and by differences ${numeric}`
      )
    }
  })
}

const checkInit = (criterion: CriterionShape, options: Options): void => {
  const made = [1, 1, 2].map((seed) => criterion.init(Key.make(seed), options))
  const text = made.map((tree) =>
    JSON.stringify(names(tree).map((name) => [name, [...(tree[name] as tf.Tensor).dataSync()]]))
  )
  for (const tree of made) disposeUnsafe(tree)
  law(text[0] === text[1], "its weights follow from the key", "the same key gave other weights")
}

const checkMemory = (criterion: CriterionShape, options: Options): void => {
  const batch = options.batch ?? 6
  const { key, labels, outputs } = drawBatch(options.seed ?? 1, batch, options)
  const before = tf.memory().numTensors
  const params = criterion.init(key, options)
  const x = tf.tensor2d(outputs, [batch, options.outputs])
  const y = tf.tensor1d(labels, "int32")
  const given = tf.memory().numTensors
  const loss = tf.tidy(() => criterion.loss(params, x, y, key))
  const stays = [x, y, ...Object.values(params)].every((tensor) => !tensor.isDisposed)
  const left = tf.memory().numTensors - given
  tf.dispose([loss, x, y])
  disposeUnsafe(params)
  law(stays, "what is given stays", "an input was disposed")
  law(left === 1, "a loss leaves one tensor behind, itself", `${left} tensors were left`)
  law(tf.memory().numTensors === before, "its weights are all it keeps", "init made tensors that are not in its tree")
}

/**
 * Checks all laws; rejects with the first that is broken. Laws: the loss is one finite number that follows from what it
 * is given; weights follow from their key; gradients equal finite differences; the order of a batch makes no
 * difference; nothing given is disposed and nothing is leaked.
 */
export const check = async (criterion: CriterionShape, options: Options): Promise<void> => {
  await ensureBackend()
  checkInit(criterion, options)
  checkMemory(criterion, options)
  fc.assert(
    fc.property(fc.nat(1_000_000), (seed) => checkBatch(criterion, seed, options)),
    { numRuns: options.runs ?? 12, seed: options.seed ?? 1, includeErrorInReport: true }
  )
}
