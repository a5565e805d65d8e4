/** Uniform draws from a budget's architectures without drawing one twice. */
import type { ArchitectureSet } from "../cost/FeasibleSet.ts"
import * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import { text } from "./SearchProgress.ts"

/** Sets of up to this size are enumerated in a random order. */
const mostEnumerated = 4096n

/** Random draws that are tried before a larger set is enumerated. */
const attempts = 16

/**
 * An architecture of the set that is not in `seen` (canonical texts); undefined if none is left. Random draws are tried
 * first. If all of them were seen, the set is enumerated: a small one in a random order, a large one from a random
 * position. So the search always ends.
 */
export const drawUnseen = (
  feasible: ArchitectureSet,
  key: Key.Key,
  seen: ReadonlySet<string>,
  canonical: (genotype: Genotype) => Genotype
): Genotype | undefined => {
  const fresh = (genotype: Genotype) => !seen.has(text(canonical(genotype)))
  if (feasible.count > attempts) {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const genotype = feasible.sample(Key.derive(key, attempt))
      if (fresh(genotype)) return genotype
    }
  }
  if (feasible.count <= mostEnumerated) {
    for (const rank of Key.permutation(key, Number(feasible.count))) {
      const genotype = feasible.at(BigInt(rank))
      if (fresh(genotype)) return genotype
    }
    return undefined
  }
  const start = Key.bigint(Key.derive(key, "start"), feasible.count)
  for (let step = 0n; step < feasible.count; step += 1n) {
    const genotype = feasible.at((start + step) % feasible.count)
    if (fresh(genotype)) return genotype
  }
  return undefined
}

/** `count` architectures, different from each other as well; fewer if the set has no more. */
export const drawManyUnseen = (
  feasible: ArchitectureSet,
  key: Key.Key,
  count: number,
  seen: ReadonlySet<string>,
  canonical: (genotype: Genotype) => Genotype
): ReadonlyArray<Genotype> => {
  const taken = new Set(seen)
  const out: Array<Genotype> = []
  while (out.length < count) {
    const genotype = drawUnseen(feasible, Key.derive(key, out.length), taken, canonical)
    if (genotype === undefined) return out
    taken.add(text(canonical(genotype)))
    out.push(genotype)
  }
  return out
}
