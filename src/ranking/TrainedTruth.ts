/**
 * True accuracies by training: every architecture becomes a run of its own, from retraining to evaluation, in a folder
 * named after it. Such a run is resumed where it stopped, and read where it is done.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Lifecycle from "../run/Lifecycle.ts"
import type { RunConfig } from "../run/RunConfig.ts"
import { type RunError, RunFailure } from "../run/RunError.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { type RunServices, services } from "../run/RunServices.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"

/** What {@link train} takes. */
export interface TrainedTruthOptions {
  /** The configuration whose `retraining` says how; its search, supernet and estimator are not used. */
  readonly config: RunConfig
  readonly kinds?: Lifecycle.RunOptions["kinds"]
  readonly modules?: Lifecycle.RunOptions["modules"]
  /** The folder of all trainings. */
  readonly folder: string
  readonly pause?: Effect.Effect<void> | undefined
}

/** The configuration of the training of one architecture. */
const configOf = (config: RunConfig, architecture: string): RunConfig => ({
  ...config,
  name: architecture,
  start: { architecture, supernet: null, network: null },
  stopAfter: "evaluating"
})

/**
 * Trains an architecture alone and gives the metrics of its evaluation; undefined: it was paused. What a folder has
 * recorded is continued.
 */
export const train = (
  options: TrainedTruthOptions,
  genotype: Genotype
): Effect.Effect<Readonly<Record<string, number>> | undefined, RunError, RunServices> =>
  Effect.gen(function* () {
    const { disk, space } = yield* services
    const architecture = space.format(genotype)
    const folder = path.join(options.folder, architecture.replaceAll(",", "-"))
    const { kinds, modules, pause } = options
    const own = { config: configOf(options.config, architecture), kinds, modules, folder, pause }
    const exists = (yield* disk.size(path.join(folder, RunFolder.files.manifest))) !== undefined
    const outcome = yield* exists ? Lifecycle.resume(own) : Lifecycle.run(own)
    if (outcome._tag === "Paused") return undefined
    const { evaluation } = outcome.results
    if (evaluation !== undefined && evaluation !== null) return evaluation
    return yield* new RunFailure({ tag: "RankingError", reason: `the run in ${folder} ended without an evaluation` })
  })
