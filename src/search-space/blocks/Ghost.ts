import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Branches } from "../../nn/operations/Branches.ts"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { define, type Partially } from "./BlockKind.ts"
import { activation, convBnAct, oddKernel, stage, withActivation } from "./Parts.ts"

/**
 * The Ghost module (GhostNet: Han et al. 2020, section 3.1, with a ratio of 2): a convolution makes half of the output
 * channels, and a cheap depthwise convolution of these the other half.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Ghost, GhostSpec, ghost } from "./Ghost.ts"
 *
 * Schema.decodeUnknownSync(GhostSpec)({ _tag: "Ghost" }) // => ghost()
 * Ghost.label(ghost()) // => "ghost k1+3"
 * ```
 */
export const GhostSpec = Schema.TaggedStruct("Ghost", {
  kernel: oddKernel("Side of the first convolution's kernel, odd").pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1))
  ),
  cheapKernel: oddKernel("Side of the depthwise kernel that makes the other half, odd").pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(3))
  ),
  activation
}).annotate({
  description:
    "The Ghost module (GhostNet: Han et al. 2020, section 3.1): a convolution makes half of the output channels, and a cheap depthwise convolution of these the other half"
})

const defaults = { _tag: "Ghost", kernel: 1, cheapKernel: 3, activation: "relu6" } as const

/**
 * A Ghost module; by default a pointwise convolution and a depthwise one of kernel 3.
 *
 * **Example** (Cheaper than a convolution of the same width)
 *
 * ```ts
 * import * as Network from "../Network.ts"
 * import * as Block from "./Block.ts"
 *
 * const macs = (spec: Block.BlockSpec) => Network.blockCost(Block.place(spec, 64, 64, 1), [8, 8, 64]).macs
 * macs(Block.conv({ kernel: 1 })) // => 262144
 * macs(Block.ghost()) // => 149504
 * ```
 */
export const ghost = (settings: Partially<typeof GhostSpec.Type> = {}): typeof GhostSpec.Type => ({
  ...defaults,
  ...settings
})

/** The kind of Ghost modules. */
export const Ghost = define({
  schema: GhostSpec,
  written: { call: "ghost", defaults },
  examples: [{ block: { _tag: "Ghost", kernel: 3, cheapKernel: 5 } }],
  label: ({ activation, cheapKernel, kernel }) => `ghost k${kernel}+${cheapKernel}${withActivation(activation)}`,
  misplaced: ({ outChannels }) =>
    outChannels % 2 === 0 ? undefined : `its two halves share an even width, and ${outChannels} is odd`,
  compile: (name, { activation, cheapKernel, inChannels, kernel, outChannels, stride }) => {
    const half = Math.floor(outChannels / 2)
    const primary = stage(inChannels, half, { kernel, stride, activation })
    const cheap = stage(half, half, { kernel: cheapKernel, groups: half, activation })
    return [
      chain([namedStage(`${name}.primary`, primary)]),
      Branches.make({
        branches: [
          { from: 0, to: half, operations: [] },
          { from: 0, to: half, operations: [chain([namedStage(`${name}.cheap`, cheap)])] }
        ]
      })
    ]
  },
  torch: (_, part) => convBnAct(part === "primary" ? "primary_conv" : "cheap_operation")
})
