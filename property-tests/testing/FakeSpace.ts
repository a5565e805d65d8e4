/** Search spaces that are nothing but numbers of options, for tests of searchers and samplers. */
import * as TabularSpace from "../../src/estimator/TabularSpace.ts"
import type { Genotype, SearchSpaceShape } from "../../src/search-space/SearchSpace.ts"

/** A layer: a number of plain options, or a composed one by its selections. */
export type FakeLayer = number | { readonly width: number; readonly selections: ReadonlyArray<ReadonlyArray<number>> }

/** Options of {@link fakeSpace}. */
export interface FakeSpaceOptions {
  readonly name: string
  readonly layers: ReadonlyArray<FakeLayer>
  /** Which genotypes build the same network; default: the identity. */
  readonly canonical?: ((genotype: Genotype) => Genotype) | undefined
}

const digits = (count: number) => Array.from({ length: count }, (_, digit) => `${digit}`)

/** A space whose layers have the given options; it has no blocks, so it cannot be built. */
export const fakeSpace = ({ canonical, layers, name }: FakeSpaceOptions): SearchSpaceShape =>
  TabularSpace.make({
    name,
    canonical,
    layers: layers.map((layer) =>
      typeof layer === "number"
        ? digits(layer)
        : {
            choices: Array.from({ length: layer.width }, (_, position) =>
              digits(1 + Math.max(...layer.selections.map((selection) => selection[position]!)))
            ),
            selections: layer.selections
          }
    )
  })
