/**
 * A search strategy decides which architectures to look at and which one wins under the budget. It is an ask/tell
 * machine over explicit state: `ask` names candidates, the caller scores them, `tell` takes the scores.
 * State is JSON, so that a search resumes from a snapshot and is tested without a supernet.
 */
import type { Scalar, Tensor1D } from "@tensorflow/tfjs-core"
import * as Context from "effect/Context"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ParameterTree } from "../nn/ParameterTree.ts"
import type * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"

/** How good a candidate is. Lower objectives are better (a validation loss); metrics are recorded with it. */
export const Score = Schema.Struct({
  /** What is minimised. */
  objective: Schema.Finite,
  /** Anything worth recording: top1, top5, loss. */
  metrics: Schema.Record(Schema.String, Schema.Finite)
})
/** How good a candidate is. */
export type Score = typeof Score.Type

/**
 * A scored candidate with its cost in the budget's metric.
 *
 * **Example** (Plain data)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as SearchStrategy from "./SearchStrategy.ts"
 *
 * const score: SearchStrategy.Score = { objective: 0.4, metrics: { top1: 0.6 } }
 * Schema.is(SearchStrategy.Score)(score) // => true
 * Schema.is(SearchStrategy.Scored)({ genotype: [0, 1], cost: 12, score }) // => true
 * ```
 */
export const Scored = Schema.Struct({
  genotype: Schema.Array(Schema.Int),
  cost: Schema.Finite,
  score: Score
})
/** A scored candidate with its cost in the budget's metric. */
export type Scored = typeof Scored.Type

/** JSON, opaque to everyone but the strategy that made it. */
export type SearchState = Schema.Json

/**
 * The current distribution of a gradient-based searcher: how probable each option of each layer is, and how a step of
 * training mixes the options by it (`Distribution.ts` has the arithmetic).
 */
export interface ArchitectureDistribution {
  /** [layer][option]: logarithms of the probabilities, up to a constant per layer. */
  readonly logits: ReadonlyArray<ReadonlyArray<number>>
  /** Above 0. A relaxed draw comes the nearer to a single option the lower it is. */
  readonly temperature: number
  readonly relaxation: "softmax" | "gumbel-softmax"
  /** Whether a relaxed draw is a single option in the forward pass, with the relaxation's gradient (straight-through). */
  readonly hard: boolean
}

/**
 * All that learning has made so far. The tensors are saved as entries `searcher.<name>` of the checkpoint of whatever
 * is trained at that time, `json` beside them.
 */
export interface LearnerState {
  readonly tensors: ParameterTree
  readonly json: Schema.Json
}

/**
 * When a strategy learns. `WithSupernet`: while the supernet is trained, one step of learning before every
 * `everySteps`-th of its steps, from epoch `warmupEpochs` on (fractions of an epoch allowed). `AfterSupernet`: in the search
 * phase, before the first candidate is asked for, on the trained supernet, which stays as it is; `epochs` are passes over
 * the validation split. Either way a step sees a batch of `batchSize` images of the validation split.
 */
export type LearningPlan =
  | {
      readonly _tag: "WithSupernet"
      readonly warmupEpochs: number
      readonly everySteps: number
      readonly batchSize: number
    }
  | { readonly _tag: "AfterSupernet"; readonly epochs: number; readonly batchSize: number }

/** What a step of learning is given. */
export interface LearningStep {
  /**
   * The task's loss on the step's batch with the options of every layer mixed by the given weights, a tensor [options] a
   * layer. Differentiable in the weights and in them alone: the supernet is not trained here. To be called within the step.
   */
  readonly taskLoss: (weights: ReadonlyArray<Tensor1D>) => Scalar
  /** Steps of learning before this one. */
  readonly step: number
  /** Steps of learning in all. */
  readonly steps: number
  /** The step's own. */
  readonly key: Key.Key
}

/**
 * What a step of learning reports, by name. `loss`, what was minimised, is always there; further `taskLoss`, `cost`
 * (expected, in the budget's metric), `target` (the cost aimed at), `entropy` (mean over the layers, as a fraction of
 * the largest there can be) and `temperature`, where a strategy has them, and whatever else it has.
 */
export type LearningMetrics = Readonly<Record<string, number>> & { readonly loss: number }

/**
 * How good the learned state is, reported once when learning is over. A strategy that serves many targets asks itself for
 * architectures of `targets`, one by one, and reports their `costs`, both in the budget's metric; `metrics` are figures about
 * them by name: `kendall` and `spearman`, rank correlations of the two (missing where all costs are equal), `deviation`,
 * their mean distance as a fraction of the range of targets, and `pass`, of which pass of learning all that is, where one
 * is chosen.
 *
 * **Example** (Two targets, both met within a tenth)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as SearchStrategy from "./SearchStrategy.ts"
 *
 * const review = { metrics: { kendall: 1, spearman: 1, deviation: 0.1 }, targets: [10, 20], costs: [11, 19] }
 * Schema.is(SearchStrategy.LearningReview)(review) // => true
 * ```
 */
export const LearningReview = Schema.Struct({
  metrics: Schema.Record(Schema.String, Schema.Finite),
  targets: Schema.Array(Schema.Finite),
  costs: Schema.Array(Schema.Finite)
})
/** How good what was learned is. */
export type LearningReview = typeof LearningReview.Type

/**
 * How a strategy that learns `AfterSupernet` keeps the best of its passes instead of the last. After every pass the
 * caller measures the task's loss of each of `architectures` - a path through the supernet alone, mean over the same
 * `batches` batches of the validation split every time - and passes the losses to `tell` in that order.
 */
export interface PassChoice {
  readonly batches: number
  /** Architectures of the space. */
  readonly architectures: (state: LearnerState) => ReadonlyArray<Genotype>
  /**
   * The state with the pass just over, counted from 1, kept or not; it shares its tensors with the state it was given. The
   * figures, by name, are reported with those of the pass.
   */
  readonly tell: (
    state: LearnerState,
    pass: number,
    losses: ReadonlyArray<number>
  ) => readonly [state: LearnerState, figures: Readonly<Record<string, number>>]
}

/**
 * What a gradient-based searcher adds: architecture parameters, a generator of architectures. State goes in,
 * state comes out; the caller saves the state with the run's checkpoints, and begins the search from what was
 * learned (`conclude`), so that `ask` and `tell` stay functions of JSON.
 *
 * Tensors: nothing disposes what it was given. `trainStep` shares what it did not change with the state it was given;
 * the caller frees the rest.
 */
export interface GradientSearch {
  readonly plan: LearningPlan
  /** The state before the first step. Its tensors are the caller's. */
  readonly init: (key: Key.Key) => LearnerState
  /** One update. Deterministic in its arguments. */
  readonly trainStep: (
    state: LearnerState,
    step: LearningStep
  ) => readonly [state: LearnerState, metrics: LearningMetrics]
  /** The current distribution: training strategies that follow the search strategy mix by it, and the report draws it. */
  readonly distribution: (state: LearnerState) => ArchitectureDistribution
  /** Which pass of learning `AfterSupernet` is kept. Default: the last. */
  readonly choice?: PassChoice | undefined
  /** Judges what was learned `AfterSupernet`, when learning is over. Default: nothing is reported. */
  readonly review?: ((state: LearnerState) => LearningReview) | undefined
  /** The state that the search begins with when learning is over; it takes what it needs of the tensors as numbers. */
  readonly conclude: (state: LearnerState, key: Key.Key) => SearchState
}

/** The contract. All functions are pure and deterministic in their arguments. */
export interface SearchStrategyShape {
  readonly name: string
  /** Evaluations in total, for progress; undefined where the strategy cannot know. */
  readonly evaluations: number | undefined
  /** Whether `ask` ever names the same (canonical) architecture twice. */
  readonly distinct: boolean
  /** Set for a gradient-based searcher. */
  readonly gradient?: GradientSearch | undefined
  /** The state before the first question; of a strategy that learns: as if it had learned nothing. */
  readonly init: (key: Key.Key) => SearchState
  /**
   * The next candidates (a generation, or a chunk of it), each within the budget; empty exactly when the search is
   * over. Asking twice from the same state gives the same candidates.
   */
  readonly ask: (state: SearchState) => readonly [candidates: ReadonlyArray<Genotype>, state: SearchState]
  /** Scores of candidates asked for, in any order within a generation. */
  readonly tell: (state: SearchState, scored: ReadonlyArray<Scored>) => SearchState
  /** The best candidate scored so far: lowest objective, ties broken by lower cost, then by genotype. */
  readonly best: (state: SearchState) => Option.Option<Scored>
}

/**
 * The search strategy of a run.
 *
 * **Example** (Reading the run's)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as SearchStrategy from "./SearchStrategy.ts"
 *
 * const idle = SearchStrategy.SearchStrategy.of({
 *   name: "idle",
 *   evaluations: 0,
 *   distinct: true,
 *   init: () => null,
 *   ask: (state) => [[], state],
 *   tell: (state) => state,
 *   best: () => Option.none()
 * })
 * const asked = Effect.map(SearchStrategy.SearchStrategy, (strategy) => strategy.ask(null)[0])
 * Effect.runSync(Effect.provideService(asked, SearchStrategy.SearchStrategy, idle)) // => []
 * ```
 */
export class SearchStrategy extends Context.Service<SearchStrategy, SearchStrategyShape>()(
  "osnas/search-strategy/SearchStrategy"
) {}
