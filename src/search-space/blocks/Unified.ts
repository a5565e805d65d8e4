import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import { Branches } from "../../nn/operations/Branches.ts"
import { type Chain, chain } from "../../nn/operations/Chain.ts"
import { TimesZero } from "../../nn/operations/TimesZero.ts"
import { define, type LayerMix, type Partially, type Placement, type TorchForm, type TorchPlace } from "./BlockKind.ts"
import { activation, convBnAct, flag, joinChains, keepsShape, oddKernelOrNone, residualIf, stage } from "./Parts.ts"

/**
 * The unified block of SGNAS (Huang and Chu 2021, section 3.3): `slots` sub-blocks, each with the width of the input. A
 * sub-block is a depthwise convolution, or omitted (0); there is one batch normalisation for each number of omitted slots.
 * Parameters are named by slot, so that a layer with fewer sub-blocks shares those of the full one.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Unified, UnifiedSpec, unified } from "./Unified.ts"
 *
 * Schema.decodeUnknownSync(UnifiedSpec)({ _tag: "Unified", slots: [3, 0] }) // => unified({ slots: [3, 0] })
 * Unified.label(unified({ slots: [3, 0] })) // => "k3 -"
 * ```
 */
export const UnifiedSpec = Schema.TaggedStruct("Unified", {
  slots: Schema.Array(oddKernelOrNone)
    .check(Schema.isMinLength(1))
    .annotate({ description: "Sides of the sub-blocks' depthwise kernels, odd; 0 omits one" }),
  activation,
  published: flag(false, "Compute omitted slots, too, and multiply them by zero, as the published supernet does")
}).annotate({
  description:
    "The unified block of SGNAS (Huang and Chu 2021, section 3.3): parallel sub-blocks with the width of the input, each a depthwise convolution or omitted"
})
type Unified = typeof UnifiedSpec.Type & Placement

const defaults = { _tag: "Unified", activation: "relu6", published: false } as const

/**
 * A unified block.
 *
 * **Example** (Three of four sub-blocks)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.unified({ slots: [3, 3, 7, 0] })) // => "k3 k3 k7 -"
 * ```
 */
export const unified = (settings: Partially<typeof UnifiedSpec.Type, "slots">): typeof UnifiedSpec.Type => ({
  ...defaults,
  ...settings
})

const emptySlots = ({ slots }: typeof UnifiedSpec.Type): number => slots.filter((kernel) => kernel === 0).length

// ---------------------------------------------------------------------------------------------------------------------
// Operations

/** The expansion of a unified block for some of its slots: a 1x1 convolution whose outputs belong to the slots. */
const expandOf = (name: string, block: Unified, slots: ReadonlyArray<number>): Chain => {
  const parts = slots.map((slot) => `${name}.expand.${slot}`)
  const width = block.inChannels
  return chain([
    {
      stage: stage(width, width * slots.length, { activation: block.activation }),
      weight: parts.map((part) => `${part}.weight`),
      weightAxis: 3,
      bias: "",
      norm: parts.map((part) => `${part}.norm`),
      slope: parts.map((part) => `${part}.slope`),
      fanOutChannels: width * block.slots.length
    }
  ])
}

/** The depthwise convolutions of one kernel for some slots of a unified block, side by side. */
const depthwiseOf = (name: string, block: Unified, slots: ReadonlyArray<number>, kernel: number): Chain => {
  const parts = slots.map((slot) => `${name}.slot.${slot}.k${kernel}`)
  const channels = block.inChannels * slots.length
  const { activation, stride } = block
  return chain([
    {
      stage: stage(channels, channels, { kernel, stride, groups: channels, activation }),
      weight: parts.map((part) => `${part}.weight`),
      weightAxis: 2,
      bias: "",
      norm: parts.map((part) => `${part}.norm`),
      slope: parts.map((part) => `${part}.slope`),
      fanOutChannels: block.inChannels
    }
  ])
}

/** The projection of some slots of a unified block, with the batch normalisation for `empty` omitted slots. */
const projectOf = (name: string, block: Unified, slots: ReadonlyArray<number>, empty: number): Chain =>
  chain([
    {
      stage: stage(block.inChannels * slots.length, block.outChannels),
      weight: slots.map((slot) => `${name}.project.${slot}.weight`),
      weightAxis: 2,
      bias: "",
      norm: [`${name}.project.norm.${empty}`],
      slope: [],
      fanOutChannels: block.outChannels
    }
  ])

/** One run of neighbouring slots with the same kernel. */
interface SlotRun {
  readonly kernel: number
  readonly slots: ReadonlyArray<number>
}

const slotRuns = (block: Unified, slots: ReadonlyArray<number>): ReadonlyArray<SlotRun> => {
  const runs: Array<{ kernel: number; slots: Array<number> }> = []
  for (const slot of slots) {
    const kernel = block.slots[slot] as number
    const last = runs.at(-1)
    if (last !== undefined && last.kernel === kernel) last.slots.push(slot)
    else runs.push({ kernel, slots: [slot] })
  }
  return runs
}

const compile = (name: string, block: Unified): ReadonlyArray<Operation> => {
  const kept = block.slots.flatMap((kernel, slot) => (kernel === 0 && !block.published ? [] : [slot]))
  let from = 0
  const branches = slotRuns(block, kept).map(({ kernel, slots }) => {
    const operation = kernel === 0 ? TimesZero.make({ stride: block.stride }) : depthwiseOf(name, block, slots, kernel)
    const branch = { from, to: from + block.inChannels * slots.length, operations: [operation] }
    from = branch.to
    return branch
  })
  const only = branches.length === 1 ? branches[0] : undefined
  const operations: ReadonlyArray<Operation> = [
    // As in the decoded network, a single sub-block takes the input itself.
    ...(kept.length > 1 ? [expandOf(name, block, kept)] : []),
    ...(only === undefined ? [Branches.make({ branches })] : only.operations),
    projectOf(name, block, kept, emptySlots(block))
  ]
  return residualIf(keepsShape(block), joinChains(operations))
}

// ---------------------------------------------------------------------------------------------------------------------
// Mixtures

/** For every option, slot and kernel: whether the option has that kernel in that slot. */
const membership = (options: ReadonlyArray<Unified>, slots: number, kernels: ReadonlyArray<number>) =>
  options.flatMap(({ slots: held }) =>
    Array.from({ length: slots }, (_, slot) => kernels.map((kernel): number => (held[slot] === kernel ? 1 : 0))).flat()
  )

/**
 * Every slot is a mixture of its kernels by their marginal weights; the batch normalisation is that of the expected number of
 * empty slots, rounded.
 */
const mix = ({ name, numbers, options, run, weights, x }: LayerMix<typeof UnifiedSpec.Type>): Tensor => {
  const block = options[0] as Unified
  const slots = block.slots.map((_, slot) => slot)
  const offered = options.flatMap((option) => option.slots)
  const kernels = [...new Set(offered)].filter((kernel) => kernel !== 0).sort((a, b) => a - b)
  const matrix = tf.tensor2d(membership(options, slots.length, kernels), [
    options.length,
    slots.length * kernels.length
  ])
  const marginals = tf.reshape(tf.matMul(tf.reshape(weights, [1, -1]), matrix), [slots.length, kernels.length])
  const total = numbers.reduce((sum, weight) => sum + weight, 0)
  const expected = options.reduce((sum, option, i) => sum + (numbers[i] as number) * emptySlots(option), 0)
  const most = Math.max(...options.map(emptySlots))
  const empty = Math.min(most, Math.max(0, Math.round(total === 0 ? 0 : expected / total)))
  const expanded = run([expandOf(name, block, slots)], x)
  const mixed = kernels.map((kernel, k) => {
    const output = run([depthwiseOf(name, block, slots, kernel)], expanded)
    const bySlot = tf.slice(marginals, [0, k], [-1, 1])
    const byChannel = tf.reshape(tf.tile(bySlot, [1, block.inChannels]), [-1])
    return tf.mul(output, byChannel)
  })
  const projected = run([projectOf(name, block, slots, empty)], tf.addN(mixed))
  return keepsShape(block) ? tf.add(projected, x) : projected
}

// ---------------------------------------------------------------------------------------------------------------------
// PyTorch's names

/** The digit of a kernel in the published list of SGNAS. */
const digits = [3, 5, 7, 0]

const torch = (block: Unified, part: string, form: TorchForm): TorchPlace => {
  const width = block.inChannels
  const kept = block.slots.flatMap((kernel, slot) => (kernel === 0 ? [] : [slot]))
  const positionOf = (slot: number) => (form === "supernet" ? slot : kept.indexOf(slot))
  const sliceOf = (slot: number, axis: 0 | 1) => {
    const begin = positionOf(slot) * width
    return { axis, begin, end: begin + width }
  }
  const [kind, second, third] = part.split(".")
  const slot = Number(second)
  if (kind === "expand") {
    const slice = sliceOf(slot, 0)
    return { ...convBnAct("point_wise"), weightSlice: slice, vectorSlice: slice }
  }
  if (kind === "slot") {
    if (form === "supernet") {
      const digit = digits.indexOf(Number((third ?? "").slice(1)))
      return convBnAct(`unified_block.${slot}.supernet_layer.${digit}`)
    }
    return {
      conv: `mixconv.${positionOf(slot)}`,
      norm: "bn_act.bn",
      slope: "bn_act.prelu",
      vectorSlice: sliceOf(slot, 0)
    }
  }
  if (second === "norm") {
    return { ...convBnAct("point_wise_1"), norm: form === "supernet" ? `sbn.${third}` : "point_wise_1.bn" }
  }
  return { ...convBnAct("point_wise_1"), weightSlice: sliceOf(slot, 1) }
}

/** The kind of unified blocks. */
export const Unified = define({
  schema: UnifiedSpec,
  written: { call: "unified", defaults },
  examples: [{ block: { _tag: "Unified", slots: [3, 5, 7, 0] } }],
  label: ({ slots }) => slots.map((kernel) => (kernel === 0 ? "-" : `k${kernel}`)).join(" "),
  misplaced: ({ slots }) => (slots.some((kernel) => kernel > 0) ? undefined : "all its sub-blocks are left out"),
  compile,
  torch,
  mix
})
