/**
 * Random search: different architectures of the budget, each with the same probability (Li and Talwalkar 2019, "Random
 * Search and Reproducibility for Neural Architecture Search"). The baseline that any other strategy has to beat.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import * as Key from "../random/Key.ts"
import { SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { PositiveInt } from "../support/Numbers.ts"
import * as SearchProgress from "./SearchProgress.ts"
import { SearchStrategy, type SearchStrategyShape } from "./SearchStrategy.ts"
import { drawManyUnseen } from "./Unseen.ts"

/** Options of random search. */
export const Options = Schema.Struct({
  evaluations: PositiveInt.annotate({ description: "Architectures that are scored" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1000))
  ),
  generation: PositiveInt.annotate({
    description: "Architectures per generation; progress is saved after each generation"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(50)))
})
/** Options of random search. */
export type Options = typeof Options.Type

const decode = Schema.decodeUnknownSync(SearchProgress.SearchProgress)

/**
 * Random search over a space's budget. It ends early if the budget has fewer architectures than requested.
 *
 * **Example** (Thirty candidates of a small space)
 *
 * ```ts
 * import * as Option from "effect/Option"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as LookupTable from "../cost/LookupTable.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as Random from "./Random.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.fromSpace(space).flops, budget))
 * const options = Schema.decodeUnknownSync(Random.Options)({ evaluations: 30, generation: 10 })
 * const strategy = Random.make(space, feasible, options)
 * let state = strategy.init(Key.make(1))
 * let scored = 0
 * for (;;) {
 *   const [candidates, asked] = strategy.ask(state)
 *   if (candidates.length === 0) break
 *   scored += candidates.length
 *   const score = (genotype: ReadonlyArray<number>) => {
 *     const cost = feasible.cost(genotype)
 *     return { genotype, cost, score: { objective: -cost, metrics: {} } }
 *   }
 *   state = strategy.tell(asked, candidates.map(score))
 * }
 * scored // => 30
 * const best = strategy.best(state)
 * Option.isSome(best) && best.value.cost > 2.4e6 // => true
 * Random.component.name // => strategy.name
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "canonical">,
  feasible: FeasibleSet,
  options: Options
): SearchStrategyShape => ({
  name: "random",
  evaluations: options.evaluations,
  distinct: true,
  init: SearchProgress.initial,
  ask: (state) =>
    SearchProgress.ask(decode(state), space.canonical, ({ generation, key, seen }) => {
      const count = Math.min(options.generation, options.evaluations - seen.length)
      return drawManyUnseen(feasible, Key.derive(key, generation), count, new Set(seen), space.canonical)
    }),
  tell: (state, scored) => SearchProgress.tell(decode(state), scored, (progress) => progress),
  best: (state) => SearchProgress.best(decode(state))
})

/** `name: random`. */
export const component = define({
  kind: "searchStrategy",
  name: "random",
  description: "Different architectures of the budget, drawn uniformly",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      SearchStrategy,
      Effect.gen(function* () {
        const space = yield* SearchSpace
        const { feasible } = yield* SearchBudget
        return SearchStrategy.of(make(space, feasible, options))
      })
    )
})
