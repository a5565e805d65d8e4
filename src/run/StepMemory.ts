/**
 * Estimates the memory of a training step before anything is computed: the activations of the largest path, which the
 * backward pass needs, the parameters, and the slots of the optimizer.
 *
 * **Details**: the measured peak of the embedded engine is 0.8 to 1.25 times the estimate, on the largest path of every
 * shipped space (images of 28 to 112 pixels, batches of 4 to 128). Strided convolutions are counted at the size of their
 * input. Temporary copies are not counted, except those of unified blocks, which split and join their sub-blocks.
 */
import { type ImageShape, sizeOf } from "../engine/Shape.ts"
import { activationsOf } from "../nn/Operation.ts"
import { type Block, compile } from "../search-space/blocks/Block.ts"
import * as Mixture from "../search-space/Mixture.ts"
import { outputShape, parameterSpecs } from "../search-space/Network.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** The largest error of the estimate, as a fraction of it. */
export const uncertainty = 0.3

/** A mixture keeps at most this many bytes of activations, and computes the rest again in the backward pass. */
const mostMixtureBytes = 2 ** 30

/** Floats of an option's output for one image; twice for a unified block, because it copies its sub-blocks. */
const optionFloats = (block: Block, input: ImageShape): number =>
  activationsOf(compile("", block), input) * (block._tag === "Unified" ? 2 : 1)

/** Floats of activations of the largest path for one image: of the whole path, and of its largest block. */
const activations = (space: SearchSpaceShape): { readonly path: number; readonly block: number } => {
  let shape = space.interface.input
  let [path, block] = [0, 0]
  const add = (floats: number): void => {
    path += floats
    block = Math.max(block, floats)
  }
  for (const fixed of space.first) {
    add(activationsOf(compile(fixed.name, fixed.block), shape))
    shape = outputShape(fixed.block, shape)
  }
  for (const layer of space.layers) {
    const input = shape
    add(Math.max(...layer.options.map((option) => optionFloats(option.block.block, input))))
    shape = outputShape(layer.options[0]!.block.block, shape)
  }
  for (const fixed of space.last) {
    add(activationsOf(compile(fixed.name, fixed.block), shape))
    shape = outputShape(fixed.block, shape)
  }
  return { path, block }
}

/** Bytes of a network's parameters and running statistics. */
const parameterBytes = (network: Parameters<typeof parameterSpecs>[0]): number =>
  4 * parameterSpecs(network).reduce((sum, { shape }) => sum + sizeOf(shape), 0)

/** The settings of a step that decide its memory. */
export interface StepOptions {
  /** Images computed at once: the batch size divided by the number of accumulated parts. */
  readonly images: number
  /** Optimizer slots per parameter: 1 for momentum, 2 for Adam. */
  readonly slots: number
  /** Whether the step trains a mixture of all options instead of paths. */
  readonly mixture: boolean
}

/**
 * Estimated peak, in bytes, of the tensors of a training step of the supernet.
 *
 * **Example** (Twice the images, almost twice the memory)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as StepMemory from "./StepMemory.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const bytes = (images: number) => StepMemory.ofStep(space, { images, slots: 1, mixture: false })
 * Math.round((bytes(128) - bytes(64)) / 2 ** 20) // => 44
 * StepMemory.checkpointBytes(space, 1) > 2 * 2 ** 20 // => true
 * StepMemory.uncertainty < 1 // => true
 * ```
 */
export const ofStep = (space: SearchSpaceShape, { images, mixture, slots }: StepOptions): number => {
  const { block, path } = activations(space)
  const one = 4 * images * path
  const kept = mixture
    ? Math.max(one, Math.min(Mixture.mixtureBytes(space, images), mostMixtureBytes + 4 * images * block))
    : one
  return kept + parameterBytes(space.supernet) * (1 + slots)
}

/** Bytes of a checkpoint of supernet training. */
export const checkpointBytes = (space: SearchSpaceShape, slots: number): number =>
  parameterBytes(space.supernet) * (1 + slots)
