/** A search space made of nothing but its digits, for tests of searchers and samplers that never build a network. */
import * as Result from "effect/Result"
import * as LayerOptions from "../src/cost/LayerOptions.ts"
import { type Genotype, GenotypeError, type SearchSpaceShape } from "../src/search-space/SearchSpace.ts"

/** A layer: a number of plain options, or a composed one by its selections. */
export type FakeLayer = number | { readonly width: number; readonly selections: ReadonlyArray<ReadonlyArray<number>> }

/** Options of {@link fakeSpace}. */
export interface FakeSpaceOptions {
  readonly name: string
  readonly layers: ReadonlyArray<FakeLayer>
  /** Which genotypes build the same network; the identity unless told. */
  readonly canonical?: ((genotype: Genotype) => Genotype) | undefined
}

/** A space whose layers have the given options; it has no blocks, so it cannot be built. */
export const fakeSpace = (options: FakeSpaceOptions): SearchSpaceShape => {
  const noNetwork = () => {
    throw new Error(`search space ${options.name} is made for tests of searchers and has no networks`)
  }
  const layers = options.layers.map((layer, index) => {
    const selections =
      typeof layer === "number" ? Array.from({ length: layer }, (_, digit) => [digit]) : layer.selections
    return {
      name: `${index}`,
      width: typeof layer === "number" ? 1 : layer.width,
      options: selections.map((selection) => ({
        selection,
        label: selection.join(""),
        get block() {
          return noNetwork()
        }
      }))
    }
  })
  const names = options.layers.flatMap((layer) =>
    typeof layer === "number"
      ? [Array.from({ length: layer }, (_, digit) => `${digit}`)]
      : Array.from({ length: layer.width }, (_, digit) => {
          const most = Math.max(...layer.selections.map((selection) => selection[digit]!))
          return Array.from({ length: most + 1 }, (_, choice) => `${choice}`)
        })
  )
  const translate = LayerOptions.make({ name: options.name, layers })
  const validate = (genotype: Genotype) => Result.map(translate.indices(genotype), () => genotype)
  return {
    name: options.name,
    interface: { input: [1, 1, 1], head: { _tag: "Classifier", classes: 2 } },
    first: [],
    layers,
    last: [],
    choices: names,
    size: layers.reduce((product, layer) => product * BigInt(layer.options.length), 1n),
    validate,
    format: (genotype) => genotype.join(","),
    parse: (text) =>
      /^\d+(,\d+)*$/.test(text)
        ? validate(text.split(",").map(Number))
        : Result.fail(new GenotypeError({ space: options.name, genotype: text, reason: "not digits between commas" })),
    canonical: options.canonical ?? ((genotype) => genotype),
    network: noNetwork,
    get supernet() {
      return noNetwork()
    }
  }
}
