/** Normalisations of a chain: batch statistics, and the gradients of the vectors of channels. */
import type * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { JOIN_CHANNELS } from "../Kinds.ts"
import type { Runtime } from "../Runtime.ts"
import { INVERSE, MEAN, SCALE, SHIFT, type StoredStage, vectorAt } from "./Operands.ts"
import { outPixels } from "./Plan.ts"
import { ceil } from "./Planes.ts"

/** The tensor, or an error that names the missing one. */
export const required = (tensor: tf.Tensor | undefined, name: string, index: number): tf.Tensor => {
  if (tensor === undefined) throw new Error(`stage ${index} of a convolution chain lacks its ${name}`)
  return tensor
}

/** Copies a vector of channels, padded with zeros to a multiple of four. */
export const fillVector = (backend: SimdBackend, to: number, tensor: tf.Tensor): void =>
  kernels.padVector(backend.runtime, 1, { from: backend.address(tensor), to, length: tensor.size })

/** The parameters and results of a stage's batch statistics; addresses. */
export interface StatisticsTensors {
  readonly gamma: number
  readonly beta: number
  readonly mean: number
  readonly variance: number
}

/** Joins the partial statistics of a stage, and keeps the vectors that its consumers need. */
export const joinStatistics = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  partial: { readonly sums: number; readonly counts: number; readonly parts: number },
  tensors: StatisticsTensors,
  epsilon: number
): void => {
  const { stage } = plan
  kernels.joinStatistics(runtime, ceil(stage.outChannels, JOIN_CHANNELS), {
    partial: partial.sums,
    counts: partial.counts,
    parts: partial.parts,
    channels: stage.outChannels,
    gamma: tensors.gamma,
    beta: tensors.beta,
    mean: tensors.mean,
    variance: tensors.variance,
    scale: vectorAt(stored, stage, SCALE),
    shift: vectorAt(stored, stage, SHIFT),
    inverse: vectorAt(stored, stage, INVERSE),
    storedMean: vectorAt(stored, stage, MEAN),
    epsilon
  })
}

/** Destinations of the gradients of a stage's vectors; addresses. */
export interface VectorGradients {
  readonly dbeta: number
  readonly dgamma: number
  readonly dslope: number | undefined
  /** The vectors of dy = k1 dz + k2 y + k3. */
  readonly k: number
}

/** Joins the partial sums of the backward pass of a stage. */
export const joinGradients = (
  runtime: Runtime,
  { plan, stored }: StoredStage,
  partial: number,
  parts: number,
  gamma: number,
  gradients: VectorGradients
): void => {
  const { stage } = plan
  kernels.joinGradients(runtime, ceil(stage.outChannels, JOIN_CHANNELS), {
    partial,
    parts,
    channels: stage.outChannels,
    positions: plan.batch * outPixels(plan),
    normalised: stage.norm,
    slopes: stage.activation === "prelu",
    gamma,
    mean: vectorAt(stored, stage, MEAN),
    inverse: vectorAt(stored, stage, INVERSE),
    dbeta: gradients.dbeta,
    dgamma: gradients.dgamma,
    dslope: gradients.dslope,
    k: gradients.k
  })
}
