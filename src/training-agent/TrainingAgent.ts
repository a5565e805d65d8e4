/**
 * A training agent defines the task: the head of the network, the loss and the gradients of one step, and the metrics of a
 * validation or test pass.
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

/** A network (a path, a mixture, or a stand-alone network) as a function of its variables. */
export type Forward = (variables: Variables, images: Tensor4D, mode: Mode) => Applied

/** The result of one training step on one batch. The caller owns the tensors. */
export interface StepResult {
  readonly loss: Scalar
  /** Outputs of the forward pass, for running training metrics. */
  readonly output: Tensor
  /** Gradients of the parameters that the loss depends on, by name. */
  readonly gradients: ParameterTree
  /** Gradients of the criterion's own weights, by name. */
  readonly criterionGradients: ParameterTree
  readonly statistics: Readonly<Record<string, BatchStatistics>>
  /** A warning of the criterion about the batch (`CriterionShape.warning`), for the log. */
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
  /** The same network before its first training step, as a baseline: in the final evaluation. */
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
  /** Pure. Disposes nothing that it is given, and leaves no tensor but those of the result. */
  readonly step: (input: StepInput) => StepResult
  /** Metrics by name, deterministic; always with `loss`. Classification: loss, top1, top5 (fractions). */
  readonly evaluate: (input: EvaluateInput) => Effect.Effect<Readonly<Record<string, number>>, DatasetError>
  /** The metric that ranks candidates, and its direction. A search minimises it, negated if it is to be maximised. */
  readonly objective: { readonly metric: string; readonly direction: "minimise" | "maximise" }
  /** The metric that reports show first. */
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
