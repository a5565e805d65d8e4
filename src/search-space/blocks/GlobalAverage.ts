import * as Schema from "effect/Schema"
import * as Operations from "../../nn/operations/GlobalAverage.ts"
import { define } from "./BlockKind.ts"
import { keepsWidth } from "./Parts.ts"

/**
 * The mean over all positions: images become vectors.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { GlobalAverage, GlobalAverageSpec, globalAverage } from "./GlobalAverage.ts"
 *
 * Schema.decodeUnknownSync(GlobalAverageSpec)({ _tag: "GlobalAverage" }) // => globalAverage
 * GlobalAverage.label(globalAverage) // => "global average"
 * ```
 */
export const GlobalAverageSpec = Schema.TaggedStruct("GlobalAverage", {}).annotate({
  description: "The mean over all positions: images become vectors"
})

/** Global average pooling. */
export const globalAverage: typeof GlobalAverageSpec.Type = { _tag: "GlobalAverage" }

/** The kind of global average pooling. */
export const GlobalAverage = define({
  schema: GlobalAverageSpec,
  written: { constant: "globalAverage", spec: globalAverage },
  examples: [{ block: { _tag: "GlobalAverage" } }],
  givesVector: true,
  label: () => "global average",
  misplaced: keepsWidth,
  compile: () => [Operations.GlobalAverage.make({})]
})
