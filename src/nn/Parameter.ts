/** Specifications of a network's tensors: names, shapes and roles. */

/** The role of a parameter in its layer; it decides the initial values. */
export type ParameterKind =
  | "convolution"
  | "depthwise"
  | "linear"
  | "bias"
  | "normScale"
  | "normShift"
  | "slope"
  | "normMean"
  | "normVariance"

/** The specification of one tensor of a network. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly kind: ParameterKind
  /** Trained by gradient; otherwise a running statistic. */
  readonly trainable: boolean
  /** Inputs of one output: kernel area times input channels of a group. */
  readonly fanIn: number
  /** Kernel area times output channels. */
  readonly fanOut: number
}

/**
 * A parameter of one value per channel.
 *
 * **Example** (A running mean is not trained)
 *
 * ```ts
 * import { vectorSpec } from "./Parameter.ts"
 *
 * vectorSpec("first.0.conv.bias", 16, "bias").trainable // => true
 * vectorSpec("first.0.conv.norm.mean", 16, "normMean").trainable // => false
 * ```
 */
export const vectorSpec = (name: string, size: number, kind: ParameterKind): ParameterSpec => ({
  name,
  shape: [size],
  kind,
  trainable: kind !== "normMean" && kind !== "normVariance",
  fanIn: size,
  fanOut: size
})

/**
 * A parameter that maps `from` features to `to`.
 *
 * **Example** (A linear layer's weight)
 *
 * ```ts
 * import { matrixSpec } from "./Parameter.ts"
 *
 * matrixSpec("last.2.linear.weight", 96, 10, "linear").shape // => [96, 10]
 * ```
 */
export const matrixSpec = (name: string, from: number, to: number, kind: ParameterKind): ParameterSpec => ({
  name,
  shape: [from, to],
  kind,
  trainable: true,
  fanIn: from,
  fanOut: to
})
