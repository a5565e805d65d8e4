/**
 * The search: asks the searcher for the architectures of a generation, scores them, and reports the scores back. Each
 * score is logged in `search.jsonl` as soon as it is known; a logged architecture is not scored again.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { AskCandidates, CostAndScore, ScoreGeneration, TellScores } from "../../../machines/Searching.ts"
import { scoreEach } from "../../estimator/PerformanceEstimator.ts"
import * as Parameters from "../../nn/ParameterTree.ts"
import * as Key from "../../random/Key.ts"
import type { Genotype } from "../../search-space/SearchSpace.ts"
import type { Score, SearchState } from "../../search-strategy/SearchStrategy.ts"
import type { DiskError } from "../../support/Disk.ts"
import * as Checkpoint from "../Checkpoint.ts"
import type { JournalError } from "../Journal.ts"
import * as Learner from "../Learner.ts"
import { breathe } from "../PieceLoop.ts"
import type { Services } from "../RunServices.ts"
import type { SearchLog } from "../SearchLog.ts"
import { networkWeights, type PhaseContext } from "./PhaseContext.ts"

/** The context of the search. `scoredBefore` counts the candidates that the log contained at the start or resume. */
export interface SearchContext extends PhaseContext {
  readonly log: SearchLog
  readonly scoredBefore: number
}

const keyOf = ({ key }: Pick<Services, "key">): Key.Key => Key.derive(key, "searching")

/** The initial state of the search, from the checkpoint of a gradient-based searcher. */
export const learnedState = Effect.fnUntraced(function* (
  services: Pick<Services, "key" | "searchStrategy">,
  file: string,
  checkpoint: Checkpoint.Checkpoint
) {
  const { searchStrategy } = services
  const key = keyOf(services)
  const learned = yield* Learner.fromCheckpoint(file, checkpoint)
  const why = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))
  return yield* Effect.try({
    try: (): SearchState => searchStrategy.gradient?.conclude(learned, key) ?? searchStrategy.init(key),
    catch: (cause) =>
      new Checkpoint.CheckpointError({
        file,
        tensor: null,
        reason: `its searcher state is not one of searchStrategy ${searchStrategy.name} in this search space: ${why(cause)}`
      })
  }).pipe(Effect.ensuring(Effect.sync(() => Parameters.disposeUnsafe(learned.tensors))))
})

const initialState = Effect.fnUntraced(function* (
  { folder, resident, services }: SearchContext,
  { learning, supernet }: AskCandidates
) {
  const { gradient } = services.searchStrategy
  const from = gradient?.plan._tag === "WithSupernet" ? supernet : (learning?.checkpoint ?? null)
  resident.release("searcher")
  if (gradient === undefined || from === null) return services.searchStrategy.init(keyOf(services))
  const file = folder.path(from.file)
  return yield* learnedState(services, file, yield* Checkpoint.read(folder.disk, file, from.digest))
})

/** The architectures of the next generation; none: the search is over. */
export const ask = Effect.fnUntraced(function* (context: SearchContext, question: AskCandidates) {
  const { progress, scoredBefore, services } = context
  const { searchStrategy, space } = services
  yield* progress.openPhase("searching", scoredBefore, searchStrategy.evaluations ?? null)
  const [candidates, state] = searchStrategy.ask(question.state ?? (yield* initialState(context, question)))
  for (const candidate of candidates) yield* Effect.fromResult(space.validate(candidate))
  return { candidates, state }
})

/** Logs and reports scores in the order of the architectures, whatever the order in which they arrive. */
interface Scoring {
  readonly scored: () => ReadonlyArray<CostAndScore>
  /** Takes the scores of the generation from the log. */
  readonly recover: Effect.Effect<void, DiskError | JournalError>
  /** Takes a score; completes once every score without a gap before it is logged and reported. */
  readonly add: (index: number, score: Score) => Effect.Effect<void, DiskError>
}

const makeScoring = (
  { config, log, progress, services }: SearchContext,
  { candidates, evaluation: first, generation }: ScoreGeneration,
  pausing: () => boolean
): Scoring => {
  const total = services.searchStrategy.evaluations ?? null
  const scored: Array<CostAndScore> = []
  const waiting = new Map<number, Score>()
  const lock = Semaphore.makeUnsafe(1)
  const placeOf = (genotype: Genotype) => ({
    evaluation: first + scored.length,
    generation,
    architecture: services.space.format(genotype)
  })
  const report = Effect.fnUntraced(function* (place: ReturnType<typeof placeOf>, outcome: CostAndScore) {
    scored.push(outcome)
    progress.reach({ unit: "candidate", done: place.evaluation + 1, total })
    yield* progress.emit({ _tag: "CandidateScored", ...place, total, cost: outcome.cost, ...outcome.score })
  })
  const recover = Effect.gen(function* () {
    for (const genotype of candidates) {
      const place = placeOf(genotype)
      const logged = yield* log.find(place)
      if (logged === undefined) return
      yield* report(place, logged)
      if (pausing()) return
    }
  })
  const flush = Effect.gen(function* () {
    for (;;) {
      const [genotype, score] = [candidates[scored.length], waiting.get(scored.length)]
      if (genotype === undefined || score === undefined) return
      waiting.delete(scored.length)
      const place = placeOf(genotype)
      const outcome = { cost: services.costs.cost(config.budget.metric, genotype), score }
      yield* progress.saving(log.append({ ...place, ...outcome }))
      yield* breathe
      yield* report(place, outcome)
    }
  })
  const add: Scoring["add"] = (index, score) =>
    Effect.suspend(() => {
      waiting.set(index, score)
      return lock.withPermit(flush)
    })
  return { scored: () => scored, recover, add }
}

/**
 * Scores the rest of a generation in one call of the estimator. When a pause is requested, the call is interrupted after the
 * next score.
 */
const estimate = Effect.fnUntraced(function* (
  context: SearchContext,
  { candidates, supernet: ref }: ScoreGeneration,
  scoring: Scoring,
  pausing: () => boolean
) {
  const { estimator, space } = context.services
  const recovered = scoring.scored().length
  const architectures = candidates.slice(recovered)
  const supernet =
    ref === null ? undefined : { digest: ref.digest, ...(yield* networkWeights(context, ref, space.supernet)) }
  const paused = yield* Deferred.make<void>()
  const onScore = Effect.fnUntraced(function* (index: number, score: Score) {
    yield* scoring.add(recovered + index, score)
    // Scores that wait for one before them are not logged yet.
    if (!pausing() || scoring.scored().length === 0) return
    yield* Deferred.succeed(paused, undefined)
    // Waits for the interruption, so that the estimator does not begin another architecture.
    yield* Effect.interruptible(Effect.never)
  })
  const scoreAll = scoreEach({ estimator, space }, architectures, { supernet, onScore })
  yield* Effect.raceFirst(scoreAll, Deferred.await(paused))
})

/**
 * Costs and scores of the architectures of a generation, in order: from the log, or computed and logged. On a pause, ends
 * early with at least one score.
 */
export const score = Effect.fnUntraced(function* (
  context: SearchContext,
  input: ScoreGeneration,
  pausing: () => boolean
) {
  const { progress, services } = context
  const scoring = makeScoring(context, input, pausing)
  yield* progress.openPhase("searching", input.evaluation, services.searchStrategy.evaluations ?? null)
  yield* scoring.recover
  const { length } = scoring.scored()
  const isEarlyEnd = length > 0 && pausing()
  if (length < input.candidates.length && !isEarlyEnd) yield* estimate(context, input, scoring, pausing)
  return scoring.scored()
})

/** Reports the scores of a generation to the searcher; gives its new state and the best architecture so far. */
export const tell = Effect.fnUntraced(function* ({ progress, services }: SearchContext, input: TellScores) {
  const { searchStrategy, space } = services
  const state = searchStrategy.tell(input.state, input.scored)
  const best = Option.getOrNull(searchStrategy.best(state))
  const shown = best === null ? null : { architecture: space.format(best.genotype), cost: best.cost, ...best.score }
  yield* progress.emit({ _tag: "GenerationDone", generation: input.generation, best: shown })
  return { state, best }
})
