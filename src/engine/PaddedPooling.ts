/**
 * Pooling with explicit padding on backends that support only "same" and "valid", such as TensorFlow's. The input is padded
 * first: with values that no maximum picks, or with zeros that the average leaves out.
 */
import * as tf from "@tensorflow/tfjs-core"

interface PoolAttributes {
  readonly filterSize: [number, number] | number
  readonly strides: [number, number] | number
  readonly pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding
  readonly dimRoundingMode?: "floor" | "round" | "ceil"
}

type Shape4D = [number, number, number, number]
type Margins = [[number, number], [number, number], [number, number], [number, number]]

/** The padding around an image; undefined if the backend's own kernel can do it. */
const marginsOf = (shape: ReadonlyArray<number>, attributes: PoolAttributes): Margins | undefined => {
  const { dimRoundingMode, filterSize, pad, strides } = attributes
  if (pad === "valid" || pad === "same") return undefined
  // The declared type leaves explicit padding out; the function accepts it.
  const { padInfo } = tf.backend_util.computePool2DInfo(
    [...shape] as Shape4D,
    filterSize,
    strides,
    1,
    pad as number,
    dimRoundingMode
  )
  return [
    [0, 0],
    [padInfo.top, padInfo.bottom],
    [padInfo.left, padInfo.right],
    [0, 0]
  ]
}

/** Replaces a backend's kernels of average and maximum pooling, and of their gradients, with ones that take any padding. */
export const supportPaddedPooling = (backendName: string): void => {
  const wrap = (
    kernelName: string,
    padded: (
      run: (inputs: tf.NamedTensorMap) => tf.Tensor,
      inputs: tf.NamedTensorMap,
      margins: Margins,
      attributes: PoolAttributes
    ) => tf.Tensor
  ): void => {
    const own = tf.getKernel(kernelName, backendName)
    if (own === undefined) return
    tf.unregisterKernel(kernelName, backendName)
    tf.registerKernel({
      ...own,
      kernelFunc: ({ attrs, backend, inputs }) => {
        const attributes = attrs as unknown as PoolAttributes
        const image = (inputs["input"] ?? inputs["x"]) as tf.TensorInfo
        const margins = marginsOf(image.shape, attributes)
        if (margins === undefined) return own.kernelFunc({ attrs: attrs!, backend, inputs })
        const valid = { ...attributes, pad: "valid" } as unknown as tf.NamedAttrMap
        const run = (given: tf.NamedTensorMap): tf.Tensor => {
          const out = own.kernelFunc({ attrs: valid, backend, inputs: given }) as tf.TensorInfo
          // TensorFlow's kernels return tensors already; a second one of the same data would free it twice.
          return out instanceof tf.Tensor ? out : tf.engine().makeTensorFromTensorInfo(out)
        }
        return tf.tidy(() => padded(run, inputs as unknown as tf.NamedTensorMap, margins, attributes))
      }
    })
  }
  const cut = (gradient: tf.Tensor, like: tf.Tensor, margins: Margins): tf.Tensor =>
    tf.slice(
      gradient,
      margins.map(([before]) => before),
      like.shape
    )
  /** The part of every window that is on the image, [1, height, width, 1]. */
  const covered = (image: tf.Tensor, margins: Margins, attributes: PoolAttributes): tf.Tensor => {
    const ones = tf.pad(tf.ones([1, image.shape[1]!, image.shape[2]!, 1]), margins) as tf.Tensor4D
    return tf.avgPool(ones, attributes.filterSize, attributes.strides, "valid")
  }
  wrap("MaxPool", (run, { x }, margins) => run({ x: tf.pad(x!, margins, Number.NEGATIVE_INFINITY) }))
  wrap("MaxPoolGrad", (run, { dy, input, output }, margins) => {
    const wide = tf.pad(input!, margins, Number.NEGATIVE_INFINITY)
    return cut(run({ dy: dy!, input: wide, output: output! }), input!, margins)
  })
  wrap("AvgPool", (run, { x }, margins, attributes) =>
    tf.div(run({ x: tf.pad(x!, margins) }), covered(x!, margins, attributes))
  )
  wrap("AvgPoolGrad", (run, { dy, input }, margins, attributes) => {
    const share = tf.div(dy!, covered(input!, margins, attributes))
    return cut(run({ dy: share, input: tf.pad(input!, margins) }), input!, margins)
  })
}
