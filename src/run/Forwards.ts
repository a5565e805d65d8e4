/** Forward functions of what a training step trains: paths of the supernet, or a mixture of all options. */
import { applyMixture, type LayerWeights } from "../search-space/Mixture.ts"
import * as Network from "../search-space/Network.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { Forward } from "../training-agent/TrainingAgent.ts"
import type { TrainingStep } from "../training-strategy/TrainingStrategy.ts"

/** A network as a function of its variables. */
export const ofNetwork =
  (network: Network.Network): Forward =>
  (variables, images, mode) =>
    Network.apply(network, variables, images, mode)

/** A mixture of all options as a function of the supernet's variables; differentiable in the mixture's weights alone. */
export const ofWeights =
  (space: SearchSpaceShape, weights: ReadonlyArray<LayerWeights>): Forward =>
  (variables, images, mode) =>
    applyMixture(space, variables, images, weights, mode, { frozen: true })

/** The forward functions of one optimizer step of a supernet. */
export const ofStep =
  (space: SearchSpaceShape) =>
  (step: TrainingStep): ReadonlyArray<Forward> =>
    step._tag === "Paths"
      ? step.paths.map((path) => ofNetwork(space.network(path)))
      : [(variables, images, mode) => applyMixture(space, variables, images, step.weights, mode)]
