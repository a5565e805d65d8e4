import * as Schema from "effect/Schema"
import { chain, namedStage } from "../../nn/operations/Chain.ts"
import { Pool } from "../../nn/operations/Pool.ts"
import { define } from "./BlockKind.ts"
import { convBnAct, stage } from "./Parts.ts"

/**
 * The identity. If the width changes, a 1x1 convolution with batch normalisation; if only the size changes, average pooling.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Skip, SkipSpec, skip } from "./Skip.ts"
 *
 * Schema.decodeUnknownSync(SkipSpec)({ _tag: "Skip" }) // => skip
 * Skip.label(skip) // => "skip"
 * ```
 */
export const SkipSpec = Schema.TaggedStruct("Skip", {}).annotate({
  description:
    "The identity. If the width changes, a 1x1 convolution with batch normalisation; if only the size changes, average pooling"
})

/** The skip block. */
export const skip: typeof SkipSpec.Type = { _tag: "Skip" }

/** The kind of the skip block. */
export const Skip = define({
  schema: SkipSpec,
  written: { constant: "skip", spec: skip },
  examples: [{ block: { _tag: "Skip" } }],
  label: () => "skip",
  compile: (name, { inChannels, outChannels, stride }) => {
    if (inChannels !== outChannels)
      return [chain([namedStage(`${name}.conv`, stage(inChannels, outChannels, { stride }))])]
    if (stride === 1) return []
    return [Pool.make({ kind: "average", kernel: stride, stride, padding: "ceil" })]
  },
  torch: () => convBnAct("")
})
