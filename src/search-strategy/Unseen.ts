/** Uniform draws from a budget's architectures without drawing one twice. */
import type { ArchitectureSet } from "../cost/FeasibleSet.ts"
import * as Key from "../random/Key.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import { text } from "./SearchProgress.ts"

/** Up to this many genotypes a set can be walked through in a random order. */
const walked = 4096n

/** Draws that are tried before a set is walked through, where it has more than that. */
const patience = 16

/**
 * An architecture of the set that is not in `seen` (canonical texts); undefined where there is none left. A draw that was
 * seen is drawn again; should that happen too often, the set is walked through, in a random order where it is small and
 * from a random place on where it is not: this always ends.
 */
export const drawUnseen = (
  feasible: ArchitectureSet,
  key: Key.Key,
  seen: ReadonlySet<string>,
  canonical: (genotype: Genotype) => Genotype
): Genotype | undefined => {
  const fresh = (genotype: Genotype) => !seen.has(text(canonical(genotype)))
  if (feasible.count > patience) {
    for (let attempt = 0; attempt < patience; attempt += 1) {
      const genotype = feasible.sample(Key.derive(key, attempt))
      if (fresh(genotype)) return genotype
    }
  }
  if (feasible.count <= walked) {
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

/** Several, all different from each other too; fewer where the set is used up. */
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
