import * as Schema from "effect/Schema"
import { Linear } from "../../nn/operations/Linear.ts"
import { define } from "./BlockKind.ts"
import { flag } from "./Parts.ts"

/**
 * A linear layer on vectors.
 *
 * **Example** (As YAML writes it)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Classifier, ClassifierSpec, classifier } from "./Classifier.ts"
 *
 * Schema.decodeUnknownSync(ClassifierSpec)({ _tag: "Classifier" }) // => classifier
 * Classifier.label(classifier) // => "linear"
 * ```
 */
export const ClassifierSpec = Schema.TaggedStruct("Classifier", {
  bias: flag(true, "A bias on every output")
}).annotate({ description: "A linear layer on vectors" })

/** A linear layer with bias. */
export const classifier: typeof ClassifierSpec.Type = { _tag: "Classifier", bias: true }

/** The kind of linear layers. */
export const Classifier = define({
  schema: ClassifierSpec,
  written: { constant: "classifier", spec: classifier },
  examples: [{ comment: "As many outputs as the task asks for.", block: { _tag: "Classifier", bias: true } }],
  takesVector: true,
  givesVector: true,
  label: () => "linear",
  compile: (name, { bias, inChannels, outChannels }) => [
    Linear.make({ name: `${name}.linear`, inFeatures: inChannels, outFeatures: outChannels, bias })
  ],
  torch: () => ({ conv: "", norm: "", slope: "" })
})
