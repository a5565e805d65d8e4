/** Kernels that reduce or order an axis: sums, extremes, cumulative sums, sorting, counts. */
import * as tf from "@tensorflow/tfjs-core"
import { type Dtype, given, type KernelCases, numbers, numeric, sorted } from "./KernelCase.ts"

const reduction =
  (
    op: (x: tf.Tensor, axis?: Array<number>, keep?: boolean) => tf.Tensor,
    dtypes: ReadonlyArray<Dtype> = numbers,
    tolerance = 0,
    empty = true
  ): KernelCases =>
  (draw) => {
    const shape = draw.shape(0, 4, empty)
    const [axes, keep] = [draw.axes(shape), draw.bool()]
    return {
      inputs: [draw.tensor(shape, draw.pick(...dtypes))],
      operation: (x) => op(x!, axes, keep),
      tolerance
    }
  }

const extremeIndex =
  (op: (x: tf.Tensor, axis: number) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.axis(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => op(x!, axis) }
  }

const cumulative =
  (op: typeof tf.cumsum): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 4)
    const [axis, exclusive, reverse] = [draw.axis(shape), draw.bool(), draw.bool()]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric), -2, 2)],
      operation: (x) => op(x!, axis, exclusive, reverse)
    }
  }

/** The generators by kernel name. */
export const reductionCases: Readonly<Record<string, KernelCases>> = {
  Sum: reduction(tf.sum, numbers, 1e-6),
  Mean: reduction(tf.mean, numbers, 1e-6),
  Prod: reduction(tf.prod, numbers, 1e-6),
  Max: reduction(tf.max, numbers, 0, false),
  Min: reduction(tf.min, numbers, 0, false),
  All: reduction(tf.all, ["bool"], 0, false),
  Any: reduction(tf.any, ["bool"], 0, false),
  ArgMax: extremeIndex(tf.argMax),
  ArgMin: extremeIndex(tf.argMin),
  Cumsum: cumulative(tf.cumsum),
  Cumprod: cumulative(tf.cumprod),
  Softmax: (draw) => ({
    inputs: [draw.tensor(draw.shape(1, 4), draw.pick(...numeric))],
    operation: (x) => tf.softmax(x as tf.Tensor1D),
    tolerance: 1e-6
  }),
  TopK: (draw) => {
    const shape = draw.shape(1, 3, false)
    const k = draw.int(1, shape[shape.length - 1]!)
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => {
        const { indices, values } = tf.topk(x!, k)
        return [values, indices]
      },
      noGradient: "none registered"
    }
  },
  Unique: (draw) => {
    const shape = draw.shape(1, 2, false)
    const axis = draw.int(0, shape.length - 1)
    return {
      inputs: [draw.tensor(shape, draw.pick("int32", "float32", "bool"), -2, 2)],
      operation: (x) => {
        const { indices, values } = tf.unique(x!, axis)
        return [values, indices]
      },
      noGradient: "none registered"
    }
  },
  SearchSorted: (draw) => {
    const [rows, columns] = [draw.int(1, 3), draw.int(1, 6)]
    const ordered = Array.from({ length: rows }, () => sorted(draw, columns, 9)).flat()
    const [side, dtype] = [draw.pick("left", "right"), draw.pick("int32", "float32")]
    return {
      inputs: [
        given([rows, columns], dtype as "int32" | "float32", ordered),
        draw.tensor([rows, draw.int(1, 4)], dtype as Dtype, 0, 9)
      ],
      operation: (s, v) => tf.searchSorted(s!, v!, side as "left" | "right"),
      noGradient: "none registered"
    }
  },
  Bincount: (draw) => {
    const count = draw.int(1, 9)
    return {
      inputs: [draw.whole([count], 0, 6), draw.tensor([draw.pick(0, count)], "float32")],
      operation: (x, weights) => tf.bincount(x as tf.Tensor1D, weights as tf.Tensor1D, 5),
      noGradient: "none registered"
    }
  },
  DenseBincount: (draw) => {
    const shape = draw.shape(1, 2, false)
    const binary = draw.bool()
    return {
      inputs: [draw.whole(shape, 0, 6), draw.tensor(draw.bool() ? shape : [0], "float32")],
      operation: (x, weights) => tf.denseBincount(x as tf.Tensor1D, weights as tf.Tensor1D, 5, binary),
      noGradient: "none registered"
    }
  }
}
