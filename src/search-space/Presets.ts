/** Published networks that the spaces can express, by name: for inspecting, retraining, and as baselines. */
import * as Result from "effect/Result"
import { closest } from "../support/Suggestion.ts"
import { conv, mobile } from "./blocks/Block.ts"
import * as FbNet from "./FbNet.ts"
import { fixed, fromMacro, headAfter, layersOf, type MacroSpec } from "./MacroSpace.ts"
import * as MobileFaceNet from "./MobileFaceNet.ts"
import type { ImageShape, Network } from "./Network.ts"
import * as ProxylessNas from "./ProxylessNas.ts"
import {
  type Genotype,
  GenotypeError,
  type Head,
  type NetworkInterface,
  type SearchSpaceError,
  type SearchSpaceShape
} from "./SearchSpace.ts"
import * as Spos from "./Spos.ts"

/** A published network. */
export interface Preset {
  /** Its name; it is different from all names of spaces. */
  readonly name: string
  /** The publication. */
  readonly source: string
  /** The section `searchSpace` of a configuration with its space. */
  readonly searchSpace: { readonly name: string; readonly [option: string]: unknown }
  readonly genotype: Genotype
  /** The images and the head that it was published for. */
  readonly interface: NetworkInterface
  /** Its space, for any images and head. */
  readonly space: (networkInterface: NetworkInterface) => Result.Result<SearchSpaceShape, SearchSpaceError>
}

const imageNet: NetworkInterface = { input: [224, 224, 3], head: { _tag: "Classifier", classes: 1000 } }
const faces: NetworkInterface = { input: [112, 112, 3], head: { _tag: "Embedding", dimension: 128 } }

const digits = (text: string): Genotype => text.split(" ").map(Number)

const fbnet = (name: string, space: "fbnet-s" | "fbnet-l", genotype: string): Preset => {
  const options = { stemStride: 2, channelShuffle: false } as const
  return {
    name,
    source: "Wu et al. 2019, FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable NAS",
    searchSpace: { name: space, ...options },
    genotype: digits(genotype),
    interface: imageNet,
    space: (networkInterface) => (space === "fbnet-s" ? FbNet.makeS : FbNet.makeL)(options, networkInterface)
  }
}

const proxyless = (target: string, widths: ProxylessNas.Widths, genotype: string): Preset => {
  const options = { stemStride: 2, widths } as const
  return {
    name: `proxylessnas-${target}`,
    source: "Cai, Zhu, Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
    searchSpace: { name: "proxylessnas", ...options },
    genotype: digits(genotype),
    interface: imageNet,
    space: (networkInterface) => ProxylessNas.make(options, networkInterface)
  }
}

const spos = (name: string, variant: Spos.Options["variant"]): Preset => {
  const options = { stemStride: 2, variant } as const
  return {
    name,
    source: "Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling",
    searchSpace: { name: "spos", ...options },
    genotype: digits("2 1 0 1 2 0 2 0 2 0 2 3 0 0 0 0 3 2 3 3"),
    interface: imageNet,
    space: (networkInterface) => Spos.make(options, networkInterface)
  }
}

/** MobileNetV2 (Sandler et al. 2018, table 2) as a space of a single network. */
export const mobileNetV2: MacroSpec = {
  name: "mobilenet-v2",
  first: [fixed(conv({ kernel: 3 }), 32, 2), fixed(mobile({ kernel: 3, expansion: 1 }), 16)],
  search: layersOf(
    (
      [
        [24, 2, 1, 2],
        [32, 3, 2, 2],
        [64, 4, 2, 2],
        [96, 3, 1, 1],
        [160, 3, 2, 2],
        [320, 1, 1, 1]
      ] as const
    ).flatMap(([width, length, stride, largeStride]) =>
      Array.from({ length }, (_, i) => (i === 0 ? ([width, stride, largeStride] as const) : ([width, 1, 1] as const)))
    )
  ),
  choices: [mobile({ kernel: 3, expansion: 6 })],
  last: headAfter(1280)
}

/** All presets. */
export const presets: ReadonlyArray<Preset> = [
  {
    name: "mobilenet-v2",
    source: "Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    searchSpace: { ...mobileNetV2, name: "macro" },
    genotype: mobileNetV2.search.map(() => 0),
    interface: imageNet,
    space: (networkInterface) => fromMacro(mobileNetV2, networkInterface)
  },
  fbnet("fbnet-a", "fbnet-s", "8 2 0 8 8 7 2 4 2 7 6 5 7 3 5 6 1 7 7 6 7 7"),
  fbnet("fbnet-b", "fbnet-l", "0 3 4 0 0 7 6 3 7 7 7 8 6 7 0 4 6 7 4 7 7 3"),
  fbnet("fbnet-c", "fbnet-l", "0 3 8 0 0 7 6 7 3 7 6 7 7 7 7 7 6 7 7 7 7 3"),
  proxyless(
    "mobile",
    { stem: 32, first: 16, stages: [32, 40, 80, 96, 192, 320], head: 1280 },
    "2 0 6 6 4 0 2 2 5 2 2 2 3 2 2 2 5 5 4 4 5"
  ),
  proxyless(
    "gpu",
    { stem: 40, first: 24, stages: [32, 56, 112, 128, 256, 432], head: 1728 },
    "2 6 6 6 4 6 6 0 5 6 6 2 3 6 0 2 5 5 5 3 5"
  ),
  proxyless(
    "cpu",
    { stem: 40, first: 24, stages: [32, 48, 88, 104, 216, 360], head: 1432 },
    "1 0 0 0 1 0 0 2 1 6 6 0 3 0 0 0 3 2 2 0 3"
  ),
  spos("spos-authors", "authors"),
  spos("spos-osnas", "osnas"),
  {
    name: "mobilefacenet-baseline",
    source: "Chen et al. 2018, MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification",
    searchSpace: { name: "mobilefacenet", stemStride: 2 },
    genotype: digits("1 1 1 1 1 2 1 1 1 1 1 1 2 1 1"),
    interface: faces,
    space: (networkInterface) => MobileFaceNet.make({ stemStride: 2 }, networkInterface)
  }
]

/** A preset by its name. */
export const find = (name: string): Preset | undefined => presets.find((preset) => preset.name === name)

/** The presets that are architectures of a space, whatever its options. */
export const ofSpace = (space: string): ReadonlyArray<Preset> =>
  presets.filter((preset) => preset.searchSpace.name === space)

/** Whether a text looks like a name. */
const isNamed = (text: string): boolean => text.length <= 80 && /^[a-z][\w.-]*$/i.test(text)

/** The preset with the most similar name; undefined if none is similar. */
export const meant = (name: string): string | undefined =>
  closest(
    name,
    presets.map((preset) => preset.name)
  )

/** The message for an unknown name: a similar name, or the names of the space. */
const unknownName = (space: string, name: string): string => {
  const near = meant(name)
  const own = ofSpace(space).map((preset) => preset.name)
  const known =
    own.length === 0
      ? "an architecture is digits separated by commas, like 2,0,6"
      : `expected digits separated by commas, like 2,0,6, or one of ${own.join(", ")}`
  return `no published network has this name; ${near === undefined ? known : `did you mean ${near}?`}`
}

/**
 * An architecture of a space by its digits, or by the name of a preset of exactly this space: the same blocks of the same
 * widths, for the space's own images and head.
 *
 * **Example** (A baseline's name instead of its digits)
 * ```ts
 * import * as Result from "effect/Result"
 * import * as FbNet from "./FbNet.ts"
 * import * as Presets from "./Presets.ts"
 * const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } } as const
 * const space = Result.getOrThrow(FbNet.makeS({ stemStride: 2, channelShuffle: false }, task))
 * space.format(Result.getOrThrow(Presets.parse(space, "fbnet-a"))).slice(0, 9) // => "8,2,0,8,8"
 * const misspelt = Result.flip(Presets.parse(space, "fbneta"))
 * Result.getOrThrow(misspelt).reason // => "no published network has this name; did you mean fbnet-a?"
 * Presets.meant("fbneta") // => "fbnet-a"
 * ```
 */
export const parse = (space: SearchSpaceShape, text: string): Result.Result<Genotype, GenotypeError> => {
  const asked = text.trim()
  const preset = find(asked)
  if (preset === undefined) {
    // A custom space may write architectures as words, so its own parser comes first.
    const own = Result.flatMap(space.parse(text), space.validate)
    return Result.mapError(own, (error) =>
      isNamed(asked)
        ? new GenotypeError({ space: space.name, genotype: asked, reason: unknownName(space.name, asked) })
        : error
    )
  }
  const { genotype, name, searchSpace } = preset
  const same = Result.match(Result.all([space.validate(genotype), preset.space(space.interface)]), {
    onFailure: () => false,
    onSuccess: ([, own]) => JSON.stringify(own.network(genotype)) === JSON.stringify(space.network(genotype))
  })
  return same
    ? Result.succeed(genotype)
    : Result.fail(
        new GenotypeError({
          space: space.name,
          genotype: name,
          reason: `its own is searchSpace: ${JSON.stringify(searchSpace)}`
        })
      )
}

/**
 * The network of a preset, for its published images and head, or for others.
 *
 * **Example** (FBNet-A)
 * ```ts
 * import * as Result from "effect/Result"
 * import { count } from "./Network.ts"
 * import * as Presets from "./Presets.ts"
 * count(Result.getOrThrow(Presets.network(Presets.find("fbnet-a")!))) // => { macs: 244452664, params: 4304584 }
 * ```
 */
export const network = (
  preset: Preset,
  asked: { readonly input?: ImageShape; readonly head?: Head } = {}
): Result.Result<Network, SearchSpaceError> =>
  Result.map(preset.space({ ...preset.interface, ...asked }), (space) => space.network(preset.genotype))
