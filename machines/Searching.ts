/**
 * The machine of the search. A gradient-based searcher first learns on the supernet, piece by piece. Then, generation by
 * generation: ask the searcher for architectures, score them in one piece of work, report the scores to the searcher,
 * save. The search ends when the searcher proposes no more architectures. A generation whose scoring was paused continues
 * with the architectures that have no score yet.
 *
 * **Example** (Before the first question)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { initialTransition } from "xstate"
 * import * as Searching from "./Searching.ts"
 *
 * const input: Searching.SearchingInput = { supernet: null }
 * Schema.is(Searching.SearchingInput)(input) // => true
 * const [snapshot] = initialTransition(Searching.searchingMachine, input)
 * snapshot.value // => "learning"
 * Schema.is(Searching.SearchingContext)(snapshot.context) // => true
 * new Searching.NothingFound().message // => "the search ended without scoring a single architecture"
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { assign, sendTo, setup } from "xstate"
import { hole } from "./fromEffect.ts"
import { onError } from "./OnError.ts"
import {
  CheckpointRef,
  Failure,
  LearningPosition,
  type SavePiece,
  type Score,
  Scored,
  type SearchResult,
  toFailure
} from "./RunState.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Digits = Schema.Array(Count)

/** Input of a search. */
export const SearchingInput = Schema.Struct({
  /** The supernet that scores candidates; null if the estimator does not need one. */
  supernet: Schema.NullOr(CheckpointRef)
})
/** Input of a search. */
export type SearchingInput = typeof SearchingInput.Type

/** The context of the machine. */
export const SearchingContext = Schema.Struct({
  ...SearchingInput.fields,
  /** Position of learning; null before its first piece, and for a searcher that does not learn in this phase. */
  learning: Schema.NullOr(LearningPosition).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  /** The searcher's own state; null before the first generation. */
  state: Schema.NullOr(Schema.Json),
  generation: Count,
  /** All candidates of this generation. */
  candidates: Schema.Array(Digits),
  /** The candidates scored so far, in the same order. */
  scored: Schema.Array(Scored),
  /** Number of candidates scored in earlier generations. */
  evaluations: Count,
  best: Schema.NullOr(Scored),
  /** Whether the searcher proposes no more candidates. */
  exhausted: Schema.Boolean,
  pausing: Schema.Boolean,
  failure: Schema.NullOr(Failure)
})
/** The context of the machine. */
export type SearchingContext = typeof SearchingContext.Type

/** `pause`: end after the next score; `resume`: clear a pause from before the restart. */
export type SearchingEvent = { readonly type: "pause" } | { readonly type: "resume" }

/** How the search ended. */
export type SearchingOutput =
  | { readonly _tag: "Found"; readonly result: SearchResult }
  | { readonly _tag: "Paused" }
  | { readonly _tag: "Failed"; readonly failure: Failure }

/** Input of the hole `learn`: continue from `position` (null: from the start) to the end of a piece. */
export interface LearnPiece extends SearchingInput {
  readonly position: LearningPosition | null
}

/** Input of the hole `ask`. */
export interface AskCandidates extends SearchingInput {
  /** What the searcher learned on the supernet; null: nothing. */
  readonly learning: LearningPosition | null
  /** Null: the search has not begun. */
  readonly state: Schema.Json | null
}

/** Input of the hole `tell`: a generation's scores. */
export interface TellScores {
  readonly state: Schema.Json | null
  readonly generation: number
  readonly scored: ReadonlyArray<Scored>
}

/** Input of the hole `score`: the architectures of a generation that have no score yet. */
export interface ScoreGeneration {
  readonly supernet: CheckpointRef | null
  /** Index of the first one among all evaluations of the search, from 0. */
  readonly evaluation: number
  /** From 0. */
  readonly generation: number
  readonly candidates: ReadonlyArray<ReadonlyArray<number>>
}

/** Output of the hole `score`: cost and score of an architecture. */
export interface CostAndScore {
  readonly cost: number
  readonly score: Score
}

/** A search that ended without a scored candidate. */
export class NothingFound extends Schema.TaggedError<NothingFound>()("NothingFound", {}) {
  override get message(): string {
    return "the search ended without scoring a single architecture"
  }
}

/** The machine of the search. */
export const searchingMachine = setup({
  types: {
    context: {} as SearchingContext,
    events: {} as SearchingEvent,
    input: {} as SearchingInput,
    output: {} as SearchingOutput
  },
  actors: {
    /** Learns one piece and writes its checkpoint; ends early on a pause. Null: there is nothing left to learn. */
    learn: hole<LearningPosition | null, LearnPiece>("learn"),
    /** The candidates of the next generation, and the searcher's next state. */
    ask: hole<
      { readonly candidates: ReadonlyArray<ReadonlyArray<number>>; readonly state: Schema.Json },
      AskCandidates
    >("ask"),
    /** Costs and scores in the order of the architectures; on a pause it ends early, with at least one. */
    score: hole<ReadonlyArray<CostAndScore>, ScoreGeneration>("score"),
    tell: hole<{ readonly state: Schema.Json; readonly best: Scored | null }, TellScores>("tell"),
    save: hole<void, SavePiece>("save")
  },
  guards: {
    hasLearned: (_, params: { position: LearningPosition | null }) => params.position === null,
    isExhausted: (_, params: { candidates: number }) => params.candidates === 0,
    completesGeneration: ({ context }, params: { scores: number }) =>
      context.scored.length + params.scores >= context.candidates.length,
    hasCandidates: ({ context }) => context.scored.length < context.candidates.length,
    hasBest: ({ context }) => context.best !== null,
    isPausing: ({ context }) => context.pausing
  },
  actions: {
    advanceLearning: assign((_, params: { position: LearningPosition | null }) => ({ learning: params.position })),
    begin: assign((_, params: { candidates: ReadonlyArray<ReadonlyArray<number>>; state: Schema.Json }) => ({
      candidates: params.candidates,
      state: params.state,
      scored: []
    })),
    addScores: assign(({ context: { candidates, scored } }, params: { scores: ReadonlyArray<CostAndScore> }) => {
      const unscored = candidates.slice(scored.length)
      const added = params.scores.flatMap(({ cost, score }, index) => {
        const genotype = unscored[index]
        return genotype === undefined ? [] : [{ genotype, cost, score }]
      })
      return { scored: [...scored, ...added] }
    }),
    endGeneration: assign(({ context }, params: { state: Schema.Json; best: Scored | null }) => ({
      state: params.state,
      best: params.best,
      generation: context.generation + 1,
      evaluations: context.evaluations + context.scored.length,
      candidates: [],
      scored: []
    })),
    exhaust: assign({ exhausted: true }),
    requestPause: assign({ pausing: true }),
    clearPause: assign({ pausing: false }),
    forwardPause: sendTo(
      (_, params: { actor: "learn" | "score" }) => params.actor,
      () => ({ type: "pause" }) as const
    ),
    recordFailure: assign((_, params: { readonly failure: Failure }) => ({ failure: params.failure })),
    recordNothingFound: assign({ failure: toFailure(new NothingFound()) })
  }
}).createMachine({
  id: "searching",
  context: ({ input }) => ({
    ...input,
    learning: null,
    state: null,
    generation: 0,
    candidates: [],
    scored: [],
    evaluations: 0,
    best: null,
    exhausted: false,
    pausing: false,
    failure: null
  }),
  initial: "learning",
  on: {
    pause: { actions: "requestPause" },
    resume: { actions: "clearPause" }
  },
  output: ({ context }) =>
    context.failure !== null
      ? { _tag: "Failed", failure: context.failure }
      : context.best !== null && context.exhausted
        ? {
            _tag: "Found",
            result: {
              architecture: context.best.genotype,
              evaluations: context.evaluations,
              best: context.best,
              ...(context.learning === null ? {} : { learning: context.learning })
            }
          }
        : { _tag: "Paused" },
  states: {
    learning: {
      on: { pause: { actions: ["requestPause", { type: "forwardPause", params: { actor: "learn" } }] } },
      invoke: {
        id: "learn",
        src: "learn",
        input: ({ context }) => ({ supernet: context.supernet, position: context.learning }),
        onDone: [
          {
            guard: { type: "hasLearned", params: ({ event }) => ({ position: event.output }) },
            target: "asking"
          },
          {
            target: "savingLearned",
            actions: { type: "advanceLearning", params: ({ event }) => ({ position: event.output }) }
          }
        ],
        onError
      }
    },
    savingLearned: {
      invoke: {
        id: "save",
        src: "save",
        input: { phase: "searching" },
        onDone: [{ guard: "isPausing", target: "paused" }, { target: "learning" }],
        onError
      }
    },
    asking: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({ supernet: context.supernet, learning: context.learning, state: context.state }),
        onDone: [
          {
            guard: { type: "isExhausted", params: ({ event }) => ({ candidates: event.output.candidates.length }) },
            target: "choosing",
            actions: "exhaust"
          },
          {
            target: "scoring",
            actions: {
              type: "begin",
              params: ({ event }) => ({ candidates: event.output.candidates, state: event.output.state })
            }
          }
        ],
        onError
      }
    },
    scoring: {
      on: { pause: { actions: ["requestPause", { type: "forwardPause", params: { actor: "score" } }] } },
      invoke: {
        id: "score",
        src: "score",
        input: ({ context }) => ({
          supernet: context.supernet,
          evaluation: context.evaluations + context.scored.length,
          generation: context.generation,
          candidates: context.candidates.slice(context.scored.length)
        }),
        onDone: [
          {
            guard: { type: "completesGeneration", params: ({ event }) => ({ scores: event.output.length }) },
            target: "telling",
            actions: { type: "addScores", params: ({ event }) => ({ scores: event.output }) }
          },
          {
            guard: "isPausing",
            target: "saving",
            actions: { type: "addScores", params: ({ event }) => ({ scores: event.output }) }
          },
          {
            target: "scoring",
            reenter: true,
            actions: { type: "addScores", params: ({ event }) => ({ scores: event.output }) }
          }
        ],
        onError
      }
    },
    telling: {
      invoke: {
        id: "tell",
        src: "tell",
        input: ({ context }) => ({ state: context.state, generation: context.generation, scored: context.scored }),
        onDone: {
          target: "saving",
          actions: {
            type: "endGeneration",
            params: ({ event }) => ({ state: event.output.state, best: event.output.best })
          }
        },
        onError
      }
    },
    saving: {
      invoke: {
        id: "save",
        src: "save",
        input: { phase: "searching" },
        onDone: [
          { guard: "isPausing", target: "paused" },
          { guard: "hasCandidates", target: "scoring" },
          { target: "asking" }
        ],
        onError
      }
    },
    choosing: {
      always: [
        { guard: "hasBest", target: "found" },
        { target: "failed", actions: "recordNothingFound" }
      ]
    },
    found: { type: "final" },
    paused: { type: "final" },
    failed: { type: "final" }
  }
})
