/** Kernels of one operand, element by element. */
import * as tf from "@tensorflow/tfjs-core"
import { type KernelCases, numbers, type One, run } from "./KernelCase.ts"

/** One operand of any numeric type, values in [low, high). */
const unary =
  (op: One, low = -4, high = 4, tolerance = 0, gradientTolerance = 1e-5): KernelCases =>
  (draw) => ({
    // Zero included: slopes there are part of what has to agree.
    inputs: [draw.tensor(draw.shape(), draw.pick(...numbers), low, high, draw.int(0, 3) === 0)],
    operation: (x) => op(x!),
    tolerance,
    gradientTolerance
  })

/** The generators by kernel name. */
export const unaryCases: Readonly<Record<string, KernelCases>> = {
  Abs: unary(tf.abs),
  Acos: unary(tf.acos, -0.95, 0.95, 1e-6, 1e-4),
  Acosh: unary(tf.acosh, 1.05, 9, 1e-6, 1e-4),
  Asin: unary(tf.asin, -0.95, 0.95, 1e-6, 1e-4),
  Asinh: unary(tf.asinh, -4, 4, 1e-6),
  Atan: unary(tf.atan, -4, 4, 1e-6),
  Atanh: unary(tf.atanh, -0.95, 0.95, 1e-6, 1e-4),
  Ceil: unary(tf.ceil),
  Cos: unary(tf.cos, -4, 4, 1e-6),
  Cosh: unary(tf.cosh, -4, 4, 1e-6),
  Elu: unary(tf.elu, -4, 4, 1e-6),
  Erf: unary(tf.erf, -4, 4, 1e-6),
  Exp: unary(tf.exp, -4, 4, 1e-6),
  Expm1: unary(tf.expm1, -4, 4, 1e-6),
  Floor: unary(tf.floor),
  IsFinite: unary(tf.isFinite),
  IsInf: unary(tf.isInf),
  IsNan: unary(tf.isNaN),
  Log: unary(tf.log, 0.1, 9, 1e-6),
  Log1p: unary(tf.log1p, -0.9, 9, 1e-6),
  LogicalNot: (draw) => ({ inputs: [draw.tensor(draw.shape(), "bool")], operation: (x) => tf.logicalNot(x!) }),
  Neg: unary(tf.neg),
  Reciprocal: unary(tf.reciprocal, 0.2, 4, 1e-6),
  Relu: unary(tf.relu),
  Relu6: unary(tf.relu6, -4, 9),
  Round: unary(tf.round),
  Rsqrt: unary(tf.rsqrt, 0.1, 9, 1e-6),
  Selu: unary(tf.selu, -4, 4, 1e-6),
  Sigmoid: unary(tf.sigmoid, -4, 4, 1e-6),
  Sign: unary(tf.sign),
  Sin: unary(tf.sin, -4, 4, 1e-6),
  Sinh: unary(tf.sinh, -4, 4, 1e-6),
  Softplus: unary(tf.softplus, -4, 4, 1e-6),
  Sqrt: unary(tf.sqrt, 0.1, 9),
  Square: unary(tf.square),
  Step: unary((x) => tf.step(x, 0.25)),
  Tan: unary(tf.tan, -1.4, 1.4, 1e-6, 1e-4),
  Tanh: unary(tf.tanh, -4, 4, 1e-6),
  ClipByValue: unary((x) => tf.clipByValue(x, -1, 2)),
  LeakyRelu: unary((x) => tf.leakyRelu(x, 0.25)),
  EluGrad: (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape, "float32", -0.99, 2)],
      operation: (dy, y) => run("EluGrad", { dy: dy!, y: y! }),
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  }
}
