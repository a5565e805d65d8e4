/**
 * Laws of a criterion. Apply them to your own in one line of vitest:
 * `it("is lawful", () => CriterionLaws.check(criterion))`. A broken law throws an Error that says which, for which batch.
 */
import * as tf from "@tensorflow/tfjs-core"
import fc from "fast-check"
import type { CriterionShape } from "../src/criterion/Criterion.ts"
import { gradientMismatch } from "../src/engine/FiniteDifferences.ts"
import type { ParameterTree } from "../src/nn/ParameterTree.ts"
import * as Key from "../src/random/Key.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** Length of an output vector; default 5. */
  readonly outputs?: number | undefined
  /** Number of labels; default 4, and at most `outputs` for criteria on logits. */
  readonly classes?: number | undefined
  /** Random batches to try; default 12. */
  readonly runs?: number | undefined
  /** Seed of the random batches; default 1. */
  readonly seed?: number | undefined
  /** Whether the loss does not depend on the order of a batch; default true. Set false if rows draw random numbers. */
  readonly orderFree?: boolean | undefined
  /** Largest error of a gradient entry against its finite difference, relative to the largest; default 5e-3. */
  readonly tolerance?: number | undefined
}

interface Drawn {
  readonly rows: number
  readonly seed: number
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`criterion law broken: ${name}: ${about}`)
}

const batch = ({ rows, seed }: Drawn, outputs: number, classes: number, spread: number) => {
  const root = Key.make(seed)
  const values = Key.normals(Key.derive(root, "outputs"), rows * outputs).map((v) => v * spread)
  const labels = Array.from({ length: rows }, (_, i) => Key.integer(Key.derive(root, "labels"), classes, i))
  return { values, labels }
}

/** Frees all tensors that are made inside. */
const within = <A>(compute: () => A): A => {
  const engine = tf.engine()
  engine.startScope()
  try {
    return compute()
  } finally {
    engine.endScope()
  }
}

const checkBatch = (criterion: CriterionShape, drawn: Drawn, options: Required<Omit<Options, "runs" | "seed">>) => {
  const { classes, orderFree, outputs, tolerance } = options
  const about = JSON.stringify(drawn)
  const key = Key.derive(Key.make(drawn.seed), "draws")
  const params = criterion.init(Key.make(drawn.seed), { outputs: outputs!, classes: classes! })
  const parameterNames = Object.keys(params).sort()
  const { labels, values } = batch(drawn, outputs!, classes!, 1)
  const shape: [number, number] = [drawn.rows, outputs!]
  const rowLabels = tf.tensor1d(labels, "int32")
  const rows = tf.tensor2d(values, shape)
  const value = (tree: ParameterTree, x: tf.Tensor2D, y: tf.Tensor1D): number =>
    within(() => criterion.loss(tree, x, y, key).dataSync()[0]!)

  const before = tf.memory().numTensors
  const first = criterion.loss(params, rows, rowLabels, key)
  law(first.shape.length === 0, "the loss is a scalar", about)
  law(Number.isFinite(first.dataSync()[0]), "the loss is finite", about)
  first.dispose()
  law(tf.memory().numTensors === before, "a loss leaves nothing behind but itself", about)
  const loss = value(params, rows, rowLabels)
  law(value(params, rows, rowLabels) === loss, "the loss follows from its arguments", about)

  if (orderFree) {
    const order = Array.from(Key.permutation(Key.derive(key, "order"), drawn.rows))
    const other = within(() => {
      const moved = order.flatMap((row) => Array.from(values.subarray(row * outputs!, (row + 1) * outputs!)))
      const movedLabels = order.map((row) => labels[row]!)
      return value(params, tf.tensor2d(moved, shape), tf.tensor1d(movedLabels, "int32"))
    })
    const close = Math.abs(other - loss) <= 1e-5 * Math.max(1, Math.abs(loss))
    law(close, "the order of a batch does not matter", `${about}: ${loss} and ${other}`)
  }

  const mismatch = within(() =>
    gradientMismatch(
      (x, ...weights) =>
        criterion.loss(
          Object.fromEntries(parameterNames.map((name, i) => [name, weights[i]!])),
          x as tf.Tensor2D,
          rowLabels,
          key
        ),
      [rows, ...parameterNames.map((name) => params[name]!)],
      { step: 1e-2, entries: 12 }
    )
  )
  const fits = mismatch.error <= tolerance!
  law(fits, "the gradient is that of finite differences", `${about}: ${JSON.stringify(mismatch)}`)

  const far = within(() => {
    const wide = tf.tensor2d(batch(drawn, outputs!, classes!, 200).values, shape)
    const slope = tf.grad((x: tf.Tensor) => criterion.loss(params, x as tf.Tensor2D, rowLabels, key))(wide)
    return [value(params, wide, rowLabels), ...slope.dataSync()]
  })
  law(far.every(Number.isFinite), "loss and gradient stay finite for outputs far apart", about)
  tf.dispose([rows, rowLabels, ...Object.values(params)])
}

/**
 * Checks all laws on the current engine; throws with the first broken one and the smallest batch that breaks it. The law of
 * the gradient can fail by chance if a hinge is within the step of a finite difference; try another seed then.
 *
 * **Example** (Cross entropy)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as CrossEntropy from "../src/criterion/CrossEntropy.ts"
 * import * as CriterionLaws from "./CriterionLaws.ts"
 *
 * CriterionLaws.check(CrossEntropy.make({ labelSmoothing: 0.1 }), { outputs: 4, classes: 4 }) // => undefined
 * ```
 */
export const check = (criterion: CriterionShape, options: Options = {}): void => {
  const settled = {
    outputs: options.outputs ?? 5,
    classes: options.classes ?? 4,
    orderFree: options.orderFree ?? true,
    tolerance: options.tolerance ?? 5e-3
  }
  const drawn = fc.record({ rows: fc.integer({ min: 1, max: 12 }), seed: fc.nat() })
  const result = fc.check(
    fc.property(drawn, (one) => checkBatch(criterion, one, settled)),
    { numRuns: options.runs ?? 12, seed: options.seed ?? 1 }
  )
  if (!result.failed) return
  const cause = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance)
  throw new Error(`${cause}; seed ${result.seed}`)
}
