/** Kernels of two operands that broadcast: arithmetic, comparisons, logic, selection. */
import * as tf from "@tensorflow/tfjs-core"
import { type Dtype, type Input, type KernelCases, numbers, numeric } from "./KernelCase.ts"

/** Two operands that broadcast either way. */
const binary =
  (
    op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
    dtypes: ReadonlyArray<Dtype> = numbers,
    low = -4,
    high = 4,
    tolerance = 0
  ): KernelCases =>
  (draw) => {
    const shape = draw.shape()
    const special = draw.int(0, 4) === 0
    const make = (own: ReadonlyArray<number>): Input => draw.tensor(own, draw.pick(...dtypes), low, high, special)
    const both = [make(shape), make(draw.bool() ? shape : draw.broadcast(shape))]
    return {
      inputs: draw.bool() ? both : both.reverse(),
      operation: (a, b) => op(a!, b!),
      tolerance,
      // An upcast of both gradients to the wider type's precision, and sums over broadcast axes.
      gradientTolerance: 1e-4
    }
  }

const logical =
  (op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.tensor(shape, "bool"), draw.tensor(draw.broadcast(shape), "bool")],
      operation: (a, b) => op(a!, b!)
    }
  }

const comparison = (op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCases => {
  return (draw) => {
    const shape = draw.shape()
    const dtype = draw.pick(...numbers)
    const special = draw.bool()
    // Few distinct numbers, so that many are equal.
    const make = (own: ReadonlyArray<number>): Input => {
      const input = draw.tensor(own, dtype, -2, 2, special)
      return input.dtype === "float32"
        ? { ...input, values: (input.values as Float32Array).map((value) => Math.round(value)) }
        : input
    }
    return { inputs: [make(shape), make(draw.broadcast(shape))], operation: (a, b) => op(a!, b!) }
  }
}

/** The generators by kernel name. */
export const binaryCases: Readonly<Record<string, KernelCases>> = {
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Multiply: binary(tf.mul),
  RealDiv: binary(tf.div, numbers, 0.5, 4),
  FloorDiv: binary(tf.floorDiv, numeric, 1, 5),
  Mod: binary(tf.mod, numeric, 1, 5, 1e-6),
  Maximum: binary(tf.maximum),
  Minimum: binary(tf.minimum),
  SquaredDifference: binary(tf.squaredDifference, numbers, -4, 4, 1e-6),
  Pow: (draw) => {
    const shape = draw.shape()
    const [a, b] = [draw.pick(...numeric), draw.pick(...numeric)]
    // Whole powers up to 9^9: more than a float32 holds exactly.
    const low = a === "int32" && b === "int32" ? -9 : 0.2
    return {
      inputs: [draw.tensor(shape, a, low, 9.9), draw.tensor(draw.broadcast(shape), b, a === b ? -3 : 0, 9.9)],
      operation: (x, y) => tf.pow(x!, y!),
      tolerance: a === "int32" && b === "int32" ? 0 : 1e-6,
      gradientTolerance: 1e-4
    }
  },
  Atan2: binary(tf.atan2, numeric, -4, 4, 1e-6),
  Prelu: binary(tf.prelu, ["float32"]),
  BitwiseAnd: (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.whole(shape, -99, 99), draw.whole(shape, -99, 99)],
      operation: (a, b) => tf.bitwiseAnd(a!, b!)
    }
  },
  AddN: (draw) => {
    const [shape, dtype] = [draw.shape(), draw.pick(...numeric)]
    const inputs = Array.from({ length: draw.int(1, 4) }, () => draw.tensor(shape, dtype))
    return { inputs, operation: (...all) => tf.addN(all) }
  },
  Equal: comparison(tf.equal),
  NotEqual: comparison(tf.notEqual),
  Greater: comparison(tf.greater),
  GreaterEqual: comparison(tf.greaterEqual),
  Less: comparison(tf.less),
  LessEqual: comparison(tf.lessEqual),
  LogicalAnd: logical(tf.logicalAnd),
  LogicalOr: logical(tf.logicalOr),
  Select: (draw) => {
    const shape = draw.shape()
    const [t, e] = [draw.pick(...numbers), draw.pick(...numbers)]
    const condition = draw.pick(shape, draw.broadcast(shape))
    return {
      inputs: [draw.tensor(condition, "bool"), draw.tensor(shape, t), draw.tensor(draw.broadcast(shape), e)],
      operation: (c, a, b) => tf.where(c!, a!, b!)
    }
  }
}
