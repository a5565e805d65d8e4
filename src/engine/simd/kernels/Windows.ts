/** Kernels that slide a window over an image: pooling and convolution. */
import * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import { type PlainConvolution, plainConvolution } from "../Chain.ts"
import { pool, poolGradient } from "../Operations.ts"
import { type Attributes, type Info, isFloat, register } from "./Registration.ts"

const geometryOf = (x: Info, attributes: Attributes): tf.backend_util.Conv2DInfo => {
  const { dimRoundingMode, filterSize, pad, strides } = attributes as {
    dimRoundingMode?: "floor" | "round" | "ceil"
    filterSize: [number, number] | number
    pad: "valid" | "same" | number
    strides: [number, number] | number
  }
  const shape = x.shape as [number, number, number, number]
  return tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode)
}
for (const [name, kind] of [
  ["AvgPool", "avg"],
  ["MaxPool", "max"]
] as const) {
  register(name, ({ x }, attributes, backend) =>
    isFloat(x!) ? pool(backend, x!, kind, geometryOf(x!, attributes)) : undefined
  )
  register(`${name}Grad`, ({ dy, input }, attributes, backend) =>
    isFloat(dy!) && isFloat(input!)
      ? poolGradient(backend, dy!, input!, kind, geometryOf(input!, attributes))
      : undefined
  )
}

/** A single convolution, computed with the kernels of a chain; undefined if the fallback has to compute it. */
const convolutionOf = (
  x: ReadonlyArray<number>,
  filter: ReadonlyArray<number>,
  attributes: Attributes,
  depthwise: boolean,
  backend: SimdBackend
): PlainConvolution | undefined => {
  const { dataFormat, dilations, dimRoundingMode, pad, strides } = attributes as {
    dataFormat?: "NHWC" | "NCHW"
    dilations?: [number, number] | number
    dimRoundingMode?: "floor" | "round" | "ceil"
    pad: "valid" | "same" | number
    strides: [number, number] | number
  }
  // The filter of a grouped convolution has fewer channels; the fallback computes it.
  if ((dataFormat ?? "NHWC") !== "NHWC" || filter[2] !== x[3] || (depthwise && filter[3] !== 1)) return undefined
  const info = tf.backend_util.computeConv2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number, number],
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    depthwise
  )
  return plainConvolution(backend, info, depthwise)
}
for (const [depthwise, forward, backward] of [
  [false, "Conv2D", "Conv2DBackprop"],
  [true, "DepthwiseConv2dNative", "DepthwiseConv2dNativeBackprop"]
] as const) {
  register(forward, ({ filter, x }, attributes, backend) =>
    isFloat(x!) && isFloat(filter!)
      ? convolutionOf(x!.shape, filter!.shape, attributes, depthwise, backend)?.forward(x!, filter!)
      : undefined
  )
  register(`${backward}Input`, ({ dy, filter }, attributes, backend) =>
    isFloat(dy!) && isFloat(filter!)
      ? convolutionOf(
          attributes["inputShape"] as Array<number>,
          filter!.shape,
          attributes,
          depthwise,
          backend
        )?.inputGradient(dy!, filter!)
      : undefined
  )
  register(`${backward}Filter`, ({ dy, x }, attributes, backend) =>
    isFloat(dy!) && isFloat(x!)
      ? convolutionOf(
          x!.shape,
          attributes["filterShape"] as Array<number>,
          attributes,
          depthwise,
          backend
        )?.weightGradient(x!, dy!)
      : undefined
  )
}
