/** Numbers from a name alone, by the rule that made the reference values of the tests. */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../src/engine/Shape.ts"
import type { Variables } from "../../src/nn/ParameterTree.ts"
import { type Network, parameterSpecs } from "../../src/search-space/Network.ts"

/** `size` numbers between `low` and `high`. */
export const fill = (name: string, size: number, low = -0.5, high = 0.5): Float32Array => {
  let state = 0
  for (const character of name) state = (state * 31 + character.charCodeAt(0)) % 65521
  return Float32Array.from({ length: size }, () => {
    state = (state * 4093 + 12345) % 65521
    return low + ((high - low) * state) / 65521
  })
}

/** Variables of a network, every tensor filled by its name; scales and variances between 0.5 and 1.5. */
export const filled = (network: Network): Variables => {
  const params: Record<string, tf.Tensor> = {}
  const stats: Record<string, tf.Tensor> = {}
  for (const { kind, name, shape, trainable } of parameterSpecs(network)) {
    const size = sizeOf(shape)
    const positive = kind === "normScale" || kind === "normVariance"
    const tensor = tf.tensor(positive ? fill(name, size, 0.5, 1.5) : fill(name, size), [...shape])
    if (trainable) params[name] = tensor
    else stats[name] = tensor
  }
  return { params, stats }
}
