import * as Schema from "effect/Schema"
import { Branches } from "../../nn/operations/Branches.ts"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { ImagePool } from "../../nn/operations/ImagePool.ts"
import { PositiveInt } from "../../support/Numbers.ts"
import { define, type Partially } from "./BlockKind.ts"
import { activation, oddKernel, type StageSettings, stage } from "./Parts.ts"

/**
 * Atrous spatial pyramid pooling (Chen et al. 2017, section 3.3): a 1x1 convolution, one dilated convolution per rate and
 * the average of the image, side by side, joined by a 1x1 convolution.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Aspp, AsppSpec, aspp } from "./Aspp.ts"
 *
 * Schema.decodeUnknownSync(AsppSpec)({ _tag: "Aspp", kernel: 3, rates: [2] }) // => aspp({ rates: [2] })
 * Aspp.label(aspp({ rates: [2] })) // => "aspp k3 d2"
 * ```
 */
export const AsppSpec = Schema.TaggedStruct("Aspp", {
  kernel: oddKernel("Side of the dilated kernels, odd"),
  rates: Schema.Array(PositiveInt)
    .check(Schema.isMinLength(1))
    .annotate({ description: "Dilations of the parallel convolutions" }),
  activation
}).annotate({
  description:
    "Atrous spatial pyramid pooling (Chen et al. 2017, section 3.3): a 1x1 convolution, one dilated convolution per rate and the average of the image, side by side, joined by a 1x1 convolution"
})

const defaults = { _tag: "Aspp", activation: "relu6" } as const

/**
 * Atrous spatial pyramid pooling; 3x3 kernels by default.
 *
 * **Example** (Three rates)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.aspp({ rates: [6, 12, 18] })) // => "aspp k3 d6+12+18"
 * ```
 */
export const aspp = (settings: Partially<typeof AsppSpec.Type, "rates">): typeof AsppSpec.Type => ({
  ...defaults,
  kernel: 3,
  ...settings
})

/** The kind of spatial pyramids. */
export const Aspp = define({
  schema: AsppSpec,
  written: { call: "aspp", defaults },
  examples: [{ block: { _tag: "Aspp", kernel: 3, rates: [1, 2, 4] } }],
  label: ({ kernel, rates }) => `aspp k${kernel} d${rates.join("+")}`,
  compile: (name, { activation, inChannels, kernel, outChannels, rates, stride }) => {
    const one = (part: string, settings: StageSettings) =>
      chain([namedStage(`${name}.${part}`, stage(inChannels, outChannels, { ...settings, activation }))])
    const parts = [
      one("point", { stride }),
      ...rates.map((dilation, i) => one(`rate.${i}`, { kernel, stride, dilation })),
      ImagePool.make({ stride, operations: [one("image", {})] })
    ]
    return [
      Branches.make({ branches: parts.map((operation) => ({ from: 0, to: inChannels, operations: [operation] })) }),
      chain([namedStage(`${name}.join`, stage(outChannels * parts.length, outChannels, { activation }))])
    ]
  }
})
