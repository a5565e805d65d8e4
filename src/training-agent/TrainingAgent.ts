/**
 * A training agent is what a task is: what a network must end in, the loss and gradient of one step, and the metrics
 * of a validation or test pass.
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D } from "@tensorflow/tfjs-core"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CriterionShape } from "../criterion/Criterion.ts"
import type { DataflowShape, DatasetError, Split } from "../dataflow/Dataflow.ts"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import type { Applied, Mode } from "../nn/Operation.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import type * as Key from "../random/Key.ts"
import type { Head } from "../search-space/SearchSpace.ts"

/** A network (a path, a mixture, a stand-alone one) as a function of its variables. */
export type Forward = (variables: Variables, images: Tensor4D, mode: Mode) => Applied

/** What one training step computes on one batch. Tensors belong to the caller. */
export interface StepResult {
  readonly loss: Scalar
  /** Outputs of the forward pass, for running training metrics. */
  readonly output: Tensor
  /** Gradients of the network's parameters that took part, by name. */
  readonly gradients: ParameterTree
  /** Gradients of the criterion's own weights, by name. */
  readonly criterionGradients: ParameterTree
  readonly statistics: Readonly<Record<string, BatchStatistics>>
  /** What the criterion has to say about the batch, if anything (`CriterionShape.warning`); for the log. */
  readonly warning?: string | undefined
}

/** Everything a step needs. */
export interface StepInput {
  readonly forward: Forward
  readonly variables: Variables
  readonly criterion: CriterionShape
  readonly criterionParams: ParameterTree
  readonly images: Tensor4D
  readonly labels: Tensor1D
  readonly key: Key.Key
}

/** Everything an evaluation needs. `batches` limits it to the first N batches (undefined: all). */
export interface EvaluateInput {
  /** Maps images [batch, h, w, c] to outputs [batch, n], in evaluation mode. */
  readonly infer: (images: Tensor4D) => Tensor2D
  /** The same network as it was before its first training step, where a yardstick is wanted: the final evaluation. */
  readonly untrained?: ((images: Tensor4D) => Tensor2D) | undefined
  readonly criterion: CriterionShape
  readonly criterionParams: ParameterTree
  readonly dataflow: DataflowShape
  readonly split: Split
  readonly batchSize: number
  readonly batches: number | undefined
  readonly key: Key.Key
}

/** The contract. */
export interface TrainingAgentShape {
  readonly name: string
  readonly head: (dataflow: DataflowShape) => Head
  /** Pure up to tensor memory: disposes nothing it was given, leaks nothing but its result. */
  readonly step: (input: StepInput) => StepResult
  /** Metrics by name, deterministic; always with `loss`. Classification: loss, top1, top5 (fractions). */
  readonly evaluate: (input: EvaluateInput) => Effect.Effect<Readonly<Record<string, number>>, DatasetError>
  /** Which metric candidates are ranked by and in which direction; the objective of a search is its minimised form. */
  readonly objective: { readonly metric: string; readonly direction: "minimise" | "maximise" }
  /** The metric people read first. */
  readonly headline: string
}

/**
 * The training agent of a run.
 *
 * **Example** (Reading the run's)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Classification from "./Classification.ts"
 * import * as TrainingAgent from "./TrainingAgent.ts"
 *
 * const headline = Effect.map(TrainingAgent.TrainingAgent, (agent) => agent.headline)
 * Effect.runSync(Effect.provideService(headline, TrainingAgent.TrainingAgent, Classification.agent)) // => "top1"
 * ```
 */
export class TrainingAgent extends Context.Service<TrainingAgent, TrainingAgentShape>()(
  "osnas/training-agent/TrainingAgent"
) {}
