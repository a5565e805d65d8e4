/**
 * A training strategy (sampler) decides which paths or mixture of the supernet a training step trains. It maps a state to what
 * to train and the next state.
 */
import * as Context from "effect/Context"
import type * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import type { ArchitectureDistribution } from "../search-strategy/SearchStrategy.ts"

/**
 * What one update of the optimizer trains. `Paths`: each path sees the batch, their gradients are summed into one update
 * (one path: single-path one-shot; several: strict fairness). With a `teacher`, the first path
 * learns from the labels and the others from its outputs. `Mixture`: every option of every layer, weighted
 * (layer by layer, one weight per option).
 */
export type TrainingStep =
  | { readonly _tag: "Paths"; readonly paths: ReadonlyArray<Genotype>; readonly teacher?: 0 | undefined }
  | { readonly _tag: "Mixture"; readonly weights: ReadonlyArray<ReadonlyArray<number>> }

/** JSON; part of every snapshot. */
export type SamplerState = { readonly [key: string]: SamplerJson }
/** A value in a sampler's state. */
export type SamplerJson =
  | null
  | boolean
  | number
  | string
  | ReadonlyArray<SamplerJson>
  | { readonly [key: string]: SamplerJson }

/** The contract. */
export interface TrainingStrategyShape {
  readonly name: string
  /**
   * Whether it trains by the distribution of the searcher, and so needs a searcher that learns while the supernet is
   * trained. Default: it does not.
   */
  readonly follows?: boolean | undefined
  readonly init: (key: Key.Key) => SamplerState
  /**
   * Deterministic in its arguments; never changes them. `distribution` is the searcher's current distribution at this step;
   * undefined if it does not learn during training.
   */
  readonly next: (
    state: SamplerState,
    distribution?: ArchitectureDistribution | undefined
  ) => readonly [step: TrainingStep, state: SamplerState]
}

/**
 * The training strategy of a run.
 *
 * **Example** (One that trains the first path over and over)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Key from "../random/Key.ts"
 * import * as TrainingStrategy from "./TrainingStrategy.ts"
 *
 * const first = TrainingStrategy.TrainingStrategy.of({
 *   name: "first",
 *   init: () => ({}),
 *   next: (state) => [{ _tag: "Paths", paths: [[0, 0]] }, state]
 * })
 * const step = Effect.map(TrainingStrategy.TrainingStrategy, (strategy) => strategy.next(strategy.init(Key.make(1)))[0])
 * Effect.runSync(Effect.provideService(step, TrainingStrategy.TrainingStrategy, first)) // => { _tag: "Paths", paths: [[0, 0]] }
 * ```
 */
export class TrainingStrategy extends Context.Service<TrainingStrategy, TrainingStrategyShape>()(
  "osnas/training-strategy/TrainingStrategy"
) {}
