/**
 * Learning-rate schedules: pure functions from the step of a phase to a multiplier of the peak learning rate, so that a
 * resumed run continues with the same rate.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Deterministic from "../random/Deterministic.ts"
import { Fraction, NonNegative, PositiveInt } from "../support/Numbers.ts"

/**
 * How the learning rate changes over the steps of a phase.
 *
 * **Example** (The default)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { ScheduleConfig } from "./Schedule.ts"
 *
 * Schema.decodeUnknownSync(ScheduleConfig)({}).name // => "cosine"
 * ```
 */
export const ScheduleConfig = Schema.Struct({
  name: Schema.Literals(["cosine", "step", "constant"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("cosine" as const))
  ),
  warmupEpochs: NonNegative.annotate({ description: "Linear warm-up from 0, in epochs" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  finalFraction: Fraction.annotate({ description: "cosine: final learning rate, as a fraction of the peak" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  stepEpochs: PositiveInt.annotate({ description: "step: epochs between two decays" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(30))
  ),
  decay: Fraction.annotate({ description: "step: factor of a decay" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0.1))
  )
})
/** How the learning rate changes. */
export type ScheduleConfig = typeof ScheduleConfig.Type

/** The multiplier at a step, counted from 0. */
export type Schedule = (step: number) => number

/** The length of a phase. */
export interface ScheduleLength {
  readonly epochs: number
  readonly stepsPerEpoch: number
}

/** Always the peak. */
export const constant: Schedule = () => 1

/** Half a cosine from 1 at step 0 to `finalFraction` at step `steps` (Loshchilov and Hutter 2017, section 3). */
export const cosine =
  (steps: number, finalFraction = 0): Schedule =>
  (step) => {
    const progress = steps <= 0 ? 1 : Math.min(Math.max(step, 0) / steps, 1)
    const wave = Deterministic.circle(progress / 2).cos
    return finalFraction + (1 - finalFraction) * 0.5 * (1 + wave)
  }

/** Multiplied by `decay` after every `every` steps. */
export const stepDecay =
  (every: number, decay: number): Schedule =>
  (step) => {
    let out = 1
    for (let drop = Math.floor(step / every); drop > 0 && out > 0; drop--) out *= decay
    return out
  }

/** Rises linearly to the peak over `steps` steps; then follows `schedule`, whose steps are counted from there. */
export const warmup =
  (steps: number, schedule: Schedule): Schedule =>
  (step) =>
    step < steps ? (step + 1) / steps : schedule(step - steps)

/**
 * The schedule of a configuration.
 *
 * **Example** (A cosine over two epochs of five steps)
 * ```ts
 * import * as Schedule from "./Schedule.ts"
 * const config = { name: "cosine", warmupEpochs: 0, finalFraction: 0, stepEpochs: 30, decay: 0.1 } as const
 * const multiplier = Schedule.fromConfig(config, { epochs: 2, stepsPerEpoch: 5 })
 * multiplier(0) // => 1
 * multiplier(5) // => 0.5
 * ```
 */
export const fromConfig = (config: ScheduleConfig, { epochs, stepsPerEpoch }: ScheduleLength): Schedule => {
  const warm = Math.min(Math.round(config.warmupEpochs * stepsPerEpoch), epochs * stepsPerEpoch)
  const steps = epochs * stepsPerEpoch - warm
  const schedule = (): Schedule => {
    switch (config.name) {
      case "constant":
        return constant
      case "step":
        return stepDecay(config.stepEpochs * stepsPerEpoch, config.decay)
      case "cosine":
        return cosine(steps, config.finalFraction)
    }
  }
  return warm > 0 ? warmup(warm, schedule()) : schedule()
}
