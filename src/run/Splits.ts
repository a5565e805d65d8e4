/**
 * Whether the images of a dataflow are enough for what a configuration asks of them. A batch larger than its split would
 * be trained zero times, and an empty validation split scores every architecture as NaN.
 */
import type { Phase } from "../../machines/RunState.ts"
import { phases } from "../../machines/RunState.ts"
import type { DataflowShape } from "../dataflow/Dataflow.ts"
import type { ConfigIssue } from "./ConfigFile.ts"
import type { RunConfig } from "./RunConfig.ts"

type Counts = Pick<DataflowShape, "count" | "steps">

const issue = (path: string, message: string): ConfigIssue => ({ path, line: null, origin: "", message })

const plural = (images: number): string => `${images} image${images === 1 ? "" : "s"}`

/**
 * What of a configuration the splits of its data cannot serve, for a run from one phase to another. `scores` says whether
 * the search scores on validation images.
 *
 * **Example** (Forty images, batches of 64)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { RunConfig } from "./RunConfig.ts"
 * import * as Splits from "./Splits.ts"
 *
 * const config = Schema.decodeUnknownSync(RunConfig)({
 *   name: "mine",
 *   dataflow: { name: "fashion-mnist" },
 *   searchSpace: { name: "tiny" },
 *   budget: { max: 2.5e6 },
 *   supernetTraining: { epochs: 4, batchSize: 64 },
 *   stopAfter: "supernetTraining"
 * })
 * const dataflow = { count: () => 40, steps: (_: string, batchSize: number) => Math.floor(40 / batchSize) }
 * const [issue] = Splits.check(config, dataflow, "supernetTraining", true)
 * issue?.path // => "supernetTraining.batchSize"
 * ```
 */
export const check = (
  config: RunConfig,
  dataflow: Counts,
  first: Phase,
  scores: boolean
): ReadonlyArray<ConfigIssue> => {
  const has = (phase: Phase): boolean =>
    phases.indexOf(phase) >= phases.indexOf(first) && phases.indexOf(phase) <= phases.indexOf(config.stopAfter)
  const out: Array<ConfigIssue> = []
  const whole = (path: string, split: "supernet" | "train", batchSize: number, what: string): void => {
    if (dataflow.steps(split, batchSize, true) > 0) return
    const images = dataflow.count(split)
    const why =
      images < batchSize
        ? `expected at most ${images}, because ${what} has ${plural(images)}`
        : `and no batch can be made of the ${plural(images)} of ${what}: too few classes or people for dataflow.perIdentity`
    out.push(issue(path, `got ${batchSize}; ${why}`))
  }
  const { retraining, supernetTraining } = config
  const ofSupernet = "the split that trains the supernet"
  if (supernetTraining !== undefined && has("supernetTraining")) {
    whole("supernetTraining.batchSize", "supernet", supernetTraining.batchSize, ofSupernet)
  }
  if (has("searching") && scores) {
    const { name, recalibration, recalibrationBatchSize: size } = config.estimator
    if (name === "supernet" && recalibration !== 0 && typeof size === "number") {
      whole("estimator.recalibrationBatchSize", "supernet", size, ofSupernet)
    }
    if (dataflow.count("validation") < 1) {
      const images = plural(dataflow.count("train"))
      out.push(
        issue(
          "dataflow",
          `no image is left to score architectures on: all ${images} train the supernet; give more images, or lower supernetFraction`
        )
      )
    }
  }
  if (retraining !== undefined && has("retraining")) {
    whole("retraining.batchSize", "train", retraining.batchSize, "the training data")
  }
  return out
}
