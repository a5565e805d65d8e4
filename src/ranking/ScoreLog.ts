/**
 * Scores of architectures in a journal, so that a ranking that was stopped does not score an architecture twice. A line
 * belongs to a digest of everything that decides a score; lines of other digests are kept and ignored.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  type EstimationError,
  type PerformanceEstimatorShape,
  scoreEach,
  type TrainedSupernet
} from "../estimator/PerformanceEstimator.ts"
import * as Journal from "../run/Journal.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { Score } from "../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import type { DiskError, DiskShape } from "../support/Disk.ts"

/** What scores are computed from. */
export interface ScoringSetup {
  readonly space: SearchSpaceShape
  readonly estimator: PerformanceEstimatorShape
  readonly supernet: TrainedSupernet | undefined
  /** Everything else that decides a score: options of the estimator and the task, digest of the data. */
  readonly identity: Schema.Json
}

/** A log of scores. */
export interface ScoreLog {
  /**
   * The scores of architectures, in order; those that the log has are not computed again. `report` is called when
   * scoring begins and after each score, with the number of scores known and with how many of them the log had before.
   */
  readonly score: (
    setup: ScoringSetup,
    architectures: ReadonlyArray<Genotype>,
    report: (known: number, before: number) => Effect.Effect<void>
  ) => Effect.Effect<ReadonlyArray<Score>, DiskError | EstimationError>
}

const decodeScore = Schema.decodeUnknownOption(Score)

const digestOf = ({ estimator, identity, supernet }: ScoringSetup): string =>
  CanonicalJson.digest({ estimator: estimator.name, supernet: supernet?.digest ?? null, identity })

/** Opens the log of a file, which is closed with the scope. A torn last line is cut off. */
export const open = Effect.fnUntraced(function* (disk: DiskShape, file: string) {
  const journal: Journal.Journal = yield* Journal.open(disk, file)
  const known = new Map<string, Score>()
  const keyOf = (digest: string, architecture: string) => `${digest} ${architecture}`
  for (const line of journal.lines) {
    const score = decodeScore({ objective: line["objective"], metrics: line["metrics"] })
    if (Option.isSome(score)) known.set(keyOf(String(line["of"]), String(line["architecture"])), score.value)
  }
  const score: ScoreLog["score"] = Effect.fnUntraced(function* (setup, architectures, report) {
    const { estimator, space, supernet } = setup
    const digest = digestOf(setup)
    const find = (genotype: Genotype) => known.get(keyOf(digest, space.format(genotype)))
    const missing = architectures.filter((genotype) => find(genotype) === undefined)
    const before = architectures.length - missing.length
    let logged = 0
    const onScore = Effect.fnUntraced(function* (index: number, value: Score) {
      const architecture = space.format(missing[index]!)
      yield* journal.append({ of: digest, architecture, ...value })
      known.set(keyOf(digest, architecture), value)
      logged += 1
      yield* report(before + logged, before)
    })
    if (missing.length > 0) {
      yield* report(before, before)
      yield* scoreEach({ estimator, space }, missing, { supernet, onScore })
      yield* journal.sync
    }
    return architectures.map((genotype) => find(genotype)!)
  })
  return { score } satisfies ScoreLog
})
