/**
 * The state of a training phase: weights, optimizer slots, sampler, searcher, and the sums of the epoch under way. A step
 * maps a state to the next one and shares every tensor that it did not change, so the caller frees the rest with
 * {@link disposeReplacedUnsafe}.
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import type { EpochRecord } from "../../machines/RunState.ts"
import type { OptimizerState } from "../nn/Optimizer.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import type { LearnerState } from "../search-strategy/SearchStrategy.ts"
import type { SamplerState } from "../training-strategy/TrainingStrategy.ts"
import type { MetricSums } from "./MetricSums.ts"

/** Sums over the steps of the epoch so far. */
export interface EpochSums {
  readonly steps: number
  readonly loss: number
  readonly accuracy: number
  /** Metrics of a gradient-based searcher that learns during supernet training, over its own steps. */
  readonly learned?: MetricSums | undefined
}

/** Everything that training has computed so far. */
export interface TrainingState {
  /** Optimizer steps done. */
  readonly step: number
  readonly variables: Variables
  /** The criterion's own weights. */
  readonly criterion: ParameterTree
  readonly optimizer: OptimizerState
  readonly sampler: SamplerState
  /** State of a gradient-based searcher that learns during supernet training; null if there is none. */
  readonly learner: LearnerState | null
  readonly sums: EpochSums
  /** The completed epochs. */
  readonly history: ReadonlyArray<EpochRecord>
}

/** The weights of a trained network, and those of the criterion it was trained with. */
export interface Weights {
  readonly variables: Variables
  readonly criterion: ParameterTree
}

/** The sums at the beginning of an epoch. */
export const noSums: EpochSums = { steps: 0, loss: 0, accuracy: 0 }

/** Separates the criterion's names from the network's where both are in one tree: for the optimizer, in a checkpoint. */
export const criterionPrefix = "criterion."

/** All trees of a state by their place in it: parameters, statistics, criterion, searcher, slots of the optimizer. */
export const trees = (state: TrainingState): Readonly<Record<string, ParameterTree>> => ({
  params: state.variables.params,
  stats: state.variables.stats,
  criterion: state.criterion,
  learner: state.learner?.tensors ?? {},
  ...Object.fromEntries(Object.entries(state.optimizer.slots).map(([slot, tree]) => [`optimizer.${slot}`, tree]))
})

/** Frees every tensor of `before` that `after` does not have in the same place. */
export const disposeReplacedUnsafe = (before: TrainingState, after: TrainingState): void => {
  const kept = trees(after)
  for (const [place, tree] of Object.entries(trees(before))) {
    const successor = kept[place]
    if (tree === successor) continue
    for (const name in tree) {
      const tensor = tree[name] as Tensor
      if (successor?.[name] !== tensor && !tensor.isDisposed) tensor.dispose()
    }
  }
}

/** Frees every tensor of a state. */
export const disposeUnsafe = (state: TrainingState): void => {
  for (const tree of Object.values(trees(state))) Parameters.disposeUnsafe(tree)
}
