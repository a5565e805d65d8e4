/**
 * Online triplet loss: within a batch, every pair of the same identity is compared with a negative chosen among the others
 * (Schroff et al. 2015, FaceNet, section 3.2).
 *
 * Distances, choice and derivative are computed in double precision on the host, with sums and products only. That costs
 * little compared with the network, and gives the same bits with every engine.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import * as Deterministic from "../random/Deterministic.ts"
import * as Key from "../random/Key.ts"
import { Positive } from "../support/Numbers.ts"
import { Criterion, type CriterionShape } from "./Criterion.ts"

/** Options of the criterion `triplet`. */
export const Options = Schema.Struct({
  margin: Positive.annotate({
    description: "By how much the squared distance of a negative must exceed that of a positive"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.3))),
  negatives: Schema.Literals(["hardest", "random-hard", "semihard"])
    .annotate({
      description:
        "hardest: the nearest negative; random-hard: a random one that violates the margin; semihard: a random one that violates the margin and is farther than the positive"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("random-hard" as const))),
  normalise: Schema.Boolean.annotate({ description: "Scale embeddings to unit length first" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  )
})
/** Options of the criterion `triplet`. */
export type Options = typeof Options.Type

/** Indices into a batch. */
export type Triplet = readonly [anchor: number, positive: number, negative: number]

/** Squared distances between all rows of an embedding matrix, row by row. */
export const squaredDistances = (rows: ReadonlyArray<Float64Array>): ReadonlyArray<Float64Array> => {
  const table = rows.map(() => new Float64Array(rows.length))
  for (let i = 0; i < rows.length; i += 1) {
    for (let j = i + 1; j < rows.length; j += 1) {
      const [a, b] = [rows[i]!, rows[j]!]
      let sum = 0
      for (let d = 0; d < a.length; d += 1) {
        const difference = a[d]! - b[d]!
        sum += difference * difference
      }
      table[i]![j] = sum
      table[j]![i] = sum
    }
  }
  return table
}

/**
 * One triplet for every ordered pair of the same label with a suitable negative. Both members of a pair are anchors, so the
 * order of the batch does not matter. A negative violates the margin if `d(anchor, positive) - d(anchor, negative) + margin`
 * is above 0; it is semihard if that is also below the margin. Empty if the batch has no pair, no other label, or no
 * violation.
 *
 * **Example** (The one triplet of three points on a line)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as Triplet from "./Triplet.ts"
 *
 * const rows = [[0], [1], [1.5]].map((row) => Float64Array.from(row))
 * const distances = Triplet.squaredDistances(rows)
 * distances[0][2] // => 2.25
 * const options = { margin: 2, negatives: "hardest" } as const
 * const triplets = Triplet.select(distances, [7, 7, 8], options, Key.make(1))
 * triplets // => [[0, 1, 2], [1, 0, 2]]
 * ```
 */
export const select = (
  distances: ReadonlyArray<Float64Array>,
  labels: ArrayLike<number>,
  options: Pick<Options, "margin" | "negatives">,
  key: Key.Key
): ReadonlyArray<Triplet> => {
  const { margin, negatives } = options
  const triplets: Array<Triplet> = []
  const size = distances.length
  for (let anchor = 0; anchor < size; anchor += 1) {
    for (let positive = 0; positive < size; positive += 1) {
      if (positive === anchor || labels[positive] !== labels[anchor]) continue
      const near = distances[anchor]![positive]!
      const fitting: Array<number> = []
      for (let other = 0; other < size; other += 1) {
        if (labels[other] === labels[anchor]) continue
        const violation = near - distances[anchor]![other]! + margin
        if (violation > 0 && (negatives !== "semihard" || violation < margin)) fitting.push(other)
      }
      if (fitting.length === 0) continue
      const negative =
        negatives === "hardest"
          ? fitting.reduce((best, other) => (distances[anchor]![other]! < distances[anchor]![best]! ? other : best))
          : fitting[Key.integer(key, fitting.length, anchor * size + positive)]!
      triplets.push([anchor, positive, negative])
    }
  }
  return triplets
}

interface Rows {
  /** Embeddings as compared. */
  readonly rows: ReadonlyArray<Float64Array>
  /** What each was divided by; 1 without normalisation. */
  readonly lengths: ReadonlyArray<number>
}

const rowsOf = (data: ArrayLike<number>, size: number, dimension: number, normalise: boolean): Rows => {
  const rows = Array.from({ length: size }, (_, i) =>
    Float64Array.from({ length: dimension }, (_, d) => data[i * dimension + d]!)
  )
  if (!normalise) return { rows, lengths: rows.map(() => 1) }
  const lengths = rows.map((row) => Math.max(Deterministic.sqrt(row.reduce((sum, v) => sum + v * v, 0)), 1e-12))
  return { rows: rows.map((row, i) => row.map((v) => v / lengths[i]!)), lengths }
}

/** Mean hinge of the triplets and its derivative by the embeddings. */
const lossAndGradient = (
  { lengths, rows }: Rows,
  distances: ReadonlyArray<Float64Array>,
  triplets: ReadonlyArray<Triplet>,
  options: Options
): { readonly loss: number; readonly gradient: Float32Array } => {
  const dimension = rows[0]?.length ?? 0
  const gradient = new Float32Array(rows.length * dimension)
  if (triplets.length === 0) return { loss: 0, gradient }
  const slopes = rows.map(() => new Float64Array(dimension))
  const factor = 2 / triplets.length
  let sum = 0
  for (const [anchor, positive, negative] of triplets) {
    sum += distances[anchor]![positive]! - distances[anchor]![negative]! + options.margin
    const [a, p, n] = [rows[anchor]!, rows[positive]!, rows[negative]!]
    const [da, dp, dn] = [slopes[anchor]!, slopes[positive]!, slopes[negative]!]
    for (let d = 0; d < dimension; d += 1) {
      da[d]! += factor * (n[d]! - p[d]!)
      dp[d]! += factor * (p[d]! - a[d]!)
      dn[d]! += factor * (a[d]! - n[d]!)
    }
  }
  rows.forEach((row, i) => {
    const slope = slopes[i]!
    // Derivative of the normalisation u = x / |x|: the component along u is removed.
    const along = options.normalise ? row.reduce((total, v, d) => total + v * slope[d]!, 0) : 0
    for (let d = 0; d < dimension; d += 1) gradient[i * dimension + d] = (slope[d]! - along * row[d]!) / lengths[i]!
  })
  return { loss: sum / triplets.length, gradient }
}

/**
 * The online triplet loss: the mean of `d(anchor, positive) - d(anchor, negative) + margin` over the chosen triplets, d
 * the squared Euclidean distance. A batch without a triplet has loss 0 and gradient 0; `warning` says why.
 *
 * **Example** (One identity has no triplet)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Key from "../random/Key.ts"
 * import * as Triplet from "./Triplet.ts"
 *
 * const criterion = Triplet.make({ margin: 0.3, negatives: "hardest", normalise: true })
 * criterion.loss({}, tf.ones([4, 2]), tf.tensor1d([1, 1, 1, 1], "int32"), Key.make(0)).dataSync()[0] // => 0
 * ```
 */
export const make = (options: Options): CriterionShape => {
  const prepare = (outputs: tf.Tensor2D, labels: tf.Tensor1D, key: Key.Key) => {
    const embedded = rowsOf(outputs.dataSync(), outputs.shape[0], outputs.shape[1], options.normalise)
    const distances = squaredDistances(embedded.rows)
    const identities = labels.dataSync()
    return { embedded, distances, identities, triplets: select(distances, identities, options, key) }
  }
  return {
    name: "triplet",
    init: () => ({}),
    loss: (_, outputs, labels, key) =>
      tf.customGrad((input, save) => {
        const { distances, embedded, triplets } = prepare(input as tf.Tensor2D, labels, key)
        const { gradient, loss } = lossAndGradient(embedded, distances, triplets, options)
        ;(save as tf.GradSaveFunc)([tf.tensor(gradient, outputs.shape)])
        return {
          value: tf.scalar(loss),
          gradFunc: (dy, saved) => tf.mul((saved as ReadonlyArray<tf.Tensor>)[0]!, dy as tf.Scalar)
        }
      })(outputs) as tf.Scalar,
    warning: (_, outputs, labels, key) => {
      const { identities, triplets } = prepare(outputs, labels, key)
      if (triplets.length > 0) return undefined
      const different = new Set(identities).size
      const why =
        different === identities.length
          ? "no two images of one identity in the batch; use batches of several images an identity"
          : different < 2
            ? "a single identity in the batch"
            : `no negative violates the margin ${options.margin} (${options.negatives})`
      return `the triplet loss of this batch is 0: ${why}`
    }
  }
}

/** The criterion as a Layer. */
export const layer = (options: Options): Layer.Layer<Criterion> => Layer.succeed(Criterion, make(options))

/**
 * The component `triplet`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { Criterion } from "./Criterion.ts"
 * import * as Triplet from "./Triplet.ts"
 *
 * const options = Schema.decodeUnknownSync(Triplet.Options)({})
 * options // => { margin: 0.3, negatives: "random-hard", normalise: true }
 * const name = Effect.map(Criterion, (criterion) => criterion.name)
 * Effect.runSync(Effect.provide(name, Triplet.layer(options))) // => Triplet.component.name
 * ```
 */
export const component = define({
  kind: "criterion",
  name: "triplet",
  description: "Online triplet loss over embeddings; hardest, random hard or semihard negatives",
  options: Options,
  layer
})
