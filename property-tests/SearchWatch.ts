/** One search of a search strategy, checked step by step: shared by the laws of searches and of learning. */
import * as Option from "effect/Option"
import type { FeasibleSet } from "../src/cost/FeasibleSet.ts"
import * as Key from "../src/random/Key.ts"
import type { Genotype, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import type { Score, Scored, SearchState, SearchStrategyShape } from "../src/search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../src/support/CanonicalJson.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** The space searched, and the budget's architectures in it. */
  readonly space: Pick<SearchSpaceShape, "canonical" | "format" | "validate">
  readonly feasible: Pick<FeasibleSet, "contains" | "cost">
  /** Whether the order of scores within a generation makes no difference to the state; default true. */
  readonly orderIndependent?: boolean | undefined
  /** Most generations of a search; default 200. Reaching them breaks a law only if `ends` is true. */
  readonly generations?: number | undefined
  /** Whether the search must end within `generations`; default: whether its number of evaluations is known. */
  readonly ends?: boolean | undefined
  /** Searches to try; default 20. */
  readonly runs?: number | undefined
  /** Seed of the searches; default 1. */
  readonly seed?: number | undefined
}

/** Throws if a law does not hold. */
export const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`search strategy law broken: ${name}: ${about}`)
}

/** Canonical JSON, to compare by. */
export const json = (value: unknown): string => CanonicalJson.stringify(value)

/** The state after JSON and back. */
export const throughJson = (state: SearchState): SearchState => JSON.parse(JSON.stringify(state)) as SearchState

/** A synthetic score that depends on the architecture alone. It has few values, so that there are ties. */
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

/** Candidates are in the space, within the budget and, if `distinct`, new. Adds them to `seen`. */
const checkCandidates = (
  { distinct }: Pick<SearchStrategyShape, "distinct">,
  { feasible, space }: Options,
  candidates: ReadonlyArray<Genotype>,
  seen: Set<string>,
  about: string
): void => {
  for (const candidate of candidates) {
    const text = space.format(candidate)
    law(space.validate(candidate)._tag === "Success", "candidates belong to the space", `${about}: ${text}`)
    law(
      feasible.contains(candidate),
      "candidates are within the budget",
      `${about}: ${text} costs ${feasible.cost(candidate)}`
    )
    const name = space.format(space.canonical(candidate))
    law(!distinct || !seen.has(name), "no architecture is asked for twice", `${about}: ${text}`)
    seen.add(name)
  }
}

/** Scores in another order, at once and in two parts, lead to the same state. */
const checkOrder = (
  { tell }: Pick<SearchStrategyShape, "tell">,
  asked: SearchState,
  shuffled: ReadonlyArray<Scored>,
  after: SearchState,
  about: string
): void => {
  law(
    json(tell(asked, shuffled)) === json(after),
    "the order of scores within a generation makes no difference",
    `${about}: scored ${json(shuffled.map(({ genotype }) => genotype))}`
  )
  const half = Math.floor(shuffled.length / 2)
  const inParts = tell(tell(asked, shuffled.slice(0, half)), shuffled.slice(half))
  law(json(inParts) === json(after), "a generation may be scored in parts", about)
}

/** Checks one search, from its beginning or from a learned state. */
export const watch = (
  strategy: Pick<SearchStrategyShape, "ask" | "best" | "distinct" | "evaluations" | "init" | "tell">,
  options: Options,
  seed: number,
  world: number
): void => {
  const { generations = 200, orderIndependent = true, feasible } = options
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
      law(generation > 0, "a search has candidates", about(generation))
      return
    }
    checkCandidates(strategy, options, candidates, seen, about(generation))
    const scored = candidates.map(
      (genotype): Scored => ({
        genotype,
        cost: feasible.cost(genotype),
        score: scoreOf(world, genotype)
      })
    )
    const input = json(scored)
    const after = strategy.tell(asked, scored)
    law(json(scored) === input, "tell does not change its arguments", about(generation))
    law(json(strategy.tell(throughJson(asked), scored)) === json(after), "tell is deterministic", about(generation))
    law(json(throughJson(after)) === json(after), "the state is JSON", about(generation))
    const order = Key.permutation(Key.derive(key, "order", generation), scored.length)
    const shuffled = [...order].map((index) => scored[index]!)
    if (orderIndependent) checkOrder(strategy, asked, shuffled, after, about(generation))
    best = [...(best === undefined ? [] : [best]), ...scored].sort(better)[0]!
    const found = Option.getOrUndefined(strategy.best(after))
    law(
      found !== undefined && json(found) === json(best),
      "the best is the best candidate scored so far",
      about(generation, `: ${json(found ?? null)} instead of ${json(best)}`)
    )
    state = after
  }
  const ends = options.ends ?? strategy.evaluations !== undefined
  law(!ends, "the search ends", about(generations))
}
