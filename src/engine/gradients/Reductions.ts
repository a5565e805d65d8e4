/** Derivatives of reductions. */
import * as tf from "@tensorflow/tfjs-core"
import { type Entry, float, type Grad, keptShape, one, spread, x, y } from "./Gradient.ts"

const extremum: Grad = (dy, saved, attrs) => {
  const x = one(saved)
  const y = one(saved, 1)
  // Max and Min name their axes differently.
  const axis = attrs["reductionIndices"] ?? attrs["axis"]
  return {
    x: () => {
      const kept = keptShape(x.shape, axis)
      const hit = float(tf.equal(x, tf.reshape(y, kept)))
      const axes = tf.util.parseAxisParam(axis as number | Array<number>, x.shape)
      const ties = tf.sum(hit, axes, true)
      return tf.mul(hit, tf.div(tf.reshape(dy, kept), ties))
    }
  }
}

/** Derivatives of reductions. */
export const reductions: ReadonlyArray<Entry> = [
  ["Sum", x, (dy, s, attrs) => ({ x: () => spread(dy, one(s), attrs["axis"]) })],
  [
    "Mean",
    x,
    (dy, s, attrs) => ({
      x: () => tf.div(spread(dy, one(s), attrs["axis"]), one(s).size / Math.max(1, dy.size))
    })
  ],
  ["Max", { inputs: ["x"], outputs: [true] }, extremum],
  ["Min", { inputs: ["x"], outputs: [true] }, extremum],
  ["ArgMax", x, (_, s) => ({ x: () => tf.zeros(one(s).shape) })],
  ["ArgMin", x, (_, s) => ({ x: () => tf.zeros(one(s).shape) })],
  [
    "Cumsum",
    x,
    (dy, _, attrs) => ({
      x: () => tf.cumsum(dy, attrs["axis"] as number, attrs["exclusive"] as boolean, !attrs["reverse"])
    })
  ],
  [
    "Softmax",
    y,
    (dy, s, attrs) => ({
      logits: () => {
        const weighted = tf.mul(dy, one(s))
        return tf.sub(weighted, tf.mul(tf.sum(weighted, attrs["dim"] as number, true), one(s)))
      }
    })
  ],
  [
    "LogSoftmax",
    y,
    (dy, s, attrs) => ({
      logits: () => tf.sub(dy, tf.mul(tf.sum(dy, attrs["axis"] as number, true), tf.exp(one(s))))
    })
  ]
]
