/**
 * Evolution under a budget, after the search of Single Path One-Shot (Guo et al. 2020, section 3.4): the best
 * architectures so far are parents of the next generation, by mutation and by crossover.
 *
 * Offspring are in the band by construction: a mutation or crossover says which options each layer may take, and the
 * child is drawn uniformly from the architectures of the band that take only those. If there is none, or all of them were
 * scored before, more layers may change. No architecture is scored twice, and a search in a band with fewer architectures
 * than requested ends when it has seen them all.
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
import { Fraction, PositiveInt } from "../support/Numbers.ts"
import * as SearchProgress from "./SearchProgress.ts"
import { Scored, SearchStrategy, type SearchStrategyShape } from "./SearchStrategy.ts"
import { drawManyUnseen, drawUnseen } from "./Unseen.ts"

const nullable = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.NullOr(schema)
    .annotate({ description })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

/** Options of the evolution. */
export const Options = Schema.Struct({
  evaluations: PositiveInt.annotate({ description: "Architectures that are scored in total" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1000))
  ),
  initial: nullable(PositiveInt, "Random architectures in the first generation; null: by the number of evaluations"),
  offspring: nullable(PositiveInt, "Architectures in every later generation; null: by the number of evaluations"),
  parents: nullable(PositiveInt, "Parents: the best architectures so far; null: by the number of evaluations"),
  mutation: nullable(
    Fraction,
    "Probability that a mutation changes a layer (at least one layer changes); null: 1 / layers"
  ),
  crossover: Fraction.annotate({
    description: "Fraction of the offspring made by crossover, the rest by mutation"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.5)))
})
/** Options of the evolution. */
export type Options = typeof Options.Type

/** State: the common part, and the pool that parents come from, best first. */
const State = Schema.Struct({
  ...SearchProgress.SearchProgress.fields,
  pool: Schema.Array(Scored)
})
type State = typeof State.Type

const decode = Schema.decodeUnknownSync(State)

/**
 * Options with every null replaced by a value that suits the number of evaluations and of searched layers: generations and
 * the pool of parents grow with the square root of the number of evaluations. A short search must exploit its best
 * architectures soon; a long one needs diversity. The factors were tuned on NAS-Bench-Macro at 50 to 300 evaluations and
 * checked on NAS-Bench-201 and on synthetic objectives over ProxylessNAS.
 *
 * **Example** (A hundred evaluations, eight layers)
 *
 * ```ts
 * import * as Evolution from "./Evolution.ts"
 *
 * const automatic = { initial: null, offspring: null, parents: null, mutation: null }
 * Evolution.settings({ evaluations: 100, crossover: 0.5, ...automatic }, 8).parents // => 8
 * ```
 */
export const settings = (options: Options, layers: number) => {
  const { crossover, evaluations } = options
  const root = Math.sqrt(evaluations)
  return {
    evaluations,
    crossover,
    initial: Math.min(evaluations, options.initial ?? Math.max(4, Math.round(1.5 * root))),
    offspring: options.offspring ?? Math.max(2, Math.round(0.75 * root)),
    parents: options.parents ?? Math.max(2, Math.round(0.75 * root)),
    mutation: options.mutation ?? 1 / layers
  }
}

/** Pairs of parents, or sets of layers, that are tried before the child is drawn from the whole band. */
const attempts = 16

/** The layers in which there is something to choose. */
const searchedLayers = ({ options }: FeasibleSet): ReadonlyArray<number> =>
  options.counts.flatMap((count, layer) => (count > 1 ? [layer] : []))

/** What all generations share. */
interface EvolutionContext {
  readonly space: Pick<SearchSpaceShape, "canonical">
  readonly feasible: FeasibleSet
  readonly settings: ReturnType<typeof settings>
  readonly searched: ReadonlyArray<number>
  /** Every option of every layer. */
  readonly all: ReadonlyArray<ReadonlyArray<number>>
}

const contextOf = (
  space: Pick<SearchSpaceShape, "canonical">,
  feasible: FeasibleSet,
  options: Options
): EvolutionContext => {
  const searched = searchedLayers(feasible)
  return {
    space,
    feasible,
    settings: settings(options, searched.length || 1),
    searched,
    all: feasible.options.counts.map((count) => Array.from({ length: count }, (_, option) => option))
  }
}

/** A child that differs from its parent in the drawn layers, or in more if these alone leave the band. */
const mutate = (
  { all, feasible, searched, settings: { mutation }, space }: EvolutionContext,
  key: Key.Key,
  parent: ReadonlyArray<number>,
  seen: ReadonlySet<string>
): Genotype | undefined => {
  const order = Key.permutation(Key.derive(key, "order"), searched.length)
  const changed = new Set(searched.filter((layer) => Key.uniform(Key.derive(key, "layer"), layer) < mutation))
  if (changed.size === 0 && searched.length > 0) changed.add(searched[order[0]!]!)
  const allowed = parent.map((option, layer) =>
    changed.has(layer) ? all[layer]!.filter((other) => other !== option) : [option]
  )
  for (let freed = 0; freed <= order.length; freed += 1) {
    const restricted = feasible.restrict(allowed)
    if (Option.isSome(restricted)) {
      const child = drawUnseen(restricted.value, Key.derive(key, "child", freed), seen, space.canonical)
      if (child !== undefined) return child
    }
    const next = searched[order[freed] ?? 0]
    if (next !== undefined) allowed[next] = [...all[next]!]
  }
  return undefined
}

/** A child that takes every layer from one of its parents. */
const cross = (
  { feasible, space }: EvolutionContext,
  key: Key.Key,
  one: ReadonlyArray<number>,
  other: ReadonlyArray<number>,
  seen: ReadonlySet<string>
): Genotype | undefined => {
  const restricted = feasible.restrict(
    one.map((option, layer) => (option === other[layer] ? [option] : [option, other[layer]!]))
  )
  return Option.isSome(restricted) ? drawUnseen(restricted.value, key, seen, space.canonical) : undefined
}

/** A child of the pool by crossover or mutation; a uniform draw from the band if neither finds a new architecture. */
const breed = (
  context: EvolutionContext,
  key: Key.Key,
  pool: ReadonlyArray<ReadonlyArray<number>>,
  seen: ReadonlySet<string>
): Genotype | undefined => {
  const byCrossover = pool.length > 1 && Key.uniform(Key.derive(key, "kind")) < context.settings.crossover
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const drawn = Key.derive(key, attempt)
    // Better parents are drawn more often: the square puts half of the draws on the best quarter of the pool.
    const first = Math.floor(pool.length * Key.uniform(drawn) ** 2)
    const parent = pool[first]!
    if (byCrossover && attempt < attempts / 2) {
      const second = (first + 1 + Key.integer(drawn, pool.length - 1, 1)) % pool.length
      const child = cross(context, drawn, parent, pool[second]!, seen)
      if (child !== undefined) return child
    } else {
      const child = mutate(context, drawn, parent, seen)
      if (child !== undefined) return child
    }
  }
  return drawUnseen(context.feasible, Key.derive(key, "any"), seen, context.space.canonical)
}

/** The next candidates: a random first generation, then offspring of the pool. */
const nextGeneration = (context: EvolutionContext, state: State): ReadonlyArray<Genotype> => {
  const { feasible, space } = context
  const { evaluations, initial, offspring } = context.settings
  const left = evaluations - state.seen.length
  const key = Key.derive(state.key, state.generation)
  const seen = new Set(state.seen)
  if (state.pool.length === 0) return drawManyUnseen(feasible, key, Math.min(initial, left), seen, space.canonical)
  const pool = state.pool.map(({ genotype }) => feasible.options.indicesUnsafe(genotype))
  const children: Array<Genotype> = []
  for (let i = 0; i < Math.min(offspring, left); i += 1) {
    const child = breed(context, Key.derive(key, i), pool, seen)
    if (child === undefined) return children
    seen.add(SearchProgress.text(space.canonical(child)))
    children.push(child)
  }
  return children
}

/**
 * Evolution over a space's budget.
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
 * import * as Evolution from "./Evolution.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
 * const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
 * const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.fromSpace(space).flops, budget))
 * const options = Schema.decodeUnknownSync(Evolution.Options)({ evaluations: 30 })
 * const strategy = Evolution.make(space, feasible, options)
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
 * Evolution.component.name // => strategy.name
 * ```
 */
export const make = (
  space: Pick<SearchSpaceShape, "canonical">,
  feasible: FeasibleSet,
  options: Options
): SearchStrategyShape => {
  const context = contextOf(space, feasible, options)
  const { evaluations, parents } = context.settings
  return {
    name: "evolution",
    evaluations,
    distinct: true,
    init: (key) => ({ ...SearchProgress.initial(key), pool: [] }),
    ask: (state) => SearchProgress.ask(decode(state), space.canonical, (now) => nextGeneration(context, now)),
    tell: (state, scored) =>
      SearchProgress.tell(decode(state), scored, (progress, received) => ({
        ...progress,
        pool: [...progress.pool, ...received].sort(SearchProgress.compare).slice(0, parents)
      })),
    best: (state) => SearchProgress.best(decode(state))
  }
}

/** `name: evolution`. */
export const component = define({
  kind: "searchStrategy",
  name: "evolution",
  description:
    "Mutation and crossover of the best architectures so far; every offspring is within the budget, none is scored twice",
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
