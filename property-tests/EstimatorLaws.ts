/**
 * Laws of a performance estimator. Apply them to one of your own in a line of vitest:
 * `it("is lawful", () => EstimatorLaws.check(estimator, genotypes))`. A broken law throws an Error that says which, for
 * which architecture.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PerformanceEstimatorShape } from "../src/estimator/PerformanceEstimator.ts"
import * as Key from "../src/random/Key.ts"
import type { Genotype } from "../src/search-space/SearchSpace.ts"

/** What to check with. */
export interface Options {
  /** Architectures that must be refused with an `EstimationError`; default none. */
  readonly refused?: ReadonlyArray<Genotype> | undefined
  /** Seed of the order in which architectures are scored again; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`estimator law broken: ${name}: ${about}`)
}

/**
 * Checks all laws on the given architectures; rejects with the first that is broken. Laws: scores are finite numbers; an
 * architecture scores the same whenever and after whatever it is asked; what cannot be scored is an `EstimationError`.
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
  const score = (genotype: Genotype) => Effect.runPromise(Effect.result(estimator.score(genotype)))
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
  for (const genotype of options.refused ?? []) {
    const refused = await score(genotype)
    law(
      Result.isFailure(refused) && refused.failure._tag === "EstimationError",
      "what cannot be scored is refused",
      `${genotype}: ${JSON.stringify(refused)}`
    )
  }
}
