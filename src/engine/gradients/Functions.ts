/** Derivatives of functions of one input, and of activations. */
import * as tf from "@tensorflow/tfjs-core"
import { type Entry, flat, float, type Grad, masked, one, unbroadcast, x, y } from "./Gradient.ts"

type Tensor = tf.Tensor

/** A function of one input `x`, its derivative from the saved input. */
const unary =
  (derivative: (x: Tensor) => Tensor): Grad =>
  (dy, saved) => ({ x: () => tf.mul(dy, derivative(float(one(saved)))) })

/** SELU's constants (Klambauer et al. 2017, equation 2): the scale, and the scale times alpha. */
const selu = { scale: 1.0507009873554805, scaleAlpha: 1.7580993408473768 }

/** Derivatives of functions of one input, and of activations. */
export const functions: ReadonlyArray<Entry> = [
  ["Abs", x, unary(tf.sign)],
  ["Acos", x, unary((t) => tf.neg(tf.rsqrt(tf.sub(1, tf.square(t)))))],
  ["Acosh", x, unary((t) => tf.rsqrt(tf.sub(tf.square(t), 1)))],
  ["Asin", x, unary((t) => tf.rsqrt(tf.sub(1, tf.square(t))))],
  ["Asinh", x, unary((t) => tf.rsqrt(tf.add(tf.square(t), 1)))],
  ["Atan", x, unary((t) => tf.reciprocal(tf.add(tf.square(t), 1)))],
  ["Atanh", x, unary((t) => tf.reciprocal(tf.sub(1, tf.square(t))))],
  ["Ceil", {}, flat],
  ["Cos", x, unary((t) => tf.neg(tf.sin(t)))],
  ["Cosh", x, unary(tf.sinh)],
  ["Erf", x, unary((t) => tf.mul(tf.exp(tf.neg(tf.square(t))), 2 / Math.sqrt(Math.PI)))],
  ["Exp", y, (dy, s) => ({ x: () => tf.mul(dy, one(s)) })],
  ["Expm1", x, unary(tf.exp)],
  ["Floor", {}, flat],
  ["Log", x, (dy, s) => ({ x: () => tf.div(dy, float(one(s))) })],
  ["Log1p", x, (dy, s) => ({ x: () => tf.div(dy, tf.add(one(s), 1)) })],
  ["Neg", {}, (dy) => ({ x: () => tf.neg(dy) })],
  ["Reciprocal", x, (dy, s) => ({ x: () => tf.neg(tf.div(dy, tf.square(one(s)))) })],
  ["Relu", y, (dy, s) => ({ x: () => masked(tf.greater(one(s), 0), dy) })],
  ["Relu6", x, (dy, s) => ({ x: () => masked(tf.logicalAnd(tf.greater(one(s), 0), tf.lessEqual(one(s), 6)), dy) })],
  ["Round", {}, flat],
  ["Rsqrt", y, (dy, s) => ({ x: () => tf.mul(tf.mul(dy, -0.5), tf.mul(one(s), tf.square(one(s)))) })],
  ["Elu", y, (dy, s) => ({ x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, tf.add(one(s), 1))) })],
  [
    "Selu",
    x,
    (dy, s) => ({
      x: () =>
        tf.where(tf.greater(one(s), 0), tf.mul(dy, selu.scale), tf.mul(dy, tf.mul(tf.exp(one(s)), selu.scaleAlpha)))
    })
  ],
  ["Sigmoid", y, (dy, s) => ({ x: () => tf.mul(dy, tf.mul(one(s), tf.sub(1, one(s)))) })],
  ["Sign", {}, flat],
  ["Sin", x, unary(tf.cos)],
  ["Sinh", x, unary(tf.cosh)],
  ["Softplus", x, unary(tf.sigmoid)],
  ["Sqrt", y, (dy, s) => ({ x: () => tf.div(tf.mul(dy, 0.5), one(s)) })],
  ["Square", x, (dy, s) => ({ x: () => tf.mul(dy, tf.mul(float(one(s)), 2)) })],
  ["Step", {}, flat],
  ["Tan", x, unary((t) => tf.reciprocal(tf.square(tf.cos(t))))],
  ["Tanh", y, (dy, s) => ({ x: () => tf.mul(dy, tf.sub(1, tf.square(one(s)))) })],
  [
    "ClipByValue",
    x,
    (dy, s, attrs) => ({
      x: () =>
        masked(
          tf.logicalAnd(
            tf.greaterEqual(one(s), attrs["clipValueMin"] as number),
            tf.lessEqual(one(s), attrs["clipValueMax"] as number)
          ),
          dy
        )
    })
  ],
  [
    "LeakyRelu",
    x,
    (dy, s, attrs) => ({
      x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, attrs["alpha"] as number))
    })
  ],
  [
    "Prelu",
    { inputs: ["x", "alpha"] },
    (dy, s) => ({
      x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, one(s, 1))),
      alpha: () =>
        unbroadcast(tf.where(tf.greater(one(s), 0), tf.zerosLike(dy), tf.mul(dy, one(s))), one(s, 1), dy.shape)
    })
  ],
  ["Cast", {}, (dy) => ({ x: () => tf.clone(dy) })],
  ["Identity", {}, (dy) => ({ x: () => tf.clone(dy) })],
  ["OnesLike", {}, flat],
  ["ZerosLike", {}, flat]
]
