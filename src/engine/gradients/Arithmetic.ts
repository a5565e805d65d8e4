/** Derivatives of arithmetic with broadcasting. */
import * as tf from "@tensorflow/tfjs-core"
import { ab, type Entry, float, masked, one, unbroadcast } from "./Gradient.ts"

type Tensor = tf.Tensor

/** Derivatives of arithmetic with broadcasting. */
export const arithmetic: ReadonlyArray<Entry> = [
  [
    "Add",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(dy, one(s, 1), dy.shape)
    })
  ],
  [
    "Sub",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(tf.neg(dy), one(s, 1), dy.shape)
    })
  ],
  [
    "Multiply",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(tf.mul(dy, float(one(s, 1))), one(s), dy.shape),
      b: () => unbroadcast(tf.mul(dy, float(one(s))), one(s, 1), dy.shape)
    })
  ],
  [
    "RealDiv",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(tf.div(dy, float(one(s, 1))), one(s), dy.shape),
      b: () => {
        const b = float(one(s, 1))
        return unbroadcast(tf.neg(tf.div(tf.mul(dy, float(one(s))), tf.square(b))), b, dy.shape)
      }
    })
  ],
  [
    "FloorDiv",
    ab,
    (_, s) => ({
      a: () => tf.zeros(one(s).shape),
      b: () => tf.zeros(one(s, 1).shape)
    })
  ],
  [
    "Mod",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(tf.mul(dy, tf.neg(tf.floor(tf.div(one(s), one(s, 1))))), one(s, 1), dy.shape)
    })
  ],
  [
    "Maximum",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(masked(tf.greaterEqual(one(s), one(s, 1)), dy), one(s), dy.shape),
      b: () => unbroadcast(masked(tf.less(one(s), one(s, 1)), dy), one(s, 1), dy.shape)
    })
  ],
  [
    "Minimum",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(masked(tf.lessEqual(one(s), one(s, 1)), dy), one(s), dy.shape),
      b: () => unbroadcast(masked(tf.greater(one(s), one(s, 1)), dy), one(s, 1), dy.shape)
    })
  ],
  [
    "SquaredDifference",
    ab,
    (dy, s) => {
      const twice = () => tf.mul(dy, tf.mul(tf.sub(one(s), one(s, 1)), 2))
      return {
        a: () => unbroadcast(twice(), one(s), dy.shape),
        b: () => unbroadcast(tf.neg(twice()), one(s, 1), dy.shape)
      }
    }
  ],
  [
    "Pow",
    { inputs: ["a", "b"], outputs: [true] },
    (dy, s) => ({
      a: () => {
        const [a, b] = [one(s), float(one(s, 1))]
        return unbroadcast(tf.mul(dy, tf.mul(b, tf.pow(a, tf.sub(b, 1)))), a, dy.shape)
      },
      b: () => {
        const a = one(s)
        const log = tf.where(tf.greater(a, 0), tf.log(a), tf.zerosLike(a))
        return unbroadcast(tf.mul(dy, tf.mul(one(s, 2), log)), one(s, 1), dy.shape)
      }
    })
  ],
  [
    "Atan2",
    ab,
    (dy, s) => {
      const over = (t: Tensor) => tf.div(t, tf.add(tf.square(one(s)), tf.square(one(s, 1))))
      return {
        a: () => unbroadcast(tf.mul(dy, over(one(s, 1))), one(s), dy.shape),
        b: () => unbroadcast(tf.neg(tf.mul(dy, over(one(s)))), one(s, 1), dy.shape)
      }
    }
  ],
  [
    "AddN",
    { allInputs: true },
    (dy, s) => Object.fromEntries(s.map((_, i) => [String(i), () => tf.clone(dy)] as const))
  ]
]
