/** Laws of the gradient-based part of a search strategy. */
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import fc from "fast-check"
import type { FeasibleSet } from "../src/cost/FeasibleSet.ts"
import * as Key from "../src/random/Key.ts"
import type { SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import type {
  GradientSearch,
  LearnerState,
  LearningStep,
  PassChoice,
  SearchStrategyShape
} from "../src/search-strategy/SearchStrategy.ts"
import { json, law, type Options, throughJson, watch } from "./SearchWatch.ts"

/** Inputs and settings of the check of learning. */
export interface GradientOptions extends Options {
  readonly space: Options["space"] & Pick<SearchSpaceShape, "layers">
  readonly feasible: Options["feasible"] & Pick<FeasibleSet, "largest" | "smallest">
  /** Steps of learning; default 6. */
  readonly steps?: number | undefined
}

const valuesOf = (state: LearnerState): string =>
  json([
    state.json,
    Object.keys(state.tensors)
      .sort()
      .map((name) => [name, state.tensors[name]!.shape, Array.from(state.tensors[name]!.dataSync())])
  ])

/** The state as it comes back from a checkpoint. */
const throughTensors = ({ json: rest, tensors }: LearnerState): LearnerState => ({
  tensors: Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      tf.tensor(Float32Array.from(tensor.dataSync()), [...tensor.shape], "float32")
    ])
  ),
  json: throughJson(rest)
})

const dispose = (...states: ReadonlyArray<LearnerState>): void => {
  for (const { tensors } of states) for (const tensor of Object.values(tensors)) tensor.dispose()
}

/** What the laws of learning are checked with. */
interface Course {
  readonly gradient: GradientSearch
  readonly options: GradientOptions
  readonly world: number
  readonly key: Key.Key
  /** [layer][option]: the coefficients of a loss that is linear in the weights, so that some options are better. */
  readonly worth: ReadonlyArray<Float32Array>
  readonly about: (step: number, more?: string) => string
}

const courseOf = (gradient: GradientSearch, options: GradientOptions, seed: number, world: number): Course => ({
  gradient,
  options,
  world,
  key: Key.make(seed),
  worth: options.space.layers.map((layer, index) =>
    Key.normals(Key.derive(Key.make(world), index), layer.options.length)
  ),
  about: (step, more = "") => `key of seed ${seed}, step ${step}${more}`
})

/** The step of a course; its loss checks the weights that it is given. */
const learningStep = ({ about, key, options, worth }: Course, step: number): LearningStep => ({
  step,
  steps: options.steps ?? 6,
  key: Key.derive(key, "step", step),
  taskLoss: (weights) => {
    law(weights.length === options.space.layers.length, "there is one row of weights per layer", about(step))
    const terms = weights.map((row, layer) => {
      law(row.size === worth[layer]!.length, "there is one weight per option", about(step, `: layer ${layer}`))
      law(
        Array.from(row.dataSync()).every((weight) => Number.isFinite(weight) && weight >= 0),
        "weights are not negative",
        about(step, `: layer ${layer}`)
      )
      return tf.sum(tf.mul(row, tf.tensor1d(Array.from(worth[layer]!))))
    })
    return tf.add(tf.addN(terms), 10) as tf.Scalar
  }
})

/** Disposes the tensors of a state that the next state does not share. */
const disposeReplaced = (before: LearnerState, after: LearnerState): void => {
  for (const tensor of Object.values(before.tensors)) {
    if (!Object.values(after.tensors).includes(tensor) && !tensor.isDisposed) tensor.dispose()
  }
}

/** Checks the choice after a pass; disposes what the returned state does not share with the given one. */
const checkChoice = (
  { about, options, world }: Course,
  choice: PassChoice,
  state: LearnerState,
  step: number
): LearnerState => {
  const given = valuesOf(state)
  const alive = tf.memory().numTensors
  const asked = choice.architectures(state)
  for (const genotype of asked) {
    const isValid = Result.isSuccess(options.space.validate(genotype))
    law(isValid, "passes are validated by architectures of the space", about(step))
  }
  law(choice.batches >= 1 && asked.length >= 1, "passes are validated by an architecture and a batch", about(step))
  const losses = asked.map((_, i) => Key.uniform(Key.derive(Key.make(world), "judge", step), i))
  const [next, figures] = choice.tell(state, (step + 1) / 2, losses)
  const made = Object.values(next.tensors).filter((tensor) => !Object.values(state.tensors).includes(tensor))
  law(valuesOf(state) === given, "a choice does not change the state it is given", about(step))
  law(made.length === 0 && tf.memory().numTensors === alive, "a choice makes no tensors", about(step))
  law(Object.values(figures).every(Number.isFinite), "figures of a pass are numbers", about(step))
  const saved = throughTensors(state)
  const [again, figuresAgain] = choice.tell(saved, (step + 1) / 2, losses)
  law(
    json(choice.architectures(saved)) === json(asked) &&
      valuesOf(again) === valuesOf(next) &&
      json(figuresAgain) === json(figures),
    "a choice is deterministic, also from a checkpoint",
    about(step)
  )
  dispose(saved)
  disposeReplaced(state, next)
  return next
}

/** What a step reports: its metrics, and the distribution after it. */
const checkReported = (
  { about, gradient, options, worth }: Course,
  next: LearnerState,
  metrics: Readonly<Record<string, number>>,
  step: number
): void => {
  const { feasible, space } = options
  for (const [name, value] of Object.entries(metrics)) {
    law(Number.isFinite(value), "metrics are numbers", about(step, `: ${name} is ${value}`))
  }
  const cost = metrics["cost"]
  const slack = 1e-5 * feasible.largest
  law(
    cost === undefined || (cost >= feasible.smallest - slack && cost <= feasible.largest + slack),
    "the expected cost is between those of the cheapest and the most expensive architecture",
    about(step, `: ${cost}`)
  )
  const { logits, temperature } = gradient.distribution(next)
  law(
    logits.length === space.layers.length &&
      logits.every((row, layer) => row.length === worth[layer]!.length && row.every((logit) => Number.isFinite(logit))),
    "the distribution has a number for every option of every layer",
    about(step)
  )
  law(temperature > 0 && Number.isFinite(temperature), "temperatures are above 0", about(step, `: ${temperature}`))
}

/** Checks one step; disposes what the returned state does not share with the given one. */
const checkStep = (course: Course, state: LearnerState, step: number): LearnerState => {
  const { about, gradient } = course
  const given = valuesOf(state)
  const alive = tf.memory().numTensors
  const [next, metrics] = gradient.trainStep(state, learningStep(course, step))
  const fresh = Object.values(next.tensors).filter((tensor) => !Object.values(state.tensors).includes(tensor))
  law(
    Object.values(state.tensors).every((tensor) => !tensor.isDisposed) && valuesOf(state) === given,
    "a step does not change the state it is given",
    about(step)
  )
  law(
    tf.memory().numTensors === alive + fresh.length,
    "a step leaves no tensor behind but those of the new state",
    about(step, `: ${tf.memory().numTensors - alive - fresh.length} more`)
  )
  const saved = throughTensors(state)
  const [again, metricsAgain] = gradient.trainStep(saved, learningStep(course, step))
  law(
    valuesOf(again) === valuesOf(next) && json(metricsAgain) === json(metrics),
    "the same step from the same state, also from its checkpoint, gives the same",
    about(step)
  )
  checkReported(course, next, metrics, step)
  dispose(saved)
  for (const tensor of Object.values(again.tensors)) if (!tensor.isDisposed) tensor.dispose()
  for (const tensor of Object.values(state.tensors)) {
    if (!Object.values(next.tensors).includes(tensor)) tensor.dispose()
  }
  return next
}

/** Checks one course of learning, then the search that follows it. */
const watchLearning = (
  strategy: SearchStrategyShape & { readonly gradient: GradientSearch },
  options: GradientOptions,
  seed: number,
  world: number
): void => {
  const course = courseOf(strategy.gradient, options, seed, world)
  const { about, gradient, key } = course
  const { steps = 6 } = options
  const before = tf.memory().numTensors
  let state = gradient.init(key)
  const made = Object.keys(state.tensors).length
  law(tf.memory().numTensors === before + made, "init leaves no tensor behind but those of its state", about(0))
  const twin = gradient.init(key)
  law(valuesOf(twin) === valuesOf(state), "init is deterministic", about(0))
  dispose(twin)
  for (let step = 0; step < steps; step += 1) {
    state = checkStep(course, state, step)
    if (gradient.choice !== undefined && step % 2 === 1) state = checkChoice(course, gradient.choice, state, step)
  }
  const alive = tf.memory().numTensors
  const begun = gradient.conclude(state, key)
  law(json(gradient.conclude(state, key)) === json(begun), "conclude is deterministic", about(steps))
  law(tf.memory().numTensors === alive, "conclude leaves no tensor behind", about(steps))
  dispose(state)
  watch({ ...strategy, init: () => begun }, options, seed, world)
}

/**
 * Checks the gradient-based part of a searcher on the current backend of TensorFlow.js, with a synthetic loss that is linear
 * in the weights. Laws: a step is deterministic in its state, also in one that went through a checkpoint; it neither changes
 * nor frees the state it is given, and leaves no tensor behind; there is a weight for every option, none negative; the
 * expected cost is in the range of the space; the choice of the best pass follows from state and losses alone and makes no
 * tensors; the search that follows learning obeys every law of `SearchStrategyLaws.check`.
 *
 * **Example** (A search by gradient)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
 * import { registerGradients } from "../src/engine/Gradients.ts"
 * import * as TabularSpace from "../src/estimator/TabularSpace.ts"
 * import * as DifferentiableSearch from "../src/search-strategy/DifferentiableSearch.ts"
 * import * as LearningLaws from "./LearningLaws.ts"
 *
 * registerGradients()
 * const space = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b"]] })
 * const entries = { base: 0, layers: [[1, 3], [1, 3]] }
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min: 4, max: 6 }))
 * const options = Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({})
 * const search = () => DifferentiableSearch.make(space, feasible, entries, "softmax", options)
 * LearningLaws.checkGradient(search, { space, feasible, runs: 1 }) // => undefined
 * ```
 */
export const checkGradient = (make: () => SearchStrategyShape, options: GradientOptions): void => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (seed, world) => {
      const strategy = make()
      const { gradient } = strategy
      if (gradient === undefined)
        throw new Error(`search strategy law broken: ${strategy.name} has nothing that learns`)
      watchLearning({ ...strategy, gradient }, options, seed, world)
    }),
    { seed: options.seed ?? 1, numRuns: options.runs ?? 5, includeErrorInReport: true }
  )
}
