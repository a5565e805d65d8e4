import * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import { Branches } from "../../nn/operations/Branches.ts"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { define, type Partially, type Placement } from "./BlockKind.ts"
import {
  activation,
  expansion,
  flag,
  hiddenWidth,
  invertedResidualPlace,
  keepsShape,
  misplacedInvertedResidual,
  oddKernel,
  one,
  residualIf,
  squeezeExcite,
  stage
} from "./Parts.ts"

/**
 * The inverted residual with several depthwise kernels, each on its share of the hidden channels (MixConv: Tan and Le
 * 2019, section 3).
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Mixed, MixedSpec, mixed } from "./Mixed.ts"
 *
 * const spec = mixed({ kernels: [3, 5], expansion: 6 })
 * Schema.decodeUnknownSync(MixedSpec)({ _tag: "Mixed", kernels: [3, 5], expansion: 6 }) // => spec
 * Mixed.label(spec) // => "k3+5 e6"
 * ```
 */
export const MixedSpec = Schema.TaggedStruct("Mixed", {
  kernels: Schema.Array(oddKernel("Side of a kernel, odd")).check(Schema.isMinLength(1)).annotate({
    description: "Sides of the depthwise kernels, odd; the last one also has the channels that do not divide evenly"
  }),
  expansion,
  activation,
  squeezeExcite: flag(false, "Squeeze-and-excitation after the depthwise convolutions"),
  pointGroups: one("Groups of the two pointwise convolutions")
}).annotate({
  description:
    "The inverted residual with several depthwise kernels, each on its share of the hidden channels (MixConv: Tan and Le 2019, section 3)"
})

const defaults = { _tag: "Mixed", activation: "relu6", squeezeExcite: false, pointGroups: 1 } as const

/**
 * An inverted residual with mixed kernels.
 *
 * **Example** (Two kernels)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mixed({ kernels: [3, 5], expansion: 6 })) // => "k3+5 e6"
 * ```
 */
export const mixed = (settings: Partially<typeof MixedSpec.Type, "kernels" | "expansion">): typeof MixedSpec.Type => ({
  ...defaults,
  ...settings
})

/** The range of hidden channels of kernel `index`: the first, and the one after the last. */
const shareOf = (block: typeof MixedSpec.Type & Placement, index: number) => {
  const hidden = hiddenWidth(block)
  const share = Math.floor(hidden / block.kernels.length)
  const from = index * share
  return { from, to: index === block.kernels.length - 1 ? hidden : from + share }
}

const compile = (name: string, block: typeof MixedSpec.Type & Placement): ReadonlyArray<Operation> => {
  const hidden = hiddenWidth(block)
  const { activation, inChannels, outChannels, pointGroups: groups, stride } = block
  const expand = chain([namedStage(`${name}.expand`, stage(inChannels, hidden, { groups, activation }))])
  const branches = block.kernels.map((kernel, i) => {
    const { from, to } = shareOf(block, i)
    const settings = { kernel, stride, groups: to - from, activation }
    return { from, to, operations: [chain([namedStage(`${name}.mixed.${i}`, stage(to - from, to - from, settings))])] }
  })
  return residualIf(keepsShape(block), [
    ...(block.expansion === 1 ? [] : [expand]),
    Branches.make({ branches }),
    ...(block.squeezeExcite ? [squeezeExcite(name, hidden)] : []),
    chain([namedStage(`${name}.project`, stage(hidden, outChannels, { groups }))])
  ])
}

/** The kind of inverted residuals with mixed kernels. */
export const Mixed = define({
  schema: MixedSpec,
  written: { call: "mixed", defaults },
  examples: [{ block: { _tag: "Mixed", kernels: [3, 5, 7], expansion: 6 } }],
  label: ({ expansion, kernels, squeezeExcite }) => `k${kernels.join("+")} e${expansion}${squeezeExcite ? " se" : ""}`,
  misplaced: (block) => misplacedInvertedResidual(block, block.kernels.length),
  compile,
  torch: (block, part) => {
    if (!part.startsWith("mixed.")) return invertedResidualPlace(part)
    const index = Number(part.slice("mixed.".length))
    const { from: begin, to: end } = shareOf(block, index)
    return {
      conv: `mixconv.${index}`,
      norm: "bn_act.bn",
      slope: "bn_act.prelu",
      vectorSlice: { axis: 0, begin, end }
    }
  }
})
