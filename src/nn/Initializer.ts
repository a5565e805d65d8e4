/** How parameters start. Every value is drawn from the parameter's own key. */
import { fill, ones, type Tensor, zeros } from "@tensorflow/tfjs-core"
import * as RandomOps from "../engine/RandomOps.ts"
import type * as Key from "../random/Key.ts"
import type { ParameterSpec } from "./Parameter.ts"

/** A distribution of a weight. Fans as in {@link ParameterSpec}. */
export type WeightScheme =
  /** Normal, standard deviation sqrt(2 / fanOut), where grouped convolutions count all output channels. */
  | { readonly _tag: "NormalFanOut" }
  /** Normal with the given standard deviation. */
  | { readonly _tag: "Normal"; readonly deviation: number }
  /** He et al. 2015, section 2.2: standard deviation sqrt(2 / fan). */
  | { readonly _tag: "Kaiming"; readonly fan: "in" | "out"; readonly distribution: "normal" | "uniform" }
  /** Glorot and Bengio 2010, section 4.2: standard deviation sqrt(2 / (fanIn + fanOut)). */
  | { readonly _tag: "Xavier"; readonly distribution: "normal" | "uniform" }

/** How convolutions and linear layers start; biases are 0, normalisations 1 and 0, PReLU slopes 0.25. */
export interface Scheme {
  readonly convolution: WeightScheme
  readonly linear: WeightScheme
}

/** The scheme of MobileNetV2 and its descendants. */
export const standard: Scheme = {
  convolution: { _tag: "NormalFanOut" },
  linear: { _tag: "Normal", deviation: 0.01 }
}

/** Kaiming's for both, by fan-in. */
export const kaiming: Scheme = {
  convolution: { _tag: "Kaiming", fan: "in", distribution: "normal" },
  linear: { _tag: "Kaiming", fan: "in", distribution: "normal" }
}

/** Xavier's for both. */
export const xavier: Scheme = {
  convolution: { _tag: "Xavier", distribution: "uniform" },
  linear: { _tag: "Xavier", distribution: "uniform" }
}

const deviationOf = (scheme: WeightScheme, spec: ParameterSpec): number => {
  switch (scheme._tag) {
    case "NormalFanOut":
      return Math.sqrt(2 / spec.fanOut)
    case "Normal":
      return scheme.deviation
    case "Kaiming":
      return Math.sqrt(2 / (scheme.fan === "in" ? spec.fanIn : spec.fanOut))
    case "Xavier":
      return Math.sqrt(2 / (spec.fanIn + spec.fanOut))
  }
}

const isUniform = (scheme: WeightScheme): boolean =>
  (scheme._tag === "Kaiming" || scheme._tag === "Xavier") && scheme.distribution === "uniform"

const weights = (scheme: WeightScheme, spec: ParameterSpec, key: Key.Key): Tensor => {
  const deviation = deviationOf(scheme, spec)
  // A uniform distribution on [-a, a] has the standard deviation a / sqrt(3).
  return isUniform(scheme)
    ? RandomOps.uniforms(key, spec.shape, deviation * Math.sqrt(3))
    : RandomOps.normals(key, spec.shape, deviation)
}

/**
 * The starting values of a parameter, on the current engine. The same bits on every engine.
 *
 * **Example** (A batch-norm scale starts at one)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Key from "../random/Key.ts"
 * import * as Initializer from "./Initializer.ts"
 * const spec = { name: "n.gamma", shape: [2], kind: "normScale", trainable: true, fanIn: 2, fanOut: 2 } as const
 * Array.from(Initializer.start(spec, Key.make(1), Initializer.standard).dataSync()) // => [1, 1]
 * ```
 */
export const start = (spec: ParameterSpec, key: Key.Key, scheme: Scheme): Tensor => {
  const shape = [...spec.shape]
  switch (spec.kind) {
    case "convolution":
    case "depthwise":
      return weights(scheme.convolution, spec, key)
    case "linear":
      return weights(scheme.linear, spec, key)
    case "normScale":
    case "normVariance":
      return ones(shape)
    case "slope":
      return fill(shape, 0.25)
    case "bias":
    case "normShift":
    case "normMean":
      return zeros(shape)
  }
}
