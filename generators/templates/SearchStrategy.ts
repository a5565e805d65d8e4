/** A search strategy: local search, around the best architecture so far. */
import { section, type Template } from "../Template.ts"

const task = `const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
const costs = LookupTable.fromSpace(space)
const budget = { metric: "flops", min: 0, max: 2.5e6 } as const
const feasible = Result.getOrThrow(FeasibleSet.make(space, LookupTable.costModel(space, costs).entries("flops"), budget))`

/** The template of a search strategy. */
export const template: Template = {
  kind: "searchStrategy",
  module: ({ name }) => `/**
 * The search strategy \`${name}\`: which architectures to evaluate, and which one is the best. This one draws the first
 * architectures at random, and later ones next to the best so far: one layer changed, within the budget.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type FeasibleSet, define, Key, SearchBudget, SearchProgress, SearchSpace, SearchStrategy } from "osnas"

/** Options beside \`name\` in a configuration. */
export const Options = Schema.Struct({
  evaluations: Schema.Int.check(Schema.isGreaterThan(0))
    .annotate({ description: "Number of architectures to score" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(100))),
  generation: Schema.Int.check(Schema.isGreaterThan(0))
    .annotate({ description: "Number of architectures per generation" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(10)))
})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** The state is JSON, so that a stopped run can resume from it: architectures and scores, and the best so far. */
const decode = Schema.decodeUnknownSync(SearchProgress.SearchProgress)

/** Draws per wanted architecture, before the search ends for lack of new ones. */
const patience = 100

/** The strategy over the architectures of a budget. */
export const make = (
  space: Pick<SearchSpace.SearchSpaceShape, "canonical">,
  feasible: FeasibleSet.FeasibleSet,
  options: Options
): SearchStrategy.SearchStrategyShape => {
  const { counts, indicesUnsafe } = feasible.options

  /** An architecture within the budget that differs from the best in at most one layer. */
  const neighbour = (key: Key.Key, best: SearchSpace.Genotype): SearchSpace.Genotype => {
    const changed = Key.integer(Key.derive(key, "layer"), counts.length)
    const allowed = indicesUnsafe(best).map((option, layer) => (layer === changed ? undefined : [option]))
    return Option.match(feasible.restrict(allowed), {
      onNone: () => feasible.sample(key),
      onSome: (near) => near.sample(key)
    })
  }

  const generation = (progress: SearchProgress.SearchProgress): ReadonlyArray<SearchSpace.Genotype> => {
    const seen = new Set(progress.seen)
    const candidates: Array<SearchSpace.Genotype> = []
    const wanted = Math.min(options.generation, options.evaluations - progress.seen.length)
    for (let draw = 0; draw < patience * wanted && candidates.length < wanted; draw += 1) {
      const key = Key.derive(progress.key, progress.generation, draw)
      const random = progress.best === null || draw >= (patience * wanted) / 2
      const candidate = random ? feasible.sample(key) : neighbour(key, progress.best.genotype)
      const text = SearchProgress.text(space.canonical(candidate))
      if (!seen.has(text)) {
        seen.add(text)
        candidates.push(candidate)
      }
    }
    return candidates
  }

  return {
    name: "${name}",
    evaluations: options.evaluations,
    distinct: true,
    init: SearchProgress.initial,
    ask: (state) => {
      const progress = decode(state)
      const open = SearchProgress.pending(progress)
      if (open.length > 0) return [open, state]
      const candidates = generation(progress)
      return candidates.length === 0
        ? [[], state]
        : [candidates, SearchProgress.begin(progress, candidates, space.canonical)]
    },
    tell: (state, scored) => SearchProgress.tell(decode(state), scored, (progress) => progress),
    best: (state) => SearchProgress.best(decode(state))
  }
}

/** The component that configurations name. */
export const component = define({
  kind: "searchStrategy",
  name: "${name}",
  description: "Local search around the best architecture so far",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      SearchStrategy.SearchStrategy,
      Effect.gen(function* () {
        const space = yield* SearchSpace.SearchSpace
        const { feasible } = yield* SearchBudget.SearchBudget
        return make(space, feasible, options)
      })
    )
})
`,
  test: ({ identifier, name }) => `import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { FeasibleSet, Key, LookupTable, Tiny } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

${task}

it("finds a small architecture among the larger ones", () => {
  const strategy = ${identifier}.make(space, feasible, { evaluations: 40, generation: 8 })
  let state = strategy.init(Key.make(1))
  const costs: Array<number> = []
  for (;;) {
    const [candidates, asked] = strategy.ask(state)
    if (candidates.length === 0) break
    const scored = candidates.map((genotype) => {
      const cost = feasible.cost(genotype)
      costs.push(cost)
      return { genotype, cost, score: { objective: cost, metrics: {} } }
    })
    state = strategy.tell(asked, scored)
  }
  expect(costs).toHaveLength(40)
  expect(costs.every((cost) => cost <= budget.max)).toBe(true)
  const best = Option.getOrThrow(strategy.best(state))
  expect(best.cost).toBe(Math.min(...costs))
  expect(best.cost).toBeLessThan(Math.min(...costs.slice(0, 8)))
})
`,
  laws: ({ identifier, name }) => `import * as Result from "effect/Result"
import { FeasibleSet, LookupTable, Tiny } from "osnas"
import { SearchStrategyLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

${task}

it("obeys the laws of search strategies", () =>
  SearchStrategyLaws.check(() => ${identifier}.make(space, feasible, { evaluations: 30, generation: 7 }), { space, feasible }))
`,
  yaml: section("searchStrategy", ["evaluations: 100"])
}
