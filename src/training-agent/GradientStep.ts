/** The training step that all agents with one network and one loss share. */
import type * as tf from "@tensorflow/tfjs-core"
import * as Criterion from "../criterion/Criterion.ts"
import { differentiate } from "../engine/Autodiff.ts"
import { disposeStatisticsUnsafe } from "../nn/Normalisation.ts"
import * as ParameterTree from "../nn/ParameterTree.ts"
import type { StepInput, StepResult } from "./TrainingAgent.ts"

/**
 * Forward pass in training mode, loss, and gradients. A parameter that the loss does not depend on has no entry. Disposes
 * nothing that it is given, and leaves no tensor but those of the result, even if the forward pass throws.
 *
 * **Example** (One linear layer)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as CrossEntropy from "../criterion/CrossEntropy.ts"
 * import * as Key from "../random/Key.ts"
 * import * as GradientStep from "./GradientStep.ts"
 *
 * const weight = tf.zeros([4, 2])
 * const result = GradientStep.gradientStep({
 *   forward: ({ params }, images) => ({
 *     output: tf.matMul(tf.reshape(images, [-1, 4]), params["weight"] as tf.Tensor2D),
 *     statistics: {}
 *   }),
 *   variables: { params: { weight }, stats: {} },
 *   criterion: CrossEntropy.make({ labelSmoothing: 0 }),
 *   criterionParams: {},
 *   images: tf.ones([2, 2, 2, 1]),
 *   labels: tf.tensor1d([0, 1], "int32"),
 *   key: Key.make(1)
 * })
 * result.gradients["weight"].shape // => [4, 2]
 * result.output.shape // => [2, 2]
 * GradientStep.disposeStepUnsafe(result)
 * result.loss.isDisposed // => true
 * ```
 */
export const gradientStep = (input: StepInput): StepResult => {
  const { criterion, criterionParams, forward, images, key, labels, variables } = input
  const own = ParameterTree.names(variables.params)
  const extra = ParameterTree.names(criterionParams)
  const sources = [...own.map((name) => variables.params[name]!), ...extra.map((name) => criterionParams[name]!)]
  let applied: ReturnType<typeof forward> | undefined
  let warning: string | undefined
  const { gradients, value } = differentiate((keep) => {
    applied = forward(variables, images, "train")
    keep(applied.output)
    for (const { mean, variance } of Object.values(applied.statistics)) {
      keep(mean)
      keep(variance)
    }
    const output = applied.output as tf.Tensor2D
    warning = criterion.warning?.(criterionParams, output, labels, key)
    return Criterion.lossOfUnsafe(criterion, criterionParams, output, labels, key)
  }, sources)
  const named = (names: ReadonlyArray<string>, from: number): Record<string, tf.Tensor> =>
    Object.fromEntries(
      names.flatMap((name, index) => {
        const gradient = gradients[from + index]
        return gradient === undefined ? [] : [[name, gradient] as const]
      })
    )
  return {
    loss: value as tf.Scalar,
    output: applied!.output,
    gradients: named(own, 0),
    criterionGradients: named(extra, own.length),
    statistics: applied!.statistics,
    ...(warning === undefined ? {} : { warning })
  }
}

/** Frees every tensor of a step's result. */
export const disposeStepUnsafe = (result: StepResult): void => {
  result.loss.dispose()
  result.output.dispose()
  ParameterTree.disposeUnsafe(result.gradients)
  ParameterTree.disposeUnsafe(result.criterionGradients)
  disposeStatisticsUnsafe(result.statistics)
}
