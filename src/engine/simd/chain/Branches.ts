/** Chains side by side: shared by training and evaluation. */
import type * as tf from "@tensorflow/tfjs-core"
import type { ConvBranchesOptions } from "../../ConvChain.ts"
import type { Branch } from "./Plan.ts"
import { type Channels, channelsFrom } from "./Planes.ts"

/** Only a single chain can have a residual. */
export interface BranchesOptions extends ConvBranchesOptions {
  readonly residual?: boolean
}

/** The name of a parameter's gradient. */
export const parameterName = (name: string, branch: number, stage: number): string => `${name}.${branch}.${stage}`

/**
 * The tensors of the branches, in the order in which tfjs requests their gradients: from the last branch and stage to the
 * first, x at the end. So a stage's tensors are used while they are in cache, and freed as soon as the pass has left it.
 */
export const namedInputs = (x: tf.Tensor4D, branches: ReadonlyArray<Branch>): tf.NamedTensorMap => {
  const inputs: tf.NamedTensorMap = {}
  for (let b = branches.length - 1; b >= 0; b--) {
    const { params } = branches[b]!
    for (let index = params.length - 1; index >= 0; index--) {
      const stage = params[index]!
      for (const name of ["weight", "bias", "gamma", "beta", "slope"] as const) {
        const tensor = stage[name]
        if (tensor !== undefined) inputs[parameterName(name, b, index)] = tensor
      }
    }
  }
  inputs["x"] = x
  return inputs
}

/** The channels of the output that a branch writes: contiguous, or (`shuffled`) interleaved. */
export const outputOf = (
  out: Channels,
  branches: ReadonlyArray<Branch>,
  index: number,
  shuffled: boolean
): Channels => {
  if (shuffled) return channelsFrom(out, index, branches.length)
  const before = branches.slice(0, index).reduce((sum, branch) => sum + branch.channels, 0)
  return channelsFrom(out, before)
}
