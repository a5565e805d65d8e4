/**
 * A searcher of one's own: it changes one layer of the best architecture after another, always within the budget. On a
 * tabular benchmark a search takes no time, so it is compared with random search over ten seeds.
 * `node searcher.ts`, in a folder where osnas is installed.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  FeasibleSet,
  Key,
  LookupTable,
  NasBenchMacroTable,
  Random,
  SearcherComparison,
  SearchProgress,
  type SearchStrategy
} from "osnas"

const table = Result.getOrThrow(NasBenchMacroTable.load())
const { space } = table
const costs = LookupTable.costModel(space, LookupTable.fromSpace(space))
const budget = { metric: "flops", min: 0, max: 50e6 } as const
const feasible = Result.getOrThrow(FeasibleSet.make(space, costs.entries("flops"), budget))
const decode = Schema.decodeUnknownSync(SearchProgress.SearchProgress)

/** All that is within the budget and differs from `best` in one layer, layer by layer; a random start in the beginning. */
const layerByLayer = (evaluations: number): SearchStrategy.SearchStrategyShape => ({
  name: "layer-by-layer",
  evaluations,
  distinct: true,
  init: SearchProgress.initial,
  ask: (state) => {
    const progress = decode(state)
    if (progress.asked.length > 0) return [SearchProgress.pending(progress), state]
    const { best, generation, key } = progress
    const near = (layer: number) =>
      Option.getOrThrow(
        feasible.restrict((best?.genotype ?? []).map((digit, at) => (at === layer ? undefined : [digit])))
      )
    const seen = new Set(progress.seen)
    const left = Math.max(0, evaluations - seen.size)
    for (let attempt = 0; attempt < 8 && left > 0; attempt += 1) {
      const around = best === null ? undefined : near((generation + attempt) % best.genotype.length)
      const drawn =
        around === undefined
          ? [feasible.sample(Key.derive(key, generation))]
          : Array.from({ length: Number(around.count) }, (_, rank) => around.at(BigInt(rank)))
      const fresh = drawn.filter((genotype) => !seen.has(SearchProgress.text(space.canonical(genotype))))
      const distinct = [...new Map(fresh.map((genotype) => [`${space.canonical(genotype)}`, genotype])).values()]
      const candidates = distinct.slice(0, left)
      if (candidates.length > 0) return [candidates, SearchProgress.begin(progress, candidates, space.canonical)]
    }
    return [[], state]
  },
  tell: (state, scored) => SearchProgress.tell(decode(state), scored, (progress) => progress),
  best: (state) => SearchProgress.best(decode(state))
})

for (const strategy of [layerByLayer(40), Random.make(space, feasible, { evaluations: 40, generation: 10 })]) {
  const found = Array.from({ length: 10 }, (_, seed) =>
    Option.getOrThrow(SearcherComparison.search(strategy, table, feasible, Key.make(seed)))
  )
  const mean = found.reduce((sum, { score }) => sum + (score.metrics["test"] ?? 0), 0) / found.length
  console.log(`${strategy.name}: ${mean.toFixed(2)} % on average`)
}
