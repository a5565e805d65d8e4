/** `--quick`: a few steps of every phase on a few images, to see that a configuration works. */
import { type Kind, kinds } from "../run/BoundComponent.ts"
import type * as Load from "../run/Load.ts"

/** A value laid over a configuration, and the flag it comes from. */
export type Assignment = readonly [path: ReadonlyArray<string>, value: unknown, flag: string]

/** Options of components that `--quick` overrides. Large images are fewer, so that they too take only a minute. */
const quickOptions = (side: number, batchSize: number): Partial<Record<Kind, Readonly<Record<string, unknown>>>> => {
  const isLarge = side >= 96
  return {
    dataflow: {
      trainLimit: isLarge ? 80 : 400,
      testLimit: isLarge ? 40 : 200,
      peopleLimit: isLarge ? 10 : 20,
      testPeopleLimit: isLarge ? 5 : 10,
      pairs: null,
      pairLimit: 100
    },
    searchStrategy: {
      evaluations: 8,
      generation: 4,
      samples: 4,
      epochs: 1,
      warmupEpochs: 0,
      batchSize: Math.min(batchSize, isLarge ? 4 : 16),
      sweep: 5
    },
    estimator: { recalibration: 1, recalibrationBatchSize: batchSize, batches: 1, batchSize: isLarge ? 16 : 64 }
  }
}

/** Images per step: the configured number, capped to keep a run short; balanced batches keep at least two people. */
const quickBatch = (configured: number, side: number, perIdentity: number): number => {
  const most = Math.min(configured, side >= 96 ? 8 : 32)
  if (perIdentity === 0) return most
  return perIdentity * Math.max(2, Math.min(Math.floor(most / perIdentity), 8))
}

const sizeOption = (loaded: Load.LoadedRun, name: string, otherwise: number): number => {
  const value = loaded.config.dataflow[name]
  return typeof value === "number" ? value : otherwise
}

/** The values that `--quick` lays over a configuration; options that a component does not have are left out. */
export const assignments = (loaded: Load.LoadedRun): ReadonlyArray<Assignment> => {
  const flag = "--quick"
  const side = sizeOption(loaded, "size", 32)
  const perIdentity = sizeOption(loaded, "perIdentity", 0)
  const { retraining, supernetTraining } = loaded.config
  const batchSize = (supernetTraining ?? retraining)?.batchSize ?? 64
  const scales = quickOptions(side, quickBatch(batchSize, side, perIdentity))
  const training = (["supernetTraining", "retraining"] as const).flatMap((phase): ReadonlyArray<Assignment> => {
    const section = loaded.config[phase]
    if (section === undefined) return []
    return [
      [[phase, "epochs"], 1, flag],
      [[phase, "batchSize"], quickBatch(section.batchSize, side, perIdentity), flag],
      [[phase, "accumulate"], 1, flag],
      [[phase, "schedule", "warmupEpochs"], section.schedule.warmupEpochs / section.epochs, flag]
    ]
  })
  const options = kinds.flatMap((kind) =>
    Object.entries(scales[kind] ?? {}).flatMap(
      ([key, value]): ReadonlyArray<Assignment> =>
        key in loaded.components[kind].options ? [[[kind, key], value, flag]] : []
    )
  )
  return [...training, ...options]
}
