/** Poolings and their gradients. */
import * as tf from "@tensorflow/tfjs-core"
import { image, type KernelCases, numeric, run } from "./KernelCase.ts"

type Pad = "valid" | "same" | number

const pool2d =
  (op: (x: tf.Tensor4D, size: number, strides: number, pad: Pad) => tf.Tensor, tolerance: number): KernelCases =>
  (draw) => {
    const [size, strides] = [draw.int(1, 3), draw.int(1, 2)]
    const pad: Pad = draw.pick<Pad>("valid", "same")
    return {
      inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
      operation: (x) => op(x as tf.Tensor4D, size, strides, pad),
      tolerance
    }
  }

/** The gradient kernel of a pooling, called by its name: `dy` in the shape of the pooled map. */
const poolGradient = (kernel: string, three: boolean): KernelCases => {
  const pooled = kernel.startsWith("Avg") ? (three ? "AvgPool3D" : "AvgPool") : three ? "MaxPool3D" : "MaxPool"
  return (draw) => {
    const shape = three ? [1, 4, draw.int(3, 5), draw.int(3, 5), draw.int(1, 3)] : image(draw)
    // Average pooling of the cpu backend divides by the whole window at a border, so "valid" alone is comparable.
    const attrs = {
      filterSize: three ? [2, 2, 2] : [2, 2],
      strides: three ? [2, 2, 2] : [draw.int(1, 2), 2],
      pad: kernel.startsWith("Avg") ? "valid" : draw.pick("valid", "same"),
      dimRoundingMode: undefined,
      dataFormat: "NDHWC",
      dilations: 1
    }
    return {
      inputs: [draw.tensor(shape)],
      operation: (input) => {
        const output = run(pooled, { x: input! }, attrs) as tf.Tensor
        return run(kernel, { dy: tf.mul(output, 0.5), input: input!, output }, attrs)
      },
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  }
}

const pool3d =
  (op: (x: tf.Tensor5D, size: number, strides: number, pad: "valid" | "same") => tf.Tensor): KernelCases =>
  (draw) => {
    const [size, strides, pad] = [draw.int(1, 3), draw.int(1, 2), draw.pick("valid", "same")]
    return {
      inputs: [draw.tensor([draw.int(1, 2), 4, draw.int(3, 5), draw.int(3, 5), draw.int(1, 3)])],
      operation: (x) => op(x as tf.Tensor5D, size, strides, pad as "valid" | "same"),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  }

/** The generators by kernel name. */
export const poolingCases: Readonly<Record<string, KernelCases>> = {
  AvgPool: pool2d((x, size, strides, pad) => tf.avgPool(x, size, strides, pad), 1e-6),
  MaxPool: pool2d((x, size, strides, pad) => tf.maxPool(x, size, strides, pad), 0),
  AvgPoolGrad: poolGradient("AvgPoolGrad", false),
  MaxPoolGrad: poolGradient("MaxPoolGrad", false),
  AvgPool3D: pool3d((x, size, strides, pad) => tf.avgPool3d(x, size, strides, pad)),
  MaxPool3D: pool3d((x, size, strides, pad) => tf.maxPool3d(x, size, strides, pad)),
  AvgPool3DGrad: poolGradient("AvgPool3DGrad", true),
  MaxPool3DGrad: poolGradient("MaxPool3DGrad", true),
  MaxPoolWithArgmax: (draw) => {
    const [size, strides, pad, batch] = [draw.int(1, 3), draw.int(1, 2), draw.pick("valid", "same"), draw.bool()]
    return {
      inputs: [draw.tensor(image(draw))],
      operation: (x) => {
        const { indexes, result } = tf.maxPoolWithArgmax(x as tf.Tensor4D, size, strides, pad as "valid", batch)
        // The places are used as well as read.
        return [result!, indexes!, tf.add(indexes!, tf.scalar(1, "int32"))]
      },
      noGradient: "none registered"
    }
  }
}
