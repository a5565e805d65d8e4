import * as Schema from "effect/Schema"
import { Pool } from "../../nn/operations/Pool.ts"
import { define } from "./BlockKind.ts"
import { keepsWidth, oddKernel } from "./Parts.ts"

/**
 * Max pooling. Keeps the width.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { MaxPool, MaxPoolSpec, maxPool } from "./MaxPool.ts"
 *
 * Schema.decodeUnknownSync(MaxPoolSpec)({ _tag: "MaxPool", kernel: 3 }) // => maxPool({ kernel: 3 })
 * MaxPool.label(maxPool({ kernel: 3 })) // => "max pool k3"
 * ```
 */
export const MaxPoolSpec = Schema.TaggedStruct("MaxPool", {
  kernel: oddKernel("Side of the window, odd")
}).annotate({ description: "Max pooling; keeps the width" })

const defaults = { _tag: "MaxPool" } as const

/** Max pooling. */
export const maxPool = (settings: { readonly kernel: number }): typeof MaxPoolSpec.Type => ({
  ...defaults,
  ...settings
})

/** The kind of max poolings. */
export const MaxPool = define({
  schema: MaxPoolSpec,
  written: { call: "maxPool", defaults },
  examples: [{ block: { _tag: "MaxPool", kernel: 3 } }],
  label: ({ kernel }) => `max pool k${kernel}`,
  misplaced: keepsWidth,
  compile: (_, { kernel, stride }) => [Pool.make({ kind: "max", kernel, stride, padding: Math.floor(kernel / 2) })]
})
