/**
 * A gradient-based searcher learns on the trained supernet, before it proposes architectures. A piece of work is a pass over
 * the validation split, or a part of one that ends where a checkpoint is due; it ends with a checkpoint of the searcher.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { LearningPosition } from "../../../machines/RunState.ts"
import type { LearnPiece } from "../../../machines/Searching.ts"
import * as Key from "../../random/Key.ts"
import * as Distribution from "../../search-strategy/Distribution.ts"
import type { GradientSearch, LearnerState, LearningMetrics } from "../../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../../support/CanonicalJson.ts"
import * as SafeJson from "../../support/SafeJson.ts"
import * as Checkpoint from "../Checkpoint.ts"
import * as Learner from "../Learner.ts"
import * as MetricSums from "../MetricSums.ts"
import * as PieceLoop from "../PieceLoop.ts"
import * as RunFolder from "../RunFolder.ts"
import type { Services } from "../RunServices.ts"
import type * as Trainer from "../Trainer.ts"
import type { Weights } from "../TrainingState.ts"
import * as Divergence from "./Divergence.ts"
import { hasFiniteValues, networkWeights, type PhaseContext } from "./PhaseContext.ts"

type Setup = NonNullable<Trainer.TrainerSetup["learner"]>

/** How the searcher learns; undefined if it does not learn at this time. */
export const setupOf = (services: Services, when: GradientSearch["plan"]["_tag"]): Setup | undefined => {
  const { criterion, dataflow, key, searchStrategy, space } = services
  const { gradient, name } = searchStrategy
  if (gradient === undefined || gradient.plan._tag !== when) return undefined
  return { key: Key.derive(key, "learning"), gradient, space, criterion, dataflow, strategy: name }
}

/** The searcher's current distribution: the probability of every option, by searched layer. */
export const probabilitiesOf = (gradient: GradientSearch, state: LearnerState) =>
  Distribution.probabilities(gradient.distribution(state).logits)

/** Metadata key of the metrics of an unfinished pass, summed over its steps. */
const sumsKey = "osnas.learning"
const decodeSums = Schema.decodeUnknownOption(MetricSums.MetricSums)

/** Learning after `step` steps: the searcher's state, the sums of the current pass, the means of the completed ones. */
interface State {
  readonly step: number
  readonly searcher: LearnerState
  readonly sums: MetricSums.MetricSums
  readonly history: LearningPosition["history"]
}

interface Report {
  readonly metrics: LearningMetrics
  readonly isPassDone: boolean
}

interface Piece {
  readonly context: PhaseContext
  readonly setup: Setup
  readonly steps: number
  readonly weights: Weights
}

/** The state that a piece begins with, with the sums of the pass it continues. */
const stateFor = Effect.fnUntraced(function* (
  { folder, resident }: PhaseContext,
  setup: Setup,
  position: LearningPosition | null
) {
  const digest = position?.checkpoint.digest
  const known = resident.find("searcher", digest)
  if (known === undefined) resident.release("searcher")
  if (position === null)
    return { step: 0, searcher: Learner.init(setup), sums: MetricSums.empty, history: [] } satisfies State
  const file = folder.path(position.checkpoint.file)
  const checkpoint = yield* Checkpoint.read(folder.disk, file, digest)
  const searcher = known ?? (yield* Learner.fromCheckpoint(file, checkpoint))
  const sums = Option.getOrElse(
    Option.flatMap(Result.getSuccess(SafeJson.parse(checkpoint.metadata[sumsKey] ?? "")), decodeSums),
    () => MetricSums.empty
  )
  return { step: position.step, searcher, sums, history: position.history } satisfies State
})

/** Ends a pass: the searcher decides whether to keep it, and its means are added to the history. */
const endPass = Effect.fnUntraced(function* ({ context: { resident }, setup, weights }: Piece, state: State) {
  const pass = state.history.length + 1
  const [searcher, figures] = yield* Learner.judge(setup, state.searcher, pass, weights, PieceLoop.breathe)
  resident.put("searcher", searcher)
  const means = { ...MetricSums.means(state.sums), ...figures }
  return [{ ...state, searcher, sums: MetricSums.empty, history: [...state.history, means] }, means] as const
})

const step = Effect.fnUntraced(function* (piece: Piece, state: State) {
  const { context, setup, steps, weights } = piece
  const place = { step: state.step, steps }
  const batch = yield* Learner.nextBatch(setup, state.step)
  const [searcher, metrics] = yield* Effect.uninterruptible(
    Effect.map(Learner.update(setup, state.searcher, place, batch, weights, setup.strategy), (updated) => {
      context.resident.put("searcher", updated[0])
      return updated
    })
  )
  const next: State = { ...state, step: state.step + 1, searcher, sums: MetricSums.add(state.sums, metrics) }
  context.progress.reach({ unit: "step", done: next.step, total: steps })
  const isPassDone = next.step % Learner.stepsPerPass(setup) === 0 || next.step === steps
  if (!isPassDone) return [next, { metrics, isPassDone } satisfies Report] as const
  const [ended, means] = yield* endPass(piece, next)
  return [ended, { metrics: means as LearningMetrics, isPassDone } satisfies Report] as const
})

const show = (
  { context, setup, steps }: Piece,
  state: State,
  { isPassDone, metrics }: Report,
  { journal }: PieceLoop.Moment
) =>
  context.progress.emit(
    {
      _tag: "Learned",
      phase: "searching",
      step: state.step,
      steps,
      metrics,
      probabilities: isPassDone ? probabilitiesOf(setup.gradient, state.searcher) : null
    },
    { journal }
  )

/** Writes the checkpoint of the searcher. */
const save = Effect.fnUntraced(function* ({ context, setup, steps }: Piece, state: State) {
  const { folder, progress, resident, services } = context
  const { history, searcher, step, sums } = state
  const { metadata, tensors } = yield* Learner.toEntries(searcher)
  if (!hasFiniteValues(tensors)) {
    return yield* new Learner.LearningDiverged({
      searchStrategy: setup.strategy,
      step,
      loss: "finite, but a parameter of the search is NaN or infinite",
      command: null
    })
  }
  const file = step >= steps ? RunFolder.files.searcher : RunFolder.checkpointName("searching", step)
  const digest = yield* progress.saving(
    Checkpoint.write(folder.disk, folder.path(file), {
      tensors,
      metadata: {
        format: "osnas",
        phase: "searching",
        space: services.space.name,
        ...metadata,
        [sumsKey]: CanonicalJson.stringify(sums)
      }
    })
  )
  const ref = { file, digest }
  yield* progress.emit({ _tag: "CheckpointSaved", phase: "searching", step, ...ref }, { sync: true })
  resident.put("searcher", searcher, digest)
  const review = step >= steps ? setup.gradient.review?.(searcher) : undefined
  if (review !== undefined) yield* progress.emit({ _tag: "LearningReviewed", ...review })
  return {
    step,
    steps,
    checkpoint: ref,
    history,
    ...(review === undefined ? {} : { review })
  } satisfies LearningPosition
})

const learnPiece = Effect.fnUntraced(function* (
  context: PhaseContext,
  { position, supernet }: LearnPiece,
  pausing: () => boolean
) {
  const { config, progress, resident, services } = context
  const setup = setupOf(services, "AfterSupernet")
  if (setup === undefined || supernet === null) return null
  const steps = Learner.stepsAfter(setup)
  if ((position?.step ?? 0) >= steps) return null
  yield* progress.openPhase("searching", 0, services.searchStrategy.evaluations ?? null)
  const weights = yield* networkWeights(context, supernet, services.space.supernet)
  const piece: Piece = { context, setup, steps, weights }
  const from: State = yield* stateFor(context, setup, position)
  resident.put("searcher", from.searcher)
  const reached = yield* PieceLoop.run({
    from,
    steps,
    cadence: config.checkpoint,
    pausing,
    isBoundary: ({ isPassDone }: Report) => isPassDone,
    step: (state: State) => step(piece, state),
    show: (state, report, moment) => show(piece, state, report, moment)
  })
  return yield* save(piece, reached)
})

/** Learns one piece and writes its checkpoint. Null: the searcher does not learn in this phase, or has finished. */
export const learn = (context: PhaseContext, input: LearnPiece, pausing: () => boolean) =>
  Effect.catchTag(learnPiece(context, input, pausing), "LearningDiverged", (error) =>
    Effect.fail(Divergence.ofLearning(context, error, { phase: "searching", recorded: input.position !== null }))
  )
