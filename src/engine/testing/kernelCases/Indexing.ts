/** Kernels that read or write where an index says: gather, scatter, sparse, segments, ragged. */
import * as tf from "@tensorflow/tfjs-core"
import type { Draw } from "./Draw.ts"
import { type Dtype, everyType, given, type Input, type KernelCases, numeric, sorted } from "./KernelCase.ts"

const sparseSegments =
  (op: (data: tf.Tensor, indices: tf.Tensor1D, segments: tf.Tensor1D) => tf.Tensor): KernelCases =>
  (draw) => {
    const [rows, count] = [draw.int(1, 5), draw.int(1, 6)]
    return {
      inputs: [
        draw.tensor([rows, draw.int(1, 5)], draw.pick(...numeric)),
        draw.whole([count], 0, rows),
        given([count], "int32", sorted(draw, count, 4))
      ],
      operation: (data, indices, segments) => op(data!, indices as tf.Tensor1D, segments as tf.Tensor1D)
    }
  }

/** Distinct places in a matrix of 4 rows and 5 columns, one per row. */
const places = (draw: Draw): { readonly indices: Input; readonly count: number } => {
  const count = draw.int(1, 4)
  return {
    count,
    indices: given([count, 2], "int32", Array.from({ length: count }, (_, i) => [i, draw.int(0, 4)]).flat())
  }
}

/** The generators by kernel name. */
export const indexingCases: Readonly<Record<string, KernelCases>> = {
  GatherV2: (draw) => {
    const shape = draw.shape(1, 3, false)
    const axis = draw.int(0, shape.length - 1)
    const indices = draw.whole(draw.shape(1, 2), 0, shape[axis]!)
    return {
      inputs: [draw.tensor(shape, draw.pick(...everyType)), indices],
      operation: (x, i) => tf.gather(x!, i as tf.Tensor1D, axis)
    }
  },
  GatherNd: (draw) => ({
    inputs: [
      draw.tensor([3, 4, draw.int(1, 3)], draw.pick(...numeric)),
      draw.whole([draw.int(1, 4), draw.int(1, 2)], 0, 3)
    ],
    operation: (x, indices) => tf.gatherND(x!, indices!),
    noGradient: "none registered"
  }),
  ScatterNd: (draw) => {
    const count = draw.int(1, 5)
    return {
      inputs: [draw.whole([count, 1], 0, 4), draw.tensor([count, 3], draw.pick(...numeric))],
      operation: (indices, updates) => tf.scatterND(indices!, updates!, [4, 3]),
      noGradient: "none registered"
    }
  },
  TensorScatterUpdate: (draw) => {
    const [count, dtype] = [draw.int(1, 4), draw.pick(...numeric)]
    return {
      inputs: [draw.tensor([4, 3], dtype), draw.whole([count, 1], 0, 4), draw.tensor([count, 3], dtype)],
      operation: (x, indices, updates) => tf.tensorScatterUpdate(x!, indices!, updates!),
      noGradient: "none registered"
    }
  },
  SparseToDense: (draw) => {
    const { count, indices } = places(draw)
    const dtype = draw.pick("float32", "int32", "bool")
    return {
      inputs: [indices, draw.tensor([count], dtype as Dtype), draw.tensor([], dtype as Dtype)],
      operation: (i, values, otherwise) => tf.sparseToDense(i!, values!, [4, 5], otherwise as tf.Scalar),
      noGradient: "none registered"
    }
  },
  SparseFillEmptyRows: (draw) => {
    const { count, indices } = places(draw)
    const dtype = draw.pick(...numeric)
    return {
      inputs: [indices, draw.tensor([count], dtype), given([2], "int32", [5, 5]), draw.tensor([], dtype)],
      operation: (i, values, shape, otherwise) =>
        Object.values(
          tf.sparse.sparseFillEmptyRows(
            i as tf.Tensor2D,
            values as tf.Tensor1D,
            shape as tf.Tensor1D,
            otherwise as tf.Scalar
          )
        ) as Array<tf.Tensor>,
      noGradient: "none registered"
    }
  },
  SparseReshape: (draw) => ({
    inputs: [
      places(draw).indices,
      given([2], "int32", [4, 5]),
      given([2], "int32", draw.pick([2, 10], [5, -1], [20, 1]))
    ],
    operation: (i, from, to) =>
      Object.values(
        tf.sparse.sparseReshape(i as tf.Tensor2D, from as tf.Tensor1D, to as tf.Tensor1D)
      ) as Array<tf.Tensor>,
    noGradient: "none registered"
  }),
  SparseSegmentMean: sparseSegments(tf.sparse.sparseSegmentMean),
  SparseSegmentSum: sparseSegments(tf.sparse.sparseSegmentSum),
  UnsortedSegmentSum: (draw) => {
    const shape = draw.shape(1, 3, false)
    const ids = draw.whole([shape[0]!], -1, 4)
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric)), ids],
      operation: (x, i) => tf.unsortedSegmentSum(x!, i as tf.Tensor1D, 4),
      tolerance: 1e-6
    }
  },
  RaggedGather: (draw) => ({
    inputs: [
      given([4], "int32", [0, 2, 3, 5]),
      draw.tensor([5, 2], draw.pick(...numeric)),
      draw.whole([draw.int(1, 4)], 0, 3)
    ],
    operation: (splits, values, indices) => {
      const { outputDenseValues, outputNestedSplits } = tf.raggedGather([splits!], values!, indices!, 1)
      return [...outputNestedSplits, outputDenseValues]
    },
    noGradient: "none registered"
  }),
  RaggedRange: (draw) => ({
    inputs: [draw.whole([3], 0, 3), draw.whole([3], 3, 9), draw.whole([3], 1, 3)],
    operation: (starts, limits, deltas) => Object.values(tf.raggedRange(starts!, limits!, deltas!)) as Array<tf.Tensor>,
    noGradient: "none registered"
  }),
  RaggedTensorToTensor: (draw) => {
    const dtype = draw.pick(...numeric)
    return {
      inputs: [
        given([2], "int32", [4, 4]),
        draw.tensor([5], dtype),
        draw.tensor([], dtype),
        given([4], "int32", [0, 2, 3, 5])
      ],
      operation: (shape, values, otherwise, splits) =>
        tf.raggedTensorToTensor(shape!, values!, otherwise!, [splits!], ["ROW_SPLITS"]),
      noGradient: "none registered"
    }
  }
}
