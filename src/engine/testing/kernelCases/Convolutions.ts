/** Convolutions and the normalisations beside them. */
import * as tf from "@tensorflow/tfjs-core"
import type { Draw } from "./Draw.ts"
import { activations, type Input, image, type KernelCase, type KernelCases, type Operation, run } from "./KernelCase.ts"

interface ConvolutionDraw {
  readonly x: Input
  readonly filter: Input
  readonly strides: number
  readonly pad: "valid" | "same"
  readonly dilations: number
}

const convolution = (draw: Draw, depthwise: boolean): ConvolutionDraw => {
  const shape = image(draw, 5, 8)
  const dilations = draw.pick(1, 1, 1, 2)
  return {
    x: draw.tensor(shape),
    filter: draw.tensor([draw.int(1, 3), draw.int(1, 3), shape[3], depthwise ? draw.pick(1, 1, 2) : draw.int(1, 5)]),
    strides: dilations > 1 ? 1 : draw.int(1, 2),
    pad: draw.pick("valid", "same"),
    dilations
  }
}

const convolved = (draw: Draw, depthwise: boolean, op: (c: ConvolutionDraw) => Operation): KernelCase => {
  const drawn = convolution(draw, depthwise)
  return {
    inputs: [drawn.x, drawn.filter],
    operation: op(drawn),
    tolerance: 1e-5,
    gradientTolerance: 1e-4,
    ...(drawn.dilations > 1 ? { noGradient: "dilations must be 1" } : {})
  }
}

/** The gradient kernels of convolutions, `dy` being half the output. */
const convolutionGradient = (kernel: string, depthwise: boolean, filterGradient: boolean): KernelCases => {
  const forward = depthwise ? "DepthwiseConv2dNative" : "Conv2D"
  return (draw) => ({
    ...convolved(draw, depthwise, (drawn) => (x, filter) => {
      const attrs = { strides: drawn.strides, pad: drawn.pad, dataFormat: "NHWC", dilations: [1, 1] }
      const dy = tf.mul(run(forward, { x: x!, filter: filter! }, attrs) as tf.Tensor, 0.5)
      return filterGradient
        ? run(kernel, { x: x!, dy }, { ...attrs, filterShape: filter!.shape })
        : run(kernel, { dy, filter: filter! }, { ...attrs, inputShape: x!.shape })
    }),
    tolerance: 5e-5,
    noGradient: "a gradient kernel"
  })
}

const conv3d = (draw: Draw) => {
  const channels = draw.int(1, 3)
  return {
    x: draw.tensor([1, 4, draw.int(3, 5), draw.int(3, 5), channels]),
    filter: draw.tensor([draw.int(1, 2), 2, draw.int(1, 3), channels, draw.int(1, 3)]),
    attrs: { strides: [draw.int(1, 2), 1, 1], pad: draw.pick("valid", "same"), dataFormat: "NDHWC", dilations: 1 }
  }
}

const dilation = (kernel: "Dilation2D" | "Dilation2DBackpropInput" | "Dilation2DBackpropFilter"): KernelCases => {
  return (draw) => {
    const shape = image(draw)
    const attrs = { strides: draw.int(1, 2), pad: draw.pick("valid", "same"), dilations: 1 }
    return {
      inputs: [draw.tensor(shape), draw.tensor([2, draw.int(1, 3), shape[3]])],
      operation: (x, filter) => {
        const out = run("Dilation2D", { x: x!, filter: filter! }, attrs) as tf.Tensor
        return kernel === "Dilation2D" ? out : run(kernel, { x: x!, filter: filter!, dy: tf.mul(out, 0.5) }, attrs)
      },
      noGradient: "none registered"
    }
  }
}

/** A convolution with its bias and activation in one kernel. */
const fused = (draw: Draw, depthwise: boolean, convolve: typeof tf.fused.depthwiseConv2d): KernelCase => {
  const activation = draw.pick(...activations)
  const { dilations, filter, pad, strides, x } = convolution(draw, depthwise)
  const out = depthwise ? filter.shape[2]! * filter.shape[3]! : filter.shape[3]!
  return {
    inputs: [x, filter, draw.tensor([out]), draw.tensor([out])],
    operation: (images, weights, bias, slope) =>
      convolve({
        x: images as tf.Tensor4D,
        filter: weights as tf.Tensor4D,
        strides,
        pad,
        dilations,
        bias: bias!,
        activation,
        ...(activation === "prelu" ? { preluActivationWeights: slope! } : {}),
        leakyreluAlpha: 0.25
      }),
    tolerance: 1e-5,
    gradientTolerance: 1e-4,
    ...(["linear", "relu", "relu6"].includes(activation) && dilations === 1
      ? {}
      : { noGradient: "tfjs-core has none for it" })
  }
}

/** The generators by kernel name. */
export const convolutionCases: Readonly<Record<string, KernelCases>> = {
  FusedConv2D: (draw) => fused(draw, false, tf.fused.conv2d),
  FusedDepthwiseConv2D: (draw) => fused(draw, true, tf.fused.depthwiseConv2d),
  Conv2D: (draw) =>
    convolved(
      draw,
      false,
      ({ dilations, pad, strides }) =>
        (x, filter) =>
          tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad, "NHWC", dilations)
    ),
  Conv2DBackpropFilter: convolutionGradient("Conv2DBackpropFilter", false, true),
  Conv2DBackpropInput: (draw) => {
    const shape = image(draw, 2, 4)
    const [strides, pad] = [draw.int(1, 2), draw.pick("valid", "same")]
    const [size, out] = [draw.int(1, 3), draw.int(1, 4)]
    const extent = (length: number) => (pad === "same" ? length * strides : (length - 1) * strides + size)
    const target: [number, number, number, number] = [shape[0], extent(shape[1]), extent(shape[2]), out]
    return {
      inputs: [draw.tensor(shape), draw.tensor([size, size, out, shape[3]])],
      operation: (x, filter) =>
        tf.conv2dTranspose(x as tf.Tensor4D, filter as tf.Tensor4D, target, strides, pad as "valid" | "same"),
      tolerance: 1e-5,
      gradientTolerance: 1e-4
    }
  },
  DepthwiseConv2dNative: (draw) =>
    convolved(
      draw,
      true,
      ({ dilations, pad, strides }) =>
        (x, filter) =>
          tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad, "NHWC", dilations)
    ),
  DepthwiseConv2dNativeBackpropFilter: convolutionGradient("DepthwiseConv2dNativeBackpropFilter", true, true),
  DepthwiseConv2dNativeBackpropInput: convolutionGradient("DepthwiseConv2dNativeBackpropInput", true, false),
  Conv3D: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => run("Conv3D", { x: a!, filter: b! }, attrs),
      tolerance: 1e-5,
      noGradient: "none registered"
    }
  },
  Conv3DBackpropFilterV2: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => {
        const dy = run("Conv3D", { x: a!, filter: b! }, attrs) as tf.Tensor
        return run("Conv3DBackpropFilterV2", { x: a!, dy }, { ...attrs, filterShape: filter.shape })
      },
      tolerance: 1e-4,
      noGradient: "a gradient kernel"
    }
  },
  Conv3DBackpropInputV2: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => {
        const dy = run("Conv3D", { x: a!, filter: b! }, attrs) as tf.Tensor
        return run("Conv3DBackpropInputV2", { dy, filter: b! }, { ...attrs, inputShape: x.shape })
      },
      tolerance: 1e-4,
      noGradient: "a gradient kernel"
    }
  },
  Dilation2D: dilation("Dilation2D"),
  Dilation2DBackpropFilter: dilation("Dilation2DBackpropFilter"),
  Dilation2DBackpropInput: dilation("Dilation2DBackpropInput"),
  FusedBatchNorm: (draw) => {
    const shape = draw.shape(2, 4, false)
    const last = draw.bool() ? shape.slice(-1) : shape
    return {
      inputs: [
        draw.tensor(shape),
        draw.tensor(last),
        draw.tensor(last, "float32", 0.3, 3),
        draw.tensor(last),
        draw.tensor(last)
      ],
      operation: (x, mean, variance, offset, scale) =>
        run(
          "FusedBatchNorm",
          { x: x!, mean: mean!, variance: variance!, offset: offset!, scale: scale! },
          {
            varianceEpsilon: 1e-3
          }
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  LRN: (draw) => ({
    inputs: [draw.tensor(image(draw))],
    operation: (x) => tf.localResponseNormalization(x as tf.Tensor4D, 2, 1, 0.5, 0.5),
    tolerance: 1e-6,
    noGradient: "none registered"
  }),
  LRNGrad: (draw) => {
    const shape = image(draw)
    const attrs = { depthRadius: 2, bias: 1, alpha: 0.5, beta: 0.5 }
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (x, dy) => run("LRNGrad", { x: x!, y: run("LRN", { x: x! }, attrs) as tf.Tensor, dy: dy! }, attrs),
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  }
}
