import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Operation } from "../../nn/Operation.ts"
import { Branches } from "../../nn/operations/Branches.ts"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { ChannelShuffle } from "../../nn/operations/ChannelShuffle.ts"
import { define, type Partially, type Placement } from "./BlockKind.ts"
import { activation, convBnAct, flag, oddKernel, stage } from "./Parts.ts"

/**
 * A block of ShuffleNetV2 (Ma et al. 2018, section 4) with any kernel, as searched by Single Path One-Shot (Guo et al.
 * 2020, section 4.1); `xception` has three depthwise convolutions of kernel 3 instead.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Shuffle, ShuffleSpec, shuffle } from "./Shuffle.ts"
 *
 * Schema.decodeUnknownSync(ShuffleSpec)({ _tag: "Shuffle", kernel: 3 }) // => shuffle({ kernel: 3 })
 * Shuffle.label(shuffle({ kernel: 3 })) // => "shuffle k3"
 * ```
 */
export const ShuffleSpec = Schema.TaggedStruct("Shuffle", {
  kernel: oddKernel("Side of the depthwise kernel, odd; ignored by `xception`, which has 3"),
  xception: flag(false, "Three depthwise convolutions of kernel 3 instead of one"),
  activation,
  widening: Schema.Literals(["half", "keep"])
    .annotate({
      description: "Width of the projection branch if the width changes: half of the new width, or that of the input"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("half" as const)))
}).annotate({
  description:
    "A block of ShuffleNetV2 (Ma et al. 2018, section 4) with any kernel, as searched by Single Path One-Shot (Guo et al. 2020, section 4.1)"
})

const defaults = { _tag: "Shuffle", xception: false, activation: "relu6", widening: "half" } as const

/**
 * A shuffle block.
 *
 * **Example** (The two kinds)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.shuffle({ kernel: 7 })) // => "shuffle k7"
 * Block.label(Block.shuffle({ kernel: 3, xception: true })) // => "xception"
 * ```
 */
export const shuffle = (settings: Partially<typeof ShuffleSpec.Type, "kernel">): typeof ShuffleSpec.Type => ({
  ...defaults,
  ...settings
})

/** Whether it has a projection branch; otherwise the second branch is half of the input. */
const widens = ({ inChannels, outChannels, stride }: Placement): boolean => stride !== 1 || inChannels !== outChannels

const compile = (name: string, block: typeof ShuffleSpec.Type & Placement): ReadonlyArray<Operation> => {
  const { activation, inChannels, outChannels, stride } = block
  const wide = widens(block)
  const half = Math.floor(outChannels / 2)
  const kernel = block.xception ? 3 : block.kernel
  const side = wide && block.widening === "keep" ? inChannels : outChannels - half
  const main = wide ? outChannels - side : half
  const mainIn = wide ? inChannels : inChannels - half
  const depthwise = (part: string, channels: number, strideHere: number) =>
    namedStage(`${name}.${part}`, stage(channels, channels, { kernel, stride: strideHere, groups: channels }))
  const point = (part: string, from: number, to: number) =>
    namedStage(`${name}.${part}`, stage(from, to, { activation }))
  const projection: ReadonlyArray<Operation> = wide
    ? [chain([depthwise("side.depthwise", inChannels, stride), point("side.project", inChannels, side)])]
    : []
  // The hidden width of the authors' blocks is half the output in both variants.
  const hidden = half
  const stages = block.xception
    ? [
        depthwise("main.0.depthwise", mainIn, stride),
        point("main.0.project", mainIn, hidden),
        depthwise("main.1.depthwise", hidden, 1),
        point("main.1.project", hidden, hidden),
        depthwise("main.2.depthwise", hidden, 1),
        point("main.2.project", hidden, main)
      ]
    : [
        point("main.expand", mainIn, hidden),
        depthwise("main.depthwise", hidden, stride),
        point("main.project", hidden, main)
      ]
  return [
    Branches.make({
      branches: [
        { from: 0, to: wide ? inChannels : inChannels - mainIn, operations: projection },
        { from: wide ? 0 : inChannels - mainIn, to: inChannels, operations: [chain(stages)] }
      ]
    }),
    ChannelShuffle.make({ groups: 2 })
  ]
}

/** The kind of shuffle blocks. */
export const Shuffle = define({
  schema: ShuffleSpec,
  written: { call: "shuffle", defaults },
  examples: [{ block: { _tag: "Shuffle", kernel: 7 } }, { block: { _tag: "Shuffle", kernel: 3, xception: true } }],
  label: ({ kernel, xception }) => (xception ? "xception" : `shuffle k${kernel}`),
  misplaced: (block) => {
    const { inChannels, outChannels, widening } = block
    if (outChannels % 2 !== 0) return `its two branches share an even width, and ${outChannels} is odd`
    return widens(block) && widening === "keep" && outChannels <= inChannels
      ? `it keeps the input's ${inChannels} channels beside new ones, and gives ${outChannels} in all`
      : undefined
  },
  compile,
  torch: ({ xception }, part) => {
    const [branch, second, third] = part.split(".")
    if (branch === "side") return convBnAct(`branch_1.${second === "depthwise" ? 0 : 1}`)
    if (xception) return convBnAct(`branch_2.${2 * Number(second) + (third === "depthwise" ? 0 : 1)}`)
    return convBnAct(`branch_2.${["expand", "depthwise", "project"].indexOf(second ?? "")}`)
  }
})
