/**
 * Laws of a performance estimator. Apply them to your own in one line of vitest:
 * `it("is lawful", () => EstimatorLaws.check(estimator, genotypes))`. A broken law throws an Error that says which, for
 * which architecture.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PerformanceEstimatorShape, TrainedSupernet } from "../src/estimator/PerformanceEstimator.ts"
import * as Key from "../src/random/Key.ts"
import type { Genotype } from "../src/search-space/SearchSpace.ts"
import type { Score } from "../src/search-strategy/SearchStrategy.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** Architectures that must be refused with an `EstimationError`; default none. */
  readonly refused?: ReadonlyArray<Genotype> | undefined
  /** The trained supernet, if the estimator needs one; default none. */
  readonly supernet?: TrainedSupernet | undefined
  /** Seed of the order in which architectures are scored again; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`estimator law broken: ${name}: ${about}`)
}

/** The laws of a list: its scores are those of its members, in order, and each is reported once. */
const checkList = async (
  estimator: PerformanceEstimatorShape,
  list: ReadonlyArray<Genotype>,
  alone: (genotype: Genotype) => string | undefined,
  supernet: TrainedSupernet | undefined
): Promise<void> => {
  const reported: Array<readonly [index: number, score: string]> = []
  const onScore = (index: number, score: Score) => Effect.sync(() => void reported.push([index, JSON.stringify(score)]))
  const scored = await Effect.runPromise(Effect.result(estimator.score(list, { supernet, onScore })))
  if (Result.isFailure(scored)) throw scored.failure
  const scores = scored.success.map((score) => JSON.stringify(score))
  const expected = list.map((genotype) => alone(genotype))
  const about = `${list.join(" ")}: ${scores.join()}, alone ${expected.join()}`
  law(scores.length === list.length, "a list has a score for every architecture", about)
  law(scores.join() === expected.join(), "a list's scores are those of its members, in its order", about)
  const byIndex = [...reported].sort(([a], [b]) => a - b)
  law(
    byIndex.length === list.length && byIndex.every(([index, score], at) => index === at && score === scores[at]),
    "every score of a list is reported once",
    `${list.join(" ")}: ${JSON.stringify(reported)}`
  )
}

/**
 * Checks all laws on the given architectures; rejects with the first that is broken. Laws: scores are finite; the score of an
 * architecture does not depend on time, on the list or on what was scored before; the scores of a list are in its order, and
 * each is reported once before the list is done; an architecture that cannot be scored is an `EstimationError`.
 *
 * **Example** (A tabular one)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as NasBenchMacroTable from "../src/estimator/NasBenchMacroTable.ts"
 * import * as Tabular from "../src/estimator/Tabular.ts"
 * import * as EstimatorLaws from "./EstimatorLaws.ts"
 *
 * const estimator = Tabular.make(Result.getOrThrow(NasBenchMacroTable.load()))
 * const genotypes = [
 *   [0, 1, 2, 0, 1, 2, 0, 1],
 *   [2, 2, 2, 2, 2, 2, 2, 2]
 * ]
 * await EstimatorLaws.check(estimator, genotypes, { refused: [[9, 9]] })
 * ```
 */
export const check = async (
  estimator: PerformanceEstimatorShape,
  genotypes: ReadonlyArray<Genotype>,
  options: Options = {}
): Promise<void> => {
  law(genotypes.length > 0, "there is something to score", "no architecture was given")
  const { supernet } = options
  const score = async (genotype: Genotype) => {
    const scored = await Effect.runPromise(Effect.result(estimator.score([genotype], { supernet })))
    return Result.flatMap(scored, ([one]) =>
      one === undefined ? Result.fail(new Error(`estimator law broken: a score for ${genotype}`)) : Result.succeed(one)
    )
  }
  const first = new Map<string, string>()
  for (const genotype of genotypes) {
    const scored = await score(genotype)
    if (Result.isFailure(scored)) throw scored.failure
    const { metrics, objective } = scored.success
    const about = `${genotype}: ${JSON.stringify(scored.success)}`
    law(Number.isFinite(objective), "the objective is a finite number", about)
    law(Object.values(metrics).every(Number.isFinite), "metrics are finite numbers", about)
    first.set(genotype.join(), JSON.stringify(scored.success))
  }
  const order = Key.permutation(Key.make(options.seed ?? 1), genotypes.length)
  for (const index of order) {
    const genotype = genotypes[index] as Genotype
    const again = await score(genotype)
    law(
      Result.isSuccess(again) && JSON.stringify(again.success) === first.get(genotype.join()),
      "the same architecture always scores the same",
      `${genotype}: first ${first.get(genotype.join())}, then ${JSON.stringify(again)}`
    )
  }
  await checkList(
    estimator,
    Array.from(order, (index) => genotypes[index] as Genotype),
    (genotype) => first.get(genotype.join()),
    supernet
  )
  for (const genotype of options.refused ?? []) {
    const refused = await score(genotype)
    law(
      Result.isFailure(refused) && "_tag" in refused.failure && refused.failure._tag === "EstimationError",
      "what cannot be scored is refused",
      `${genotype}: ${JSON.stringify(refused)}`
    )
  }
}
