import * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import { chain, type NamedStage, namedStage } from "../../nn/operations/Chain.ts"
import { ChannelShuffle } from "../../nn/operations/ChannelShuffle.ts"
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
 * The inverted residual of MobileNetV2 (Sandler et al. 2018, section 3.3): expand, depthwise, project, and add the
 * input if width and size are the same. An expansion of 1 has no expanding convolution.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Mobile, MobileSpec, mobile } from "./Mobile.ts"
 *
 * const spec = mobile({ kernel: 3, expansion: 6 })
 * Schema.decodeUnknownSync(MobileSpec)({ _tag: "Mobile", kernel: 3, expansion: 6 }) // => spec
 * Mobile.label(spec) // => "k3 e6"
 * ```
 */
export const MobileSpec = Schema.TaggedStruct("Mobile", {
  kernel: oddKernel("Side of the depthwise kernel, odd"),
  expansion,
  activation,
  squeezeExcite: flag(false, "Squeeze-and-excitation after the depthwise convolution"),
  pointGroups: one("Groups of the two pointwise convolutions"),
  channelShuffle: flag(false, "Shuffle channels between the groups before the depthwise convolution")
}).annotate({
  description:
    "The inverted residual of MobileNetV2 (Sandler et al. 2018, section 3.3): expand, depthwise, project, and add the input if width and size are the same"
})

const defaults = {
  _tag: "Mobile",
  activation: "relu6",
  squeezeExcite: false,
  pointGroups: 1,
  channelShuffle: false
} as const

/**
 * An inverted residual.
 *
 * **Example** (The inverted residual of MobileNetV3)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mobile({ kernel: 5, expansion: 3, squeezeExcite: true })) // => "k5 e3 se"
 * ```
 */
export const mobile = (
  settings: Partially<typeof MobileSpec.Type, "kernel" | "expansion">
): typeof MobileSpec.Type => ({ ...defaults, ...settings })

const compile = (name: string, block: typeof MobileSpec.Type & Placement): ReadonlyArray<Operation> => {
  const hidden = hiddenWidth(block)
  const { activation, pointGroups: groups } = block
  const expand =
    block.expansion === 1 ? [] : [namedStage(`${name}.expand`, stage(block.inChannels, hidden, { groups, activation }))]
  const depthwise = namedStage(
    `${name}.depthwise`,
    stage(hidden, hidden, { kernel: block.kernel, stride: block.stride, groups: hidden, activation })
  )
  const project = namedStage(`${name}.project`, stage(hidden, block.outChannels, { groups }))
  // Without squeeze-excite and shuffle all three are one chain, which is fastest.
  const shuffled = block.channelShuffle && groups > 1
  const operations: Array<Operation> = []
  let open: Array<NamedStage> = [...expand]
  const close = () => {
    if (open.length > 0) operations.push(chain(open))
    open = []
  }
  if (shuffled) {
    close()
    operations.push(ChannelShuffle.make({ groups }))
  }
  open.push(depthwise)
  if (block.squeezeExcite) {
    close()
    operations.push(squeezeExcite(name, hidden))
  }
  open.push(project)
  close()
  return residualIf(keepsShape(block), operations)
}

/** The kind of inverted residuals. */
export const Mobile = define({
  schema: MobileSpec,
  written: { call: "mobile", defaults },
  examples: [
    { block: { _tag: "Mobile", kernel: 3, expansion: 3, squeezeExcite: true } },
    {
      comment: "Grouped pointwise convolutions, with channel shuffle.",
      block: { _tag: "Mobile", kernel: 5, expansion: 6, pointGroups: 2, channelShuffle: true, activation: "prelu" }
    }
  ],
  label: ({ expansion, kernel, pointGroups, squeezeExcite }) =>
    `k${kernel} e${expansion}${pointGroups === 1 ? "" : ` g${pointGroups}`}${squeezeExcite ? " se" : ""}`,
  misplaced: (block) => misplacedInvertedResidual(block, 1),
  compile,
  torch: (_, part) => invertedResidualPlace(part)
})
