/**
 * Initial values of parameters, as in MobileNetV2 and its successors. Convolutions are normal with standard deviation
 * sqrt(2 / fanOut), where grouped convolutions count all output channels; linear weights normal with 0.01; biases 0,
 * normalisations 1 and 0, PReLU slopes 0.25. Every value is drawn from the parameter's own key.
 */
import { fill, ones, type Tensor, zeros } from "@tensorflow/tfjs-core"
import * as RandomOps from "../engine/RandomOps.ts"
import type * as Key from "../random/Key.ts"
import type { ParameterSpec } from "./Parameter.ts"

/**
 * The starting values of a parameter, on the current engine. The same bits on every engine.
 *
 * **Example** (A batch-norm scale starts at one)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Key from "../random/Key.ts"
 * import * as Initializer from "./Initializer.ts"
 * const spec = { name: "n.gamma", shape: [2], kind: "normScale", trainable: true, fanIn: 2, fanOut: 2 } as const
 * Array.from(Initializer.start(spec, Key.make(1)).dataSync()) // => [1, 1]
 * ```
 */
export const start = (spec: ParameterSpec, key: Key.Key): Tensor => {
  const shape = [...spec.shape]
  switch (spec.kind) {
    case "convolution":
    case "depthwise":
      return RandomOps.normals(key, spec.shape, Math.sqrt(2 / spec.fanOut))
    case "linear":
      return RandomOps.normals(key, spec.shape, 0.01)
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
