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

/** JSON that only the strategy that made it understands. */
export type SearchState = Schema.Json

/**
 * The current distribution of a gradient-based searcher: how probable each option of each layer is, and how a step of
 * training mixes the options by it (`Distribution.ts` has the arithmetic).
 */
export interface ArchitectureDistribution {
  /** [layer][option]: logarithms of the probabilities, up to a constant per layer. */
  readonly logits: ReadonlyArray<ReadonlyArray<number>>
  /** Above 0. The lower it is, the closer a relaxed draw is to a single option. */
  readonly temperature: number
  readonly relaxation: "softmax" | "gumbel-softmax"
  /** Whether a relaxed draw is a single option in the forward pass, with the relaxation's gradient (straight-through). */
  readonly hard: boolean
}

/**
 * What was learned so far. The tensors are saved as entries `searcher.<name>` in the checkpoint of the phase that is
 * running, with `json` beside them.
 */
export interface LearnerState {
  readonly tensors: ParameterTree
  readonly json: Schema.Json
}

/**
 * When a strategy learns. `WithSupernet`: while the supernet is trained, one step of learning before every
 * `everySteps`-th of its steps, from epoch `warmupEpochs` on (fractions of an epoch allowed). `AfterSupernet`: in the search
 * phase, before the first candidates, on the trained and frozen supernet; `epochs` are passes over the validation split.
 * In both cases a step sees a batch of `batchSize` images of the validation split.
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
   * The task's loss on the step's batch with the options of every layer mixed by the given weights, one tensor [options] per
   * layer. Differentiable in the weights alone: the supernet is not trained here. Call it within the step.
   */
  readonly taskLoss: (weights: ReadonlyArray<Tensor1D>) => Scalar
  /** Steps of learning before this one. */
  readonly step: number
  /** Steps of learning in total. */
  readonly steps: number
  /** The key of this step. */
  readonly key: Key.Key
}

/**
 * What a step of learning reports, by name. `loss`, the minimised value, is always present. A strategy may add `taskLoss`,
 * `cost` (expected, in the budget's metric), `target` (of the cost), `entropy` (mean over the layers, as a fraction of the
 * largest possible), `temperature`, and metrics of its own.
 */
export type LearningMetrics = Readonly<Record<string, number>> & { readonly loss: number }

/**
 * How good the learned state is, reported once when learning is over. A strategy that serves many targets generates an
 * architecture for each of `targets` and reports their `costs`, both in the budget's metric. `metrics` by name: `kendall` and
 * `spearman`, rank correlations of targets and costs (missing if all costs are equal); `deviation`, their mean distance as
 * a fraction of the range of targets; `pass`, the pass of learning that was kept, if one is chosen.
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
/** How good the learned state is. */
export type LearningReview = typeof LearningReview.Type

/**
 * How a strategy that learns `AfterSupernet` keeps the best of its passes instead of the last. After every pass the caller
 * measures the task's loss of each of `architectures` and passes the losses to `tell` in that order. Each is measured as a
 * single path of the supernet, on the same `batches` batches of the validation split every time.
 */
export interface PassChoice {
  readonly batches: number
  /** Architectures of the space. */
  readonly architectures: (state: LearnerState) => ReadonlyArray<Genotype>
  /**
   * Keeps or drops the finished pass, counted from 1. The returned state shares its tensors with the given one. The
   * figures, by name, are reported with the metrics of the pass.
   */
  readonly tell: (
    state: LearnerState,
    pass: number,
    losses: ReadonlyArray<number>
  ) => readonly [state: LearnerState, figures: Readonly<Record<string, number>>]
}

/**
 * What a gradient-based searcher adds: it learns architecture parameters, or a generator of architectures. All functions
 * map state to state. The caller saves the state with the run's checkpoints, and starts the search from the learned state
 * (`conclude`), so that `ask` and `tell` stay functions of JSON.
 *
 * Tensors: no function disposes its arguments. `trainStep` shares unchanged tensors with the state it was given; the caller
 * frees the others.
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
  /** Reviews what was learned `AfterSupernet`, when learning is over. Default: nothing is reported. */
  readonly review?: ((state: LearnerState) => LearningReview) | undefined
  /** The state that the search starts with when learning is over. What it needs of the tensors, it copies as numbers. */
  readonly conclude: (state: LearnerState, key: Key.Key) => SearchState
}

/** The contract. All functions are pure and deterministic in their arguments. */
export interface SearchStrategyShape {
  readonly name: string
  /** Evaluations in total, for progress; undefined where the strategy cannot know. */
  readonly evaluations: number | undefined
  /** Whether `ask` never proposes the same (canonical) architecture twice. */
  readonly distinct: boolean
  /** Set for a gradient-based searcher. */
  readonly gradient?: GradientSearch | undefined
  /** The state before the first `ask`; of a gradient-based searcher: as if it had learned nothing. */
  readonly init: (key: Key.Key) => SearchState
  /**
   * The next candidates (a generation, or a chunk of it), each within the budget; empty exactly when the search is
   * over. The same state gives the same candidates.
   */
  readonly ask: (state: SearchState) => readonly [candidates: ReadonlyArray<Genotype>, state: SearchState]
  /** Takes scores of proposed candidates, in any order within a generation. */
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
