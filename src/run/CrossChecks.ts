/**
 * Rules about several values of a configuration, which a single Schema cannot state: a warm-up longer than its phase, a
 * momentum that the optimizer does not have, a phase whose section is missing. A value that would do the wrong thing is a
 * mistake and is refused; a given value without effect is a warning.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Phase, phases } from "../../machines/RunState.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import { OptimizerConfig, type RunConfig, ScheduleConfig, type TrainingConfig } from "../run/RunConfig.ts"
import { isRecord } from "../support/Records.ts"

/** Mistakes in a configuration, and given values that have no effect. */
export interface Findings {
  readonly mistakes: ReadonlyArray<ConfigFile.ConfigIssue>
  readonly warnings: ReadonlyArray<ConfigFile.ConfigIssue>
}

/** Keys from the top of a configuration to a value. */
export type Path = ReadonlyArray<string>
type Add = (path: Path, message: string) => void

/** Collects what the rules find, and knows which values were given. */
export interface Notes {
  readonly mistake: Add
  readonly warning: Add
  /** Whether the key was given, with a value that is not one of its defaults. */
  readonly isGiven: (path: Path, value: unknown, defaults: ReadonlyArray<unknown>) => boolean
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((inner, key) => (isRecord(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined), value)

/** Applies rules to a configuration and collects what they find. */
export const gather = (source: ConfigFile.ConfigSource, rules: (notes: Notes) => void): Findings => {
  const [mistakes, warnings]: [Array<ConfigFile.ConfigIssue>, Array<ConfigFile.ConfigIssue>] = [[], []]
  const into =
    (list: Array<ConfigFile.ConfigIssue>): Add =>
    (path, message) => {
      list.push({ path: path.join("."), ...source.origin(path), message })
    }
  rules({
    mistake: into(mistakes),
    warning: into(warnings),
    isGiven: (path, value, defaults) => at(source.value, path) !== undefined && !defaults.includes(value)
  })
  return { mistakes, warnings }
}

/** A number with its unit: `1 epoch`, `2 epochs`. */
export const count = (value: number, unit: string): string => `${value} ${unit}${value === 1 ? "" : "s"}`

const optimizerDefaults = Effect.runSync(Schema.decodeUnknownEffect(OptimizerConfig)({}).pipe(Effect.orDie))
const scheduleDefaults = Effect.runSync(Schema.decodeUnknownEffect(ScheduleConfig)({}).pipe(Effect.orDie))

/** Fields that only some optimizers have, and these optimizers. */
const optimizerFields = {
  momentum: ["sgd", "rmsprop"],
  nesterov: ["sgd"],
  beta1: ["adam"],
  beta2: ["adam"],
  alpha: ["rmsprop"],
  epsilon: ["adam", "rmsprop"]
} as const satisfies Partial<Readonly<Record<keyof OptimizerConfig, ReadonlyArray<OptimizerConfig["name"]>>>>

/** Other defaults, those of searchers' optimizers. */
const otherDefaults: Readonly<Record<string, ReadonlyArray<unknown>>> = { beta1: [0.5] }

/** Rules about an optimizer. */
export const optimizer = (notes: Notes, path: Path, config: OptimizerConfig): void => {
  for (const [key, names] of Object.entries(optimizerFields) as ReadonlyArray<
    readonly [keyof typeof optimizerFields, ReadonlyArray<string>]
  >) {
    const defaults = [optimizerDefaults[key], ...(otherDefaults[key] ?? [])]
    if (!names.includes(config.name) && notes.isGiven([...path, key], config[key], defaults)) {
      notes.warning(
        [...path, key],
        `got ${config[key]}, which has no effect: ${config.name} has no ${key} (${names.join(" and ")} ${names.length > 1 ? "have" : "has"})`
      )
    }
  }
  if (config.name === "sgd" && config.nesterov && config.momentum === 0) {
    notes.mistake([...path, "nesterov"], "got true with momentum 0; expected a momentum above 0, or nesterov: false")
  }
  for (const key of ["beta1", "beta2", "alpha"] as const) {
    if ((optimizerFields[key] as ReadonlyArray<string>).includes(config.name) && config[key] === 1) {
      notes.mistake([...path, key], "got 1; expected less than 1, because at 1 the average ignores every gradient")
    }
  }
  if (config.name !== "adam" && config.momentum === 1) {
    notes.mistake([...path, "momentum"], "got 1; expected less than 1, because at 1 old gradients never fade")
  }
  if (config.decoupled && config.weightDecay === 0) {
    notes.warning([...path, "decoupled"], "got true, which has no effect: weightDecay is 0")
  }
}

const schedule = (notes: Notes, path: Path, config: ScheduleConfig, epochs: number): void => {
  const warm = [...path, "warmupEpochs"]
  if (config.warmupEpochs > epochs) {
    const phase = path[0] ?? ""
    notes.mistake(
      warm,
      `got ${config.warmupEpochs}; expected at most ${phase}.epochs, which is ${epochs}: the rate would never reach its peak`
    )
  } else if (config.warmupEpochs === epochs) {
    notes.warning(warm, `all ${count(epochs, "epoch")} are warm-up: the rate reaches its peak with the last step`)
  }
  const unused = (key: "finalFraction" | "stepEpochs" | "decay", of: string): void => {
    if (config.name !== of && notes.isGiven([...path, key], config[key], [scheduleDefaults[key]])) {
      notes.warning([...path, key], `got ${config[key]}, which has no effect: schedule ${config.name} has no ${key}`)
    }
  }
  unused("finalFraction", "cosine")
  unused("stepEpochs", "step")
  unused("decay", "step")
  if (config.name !== "step") return
  const left = epochs - config.warmupEpochs
  if (left > 0 && config.stepEpochs >= left) {
    const after = config.warmupEpochs > 0 ? ` after the warm-up of ${config.warmupEpochs}` : ""
    notes.warning(
      [...path, "stepEpochs"],
      `got ${config.stepEpochs}, and the phase has ${count(left, "epoch")}${after}: the rate never decays`
    )
  } else if (config.decay === 1) {
    notes.warning([...path, "decay"], "got 1, which has no effect: the rate never decays")
  } else if (config.decay === 0) {
    notes.warning(
      [...path, "decay"],
      `got 0: after ${count(config.stepEpochs, "epoch")} the rate is 0 and nothing is learned`
    )
  }
}

const training = (notes: Notes, phase: "supernetTraining" | "retraining", config: TrainingConfig): void => {
  const { accumulate, batchSize } = config
  if (batchSize % accumulate !== 0) {
    notes.mistake(
      [phase, "accumulate"],
      `got ${accumulate}; expected a divisor of ${phase}.batchSize, which is ${batchSize}`
    )
  }
  optimizer(notes, [phase, "optimizer"], config.optimizer)
  schedule(notes, [phase, "schedule"], config.schedule, config.epochs)
  if (phase === "retraining" && config.bnMomentum === 0) {
    notes.warning(
      [phase, "bnMomentum"],
      "got 0: the running statistics keep their initial values, and the evaluation uses them"
    )
  }
}

/** What decides which phases a run has. */
export interface PhaseKeys {
  readonly stopAfter: Phase
  readonly supernet: boolean
  readonly architecture: boolean
  readonly network: boolean
  /** Whether the search needs a supernet; undefined if only the estimator itself knows. */
  readonly needsSupernet: boolean | undefined
}

const keysOf = (config: unknown): PhaseKeys => {
  const stopAfter = phases.find((phase) => phase === at(config, ["stopAfter"])) ?? "evaluating"
  const given = (key: string): boolean => typeof at(config, ["start", key]) === "string"
  const estimator = at(config, ["estimator", "name"]) ?? "supernet"
  const needsSupernet = estimator === "supernet" ? true : estimator === "tabular" ? false : undefined
  return {
    stopAfter,
    supernet: given("supernet"),
    architecture: given("architecture"),
    network: given("network"),
    needsSupernet
  }
}

/** The first phase of a run, and why it is the first. */
const firstPhase = (keys: PhaseKeys): readonly [Phase, string] => {
  if (keys.network && keys.architecture) return ["evaluating", "start.network is given"]
  if (keys.architecture) return ["retraining", "start.architecture is given"]
  if (keys.supernet) return ["searching", "start.supernet is given"]
  if (keys.needsSupernet === false) return ["searching", "the estimator needs no supernet"]
  return ["supernetTraining", "nothing is given to start from"]
}

/** Whether a run may have a phase: only the estimator may know that it needs no supernet. */
const has = (keys: PhaseKeys, phase: Phase): boolean =>
  phases.indexOf(phase) >= phases.indexOf(firstPhase(keys)[0]) &&
  phases.indexOf(phase) <= phases.indexOf(keys.stopAfter)

/** Whether a run with this configuration may have a phase. */
export const mayHave = (config: RunConfig, phase: Phase): boolean => has(keysOf(config), phase)

/**
 * The training sections that a configuration needs and does not have. It reads the undecoded form, so that they are reported
 * together with all other mistakes.
 */
export const missingSections = (source: ConfigFile.ConfigSource): ReadonlyArray<ConfigFile.ConfigIssue> =>
  gather(source, ({ mistake }) => {
    const keys = keysOf(source.value)
    const [first, why] = firstPhase(keys)
    for (const phase of ["supernetTraining", "retraining"] as const) {
      if (source.value[phase] !== undefined || !has(keys, phase)) continue
      // Only a user's estimator itself knows whether it needs a supernet; the run checks it later.
      if (phase === "supernetTraining" && keys.needsSupernet === undefined) continue
      const otherwise =
        phase === "supernetTraining"
          ? "start.supernet or start.architecture would skip it"
          : "stopAfter: searching would end the run before it"
      mistake(
        [phase],
        `missing, but required: the run goes from ${first} (${why}) to ${keys.stopAfter}; give ${phase}.epochs, as in ${phase}: { epochs: 10 }; ${otherwise}`
      )
    }
  }).mistakes

const flow = (notes: Notes, config: RunConfig): void => {
  const { start, stopAfter } = config
  if (start.network !== null && start.architecture === null) {
    notes.mistake(["start", "network"], "weights alone do not make a network; give start.architecture as well")
    return
  }
  const [first, why] = firstPhase(keysOf(config))
  if (phases.indexOf(stopAfter) < phases.indexOf(first)) {
    notes.mistake(
      ["stopAfter"],
      `got ${stopAfter}; expected ${first} or later, because ${why} and the run begins there`
    )
  }
  if (start.supernet !== null && start.architecture !== null) {
    notes.warning(["start", "supernet"], "has no effect: start.architecture skips the search, which would use it")
  }
}

/** Rules about the sections of a decoded configuration. */
export const ofRun = (config: RunConfig, source: ConfigFile.ConfigSource): Findings =>
  gather(source, (notes) => {
    const { budget } = config
    if (budget.min > budget.max) {
      notes.mistake(["budget", "min"], `got ${budget.min}; expected at most budget.max, which is ${budget.max}`)
    }
    flow(notes, config)
    for (const phase of ["supernetTraining", "retraining"] as const) {
      const section = config[phase]
      if (section !== undefined) training(notes, phase, section)
    }
    if (!/^[\w][\w .-]*$/.test(config.name)) {
      notes.mistake(
        ["name"],
        `got ${ConfigFile.show(config.name)}; expected letters, digits, spaces, dots, hyphens and underscores`
      )
    }
  })
