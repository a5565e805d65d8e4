import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { NonNegativeInt, PositiveInt } from "../../support/Numbers.ts"
import { define, type Partially } from "./BlockKind.ts"
import { activation, convBnAct, flag, keepsWidth, one, stage, unevenGroups, withActivation } from "./Parts.ts"

/**
 * Convolution, batch normalisation, activation.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Conv, ConvSpec, conv } from "./Conv.ts"
 *
 * Schema.decodeUnknownSync(ConvSpec)({ _tag: "Conv", kernel: 3 }) // => conv({ kernel: 3 })
 * Conv.label(conv({ kernel: 3, dilation: 2 })) // => "conv k3 d2"
 * ```
 */
export const ConvSpec = Schema.TaggedStruct("Conv", {
  kernel: PositiveInt.annotate({ description: "Side of the kernel" }),
  activation,
  norm: flag(true, "Batch normalisation"),
  bias: flag(false, "A bias on the convolution"),
  groups: Schema.Union([PositiveInt, Schema.Literals(["depthwise"])])
    .annotate({ description: "Groups of the convolution; `depthwise`: one per channel" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  dilation: one("Distance between the taps of the kernel"),
  padding: Schema.NullOr(NonNegativeInt)
    .annotate({ description: "Rows and columns of zeros on every side; null: as many as keep the size at stride 1" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
}).annotate({ description: "Convolution, batch normalisation, activation" })

const defaults = {
  _tag: "Conv",
  activation: "relu6",
  norm: true,
  bias: false,
  groups: 1,
  dilation: 1,
  padding: null
} as const

/**
 * A convolution, by default with batch normalisation and ReLU6.
 *
 * **Example** (Defaults, and other settings)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.conv({ kernel: 3 }).activation // => "relu6"
 * Block.label(Block.conv({ kernel: 3, groups: "depthwise", activation: "prelu" })) // => "conv k3 dw prelu"
 * ```
 */
export const conv = (settings: Partially<typeof ConvSpec.Type, "kernel">): typeof ConvSpec.Type => ({
  ...defaults,
  ...settings
})

/** The kind of convolutions. */
export const Conv = define({
  schema: ConvSpec,
  written: { call: "conv", defaults },
  examples: [
    { block: { _tag: "Conv", kernel: 3, activation: "hswish" } },
    { comment: "Groups: a number, or depthwise.", block: { _tag: "Conv", kernel: 3, groups: 2, dilation: 2 } }
  ],
  label: ({ activation, dilation, groups, kernel }) => {
    const grouped = groups === 1 ? "" : groups === "depthwise" ? " dw" : ` g${groups}`
    return `conv k${kernel}${grouped}${dilation === 1 ? "" : ` d${dilation}`}${withActivation(activation)}`
  },
  misplaced: (block) =>
    block.groups === "depthwise"
      ? keepsWidth(block)
      : unevenGroups(block.groups, [block.inChannels, block.outChannels]),
  compile: (name, { bias, dilation, groups, inChannels, kernel, norm, outChannels, padding, stride, ...block }) => [
    chain([
      namedStage(
        `${name}.conv`,
        stage(inChannels, outChannels, {
          kernel,
          stride,
          dilation,
          groups: groups === "depthwise" ? outChannels : groups,
          bias,
          norm,
          activation: block.activation,
          ...(padding === null ? {} : { padding })
        })
      )
    ])
  ],
  torch: () => convBnAct("")
})
