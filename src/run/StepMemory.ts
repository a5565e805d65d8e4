/**
 * How much memory the tensors of a training step take, estimated before anything is computed: what the forward pass of
 * the largest path keeps for the backward pass, and the parameters with what the optimiser remembers of them.
 *
 * **Details**: measured against the embedded engine's peak, on the largest path of every shipped space (images of 28 to 112
 * pixels, batches of 4 to 128), the peak is 0.8 to 1.25 times the estimate: strided convolutions are counted at their
 * input's size, and temporary copies are not counted but for those of unified blocks, whose sub-blocks are taken apart and
 * joined again.
 */
import { type ImageShape, sizeOf } from "../engine/Shape.ts"
import { activationsOf } from "../nn/Operation.ts"
import { type Block, compile } from "../search-space/blocks/Block.ts"
import * as Mixture from "../search-space/Mixture.ts"
import { outputShape, parameterSpecs } from "../search-space/Network.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** How far the estimate may be off, as a fraction of it. */
export const uncertainty = 0.3

/** A mixture keeps its activations up to so many bytes; beyond that it computes them again in the backward pass. */
const mostMixtureBytes = 2 ** 30

/** Floats that an option puts out for one image; those of a unified block twice, for the copies of its sub-blocks. */
const optionFloats = (block: Block, input: ImageShape): number =>
  activationsOf(compile("", block), input) * (block._tag === "Unified" ? 2 : 1)

/** Floats that the layers of the largest path put out for one image: of the whole path, and of its largest block. */
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

/** What a step is made of. */
export interface StepOptions {
  /** Images that are computed at once: the batch, divided by the parts of gradient accumulation. */
  readonly images: number
  /** Values that the optimiser remembers of every parameter: 1 for momentum, 2 for Adam. */
  readonly slots: number
  /** Whether all options are mixed, instead of one path being trained. */
  readonly mixture: boolean
}

/**
 * Bytes of the tensors of a training step of a space's supernet, at most.
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

/** Bytes of a checkpoint of the supernet's training. */
export const checkpointBytes = (space: SearchSpaceShape, slots: number): number =>
  parameterBytes(space.supernet) * (1 + slots)
