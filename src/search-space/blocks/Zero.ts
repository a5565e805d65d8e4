import * as Schema from "effect/Schema"
import { Zeros } from "../../nn/operations/Zeros.ts"
import { define } from "./BlockKind.ts"

/**
 * Zeros of the right shape.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Zero, ZeroSpec, zero } from "./Zero.ts"
 *
 * Schema.decodeUnknownSync(ZeroSpec)({ _tag: "Zero" }) // => zero
 * Zero.label(zero) // => "zero"
 * ```
 */
export const ZeroSpec = Schema.TaggedStruct("Zero", {}).annotate({ description: "Zeros of the right shape" })

/** The zero block. */
export const zero: typeof ZeroSpec.Type = { _tag: "Zero" }

/** The kind of the zero block. */
export const Zero = define({
  schema: ZeroSpec,
  written: { constant: "zero", spec: zero },
  examples: [{ block: { _tag: "Zero" } }],
  label: () => "zero",
  compile: (_, { outChannels, stride }) => [Zeros.make({ outChannels, stride })]
})
