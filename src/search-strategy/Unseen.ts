/** Uniform draws from a budget's architectures without drawing one twice. */
import type { Sampler } from "../cost/BudgetSampler.ts"
import * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import { text } from "./SearchProgress.ts"

/** Up to so many genotypes a set is walked through in a random order rather than drawn from. */
const walked = 4096n

/** Draws of one set that are tried before it is looked through in order. */
const patience = 64

/**
 * An architecture of the set that is not in `seen` (canonical texts); undefined where there is none left. Small sets are
 * walked through in a random order. From large ones a seen architecture is drawn anew; should that happen very often, the
 * set is looked through in order from a random place on, so that this always ends.
 */
export const drawUnseen = (
  sampler: Sampler,
  key: Key.Key,
  seen: ReadonlySet<string>,
  canonical: (genotype: Genotype) => Genotype
): Genotype | undefined => {
  const fresh = (genotype: Genotype) => !seen.has(text(canonical(genotype)))
  if (sampler.count <= walked) {
    for (const rank of Key.permutation(key, Number(sampler.count))) {
      const genotype = sampler.at(BigInt(rank))
      if (fresh(genotype)) return genotype
    }
    return undefined
  }
  for (let attempt = 0; attempt < patience; attempt += 1) {
    const genotype = sampler.sample(Key.derive(key, attempt))
    if (fresh(genotype)) return genotype
  }
  const start = Key.bigint(Key.derive(key, "start"), sampler.count)
  for (let step = 0n; step < sampler.count; step += 1n) {
    const genotype = sampler.at((start + step) % sampler.count)
    if (fresh(genotype)) return genotype
  }
  return undefined
}

/** Several, all different from each other too; fewer where the set is used up. `label` names the purpose of the draws. */
export const drawManyUnseen = (
  sampler: Sampler,
  key: Key.Key,
  count: number,
  seen: ReadonlySet<string>,
  canonical: (genotype: Genotype) => Genotype
): ReadonlyArray<Genotype> => {
  const taken = new Set(seen)
  const out: Array<Genotype> = []
  const take = (genotype: Genotype) => {
    taken.add(text(canonical(genotype)))
    out.push(genotype)
  }
  if (sampler.count <= walked) {
    for (const rank of Key.permutation(key, Number(sampler.count))) {
      if (out.length === count) return out
      const genotype = sampler.at(BigInt(rank))
      if (!taken.has(text(canonical(genotype)))) take(genotype)
    }
    return out
  }
  while (out.length < count) {
    const genotype = drawUnseen(sampler, Key.derive(key, out.length), taken, canonical)
    if (genotype === undefined) return out
    take(genotype)
  }
  return out
}
