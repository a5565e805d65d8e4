/**
 * Laws of a search strategy. Apply them to one of your own in a line of vitest:
 * `it("is lawful", () => SearchStrategyLaws.check(() => mySearcher, { space, feasible }))`. A broken law throws an Error
 * that says which, with the smallest search found that breaks it.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import fc from "fast-check"
import type { FeasibleSet } from "../src/cost/FeasibleSet.ts"
import * as Key from "../src/random/Key.ts"
import type { Genotype, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import type {
  GradientSearch,
  LearnerState,
  LearningStep,
  PassChoice,
  Score,
  Scored,
  SearchState,
  SearchStrategyShape
} from "../src/search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../src/support/CanonicalJson.ts"

/** What to check with. */
export interface Options {
  /** The space searched, and the budget's architectures in it. */
  readonly space: Pick<SearchSpaceShape, "canonical" | "format" | "validate">
  readonly feasible: Pick<FeasibleSet, "contains" | "cost">
  /** Whether the state is the same in whatever order scores of a generation arrive; default true. */
  readonly orderIndependent?: boolean | undefined
  /** Generations after which a search that has not ended is given up; default 200. A law only where `ends` is true. */
  readonly generations?: number | undefined
  /** Whether the search must end within `generations`; default: whether it says how many evaluations it makes. */
  readonly ends?: boolean | undefined
  /** Searches to try; default 20. */
  readonly runs?: number | undefined
  /** Seed of the searches; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`search strategy law broken: ${name}: ${about}`)
}

const json = (value: unknown): string => CanonicalJson.stringify(value)

const throughJson = (state: SearchState): SearchState => JSON.parse(JSON.stringify(state)) as SearchState

/** A made-up score, the same for the same architecture. Few different values, so that there are ties. */
const scoreOf = (world: number, genotype: Genotype): Score => {
  const objective = Key.integer(Key.derive(Key.make(world), ...genotype), 50) / 50
  return { objective, metrics: { loss: objective } }
}

const better = (a: Scored, b: Scored): number => {
  const difference = a.score.objective - b.score.objective || a.cost - b.cost
  if (difference !== 0) return difference
  const at = a.genotype.findIndex((digit, i) => digit !== b.genotype[i])
  return at < 0 ? 0 : a.genotype[at]! - b.genotype[at]!
}

/** One search under watch, from its beginning or from what was learned. */
const watch = (
  strategy: Pick<SearchStrategyShape, "ask" | "best" | "distinct" | "evaluations" | "init" | "tell">,
  options: Options,
  seed: number,
  world: number
): void => {
  const { generations = 200, orderIndependent = true, feasible, space } = options
  const about = (generation: number, more = "") => `key of seed ${seed}, generation ${generation}${more}`
  const key = Key.make(seed)
  let state = strategy.init(key)
  law(json(strategy.init(key)) === json(state), "init is deterministic", about(0))
  law(json(throughJson(state)) === json(state), "the state is JSON", about(0))
  law(Option.isNone(strategy.best(state)), "nothing is best before anything was scored", about(0))
  const seen = new Set<string>()
  let best: Scored | undefined
  for (let generation = 0; generation < generations; generation += 1) {
    const before = json(state)
    const [candidates, asked] = strategy.ask(state)
    law(json(state) === before, "ask does not change the state it is given", about(generation))
    const [again, askedAgain] = strategy.ask(throughJson(state))
    law(
      json(again) === json(candidates) && json(askedAgain) === json(asked),
      "asking again from the same state, also from its JSON, gives the same",
      about(generation, `: ${json(candidates)} and ${json(again)}`)
    )
    if (candidates.length === 0) {
      const [still] = strategy.ask(asked)
      law(still.length === 0, "a search that is over stays over", about(generation))
      law(generation > 0, "a search looks at something", about(generation))
      return
    }
    for (const candidate of candidates) {
      const text = space.format(candidate)
      law(
        space.validate(candidate)._tag === "Success",
        "candidates belong to the space",
        about(generation, `: ${text}`)
      )
      law(
        feasible.contains(candidate),
        "candidates are within the budget",
        about(generation, `: ${text} costs ${feasible.cost(candidate)}`)
      )
      const name = space.format(space.canonical(candidate))
      law(!strategy.distinct || !seen.has(name), "no architecture is asked for twice", about(generation, `: ${text}`))
      seen.add(name)
    }
    const scored = candidates.map(
      (genotype): Scored => ({
        genotype,
        cost: feasible.cost(genotype),
        score: scoreOf(world, genotype)
      })
    )
    const input = json(scored)
    const told = strategy.tell(asked, scored)
    law(json(scored) === input, "tell does not change its arguments", about(generation))
    law(json(strategy.tell(throughJson(asked), scored)) === json(told), "tell is deterministic", about(generation))
    law(json(throughJson(told)) === json(told), "the state is JSON", about(generation))
    if (orderIndependent) {
      const order = Key.permutation(Key.derive(key, "order", generation), scored.length)
      const shuffled = [...order].map((index) => scored[index]!)
      law(
        json(strategy.tell(asked, shuffled)) === json(told),
        "the order of scores within a generation makes no difference",
        about(generation, `: scored ${json(shuffled.map(({ genotype }) => genotype))}`)
      )
      const half = Math.floor(shuffled.length / 2)
      const inParts = strategy.tell(strategy.tell(asked, shuffled.slice(0, half)), shuffled.slice(half))
      law(json(inParts) === json(told), "a generation may be scored in parts", about(generation))
    }
    best = [...(best === undefined ? [] : [best]), ...scored].sort(better)[0]!
    const found = Option.getOrUndefined(strategy.best(told))
    law(
      found !== undefined && json(found) === json(best),
      "the best is the best candidate scored so far",
      about(generation, `: ${json(found ?? null)} instead of ${json(best)}`)
    )
    state = told
  }
  const ends = options.ends ?? strategy.evaluations !== undefined
  law(!ends, "the search ends", about(generations))
}

/**
 * Checks all laws on searches with random keys and made-up scores. `make` gives a new strategy for every search: one
 * that remembers something outside its state is found out. Laws: deterministic from its key; ask and tell pure, and the same
 * on a state that went through JSON; candidates in the space and never outside the budget; where `distinct`, no
 * architecture asked for twice; the best is the best scored; the order of scores within a generation makes no
 * difference, unless the options say otherwise; the search ends, and stays over.
 *
 * **Example** (Random search)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as FeasibleSet from "../src/cost/FeasibleSet.ts"
 * import * as LookupTable from "../src/cost/LookupTable.ts"
 * import * as Tiny from "../src/search-space/Tiny.ts"
 * import * as Random from "../src/search-strategy/Random.ts"
 * import * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.fromSpace(space).flops, budget))
 * const make = () => Random.make(space, feasible, { evaluations: 20, generation: 10 })
 * await SearchStrategyLaws.check(make, { space, feasible, runs: 2 })
 * ```
 */
export const check = (make: () => SearchStrategyShape, options: Options): void => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (seed, world) => watch(make(), options, seed, world)),
    { seed: options.seed ?? 1, numRuns: options.runs ?? 20, includeErrorInReport: true }
  )
}

/** What to check learning with. */
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

/** One course of learning under watch, then the search that it leads to. */
const watchLearning = (
  strategy: SearchStrategyShape & { readonly gradient: GradientSearch },
  options: GradientOptions,
  seed: number,
  world: number
): void => {
  const { gradient } = strategy
  const { feasible, space, steps = 6 } = options
  const key = Key.make(seed)
  const about = (step: number, more = "") => `key of seed ${seed}, step ${step}${more}`
  // A loss that is linear in the weights: some options are better than others.
  const worth = space.layers.map((layer, index) =>
    Key.normals(Key.derive(Key.make(world), index), layer.options.length)
  )
  const at = (step: number): LearningStep => ({
    step,
    steps,
    key: Key.derive(key, "step", step),
    taskLoss: (weights) => {
      law(weights.length === space.layers.length, "there is a row of weights a layer", about(step))
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
  /** A pass that is over is judged: the state given is used up. */
  const watchChoice = (choice: PassChoice, over: LearnerState, step: number): LearnerState => {
    const given = valuesOf(over)
    const alive = tf.memory().numTensors
    const asked = choice.architectures(over)
    for (const genotype of asked) {
      law(Result.isSuccess(space.validate(genotype)), "passes are judged by the space's architectures", about(step))
    }
    law(choice.batches >= 1 && asked.length >= 1, "passes are judged by something", about(step))
    const losses = asked.map((_, i) => Key.uniform(Key.derive(Key.make(world), "judge", step), i))
    const [next, figures] = choice.tell(over, (step + 1) / 2, losses)
    const made = Object.values(next.tensors).filter((tensor) => !Object.values(over.tensors).includes(tensor))
    law(valuesOf(over) === given, "judging leaves the state it is given alone", about(step))
    law(made.length === 0 && tf.memory().numTensors === alive, "judging makes no tensors", about(step))
    law(Object.values(figures).every(Number.isFinite), "figures of a pass are numbers", about(step))
    const saved = throughTensors(over)
    const [again, told] = choice.tell(saved, (step + 1) / 2, losses)
    law(
      json(choice.architectures(saved)) === json(asked) &&
        valuesOf(again) === valuesOf(next) &&
        json(told) === json(figures),
      "judging is deterministic, also from a checkpoint",
      about(step)
    )
    dispose(saved)
    for (const tensor of Object.values(over.tensors)) {
      if (!Object.values(next.tensors).includes(tensor) && !tensor.isDisposed) tensor.dispose()
    }
    return next
  }
  const before = tf.memory().numTensors
  const held = (state: LearnerState) => Object.keys(state.tensors).length
  let state = gradient.init(key)
  law(tf.memory().numTensors === before + held(state), "init leaves nothing behind but its state", about(0))
  const twin = gradient.init(key)
  law(valuesOf(twin) === valuesOf(state), "init is deterministic", about(0))
  dispose(twin)
  for (let step = 0; step < steps; step += 1) {
    const given = valuesOf(state)
    const alive = tf.memory().numTensors
    const [next, metrics] = gradient.trainStep(state, at(step))
    const fresh = Object.values(next.tensors).filter((tensor) => !Object.values(state.tensors).includes(tensor))
    law(
      Object.values(state.tensors).every((tensor) => !tensor.isDisposed) && valuesOf(state) === given,
      "a step leaves the state it is given alone",
      about(step)
    )
    law(
      tf.memory().numTensors === alive + fresh.length,
      "a step leaves no tensor behind but those of the new state",
      about(step, `: ${tf.memory().numTensors - alive - fresh.length} more`)
    )
    const saved = throughTensors(state)
    const [again, told] = gradient.trainStep(saved, at(step))
    law(
      valuesOf(again) === valuesOf(next) && json(told) === json(metrics),
      "the same step from the same state, also from its checkpoint, gives the same",
      about(step)
    )
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
        logits.every(
          (row, layer) => row.length === worth[layer]!.length && row.every((logit) => Number.isFinite(logit))
        ),
      "the distribution has a number for every option of every layer",
      about(step)
    )
    law(temperature > 0 && Number.isFinite(temperature), "temperatures are above 0", about(step, `: ${temperature}`))
    dispose(saved)
    for (const tensor of Object.values(again.tensors)) if (!tensor.isDisposed) tensor.dispose()
    for (const tensor of Object.values(state.tensors)) {
      if (!Object.values(next.tensors).includes(tensor)) tensor.dispose()
    }
    state = next
    if (gradient.choice !== undefined && step % 2 === 1) state = watchChoice(gradient.choice, state, step)
  }
  const alive = tf.memory().numTensors
  const begun = gradient.conclude(state, key)
  law(json(gradient.conclude(state, key)) === json(begun), "concluding is deterministic", about(steps))
  law(tf.memory().numTensors === alive, "concluding leaves no tensor behind", about(steps))
  dispose(state)
  watch({ ...strategy, init: () => begun }, options, seed, world)
}

/**
 * Checks the gradient-based part of a searcher, on any backend of TensorFlow.js that is set, with a made-up loss
 * that is linear in the weights. Laws: deterministic; what a step gives follows from its state, also from one that went
 * through a checkpoint; a step neither changes nor frees the state it is given, and leaves no tensor behind; weights
 * for every option, none negative; the expected cost is one that probabilities can have; a choice of the best pass follows
 * from state and losses alone and makes no tensors; the search that learning leads to
 * obeys every law of {@link check}.
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
 * import * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
 *
 * registerGradients()
 * const space = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b"]] })
 * const entries = { base: 0, layers: [[1, 3], [1, 3]] }
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min: 4, max: 6 }))
 * const options = Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({})
 * const search = () => DifferentiableSearch.make(space, feasible, entries, "softmax", options)
 * SearchStrategyLaws.checkGradient(search, { space, feasible, runs: 1 }) // => undefined
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
