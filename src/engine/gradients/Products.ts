/** Derivatives of products, convolutions, pooling and resizing. */
import * as tf from "@tensorflow/tfjs-core"
import { ab, type Entry, type Grad, one, run, unbroadcast, x } from "./Gradient.ts"

type Tensor = tf.Tensor

/**
 * The cpu backend's own gradient divides by the whole window even where it overlaps the border. So a padded pooling divides
 * its gradient by the true counts and spreads it with a depthwise kernel of ones.
 */
const averagePool: Grad = (dy, saved, attrs) => {
  const input = one(saved)
  const { filterSize, strides, pad } = attrs
  if (pad === "valid" || pad === 0 || tf.getBackend() !== "cpu") return pooled("AvgPoolGrad", false)(dy, saved, attrs)
  return {
    x: () => {
      const [height, width] = (Array.isArray(filterSize) ? filterSize : [filterSize, filterSize]) as [number, number]
      const channels = input.shape[3] ?? 1
      const options = { strides, pad, dimRoundingMode: attrs["dimRoundingMode"], dilations: [1, 1] }
      const ones: tf.Tensor4D = tf.ones([height, width, channels, 1])
      const counts = run(
        "DepthwiseConv2dNative",
        { x: tf.onesLike(input), filter: ones },
        { ...options, dataFormat: "NHWC" }
      )
      return run(
        "DepthwiseConv2dNativeBackpropInput",
        { dy: tf.div(dy, counts), filter: ones },
        { ...options, inputShape: input.shape }
      )
    }
  }
}

const pooled =
  (kernel: string, withOutput: boolean): Grad =>
  (dy, saved, attrs) => ({
    x: () =>
      run(
        kernel,
        withOutput ? { dy, input: one(saved), output: one(saved, 1) } : { dy, input: one(saved) },
        attrs as object
      )
  })

const noDilation = (operation: string, attrs: Record<string, unknown>): void => {
  const dilations = attrs["dilations"]
  const all = Array.isArray(dilations) ? dilations : [dilations ?? 1]
  if (all.some((d) => d !== 1)) {
    throw new RangeError(`gradient of ${operation}: dilations ${JSON.stringify(dilations)} must be 1; use convChain`)
  }
}

const convInput = (shape: Array<number>, dy: Tensor, filter: Tensor, attrs: Record<string, unknown>): Tensor =>
  run("Conv2DBackpropInput", { dy, filter }, { ...attrs, inputShape: shape })

const convFilter = (x: Tensor, dy: Tensor, shape: Array<number>, attrs: Record<string, unknown>): Tensor =>
  run("Conv2DBackpropFilter", { x, dy }, { ...attrs, filterShape: shape })

const convAttrs = (attrs: Record<string, unknown>): Record<string, unknown> => ({
  strides: attrs["strides"],
  pad: attrs["pad"],
  dataFormat: attrs["dataFormat"],
  dimRoundingMode: attrs["dimRoundingMode"]
})

/** The shape of the gradient of a matrix product's operand before its broadcast batch axes are summed. */
const batched = (dy: Tensor, operand: Tensor): Array<number> => [...dy.shape.slice(0, -2), ...operand.shape.slice(-2)]

/** Derivatives of products, convolutions, pooling and resizing. */
export const products: ReadonlyArray<Entry> = [
  [
    "BatchMatMul",
    ab,
    (dy, s, attrs) => {
      const [a, b] = [one(s), one(s, 1)]
      const [ta, tb] = [attrs["transposeA"] as boolean, attrs["transposeB"] as boolean]
      return {
        a: () => unbroadcast(ta ? tf.matMul(b, dy, tb, true) : tf.matMul(dy, b, false, !tb), a, batched(dy, a)),
        b: () => unbroadcast(tb ? tf.matMul(dy, a, true, ta) : tf.matMul(a, dy, !ta, false), b, batched(dy, b))
      }
    }
  ],
  [
    "Conv2D",
    { inputs: ["x", "filter"] },
    (dy, s, attrs) => {
      noDilation("conv2d", attrs)
      return {
        x: () => convInput(one(s).shape, dy, one(s, 1), convAttrs(attrs)),
        filter: () => convFilter(one(s), dy, one(s, 1).shape, convAttrs(attrs))
      }
    }
  ],
  [
    "Conv2DBackpropInput",
    { inputs: ["dy", "filter"] },
    (ddx, s, attrs) => ({
      dy: () => run("Conv2D", { x: ddx, filter: one(s, 1) }, { ...convAttrs(attrs), dilations: 1 }),
      filter: () => convFilter(ddx, one(s), one(s, 1).shape, convAttrs(attrs))
    })
  ],
  [
    "DepthwiseConv2dNative",
    { inputs: ["x", "filter"] },
    (dy, s, attrs) => {
      noDilation("depthwiseConv2d", attrs)
      const shared = {
        strides: attrs["strides"],
        pad: attrs["pad"],
        dimRoundingMode: attrs["dimRoundingMode"],
        dilations: [1, 1]
      }
      return {
        x: () =>
          run("DepthwiseConv2dNativeBackpropInput", { dy, filter: one(s, 1) }, { ...shared, inputShape: one(s).shape }),
        filter: () =>
          run("DepthwiseConv2dNativeBackpropFilter", { x: one(s), dy }, { ...shared, filterShape: one(s, 1).shape })
      }
    }
  ],
  ["AvgPool", x, averagePool],
  ["MaxPool", { inputs: ["x"], outputs: [true] }, pooled("MaxPoolGrad", true)],
  [
    "ResizeBilinear",
    { inputs: ["images"] },
    (dy, s, attrs) => ({
      images: () =>
        // The cpu backend swaps height and width in the shape of an otherwise correct result.
        tf.reshape(run("ResizeBilinearGrad", { dy, images: one(s) }, attrs), one(s).shape)
    })
  ]
]
