/**
 * Optimizers as pairs of pure functions over parameter trees. Slots (momentum and the like) are stored by parameter name, and
 * made when a parameter first gets a gradient. A parameter without a gradient keeps its value and its slots, so only the
 * trained path of a supernet is updated.
 *
 * The arithmetic is that of `torch.optim` (SGD, Adam / AdamW, RMSprop).
 */

import type { Tensor } from "@tensorflow/tfjs-core"
import * as tf from "@tensorflow/tfjs-core"
import { adamStep, rmspropStep, sgdStep } from "../engine/OptimizerOps.ts"
import type { OptimizerConfig } from "./OptimizerConfig.ts"
import { names, type ParameterTree } from "./ParameterTree.ts"
import { scoped } from "./Scope.ts"

/** The state of an optimizer: slots by their name, then by parameter; and how often each parameter was updated. */
export interface OptimizerState {
  readonly slots: Readonly<Record<string, ParameterTree>>
  readonly counts: Readonly<Record<string, number>>
}

/** The result of an update. */
export interface Updated {
  /** The new values of the parameters that had a gradient, and only those. */
  readonly params: ParameterTree
  readonly state: OptimizerState
}

/**
 * An optimizer. `update` disposes nothing: the caller frees the replaced tensors of the parameters and of every slot
 * (`ParameterTree.disposeReplacedUnsafe`).
 */
export interface Optimizer {
  readonly init: () => OptimizerState
  readonly update: (
    gradients: ParameterTree,
    state: OptimizerState,
    params: ParameterTree,
    learningRate: number
  ) => Updated
}

/** The epsilon of PyTorch's `clip_grad_norm_`. */
const clipEpsilon = 1e-6

/** The 2-norm over all tensors of a tree, as a scalar tensor. */
export const globalNorm = (tree: ParameterTree): Tensor =>
  scoped(() => {
    const squares = names(tree).map((name) => tf.sum(tf.square(tree[name] as Tensor)))
    return squares.length === 0 ? tf.scalar(0) : tf.sqrt(tf.addN(squares))
  })

/** Scales all gradients by the same factor so that their global norm is at most `maximum`. */
export const clipByGlobalNorm = (gradients: ParameterTree, maximum: number): ParameterTree =>
  scoped(() => {
    const factor = tf.minimum(tf.div(maximum, tf.add(globalNorm(gradients), clipEpsilon)), 1)
    return Object.fromEntries(names(gradients).map((name) => [name, tf.mul(gradients[name] as Tensor, factor)]))
  })

interface StepInput {
  readonly param: Tensor
  readonly gradient: Tensor
  readonly slot: (name: string) => Tensor | undefined
  /** 1 at the parameter's first update. */
  readonly count: number
  readonly learningRate: number
}

/** One parameter's update: new value and new slots from the old ones. */
interface Step {
  readonly param: Tensor
  readonly slots: Readonly<Record<string, Tensor | undefined>>
}

type Rule = (config: OptimizerConfig, input: StepInput) => Step

const sgd: Rule = (config, { gradient, learningRate, param, slot }) => {
  const { param: next, velocity } = sgdStep(
    { param, gradient, velocity: slot("velocity") },
    { ...config, learningRate }
  )
  return { param: next, slots: { velocity } }
}

const adam: Rule = (config, { count, gradient, learningRate, param, slot }) => {
  const tensors = { param, gradient, first: slot("first"), second: slot("second"), count }
  const { param: next, ...slots } = adamStep(tensors, { ...config, learningRate })
  return { param: next, slots }
}

const rmsprop: Rule = (config, { gradient, learningRate, param, slot }) => {
  const tensors = { param, gradient, square: slot("square"), velocity: slot("velocity") }
  const { param: next, ...slots } = rmspropStep(tensors, { ...config, learningRate })
  return { param: next, slots }
}

const rules: Readonly<Record<OptimizerConfig["name"], Rule>> = { sgd, adam, rmsprop }

/** The state before any update. */
export const emptyState: OptimizerState = { slots: {}, counts: {} }

/**
 * The optimizer of a configuration.
 *
 * **Example** (Plain gradient descent)
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Optimizer from "./Optimizer.ts"
 * const config = {
 *   name: "sgd", learningRate: 0.5, momentum: 0, nesterov: false, beta1: 0.9, beta2: 0.999, alpha: 0.99,
 *   epsilon: 1e-8, weightDecay: 0, decoupled: false, clipNorm: null
 * } as const
 * const sgd = Optimizer.fromConfig(config)
 * const { params } = sgd.update({ w: tf.tensor1d([2]) }, sgd.init(), { w: tf.tensor1d([3]) }, 0.5)
 * Array.from(params["w"]!.dataSync()) // => [2]
 * ```
 */
export const fromConfig = (config: OptimizerConfig): Optimizer => {
  const rule = rules[config.name]
  return {
    init: () => emptyState,
    update: (gradients, state, params, learningRate) => {
      const counts: Record<string, number> = { ...state.counts }
      const made = scoped(() => {
        const used = config.clipNorm === null ? gradients : clipByGlobalNorm(gradients, config.clipNorm)
        const updated: Record<string, Tensor> = {}
        const slots: Record<string, Record<string, Tensor>> = {}
        for (const name of names(used)) {
          const param = params[name]
          if (param === undefined) throw new RangeError(`a gradient for ${name}, which is not a parameter`)
          const count = (counts[name] ?? 0) + 1
          counts[name] = count
          const step = rule(config, {
            param,
            gradient: used[name] as Tensor,
            slot: (slot) => state.slots[slot]?.[name],
            count,
            learningRate
          })
          updated[name] = step.param
          for (const [slot, tensor] of Object.entries(step.slots)) {
            if (tensor === undefined) continue
            const tree = slots[slot] ?? {}
            tree[name] = tensor
            slots[slot] = tree
          }
        }
        return { updated, slots }
      })
      const slots: Record<string, ParameterTree> = { ...state.slots }
      for (const [slot, tree] of Object.entries(made.slots)) slots[slot] = { ...slots[slot], ...tree }
      return { params: made.updated, state: { slots, counts } }
    }
  }
}
