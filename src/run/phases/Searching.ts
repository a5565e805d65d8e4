/**
 * The search: asks the searcher for the architectures of a generation, scores them, and reports the scores back. Each
 * score is logged in `search.jsonl` as soon as it is known; an architecture that the log contains is not scored again.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AskCandidates, ScoreCandidate, TellScores } from "../../../machines/Searching.ts"
import * as Parameters from "../../nn/ParameterTree.ts"
import * as Key from "../../random/Key.ts"
import type { SearchState } from "../../search-strategy/SearchStrategy.ts"
import * as Checkpoint from "../Checkpoint.ts"
import * as Learner from "../Learner.ts"
import { breathe } from "../PieceLoop.ts"
import type { Services } from "../RunServices.ts"
import type { SearchLog } from "../SearchLog.ts"
import { networkWeights, type PhaseContext } from "./PhaseContext.ts"

/** What the search is given: `scoredBefore` candidates were scored in earlier lives of the run. */
export interface SearchContext extends PhaseContext {
  readonly log: SearchLog
  readonly scoredBefore: number
}

const keyOf = ({ key }: Pick<Services, "key">): Key.Key => Key.derive(key, "searching")

/** The searcher's initial state from the checkpoint of what it has learned by gradient. */
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
        reason: `what it holds was not learned by searchStrategy ${searchStrategy.name} in this search space: ${why(cause)}`
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

/** Scores an architecture with the estimator, which sees the supernet only for the duration of the call. */
const estimate = Effect.fnUntraced(function* (context: SearchContext, { genotype, supernet }: ScoreCandidate) {
  const { config, services } = context
  const cost = services.costs.cost(config.budget.metric, genotype)
  const weights = supernet === null ? undefined : yield* networkWeights(context, supernet, services.space.supernet)
  const score = yield* Effect.acquireUseRelease(
    Effect.sync(() => services.supernet.set(weights)),
    () => services.estimator.score(genotype),
    () => Effect.sync(() => services.supernet.set(undefined))
  )
  return { cost, score }
})

/** The cost and score of one architecture, from the log or else computed and logged. */
export const score = Effect.fnUntraced(function* (context: SearchContext, input: ScoreCandidate) {
  const { log, progress, services } = context
  const { evaluation, generation } = input
  const total = services.searchStrategy.evaluations ?? null
  const place = { evaluation, generation, architecture: services.space.format(input.genotype) }
  yield* progress.openPhase("searching", evaluation, total)
  let scored = yield* log.find(place)
  if (scored === undefined) {
    scored = yield* estimate(context, input)
    yield* progress.saving(log.append({ ...place, ...scored }))
    yield* breathe
  }
  progress.reach({ unit: "candidate", done: evaluation + 1, total })
  yield* progress.emit({ _tag: "CandidateScored", ...place, total, cost: scored.cost, ...scored.score })
  return scored
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
