/** Evaluates the retrained network on the test split. Saves nothing on the way: a stopped evaluation is repeated. */
import { keep, type Tensor2D, type Tensor4D } from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { EvaluatingInput } from "../../../machines/Evaluating.ts"
import * as Parameters from "../../nn/ParameterTree.ts"
import * as Key from "../../random/Key.ts"
import * as Network from "../../search-space/Network.ts"
import * as Forwards from "../Forwards.ts"
import { RunFailure } from "../RunError.ts"
import { initialCriterion, networkWeights, type PhaseContext } from "./PhaseContext.ts"

/** The initial weights of retraining, created on first use. */
const initialWeights = (network: Network.Network, key: Key.Key) => {
  let initial: Parameters.Variables | undefined
  const get = (): Parameters.Variables => {
    if (initial === undefined) {
      initial = Network.initialise(network, key)
      for (const tree of [initial.params, initial.stats]) for (const tensor of Object.values(tree)) keep(tensor)
    }
    return initial
  }
  const dispose = (): void => {
    Parameters.disposeUnsafe(initial?.params ?? {})
    Parameters.disposeUnsafe(initial?.stats ?? {})
  }
  return { get, dispose }
}

/** Fails unless all metrics are finite numbers. A training agent from a user's module may return others. */
const checked = (agent: string, metrics: Readonly<Record<string, unknown>>): Result.Result<void, RunFailure> => {
  const wrong = Object.entries(metrics).find(([, value]) => !Number.isFinite(value))
  if (wrong === undefined) return Result.succeed(undefined)
  const value = typeof wrong[1] === "number" ? String(wrong[1]) : JSON.stringify(wrong[1])
  const reason = `the metric ${wrong[0]} that the training agent ${agent} gives for the test images must be a finite number, is ${value}`
  return Result.fail(new RunFailure({ tag: "EvaluationError", reason }))
}

/** The metrics of a trained network on the test split. */
export const evaluate = Effect.fnUntraced(function* (context: PhaseContext, input: EvaluatingInput) {
  const { config, progress, services } = context
  yield* progress.openPhase("evaluating", 0, null)
  const network = services.space.network(input.architecture)
  const { criterion, variables } = yield* networkWeights(context, input.network, network)
  const forward = Forwards.ofNetwork(network)
  const key = Key.derive(services.key, "evaluating")
  // The weights that a criterion needs but the checkpoint does not contain.
  const made = initialCriterion(services, Key.derive(key, "criterion"))
  const initial = initialWeights(network, Key.derive(services.key, "retraining", "initialise"))
  const metrics = yield* services.agent
    .evaluate({
      infer: (images) => forward(variables, images, "eval").output as never,
      untrained: (images: Tensor4D) => forward(initial.get(), images, "eval").output as Tensor2D,
      criterion: services.criterion,
      criterionParams: Parameters.merge(made, criterion),
      dataflow: services.dataflow,
      split: "test",
      batchSize: config.evaluation.batchSize,
      batches: undefined,
      key
    })
    .pipe(
      Effect.ensuring(
        Effect.sync(() => {
          Parameters.disposeUnsafe(made)
          initial.dispose()
        })
      )
    )
  yield* Effect.fromResult(checked(services.agent.name, metrics))
  yield* progress.emit({ _tag: "Evaluated", metrics })
  return metrics
})
