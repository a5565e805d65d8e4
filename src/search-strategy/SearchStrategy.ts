/**
 * A search strategy decides which architectures to look at and which one wins under the budget. It is an ask/tell
 * machine over explicit state: `ask` names candidates, whoever drives it scores them, `tell` takes the scores.
 * State is JSON, so that a search resumes from a snapshot and is tested without a supernet.
 */
import * as Context from "effect/Context"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"

/** How good a candidate is. Lower objectives are better (a validation loss); metrics stand beside it. */
export const Score = Schema.Struct({
  /** What is minimised. */
  objective: Schema.Finite,
  /** Anything worth recording: top1, top5, loss. */
  metrics: Schema.Record(Schema.String, Schema.Finite)
})
/** How good a candidate is. */
export type Score = typeof Score.Type

/** A scored candidate with its cost in the budget's metric. */
export const Scored = Schema.Struct({
  genotype: Schema.Array(Schema.Int),
  cost: Schema.Finite,
  score: Score
})
/** A scored candidate with its cost in the budget's metric. */
export type Scored = typeof Scored.Type

/** JSON, opaque to everyone but the strategy that made it. */
export type SearchState = Schema.Json

/** The contract. All functions are pure and deterministic in their arguments. */
export interface SearchStrategyShape {
  readonly name: string
  /** Evaluations in total, for progress; undefined where the strategy cannot know. */
  readonly evaluations: number | undefined
  /** Whether `ask` ever names the same (canonical) architecture twice. */
  readonly distinct: boolean
  readonly init: (key: Key.Key) => SearchState
  /**
   * The next candidates (a generation, or a chunk of it), each within the budget; empty exactly when the search is
   * over. Asking twice from the same state gives the same candidates.
   */
  readonly ask: (state: SearchState) => readonly [candidates: ReadonlyArray<Genotype>, state: SearchState]
  /** Scores of candidates asked for, in any order within a generation. */
  readonly tell: (state: SearchState, scored: ReadonlyArray<Scored>) => SearchState
  /** The best candidate told so far: lowest objective, ties broken by lower cost, then by genotype. */
  readonly best: (state: SearchState) => Option.Option<Scored>
}

/** The search strategy of a run. */
export class SearchStrategy extends Context.Service<SearchStrategy, SearchStrategyShape>()(
  "osnas/search-strategy/SearchStrategy"
) {}
