import * as Schema from "effect/Schema"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { define, type Partially } from "./BlockKind.ts"
import { activation, flag, oddKernel, one, stage } from "./Parts.ts"

/**
 * Depthwise then pointwise convolution, then one batch normalisation and activation.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Separable, SeparableSpec, separable } from "./Separable.ts"
 *
 * Schema.decodeUnknownSync(SeparableSpec)({ _tag: "Separable", kernel: 5 }) // => separable({ kernel: 5 })
 * Separable.label(separable({ kernel: 5 })) // => "separable k5"
 * ```
 */
export const SeparableSpec = Schema.TaggedStruct("Separable", {
  kernel: oddKernel("Side of the depthwise kernel, odd"),
  activation,
  norm: flag(true, "Batch normalisation after the pointwise convolution"),
  dilation: one("Distance between the taps of the depthwise kernel")
}).annotate({ description: "Depthwise then pointwise convolution, then one batch normalisation and activation" })

const defaults = { _tag: "Separable", activation: "relu6", norm: true, dilation: 1 } as const

/**
 * A separable convolution.
 *
 * **Example** (With a dilation)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.separable({ kernel: 3, dilation: 2 })) // => "separable k3 d2"
 * ```
 */
export const separable = (settings: Partially<typeof SeparableSpec.Type, "kernel">): typeof SeparableSpec.Type => ({
  ...defaults,
  ...settings
})

/** The kind of separable convolutions. */
export const Separable = define({
  schema: SeparableSpec,
  written: { call: "separable", defaults },
  examples: [{ block: { _tag: "Separable", kernel: 5, dilation: 2 } }],
  label: ({ dilation, kernel }) => `separable k${kernel}${dilation === 1 ? "" : ` d${dilation}`}`,
  compile: (name, { activation, dilation, inChannels, kernel, norm, outChannels, stride }) => [
    chain([
      namedStage(
        `${name}.depthwise`,
        stage(inChannels, inChannels, { kernel, stride, dilation, groups: inChannels, norm: false })
      ),
      namedStage(`${name}.pointwise`, stage(inChannels, outChannels, { norm, activation }))
    ])
  ]
})
