/**
 * What ask/tell searchers share: candidates without a score, the architectures seen, the best so far. All of it is JSON.
 * Scores are processed in the order in which their candidates were proposed, whatever order they arrive in. So a
 * generation scored by several workers ends in the same state.
 *
 * **Example** (A generation of two)
 *
 * ```ts
 * import * as Option from "effect/Option"
 * import * as Schema from "effect/Schema"
 * import * as Key from "../random/Key.ts"
 * import * as SearchProgress from "./SearchProgress.ts"
 *
 * const scored = (genotype: ReadonlyArray<number>, objective: number) => ({
 *   genotype,
 *   cost: 1,
 *   score: { objective, metrics: {} }
 * })
 * const begun = SearchProgress.begin(SearchProgress.initial(Key.make(1)), [[0], [1]], (genotype) => genotype)
 * begun.seen // => ["0", "1"]
 * const half = SearchProgress.tell(begun, [scored([1], 0.3)], (progress) => progress)
 * SearchProgress.pending(half).map(SearchProgress.text) // => ["0"]
 * SearchProgress.ask(half, (genotype) => genotype, () => [])[0] // => [[0]]
 * const whole = SearchProgress.tell(half, [scored([0], 0.3)], (progress, generation) => ({
 *   ...progress,
 *   generation: progress.generation + generation.length
 * }))
 * whole.generation // => 3
 * Option.map(SearchProgress.best(whole), ({ genotype }) => genotype) // => Option.some([0])
 * SearchProgress.compare(scored([0], 0.3), scored([1], 0.3)) < 0 // => true
 * Schema.is(SearchProgress.SearchProgress)(JSON.parse(JSON.stringify(whole))) // => true
 * ```
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import { Scored } from "./SearchStrategy.ts"

const Genotypes = Schema.Array(Schema.Array(Schema.Int))

/** The common part of a searcher's state. */
export const SearchProgress = Schema.Struct({
  key: Key.Key,
  /** Generations proposed so far. */
  generation: Schema.Int,
  /** Canonical genotypes proposed so far, in that order, as texts. */
  seen: Schema.Array(Schema.String),
  /** The current generation, in the order in which it was proposed. */
  asked: Genotypes,
  /** Its scores that have arrived. */
  received: Schema.Array(Scored),
  best: Schema.NullOr(Scored)
})
/** The common part of a searcher's state. */
export type SearchProgress = typeof SearchProgress.Type

/** Before the first generation. */
export const initial = (key: Key.Key): SearchProgress => ({
  key: { k0: key.k0, k1: key.k1 },
  generation: 0,
  seen: [],
  asked: [],
  received: [],
  best: null
})

/** Text of a genotype, as in `seen`. */
export const text = (genotype: Genotype): string => genotype.join(",")

const compareGenotypes = (a: Genotype, b: Genotype): number => {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Better first: lower objective, then lower cost, then the smaller genotype. */
export const compare = (a: Scored, b: Scored): number =>
  a.score.objective - b.score.objective || a.cost - b.cost || compareGenotypes(a.genotype, b.genotype)

/** Candidates of the current generation without a score yet. */
export const pending = (progress: SearchProgress): ReadonlyArray<Genotype> => {
  if (progress.received.length === 0) return progress.asked
  const scored = new Set(progress.received.map(({ genotype }) => text(genotype)))
  return progress.asked.filter((genotype) => !scored.has(text(genotype)))
}

/** Begins a generation. `canonical` says which architectures are the same. */
export const begin = <P extends SearchProgress>(
  progress: P,
  candidates: ReadonlyArray<Genotype>,
  canonical: (genotype: Genotype) => Genotype
): P => ({
  ...progress,
  generation: progress.generation + 1,
  seen: [...progress.seen, ...candidates.map((genotype) => text(canonical(genotype)))],
  asked: candidates,
  received: []
})

/**
 * The next candidates: those of the current generation that are not scored yet, else a new generation of what `propose`
 * gives. The search is over when it gives nothing; the state is unchanged then.
 */
export const ask = <P extends SearchProgress>(
  progress: P,
  canonical: (genotype: Genotype) => Genotype,
  propose: (progress: P) => ReadonlyArray<Genotype>
): readonly [candidates: ReadonlyArray<Genotype>, progress: P] => {
  const open = pending(progress)
  if (open.length > 0) return [open, progress]
  const candidates = propose(progress)
  return candidates.length === 0 ? [[], progress] : [candidates, begin(progress, candidates, canonical)]
}

/**
 * Adds scores. Scores of candidates that are not pending are ignored. When the generation is complete, `finish` gets its
 * scores in the order in which the candidates were proposed.
 */
export const tell = <P extends SearchProgress>(
  progress: P,
  scored: ReadonlyArray<Scored>,
  finish: (progress: P, generation: ReadonlyArray<Scored>) => P
): P => {
  const open = new Set(pending(progress).map(text))
  const fresh: Array<Scored> = []
  for (const candidate of scored) {
    if (open.delete(text(candidate.genotype))) fresh.push(candidate)
  }
  if (fresh.length === 0) return progress
  const position = new Map(progress.asked.map((genotype, index) => [text(genotype), index]))
  const at = ({ genotype }: Scored) => position.get(text(genotype))!
  const received = [...progress.received, ...fresh].sort((a, b) => at(a) - at(b))
  const best = fresh.reduce<Scored | null>(
    (least, candidate) => (least === null || compare(candidate, least) < 0 ? candidate : least),
    progress.best
  )
  const next: P = { ...progress, received, best }
  return open.size > 0 ? next : finish({ ...next, asked: [], received: [] }, received)
}

/** The best candidate scored so far. */
export const best = (progress: SearchProgress): Option.Option<Scored> => Option.fromNullishOr(progress.best)
