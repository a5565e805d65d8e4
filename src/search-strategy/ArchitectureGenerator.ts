/**
 * The architecture generator of SGNAS (Huang and Chu 2021, "Searching by Generating: Flexible and Efficient One-Shot NAS
 * with Architecture Generator"): the search does not look for one architecture, it trains a network that draws one for
 * any target cost. The supernet is frozen meanwhile. For a random target the generator draws scores, and Gumbel-softmax
 * turns them into weights. The loss is the task's loss of the supernet's mixture under these weights, plus the squared
 * distance of the mixture's cost from the target (sections 3.1 and 3.2). Quality varies from pass to pass, so the best
 * pass is kept: the one with the lowest loss without noise and mixing ({@link objectiveOf}).
 *
 * A trained generator serves any number of targets ({@link generate}). For the run's own budget it proposes its most likely
 * architecture within the band, and further ones that it draws from other priors or under Gumbel noise. The estimator
 * picks the best of them.
 *
 * **Example** (An untrained generator names an architecture within the budget, too)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as LookupTable from "../cost/LookupTable.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as ArchitectureGenerator from "./ArchitectureGenerator.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const { flops } = LookupTable.fromSpace(space)
 * const budget = { metric: "flops", min: 2e6, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, flops, budget))
 * const options = Schema.decodeUnknownSync(ArchitectureGenerator.Options)({ channels: 8, depth: 1, priors: 4 })
 * const strategy = Result.getOrThrow(ArchitectureGenerator.make(space, flops, feasible, options))
 * strategy.name // => ArchitectureGenerator.component.name
 * const state = strategy.gradient.init(Key.make(1))
 * const on = Result.getOrThrow(ArchitectureGenerator.generatorContext(space, flops, "flops", options))
 * const { cost } = ArchitectureGenerator.generate(on, ArchitectureGenerator.trainedOf(state), feasible)
 * cost >= 2e6 && cost <= 2.5e6 // => true
 * const target = ArchitectureGenerator.targetOf(on.range, 2, Key.make(1), 0)
 * target >= on.range.min && target <= on.range.max // => true
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { type BudgetInfeasible, type CostEntries, CostModel } from "../cost/CostModel.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import { optimizerSection } from "../nn/OptimizerConfig.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { NonNegative, Positive, PositiveInt } from "../support/Numbers.ts"
import { type GeneratorSpace, generatorContext } from "./generator/GeneratorContext.ts"
import { gradientSearch } from "./generator/GeneratorTraining.ts"
import * as SearchProgress from "./SearchProgress.ts"
import { SearchStrategy, type SearchStrategyShape } from "./SearchStrategy.ts"
import { drawManyUnseen } from "./Unseen.ts"

export {
  type Generated,
  type GenerationInput,
  generate,
  type Sweep,
  sweep,
  type Trained
} from "./generator/Generation.ts"
export {
  type ContextOptions,
  type GeneratorContext,
  type GeneratorSpace,
  generatorContext
} from "./generator/GeneratorContext.ts"
export { interfaceOf, trainedOf } from "./generator/GeneratorState.ts"
export {
  objectiveOf,
  type StepInput,
  stepLoss,
  type TemperatureOptions,
  targetOf,
  temperatureOf
} from "./generator/GeneratorTraining.ts"

const defaulted = <T, E>(schema: Schema.Codec<T, E>, value: E, description: string) =>
  schema.annotate({ description }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** Options of the generator. */
export const Options = Schema.Struct({
  evaluations: defaulted(
    PositiveInt,
    10,
    "Architectures of the generator that are scored; the first is its most likely one"
  ),
  epochs: defaulted(PositiveInt, 20, "Passes of the generator's training over the validation split"),
  batchSize: defaulted(PositiveInt, 64, "Validation images per step"),
  optimizer: optimizerSection({ name: "adam", learningRate: 1e-3, beta1: 0.9, weightDecay: 0 })
    .annotate({ description: "Optimizer of the generator" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  targets: defaulted(PositiveInt, 8, "Target costs per step; the task's loss is computed for the first"),
  costWeight: defaulted(
    NonNegative,
    20,
    "Weight of the cost term: squared distance from the target, in units of the range of targets"
  ),
  lowest: defaulted(
    Schema.NullOr(NonNegative),
    null,
    "Lowest target cost; null: the cost of the cheapest architecture"
  ),
  highest: defaulted(
    Schema.NullOr(Positive),
    null,
    "Highest target cost; null: the cost of the most expensive architecture"
  ),
  priors: defaulted(PositiveInt, 10, "Architectures in the prior pool"),
  temperature: defaulted(Positive, 5, "Temperature of the Gumbel-softmax at the first step"),
  finalTemperature: defaulted(Positive, 1, "Temperature at the last step; it falls by the same factor every step"),
  channels: defaulted(PositiveInt, 32, "Channels of the generator's convolutions"),
  depth: defaulted(PositiveInt, 4, "Convolutions of the generator's trunk"),
  targetPlanes: defaulted(PositiveInt, 8, "Planes that encode the target cost"),
  sweep: defaulted(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(2)),
    50,
    "Target costs of the final review: how well the costs of the drawn architectures follow them"
  ),
  validationTargets: defaulted(
    PositiveInt,
    5,
    "Targets whose architectures are validated after every pass: the pass with the lowest task loss and cost term is kept"
  ),
  validationBatches: defaulted(PositiveInt, 4, "Validation batches for that task loss")
})
/** Options of the generator. */
export type Options = typeof Options.Type

/** State of the search: the common part, and the generated architectures. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  /** The generated architectures; null if the generator was not trained: architectures of the budget are drawn uniformly. */
  candidates: Schema.NullOr(Schema.Array(Schema.Array(Schema.Int)))
})

const decodeState = Schema.decodeUnknownSync(State)

/** The searcher for a space and a budget. Fails with `BudgetInfeasible` if no architecture has a cost in its range of targets. */
export const make = (
  space: GeneratorSpace,
  entries: CostEntries,
  feasible: FeasibleSet,
  options: Options
): Result.Result<SearchStrategyShape, BudgetInfeasible> =>
  Result.map(generatorContext(space, entries, feasible.budget.metric, options), (on): SearchStrategyShape => {
    return {
      name: "architecture-generator",
      evaluations: feasible.count < options.evaluations ? Number(feasible.count) : options.evaluations,
      distinct: true,
      gradient: gradientSearch(on, options, feasible),
      init: (key) => ({ ...SearchProgress.initial(key), candidates: null }),
      ask: (state) =>
        SearchProgress.ask(decodeState(state), space.canonical, (now) =>
          now.generation > 0
            ? []
            : (now.candidates ?? drawManyUnseen(feasible, now.key, options.evaluations, new Set(), space.canonical))
        ),
      tell: (state, scored) => SearchProgress.tell(decodeState(state), scored, (progress) => progress),
      best: (state) => SearchProgress.best(decodeState(state))
    }
  })

/** `name: architecture-generator`. */
export const component = define({
  kind: "searchStrategy",
  name: "architecture-generator",
  description:
    "A small network, trained on the frozen supernet, that draws an architecture for any target cost (SGNAS)",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      SearchStrategy,
      Effect.gen(function* () {
        const space = yield* SearchSpace
        const costs = yield* CostModel
        const { budget, feasible } = yield* SearchBudget
        return SearchStrategy.of(yield* Effect.fromResult(make(space, costs.entries(budget.metric), feasible, options)))
      })
    )
})
