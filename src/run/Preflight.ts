/**
 * The examination of a run before its first step: everything that follows from the configuration, the listing of the data and
 * sizes. It reports all findings at once, so that a mistake in the last phase does not appear hours later.
 */
import * as Result from "effect/Result"
import { type Phase, phases } from "../../machines/RunState.ts"
import * as Finding from "../component/Finding.ts"
import type { BudgetInfeasible, CostModelShape } from "../cost/CostModel.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import type { DataflowShape, Split } from "../dataflow/Dataflow.ts"
import type { EngineShape } from "../engine/Engine.ts"
import type { PerformanceEstimatorShape } from "../estimator/PerformanceEstimator.ts"
import * as Presets from "../search-space/Presets.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { SearchStrategyShape } from "../search-strategy/SearchStrategy.ts"
import type { TrainingStrategyShape } from "../training-strategy/TrainingStrategy.ts"
import * as Compatibility from "./Compatibility.ts"
import { type RunConfig, type TrainingConfig, trainingOf } from "./RunConfig.ts"
import * as StepMemory from "./StepMemory.ts"

/** What is examined. A component that could not be built is left out, and what depends on it is not examined. */
export interface Examined {
  readonly config: RunConfig
  readonly dataflow: DataflowShape
  readonly space?: SearchSpaceShape | undefined
  readonly costs?: CostModelShape | undefined
  readonly trainingStrategy?: TrainingStrategyShape | undefined
  readonly searchStrategy?: SearchStrategyShape | undefined
  readonly estimator?: PerformanceEstimatorShape | undefined
  readonly engine?: EngineShape | undefined
  readonly machine?: Machine | undefined
}

/** What the machine has; undefined if not known. */
export interface Machine {
  /** Free bytes on the disk of the run's folder. */
  readonly freeBytes: number | undefined
  /** Bytes of memory. */
  readonly memoryBytes: number | undefined
}

type Findings = ReadonlyArray<Finding.Finding>

/**
 * The phases of a run with this configuration.
 *
 * **Example** (From an architecture to its evaluation)
 *
 * ```ts
 * import * as Preflight from "./Preflight.ts"
 *
 * const start = { supernet: null, architecture: "0,1", network: null }
 * Preflight.phasesOf({ start, stopAfter: "evaluating" }, true) // => ["retraining", "evaluating"]
 * ```
 */
export const phasesOf = (
  { start, stopAfter }: Pick<RunConfig, "start" | "stopAfter">,
  needsSupernet: boolean
): ReadonlyArray<Phase> =>
  phases.filter((phase) => {
    if (phases.indexOf(phase) > phases.indexOf(stopAfter)) return false
    if (phase === "supernetTraining") return start.architecture === null && start.supernet === null && needsSupernet
    if (phase === "searching") return start.architecture === null
    return phase === "evaluating" || start.network === null
  })

const trainingPhases = ["supernetTraining", "retraining"] as const

const splitWords: Readonly<Record<Split, string>> = {
  supernet: "the part of the training images that trains the supernet",
  validation: "the validation split",
  train: "the training images",
  test: "the test images"
}

const images = (count: number): string => `${count} ${count === 1 ? "image" : "images"}`

/** A phase whose epochs have no step would train nothing and report success. */
const trainingSteps = ({ config, dataflow }: Examined, phase: "supernetTraining" | "retraining"): Findings => {
  const split = phase === "supernetTraining" ? "supernet" : "train"
  const { batchSize } = trainingOf(config, phase)
  if (dataflow.steps(split, batchSize, true) > 0) return []
  const count = dataflow.count(split)
  const reason =
    (count < batchSize ? undefined : dataflow.refusal?.({ split, epoch: 0, step: 0, batchSize, training: true })) ??
    `${splitWords[split]} (${images(count)}) do not fill a batch of ${batchSize}; expected at most ${count}`
  return [Finding.error(`${phase}.batchSize`, `got ${batchSize}: ${reason}`)]
}

/** Splits that a phase needs and that have no image. */
const emptySplits = ({ dataflow }: Examined, planned: ReadonlyArray<Phase>): Findings => {
  const read: ReadonlyArray<readonly [Phase, Split]> = [
    ["searching", "validation"],
    ["evaluating", "test"]
  ]
  return read.flatMap(([phase, split]) =>
    planned.includes(phase) && dataflow.count(split) === 0
      ? [
          Finding.error(
            "dataflow",
            `${splitWords[split]} ${split === "validation" ? "has" : "have"} no image, and ${phase} needs some`
          )
        ]
      : []
  )
}

const listed = (names: ReadonlyArray<string>): string =>
  `${names.slice(0, 5).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}`

/** Classes without an image to train, score or test on. */
const classesWithoutImages = ({ dataflow }: Examined, planned: ReadonlyArray<Phase>): Findings => {
  const { classes, inventory, verification } = dataflow
  if (inventory === undefined) return []
  const splits: ReadonlyArray<readonly [Split, Phase]> = [
    // A split by people trains and scores on different people.
    ...(verification?.newInValidation === true
      ? []
      : ([
          ["supernet", "supernetTraining"],
          ["validation", "searching"]
        ] as const)),
    ["train", "retraining"],
    // For images in files, the listing has a notice about it.
    ...(verification === undefined && inventory.listing === undefined ? [["test", "evaluating"] as const] : [])
  ]
  return splits.flatMap(([split, phase]) => {
    if (!planned.includes(phase)) return []
    const seen = new Set(inventory.labels(split))
    const without = classes.filter((_, label) => !seen.has(label))
    if (without.length === 0) return []
    const what = `${without.length} of ${classes.length} classes have no image in ${splitWords[split]}: ${listed(without)}`
    return [Finding.warning("dataflow", what)]
  })
}

/**
 * The finding about a budget that no architecture meets: the key to change, and which values are feasible.
 *
 * **Example** (A maximum that is too low)
 *
 * ```ts
 * import { BudgetInfeasible } from "../cost/CostModel.ts"
 * import * as Preflight from "./Preflight.ts"
 *
 * const costs = { space: "tiny", metric: "flops", smallest: 900, largest: 5000 } as const
 * const { key, message } = Preflight.ofBudget(new BudgetInfeasible({ ...costs, min: 0, max: 10 }))
 * key // => "budget.max"
 * message.endsWith("; expected at least 900") // => true
 * Preflight.ofBudget(new BudgetInfeasible({ ...costs, min: 6000, max: 9000 })).key // => "budget.min"
 * ```
 */
export const ofBudget = ({ largest, max, message, min, smallest }: BudgetInfeasible): Finding.Finding => {
  if (smallest > max) return Finding.error("budget.max", `${message}; expected at least ${smallest}`)
  if (largest < min) return Finding.error("budget.min", `${message}; expected at most ${largest}`)
  return Finding.error("budget", `${message}; expected a wider range`)
}

/** The search's own Layer refuses an infeasible budget, too; here it is reported beside all other findings. */
const budget = ({ config, costs, space }: Examined): Findings => {
  if (space === undefined || costs === undefined) return []
  const { metric } = config.budget
  const made = FeasibleSet.make(space, costs.entries(metric), config.budget)
  return Result.isSuccess(made) ? [] : [ofBudget(made.failure)]
}

const architecture = ({ config, space }: Examined): Findings => {
  if (space === undefined || config.start.architecture === null) return []
  const parsed = Presets.parse(space, config.start.architecture)
  return Result.isFailure(parsed) ? [Finding.error("start.architecture", parsed.failure.message)] : []
}

const pairing = (examined: Examined): Findings => {
  const { config, dataflow, estimator, searchStrategy, trainingStrategy } = examined
  if (estimator === undefined || searchStrategy === undefined || trainingStrategy === undefined) return []
  if (config.start.architecture !== null) return []
  const given = config.start.supernet !== null
  const unfit = Compatibility.check({ dataflow, estimator, searchStrategy, trainingStrategy, given })
  return unfit === undefined ? [] : [Finding.error(unfit.key, unfit.message)]
}

const slotsOf = ({ momentum, name }: TrainingConfig["optimizer"]): number =>
  name === "sgd" ? (momentum > 0 ? 1 : 0) : name === "adam" ? 2 : 1 + (momentum > 0 ? 1 : 0)

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`

/** Largest memory of WebAssembly. */
const webAssemblyBytes = 2 ** 32

const memory = (examined: Examined, phase: "supernetTraining" | "retraining"): Findings => {
  const { config, engine, machine, space, trainingStrategy } = examined
  if (space === undefined) return []
  const { accumulate, batchSize, optimizer } = trainingOf(config, phase)
  const mixture = phase === "supernetTraining" && trainingStrategy?.follows === true
  const needed = StepMemory.ofStep(space, { images: batchSize / accumulate, slots: slotsOf(optimizer), mixture })
  const limits = [
    ...(engine === undefined || engine.name === "simd"
      ? [[webAssemblyBytes, "the embedded engine can use"] as const]
      : []),
    ...(machine?.memoryBytes === undefined ? [] : [[machine.memoryBytes, "this machine has"] as const])
  ]
  const [limit, whose] = limits.sort(([a], [b]) => a - b)[0] ?? [Number.POSITIVE_INFINITY, ""]
  const key = `${phase}.batchSize`
  const what = `a step of ${images(batchSize / accumulate)} takes about ${gib(needed)} of memory, and ${whose} ${gib(limit)}; lower the batch size, or raise ${phase}.accumulate, which gives the same update`
  if (needed * (1 - StepMemory.uncertainty) > limit) return [Finding.error(key, what)]
  return needed * (1 + StepMemory.uncertainty) > limit ? [Finding.warning(key, what)] : []
}

/** Space for the kept checkpoints, the one being written, and the supernet. */
const disk = ({ config, machine, space }: Examined, planned: ReadonlyArray<Phase>): Findings => {
  const free = machine?.freeBytes
  if (free === undefined || space === undefined || planned.length === 0) return []
  const slots = Math.max(
    0,
    ...trainingPhases.flatMap((phase) => {
      const training = config[phase]
      return training === undefined || !planned.includes(phase) ? [] : [slotsOf(training.optimizer)]
    })
  )
  const needed = StepMemory.checkpointBytes(space, slots) * (config.checkpoint.keep + 2)
  if (needed <= free) return []
  const what = `checkpoints need about ${gib(needed)}, and the disk of the run's folder has ${gib(free)} free; free some space or choose another --dir`
  return [Finding.error("checkpoint.keep", what)]
}

/**
 * All findings about a run before its first step.
 *
 * **Example** (A batch larger than the data)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Load from "./Load.ts"
 * import type { DataflowShape } from "../dataflow/Dataflow.ts"
 * import * as Preflight from "./Preflight.ts"
 *
 * const { config } = await Effect.runPromise(Load.file("examples/quickstart.yaml"))
 * const dataflow: DataflowShape = {
 *   name: "few",
 *   image: [28, 28, 1],
 *   classes: ["a", "b"],
 *   count: () => 20,
 *   steps: (_, batchSize, training) => (training ? Math.floor : Math.ceil)(20 / batchSize),
 *   batch: () => Effect.die("not read"),
 *   digest: ""
 * }
 * const [first] = Preflight.examine({ config, dataflow })
 * first?.key // => "supernetTraining.batchSize"
 * first?.message.endsWith("; expected at most 20") // => true
 * ```
 */
export const examine = (examined: Examined): Findings => {
  const { config, dataflow, estimator } = examined
  const planned = phasesOf(config, estimator?.needsSupernet ?? true)
  const training = trainingPhases.filter((phase) => planned.includes(phase) && config[phase] !== undefined)
  const steps = training.map((phase) => [phase, trainingSteps(examined, phase)] as const)
  return [
    ...(dataflow.notices ?? []).map((notice) => Finding.warning("dataflow", notice)),
    ...emptySplits(examined, planned),
    ...classesWithoutImages(examined, planned),
    ...steps.flatMap(([, findings]) => findings),
    ...(planned.includes("searching") ? [...(estimator?.findings ?? []), ...budget(examined)] : []),
    ...architecture(examined),
    ...pairing(examined),
    // A batch that the data do not fill is an error already.
    ...steps.flatMap(([phase, findings]) => (findings.length > 0 ? [] : memory(examined, phase))),
    ...disk(examined, planned)
  ]
}
