/** The training step that every agent of one network and one loss shares. */
import * as tf from "@tensorflow/tfjs-core"
import * as ParameterTree from "../nn/ParameterTree.ts"
import type { StepInput, StepResult } from "./TrainingAgent.ts"

/**
 * Forward pass in training mode, loss, and the gradients of the parameters that took part: a parameter the forward pass
 * did not use, or that the loss does not depend on, has no entry. Nothing given is disposed, and nothing made here
 * outlives the call but the result, even where the forward pass throws.
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
  const kept: Array<tf.Tensor> = []
  const keep = <T extends tf.Tensor>(tensor: T): T => {
    kept.push(tf.keep(tensor))
    return tensor
  }
  // tfjs goes through all sources for every input of every operation; a path of a supernet uses few of its parameters.
  const keepUsed = (): void => {
    const used = new Set<number>()
    for (const node of tf.engine().state.activeTape ?? []) {
      for (const name in node.inputs) used.add(node.inputs[name]!.id)
    }
    const kept = sources.flatMap((source, position) => (used.has(source.id) ? [[source, position] as const] : []))
    // Of none at all tfjs would complain: the first one stays, and gets no gradient.
    if (kept.length === 0) kept.push([sources[0]!, 0])
    sources.splice(0, sources.length, ...kept.map(([source]) => source))
    positions = kept.map(([, position]) => position)
  }
  let positions: ReadonlyArray<number> = []
  let applied: ReturnType<typeof forward> | undefined
  let remark: string | undefined
  const loss = (): tf.Scalar => {
    applied = forward(variables, images, "train")
    keep(applied.output)
    for (const { mean, variance } of Object.values(applied.statistics)) {
      keep(mean)
      keep(variance)
    }
    const output = applied.output as tf.Tensor2D
    remark = criterion.remark?.(criterionParams, output, labels, key)
    const value = criterion.loss(criterionParams, output, labels, key)
    keepUsed()
    return value
  }
  try {
    // tf.valueAndGrads insists on a gradient for every parameter; a path of a supernet uses few of them.
    const { grads, value } = tf.engine().gradients(loss, sources, undefined, true)
    const gradients: Record<string, tf.Tensor> = {}
    const criterionGradients: Record<string, tf.Tensor> = {}
    grads.forEach((gradient: tf.Tensor | null | undefined, index) => {
      if (gradient === null || gradient === undefined) return
      const position = positions[index]!
      if (position < own.length) gradients[own[position]!] = gradient
      else criterionGradients[extra[position - own.length]!] = gradient
    })
    return {
      loss: value as tf.Scalar,
      output: applied!.output,
      gradients,
      criterionGradients,
      statistics: applied!.statistics,
      ...(remark === undefined ? {} : { remark })
    }
  } catch (cause) {
    for (const tensor of kept) tensor.dispose()
    // What the tape had saved for a backward pass that will not come.
    const { state } = tf.engine()
    if (state.gradientDepth === 0) {
      for (const node of state.activeTape ?? []) for (const tensor of node.saved ?? []) tensor.dispose()
      state.activeTape = []
    }
    throw cause
  }
}

/** Frees every tensor of a step's result. */
export const disposeStepUnsafe = (result: StepResult): void => {
  result.loss.dispose()
  result.output.dispose()
  ParameterTree.disposeUnsafe(result.gradients)
  ParameterTree.disposeUnsafe(result.criterionGradients)
  for (const { mean, variance } of Object.values(result.statistics)) {
    mean.dispose()
    variance.dispose()
  }
}
