/**
 * Differentiable search: one parameter per option of every layer, updated by the gradient of the task's loss on the
 * validation split with all options mixed, and of the expected cost (DARTS: Liu et al. 2019, section 2; FBNet: Wu et al.
 * 2019, section 3). `softmax-differentiable` mixes by the softmax of the parameters, `gumbel-softmax-differentiable` by
 * relaxed draws whose temperature falls.
 *
 * When learning is over, the most probable architecture within the budget is found exactly, by dynamic programming over
 * its cost. It is scored together with further draws from the learned distribution: noise is added to the logarithms of
 * the probabilities, then the most probable architecture within the budget is taken (perturb and MAP: Papandreou and
 * Yuille 2011). Without a budget that is an exact draw; within one it is an approximation.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import { type CostEntries, CostModel } from "../cost/CostModel.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import { optimizerSection } from "../nn/OptimizerConfig.ts"
import * as Key from "../random/Key.ts"
import { type Genotype, SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { NonNegative, NonNegativeInt, Positive, PositiveInt } from "../support/Numbers.ts"
import * as Distribution from "./Distribution.ts"
import { CostTerm } from "./differentiable/CostTerm.ts"
import { gradientSearch } from "./differentiable/DifferentiableLearning.ts"
import * as SearchProgress from "./SearchProgress.ts"
import { type ArchitectureDistribution, SearchStrategy, type SearchStrategyShape } from "./SearchStrategy.ts"
import { drawUnseen } from "./Unseen.ts"

export { CostTerm } from "./differentiable/CostTerm.ts"

const optionsWith = (temperature: { readonly initial: number; readonly final: number }) =>
  Schema.Struct({
    learn: Schema.Literals(["training", "searching"])
      .annotate({
        description:
          "training: between steps of the supernet; searching: on the trained supernet, before the first candidates"
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed("training" as const))),
    warmupEpochs: NonNegative.annotate({
      description: "training: epochs of the supernet before learning begins"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
    everySteps: PositiveInt.annotate({ description: "training: steps of the supernet per step of learning" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(1))
    ),
    epochs: Positive.annotate({ description: "searching: passes over the validation split" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(10))
    ),
    batchSize: PositiveInt.annotate({ description: "Validation images per step of learning" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(64))
    ),
    optimizer: optimizerSection({ name: "adam", learningRate: 0.01, beta1: 0.5, weightDecay: 0 })
      .annotate({ description: "Optimizer of the architecture parameters" })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    cost: CostTerm.annotate({
      description: "The term of the loss that keeps the expected cost near a target or within the budget"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    temperature: Schema.Struct({
      initial: Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(temperature.initial))),
      final: Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(temperature.final)))
    })
      .annotate({
        description: "Temperature of the mixtures; falls exponentially from the first step of learning to the last"
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    hard: Schema.Boolean.annotate({
      description: "Straight-through: a single option in the forward pass, the gradient of the mixture"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
    samples: NonNegativeInt.annotate({
      description: "Architectures that are drawn from the learned distribution and scored beside the most probable one"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(20)))
  })

/**
 * Options of `softmax-differentiable`.
 *
 * **Example** (The temperature stays)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({}).temperature // => { initial: 1, final: 1 }
 * ```
 */
export const SoftmaxOptions = optionsWith({ initial: 1, final: 1 })
/**
 * Options of `gumbel-softmax-differentiable`; its temperatures are those of FBNet, from 5 to 5 * 0.956^90.
 *
 * **Example** (The temperature falls)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * Schema.decodeUnknownSync(DifferentiableSearch.GumbelOptions)({}).temperature // => { initial: 5, final: 0.1 }
 * ```
 */
export const GumbelOptions = optionsWith({ initial: 5, final: 0.1 })
/** Options of both searchers. */
export type Options = typeof SoftmaxOptions.Type

/** State of the search: the common part, and the learned logits. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  /** [layer][option]: logarithms of the probabilities, up to a constant per layer. */
  logits: Schema.Array(Schema.Array(Schema.Finite))
})
type State = typeof State.Type
const decode = Schema.decodeUnknownSync(State)

/** Draws that are tried for a new architecture before one is drawn uniformly from the budget. */
const attempts = 16

/** The most probable architecture of the budget, then `samples` that are drawn from the distribution; all different. */
const candidatesOf = (
  space: Pick<SearchSpaceShape, "canonical">,
  feasible: FeasibleSet,
  samples: number,
  { key, logits }: State
): ReadonlyArray<Genotype> => {
  const values = Distribution.logProbabilities(logits)
  const first = feasible.mostValuable(values)
  const seen = new Set([SearchProgress.text(space.canonical(first))])
  const out = [first]
  const add = (genotype: Genotype): boolean => {
    const text = SearchProgress.text(space.canonical(genotype))
    if (seen.has(text)) return false
    seen.add(text)
    out.push(genotype)
    return true
  }
  for (let sample = 0; sample < samples; sample += 1) {
    const own = Key.derive(key, "sample", sample)
    let found = false
    for (let attempt = 0; attempt < attempts && !found; attempt += 1) {
      found = add(feasible.mostValuable(Distribution.perturbed(values, Key.derive(own, attempt))))
    }
    if (found) continue
    const other = drawUnseen(feasible, own, seen, space.canonical)
    if (other === undefined) return out
    add(other)
  }
  return out
}

/**
 * The searcher of a relaxation over a space and a budget.
 *
 * **Example** (Nothing learned: all architectures are equally probable, the cheapest comes first)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as TabularSpace from "../estimator/TabularSpace.ts"
 * import * as Key from "../random/Key.ts"
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * const space = TabularSpace.make({ name: "two", layers: [["a", "b"], ["a", "b"]] })
 * const entries = { base: 0, layers: [[1, 3], [1, 3]] }
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", min: 4, max: 6 }))
 * const options = Schema.decodeUnknownSync(DifferentiableSearch.SoftmaxOptions)({ samples: 9 })
 * const search = DifferentiableSearch.make(space, feasible, entries, "softmax", options)
 * const [candidates] = search.ask(search.init(Key.make(0)))
 * candidates.map(feasible.cost) // => [4, 4, 6]
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "canonical" | "name">,
  feasible: FeasibleSet,
  entries: CostEntries,
  relaxation: ArchitectureDistribution["relaxation"],
  options: Options
): SearchStrategyShape => {
  const { counts } = feasible.options
  return {
    name: `${relaxation}-differentiable`,
    evaluations: 1 + options.samples,
    distinct: true,
    gradient: gradientSearch(space.name, feasible, entries, relaxation, options),
    init: (key) => ({
      ...SearchProgress.initial(key),
      logits: counts.map((count) => new Array<number>(count).fill(0))
    }),
    ask: (state) =>
      SearchProgress.ask(decode(state), space.canonical, (now) =>
        now.generation > 0 ? [] : candidatesOf(space, feasible, options.samples, now)
      ),
    tell: (state, scored) => SearchProgress.tell(decode(state), scored, (progress) => progress),
    best: (state) => SearchProgress.best(decode(state))
  }
}

const layerOf = (relaxation: ArchitectureDistribution["relaxation"]) => (options: Options) =>
  Layer.effect(
    SearchStrategy,
    Effect.gen(function* () {
      const space = yield* SearchSpace
      const costs = yield* CostModel
      const { feasible } = yield* SearchBudget
      return SearchStrategy.of(make(space, feasible, costs.entries(feasible.budget.metric), relaxation, options))
    })
  )

/**
 * `name: softmax-differentiable`.
 *
 * **Example** (Its name)
 *
 * ```ts
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * DifferentiableSearch.componentSoftmax.name // => "softmax-differentiable"
 * ```
 */
export const componentSoftmax = define({
  kind: "searchStrategy",
  name: "softmax-differentiable",
  description: "A probability for every option, learned by gradient through the softmax mixture of all options (DARTS)",
  options: SoftmaxOptions,
  layer: layerOf("softmax")
})

/**
 * `name: gumbel-softmax-differentiable`.
 *
 * **Example** (Its name)
 *
 * ```ts
 * import * as DifferentiableSearch from "./DifferentiableSearch.ts"
 *
 * DifferentiableSearch.componentGumbel.name // => "gumbel-softmax-differentiable"
 * ```
 */
export const componentGumbel = define({
  kind: "searchStrategy",
  name: "gumbel-softmax-differentiable",
  description:
    "A probability for every option, learned by gradient through relaxed draws whose temperature falls (FBNet)",
  options: GumbelOptions,
  layer: layerOf("gumbel-softmax")
})
