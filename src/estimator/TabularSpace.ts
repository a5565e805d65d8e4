/**
 * A search space without blocks: its architectures are digits whose results are in a table, and are never built. For comparing
 * and testing search strategies on a tabular benchmark.
 */
import * as Result from "effect/Result"
import * as LayerOptions from "../cost/LayerOptions.ts"
import { type Genotype, GenotypeError, type SearchSpaceShape, type SuperLayer } from "../search-space/SearchSpace.ts"

/** A layer: the names of its options, or, for a layer of several digits, the choices of each and the allowed selections. */
export type TabularLayer =
  | ReadonlyArray<string>
  | {
      readonly choices: ReadonlyArray<ReadonlyArray<string>>
      readonly selections: ReadonlyArray<ReadonlyArray<number>>
    }

/** What {@link make} takes. */
export interface TabularSpaceOptions {
  readonly name: string
  readonly layers: ReadonlyArray<TabularLayer>
  /** The canonical genotype of an architecture that several encode; default: every genotype is its own. */
  readonly canonical?: ((genotype: Genotype) => Genotype) | undefined
}

const isComposed = (layer: TabularLayer): layer is Exclude<TabularLayer, ReadonlyArray<string>> => !Array.isArray(layer)

/**
 * Makes the space. Its networks, and the blocks of its options, throw an error.
 *
 * **Example** (Two layers)
 *
 * ```ts
 * import * as TabularSpace from "./TabularSpace.ts"
 *
 * const space = TabularSpace.make({ name: "two", layers: [["none", "skip"], ["k3", "k5", "k7"]] })
 * space.size // => 6n
 * space.format([1, 2]) // => "1,2"
 * ```
 */
export const make = (options: TabularSpaceOptions): SearchSpaceShape => {
  const { name } = options
  const noNetwork = (): never => {
    throw new Error(`search space ${name} is a table: its architectures cannot be built`)
  }
  const layers = options.layers.map((layer, index): SuperLayer => {
    const selections = isComposed(layer) ? layer.selections : layer.map((_, digit) => [digit])
    return {
      name: `${index}`,
      width: isComposed(layer) ? layer.choices.length : 1,
      options: selections.map((selection) => ({
        selection,
        label: isComposed(layer)
          ? selection.map((digit, position) => layer.choices[position]![digit]!).join(" ")
          : layer[selection[0]!]!,
        get block() {
          return noNetwork()
        }
      }))
    }
  })
  const { indices } = LayerOptions.make({ name, layers })
  const validate = (genotype: Genotype) => Result.map(indices(genotype), () => genotype)
  return {
    name,
    interface: { input: [1, 1, 1], head: { _tag: "Classifier", classes: 1 } },
    first: [],
    layers,
    last: [],
    choices: options.layers.flatMap((layer) => (isComposed(layer) ? layer.choices : [layer])),
    size: layers.reduce((product, layer) => product * BigInt(layer.options.length), 1n),
    validate,
    format: (genotype) => genotype.join(","),
    parse: (text) =>
      /^\d+(,\d+)*$/.test(text)
        ? validate(text.split(",").map(Number))
        : Result.fail(
            new GenotypeError({ space: name, genotype: text, reason: "expected digits separated by commas" })
          ),
    canonical: options.canonical ?? ((genotype) => genotype),
    network: noNetwork,
    get supernet() {
      return noNetwork()
    }
  }
}
