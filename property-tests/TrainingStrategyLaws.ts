/**
 * Laws of a training strategy. Apply them to your own in one line of vitest:
 * `it("is lawful", () => TrainingStrategyLaws.check(mySampler, { space }))`. A broken law throws an Error that says which,
 * and where.
 */
import fc from "fast-check"
import * as LayerOptions from "../src/cost/LayerOptions.ts"
import * as Key from "../src/random/Key.ts"
import type { Genotype, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import * as CanonicalJson from "../src/support/CanonicalJson.ts"
import type { SamplerState, TrainingStep, TrainingStrategyShape } from "../src/training-strategy/TrainingStrategy.ts"
import { chiSquareQuantile } from "./ChiSquare.ts"

/** Inputs and settings of the check. */
export interface Options {
  readonly space: Pick<SearchSpaceShape, "name" | "layers" | "choices" | "canonical">
  /** Whether every option of a layer is meant to be trained equally often; default true. */
  readonly uniform?: boolean | undefined
  /**
   * Strict fairness: in every cycle of this many paths, every option of every layer occurs exactly once. In a layer with fewer
   * options, their counts differ by at most one at any time. Default: not checked.
   */
  readonly fairCycle?: number | undefined
  /** Steps to watch; default 400. */
  readonly steps?: number | undefined
  /** Keys to try; default 5. */
  readonly runs?: number | undefined
  /** Seed of the keys; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`training strategy law broken: ${name}: ${about}`)
}

const json = (value: unknown): string => CanonicalJson.stringify(value)

const throughJson = (state: SamplerState): SamplerState => JSON.parse(JSON.stringify(state)) as SamplerState

/** The first `steps` steps; checks that `next` is pure and resumable. */
const walk = (strategy: TrainingStrategyShape, seed: number, steps: number): ReadonlyArray<TrainingStep> => {
  const key = Key.make(seed)
  const about = (step: number) => `key of seed ${seed}, step ${step}`
  let state = strategy.init(key)
  law(json(strategy.init(key)) === json(state), "init is deterministic", about(0))
  const out: Array<TrainingStep> = []
  for (let at = 0; at < steps; at += 1) {
    const before = json(state)
    const [step, next] = strategy.next(state)
    law(json(state) === before, "next does not change the state it is given", about(at))
    const [again, nextAgain] = strategy.next(throughJson(state))
    law(
      json(again) === json(step) && json(nextAgain) === json(next),
      "a sampler resumed from its state's JSON continues as it would have",
      `${about(at)}: ${json(step)} and ${json(again)}`
    )
    out.push(step)
    state = next
  }
  return out
}

const checkMixture = (step: TrainingStep, counts: ReadonlyArray<number>, about: string): void => {
  if (step._tag !== "Mixture") return
  law(
    json(step.weights.map((layer) => layer.length)) === json(counts),
    "a mixture weights every option of every layer",
    about
  )
  law(
    step.weights.every((layer) => layer.every(Number.isFinite)),
    "weights are finite",
    about
  )
}

/** The options of each path, in the order of training. */
const optionsOf = (steps: ReadonlyArray<TrainingStep>, translate: LayerOptions.LayerOptions, seed: number) => {
  const out: Array<{ readonly path: Genotype; readonly options: ReadonlyArray<number> }> = []
  for (const [at, step] of steps.entries()) {
    const about = `key of seed ${seed}, step ${at}`
    checkMixture(step, translate.counts, about)
    if (step._tag !== "Paths") continue
    law(step.paths.length > 0, "a step trains something", about)
    for (const path of step.paths) {
      const indices = translate.indices(path)
      law(indices._tag === "Success", "paths belong to the space", `${about}: ${path}`)
      if (indices._tag === "Success") out.push({ path, options: indices.success })
    }
  }
  return out
}

/** A chi-square test of the counts of each layer's options, with one false alarm in about a million. */
const checkMarginals = (paths: ReadonlyArray<ReadonlyArray<number>>, counts: ReadonlyArray<number>, seed: number) => {
  for (const [layer, count] of counts.entries()) {
    if (count < 2 || paths.length < 5 * count) continue
    const taken = new Float64Array(count)
    for (const path of paths) taken[path[layer]!]! += 1
    const expected = paths.length / count
    const statistic = taken.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
    law(
      statistic <= chiSquareQuantile(count - 1, 1e-6),
      "options of a layer are trained equally often",
      `key of seed ${seed}, layer ${layer}: taken ${[...taken].join(", ")} times in ${paths.length} paths`
    )
  }
}

/** Strict fairness of the choices of each digit; in a layer with one digit these are its options. */
const checkFairness = (paths: ReadonlyArray<Genotype>, space: Options["space"], cycle: number, seed: number) => {
  let position = 0
  for (const layer of space.layers) {
    for (let digit = 0; digit < layer.width; digit += 1, position += 1) {
      const choices = space.choices[position]!
      const times = new Map(choices.map((_, choice) => [choice, 0]))
      for (const [at, path] of paths.entries()) {
        const taken = path[position]!
        times.set(taken, (times.get(taken) ?? 0) + 1)
        const all = [...times.values()]
        const spread = Math.max(...all) - Math.min(...all)
        const whole = (at + 1) % cycle === 0 && cycle % choices.length === 0
        law(
          spread <= (whole ? 0 : 1),
          "strict fairness: every choice once a cycle",
          `key of seed ${seed}, layer ${layer.name}, digit ${digit}, path ${at}: trained ${all.join(", ")} times`
        )
      }
    }
  }
}

/**
 * Checks all laws: the sampler is deterministic in its key; `next` is pure, and resumes from the JSON of the state; paths are
 * in the space, and mixtures have a weight for every option; options are trained equally often, by a chi-square test, unless
 * that is disabled; strict fairness on request.
 *
 * **Example** (Uniform sampling)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../src/search-space/Tiny.ts"
 * import * as Uniform from "../src/training-strategy/Uniform.ts"
 * import * as TrainingStrategyLaws from "./TrainingStrategyLaws.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * await TrainingStrategyLaws.check(Uniform.make(space), { space, steps: 300 })
 * ```
 */
export const check = (strategy: TrainingStrategyShape, options: Options): void => {
  const { fairCycle, space, steps = 400, uniform = true } = options
  const translate = LayerOptions.make(space)
  fc.assert(
    fc.property(fc.nat(1000), (seed) => {
      const walked = walk(strategy, seed, steps)
      const paths = optionsOf(walked, translate, seed)
      const options = paths.map((trained) => trained.options)
      if (uniform) checkMarginals(options, translate.counts, seed)
      const genotypes = paths.map(({ path }) => path)
      if (fairCycle !== undefined) checkFairness(genotypes, space, fairCycle, seed)
    }),
    { seed: options.seed ?? 1, numRuns: options.runs ?? 5, includeErrorInReport: true }
  )
}
