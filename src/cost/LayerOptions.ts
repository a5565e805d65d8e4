/**
 * The two ways to name an architecture: its genotype, digit by digit, and the option taken in each layer. Most spaces
 * have one digit per layer and the two are the same; a composed layer (SGNAS) has several digits and one option for
 * every valid combination of them.
 */
import * as Result from "effect/Result"
import { type Genotype, GenotypeError, type SearchSpaceShape } from "../search-space/SearchSpace.ts"

/** Translates between genotypes and options, one option index per layer. */
export interface LayerOptions {
  /** The number of options of each layer. */
  readonly counts: ReadonlyArray<number>
  /** The number of digits before those of each layer. */
  readonly offsets: ReadonlyArray<number>
  /** Option indices of a genotype; a genotype outside the space is a `GenotypeError`. */
  readonly indices: (genotype: Genotype) => Result.Result<ReadonlyArray<number>, GenotypeError>
  /** The same; throws the `GenotypeError`. */
  readonly indicesUnsafe: (genotype: Genotype) => ReadonlyArray<number>
  /** The option that the digits of a layer select; undefined if they select none. */
  readonly select: (layer: number, digits: ReadonlyArray<number>) => number | undefined
  /** The genotype that takes the given option in each layer. */
  readonly genotype: (indices: ReadonlyArray<number>) => Genotype
}

/**
 * The part of a search space that is needed here. `canonical` is for spaces in which several genotypes build the same network
 * and layers list one selection for them (SGNAS: sub-blocks in any order).
 */
export type LayeredSpace = Pick<SearchSpaceShape, "name" | "layers"> & Partial<Pick<SearchSpaceShape, "canonical">>

/**
 * Makes the translation of a space.
 *
 * **Example** (A space of two layers)
 *
 * ```ts
 * import * as LayerOptions from "./LayerOptions.ts"
 *
 * const block = { name: "b", block: undefined as never }
 * const options = (n: number) => Array.from({ length: n }, (_, i) => ({ selection: [i], label: `${i}`, block }))
 * const space = { name: "two", layers: [2, 3].map((n, i) => ({ name: `${i}`, width: 1, options: options(n) })) }
 * LayerOptions.make(space).counts // => [2, 3]
 * LayerOptions.make(space).genotype([1, 2]) // => [1, 2]
 * ```
 */
export const make = (space: LayeredSpace): LayerOptions => {
  const counts = space.layers.map((layer) => layer.options.length)
  const offsets: Array<number> = []
  let digits = 0
  for (const layer of space.layers) {
    offsets.push(digits)
    digits += layer.width
  }
  const bySelection = space.layers.map(
    (layer) => new Map(layer.options.map((option, index) => [option.selection.join(","), index] as const))
  )
  // The usual layer: one digit, which is the index of the option.
  const plain = space.layers.map(
    (layer) => layer.width === 1 && layer.options.every((option, index) => option.selection[0] === index)
  )
  const select = (layer: number, own: ReadonlyArray<number>): number | undefined => {
    const digit = own[0]
    if (plain[layer] && own.length === 1 && digit !== undefined) {
      return Number.isInteger(digit) && digit >= 0 && digit < counts[layer]! ? digit : undefined
    }
    return bySelection[layer]?.get(own.join(","))
  }
  const refuse = (genotype: Genotype, reason: string) =>
    Result.fail(new GenotypeError({ space: space.name, genotype: genotype.join(","), reason }))
  const listed = (genotype: Genotype): Result.Result<ReadonlyArray<number>, GenotypeError> => {
    if (genotype.length !== digits) return refuse(genotype, `${genotype.length} digits instead of ${digits}`)
    const out = new Array<number>(space.layers.length)
    for (let layer = 0; layer < out.length; layer += 1) {
      const start = offsets[layer]!
      const own = genotype.slice(start, start + space.layers[layer]!.width)
      const index = select(layer, own)
      if (index === undefined) {
        return refuse(genotype, `layer ${space.layers[layer]!.name} has no option ${own.join(",")}`)
      }
      out[layer] = index
    }
    return Result.succeed(out)
  }
  const indices = (genotype: Genotype): Result.Result<ReadonlyArray<number>, GenotypeError> => {
    const found = listed(genotype)
    if (Result.isSuccess(found) || genotype.length !== digits || space.canonical === undefined) return found
    const canonical = listed(space.canonical(genotype))
    return Result.isSuccess(canonical) ? canonical : found
  }
  return {
    counts,
    offsets,
    indices,
    indicesUnsafe: (genotype) => Result.getOrThrow(indices(genotype)),
    select,
    genotype: (own) => own.flatMap((index, layer) => [...space.layers[layer]!.options[index]!.selection])
  }
}
