import * as Schema from "effect/Schema"
import { Pool } from "../../nn/operations/Pool.ts"
import { define } from "./BlockKind.ts"
import { keepsWidth, oddKernel } from "./Parts.ts"

/**
 * Average pooling that ignores padding. Keeps the width.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { AveragePool, AveragePoolSpec, averagePool } from "./AveragePool.ts"
 *
 * Schema.decodeUnknownSync(AveragePoolSpec)({ _tag: "AveragePool", kernel: 3 }) // => averagePool({ kernel: 3 })
 * AveragePool.label(averagePool({ kernel: 3 })) // => "average pool k3"
 * ```
 */
export const AveragePoolSpec = Schema.TaggedStruct("AveragePool", {
  kernel: oddKernel("Side of the window, odd")
}).annotate({ description: "Average pooling that ignores padding; keeps the width" })

const defaults = { _tag: "AveragePool" } as const

/** Average pooling. */
export const averagePool = (settings: { readonly kernel: number }): typeof AveragePoolSpec.Type => ({
  ...defaults,
  ...settings
})

/** The kind of average poolings. */
export const AveragePool = define({
  schema: AveragePoolSpec,
  written: { call: "averagePool", defaults },
  examples: [{ block: { _tag: "AveragePool", kernel: 3 } }],
  label: ({ kernel }) => `average pool k${kernel}`,
  misplaced: keepsWidth,
  compile: (_, { kernel, stride }) => [Pool.make({ kind: "average", kernel, stride, padding: Math.floor(kernel / 2) })]
})
