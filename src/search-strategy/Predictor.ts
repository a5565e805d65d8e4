/**
 * Search by a surrogate: a Gaussian process learns from the architectures scored so far which others are promising, and
 * those with the largest expected improvement are scored next (Mockus 1975; for architectures: White et al. 2021,
 * "BANANAS"). Where scores are expensive it finds good architectures with fewer of them than evolution.
 *
 * All proposals are in the budget's band, and none is scored twice. In a small band every architecture is considered, in a
 * large one random draws and neighbours of the best.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { define } from "../component/Component.ts"
import type { FeasibleSet } from "../cost/FeasibleSet.ts"
import { SearchBudget } from "../cost/SearchBudget.ts"
import * as Key from "../random/Key.ts"
import { type Genotype, SearchSpace, type SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { PositiveInt } from "../support/Numbers.ts"
import * as GaussianProcess from "./GaussianProcess.ts"
import * as SearchProgress from "./SearchProgress.ts"
import { Scored, SearchStrategy, type SearchStrategyShape } from "./SearchStrategy.ts"
import { drawManyUnseen } from "./Unseen.ts"

/** Options of the search. */
export const Options = Schema.Struct({
  evaluations: PositiveInt.annotate({ description: "How many architectures are scored in all" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(200))
  ),
  initial: Schema.NullOr(PositiveInt)
    .annotate({ description: "Random architectures of the first generation; null: by the number of evaluations" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  generation: PositiveInt.annotate({ description: "Architectures of every later generation" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(5))
  ),
  pool: PositiveInt.annotate({
    description: "Architectures among which a generation is chosen, at most: all of the band where there are no more"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(8192))),
  memory: PositiveInt.annotate({
    description: "The surrogate learns from at most this many architectures: the best ones and the latest ones"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(400)))
})
/** Options of the search. */
export type Options = typeof Options.Type

/** State: the common part, and everything scored, in the order of scoring. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  history: Schema.Array(Scored)
})
type State = typeof State.Type

const decode = Schema.decodeUnknownSync(State)

/** Abramowitz and Stegun 1964, formula 7.1.26: the error is below 1.5e-7. */
const errorFunction = (x: number): number => {
  const t = 1 / (1 + 0.3275911 * Math.abs(x))
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  return Math.sign(x) * (1 - series * Math.exp(-x * x))
}

/**
 * The expected improvement of a prediction over the least objective so far (both to be minimised): what is gained on
 * average by scoring it, where scoring a worse one gains nothing.
 *
 * **Example** (A certain loss gains nothing, an uncertain one may)
 *
 * ```ts
 * import * as Predictor from "./Predictor.ts"
 *
 * Predictor.expectedImprovement({ mean: 2, deviation: 0 }, 1) // => 0
 * Predictor.expectedImprovement({ mean: 2, deviation: 1 }, 1) > 0 // => true
 * Predictor.expectedImprovement({ mean: 0, deviation: 0 }, 1) // => 1
 * ```
 */
export const expectedImprovement = ({ deviation, mean }: GaussianProcess.Prediction, least: number): number => {
  const gain = least - mean
  if (deviation <= 0) return Math.max(0, gain)
  const z = gain / deviation
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)
  return gain * 0.5 * (1 + errorFunction(z / Math.SQRT2)) + deviation * density
}

/** What the surrogate learns from: the better half of what it may remember are the best, the rest the latest. */
const remembered = (history: ReadonlyArray<Scored>, memory: number): ReadonlyArray<Scored> => {
  if (history.length <= memory) return history
  const best = new Set([...history].sort(SearchProgress.compare).slice(0, Math.ceil(memory / 2)))
  const latest = history.filter((one) => !best.has(one)).slice(-Math.floor(memory / 2))
  const kept = new Set([...best, ...latest])
  return history.filter((one) => kept.has(one))
}

/** Up to how many of the best so far have their neighbours considered. */
const centers = 8

/**
 * The search over a space's budget.
 *
 * **Example** (Twenty candidates of a small space)
 *
 * ```ts
 * import * as Option from "effect/Option"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as FeasibleSet from "../cost/FeasibleSet.ts"
 * import * as LookupTable from "../cost/LookupTable.ts"
 * import * as Key from "../random/Key.ts"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as Predictor from "./Predictor.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.fromSpace(space).flops, budget))
 * const options = Schema.decodeUnknownSync(Predictor.Options)({ evaluations: 20 })
 * const strategy = Predictor.make(space, feasible, options)
 * let state = strategy.init(Key.make(1))
 * for (;;) {
 *   const [candidates, asked] = strategy.ask(state)
 *   if (candidates.length === 0) break
 *   const score = (genotype: ReadonlyArray<number>) => {
 *     const cost = feasible.cost(genotype)
 *     return { genotype, cost, score: { objective: -cost, metrics: {} } }
 *   }
 *   state = strategy.tell(asked, candidates.map(score))
 * }
 * const best = strategy.best(state)
 * Option.isSome(best) && best.value.cost > 2.4e6 // => true
 * Predictor.component.name // => strategy.name
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "canonical">,
  feasible: FeasibleSet,
  options: Options
): SearchStrategyShape => {
  const { evaluations, generation, memory, pool } = options
  const { counts, indicesUnsafe } = feasible.options
  const initial = Math.min(evaluations, options.initial ?? Math.max(4, Math.round(1.5 * Math.sqrt(evaluations))))
  const all = counts.map((count) => Array.from({ length: count }, (_, option) => option))

  /** Architectures within one or two layers of one of the best. */
  const neighbours = (key: Key.Key, state: State, count: number): ReadonlyArray<Genotype> => {
    const best = [...state.history].sort(SearchProgress.compare).slice(0, centers)
    return Array.from({ length: count }, (_, index) => {
      const own = Key.derive(key, index)
      const indices = indicesUnsafe(best[index % best.length]!.genotype)
      const [first, second] = [Key.integer(own, indices.length, 0), Key.integer(own, indices.length, 1)]
      const restricted = feasible.restrict(
        indices.map((option, layer) => (layer === first || layer === second ? all[layer] : [option]))
      )
      return Option.map(restricted, (set) => set.sample(Key.derive(own, "draw")))
    }).flatMap(Option.toArray)
  }

  /** The architectures to choose from that were not scored yet, each network once. */
  const considered = (key: Key.Key, state: State): ReadonlyArray<Genotype> => {
    const drawn =
      feasible.count <= BigInt(pool)
        ? Array.from({ length: Number(feasible.count) }, (_, rank) => feasible.at(BigInt(rank)))
        : [
            ...neighbours(Key.derive(key, "neighbours"), state, Math.ceil(pool / 8)),
            ...Array.from({ length: Math.floor(pool / 8) }, (_, index) =>
              feasible.sample(Key.derive(key, "drawn", index))
            )
          ]
    const taken = new Set(state.seen)
    return drawn.filter((genotype) => {
      const text = SearchProgress.text(space.canonical(genotype))
      if (taken.has(text)) return false
      taken.add(text)
      return true
    })
  }

  const next = (state: State): ReadonlyArray<Genotype> => {
    const left = evaluations - state.seen.length
    const key = Key.derive(state.key, state.generation)
    const seen = new Set(state.seen)
    if (left <= 0) return []
    if (state.history.length === 0) return drawManyUnseen(feasible, key, initial, seen, space.canonical)
    const known = remembered(state.history, memory)
    const surrogate = GaussianProcess.make(
      known.map(({ genotype }) => space.canonical(genotype)),
      known.map(({ score }) => score.objective)
    )
    const candidates = considered(key, state)
    const least = Math.min(...known.map(({ score }) => score.objective))
    const gains = surrogate
      .predict(candidates.map((genotype) => space.canonical(genotype)))
      .map((prediction) => expectedImprovement(prediction, least))
    const chosen = candidates
      .map((_, index) => index)
      .sort((a, b) => gains[b]! - gains[a]! || a - b)
      .slice(0, Math.min(generation, left))
      .map((index) => candidates[index]!)
    if (chosen.length > 0) return chosen
    return drawManyUnseen(feasible, key, Math.min(generation, left), seen, space.canonical)
  }

  return {
    name: "predictor",
    evaluations,
    distinct: true,
    init: (key) => ({ ...SearchProgress.initial(key), history: [] }),
    ask: (state) => SearchProgress.ask(decode(state), space.canonical, next),
    tell: (state, scored) =>
      SearchProgress.tell(decode(state), scored, (progress, received) => ({
        ...progress,
        history: [...progress.history, ...received]
      })),
    best: (state) => SearchProgress.best(decode(state))
  }
}

/** `name: predictor`. */
export const component = define({
  kind: "searchStrategy",
  name: "predictor",
  description:
    "A Gaussian process proposes the architectures with the largest expected improvement; for few evaluations",
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
