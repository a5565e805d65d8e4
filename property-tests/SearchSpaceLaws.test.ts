import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as FbNet from "../src/search-space/FbNet.ts"
import * as MobileFaceNet from "../src/search-space/MobileFaceNet.ts"
import * as NasBenchMacro from "../src/search-space/NasBenchMacro.ts"
import * as ProxylessNas from "../src/search-space/ProxylessNas.ts"
import type { NetworkInterface, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import * as Sgnas from "../src/search-space/Sgnas.ts"
import * as Spos from "../src/search-space/Spos.ts"
import * as Tiny from "../src/search-space/Tiny.ts"
import * as SearchSpaceLaws from "./SearchSpaceLaws.ts"

const images: NetworkInterface = { input: [16, 16, 1], head: { _tag: "Classifier", classes: 3 } }
const tiny = Result.getOrThrow(Tiny.make({ stemStride: 2 }, images))

describe("shipped search spaces obey the laws", () => {
  it("tiny", () => SearchSpaceLaws.check(tiny))
  it("tiny, embedding", () =>
    SearchSpaceLaws.check(
      Result.getOrThrow(Tiny.make({ stemStride: 1 }, { ...images, head: { _tag: "Embedding", dimension: 5 } })),
      { runs: 10, networks: 1 }
    ))

  const large: NetworkInterface = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } }
  const options = <A>(schema: Schema.Codec<A, unknown>): A => Schema.decodeUnknownSync(schema)({})
  // Their networks are held against PyTorch's elsewhere; here, all that follows from their descriptions.
  it.each([
    ["proxylessnas", () => ProxylessNas.make(options(ProxylessNas.Options), large)],
    ["fbnet-s", () => FbNet.makeS(options(FbNet.Options), large)],
    ["fbnet-l", () => FbNet.makeL(options(FbNet.Options), large)],
    ["spos", () => Spos.make(options(Spos.Options), large)],
    ["mobilefacenet", () => MobileFaceNet.make(options(MobileFaceNet.Options), { ...large, input: [112, 112, 3] })],
    ["sgnas", () => Sgnas.make(options(Sgnas.Options), large)],
    ["nas-bench-macro", () => NasBenchMacro.make(options(NasBenchMacro.Options), large)]
  ])("%s", (_, make) => SearchSpaceLaws.check(Result.getOrThrow(make()), { runs: 15, networks: 0 }))
})

describe("wrong twins are caught", () => {
  const twin = (change: (space: SearchSpaceShape) => Partial<SearchSpaceShape>, law: string) =>
    expect(SearchSpaceLaws.check({ ...tiny, ...change(tiny) }, { runs: 20, networks: 1 })).rejects.toThrow(law)

  it("one that reads its text backwards", () =>
    twin((space) => ({ format: (genotype) => space.format([...genotype].reverse()) }), "inverse of format"))
  it("one that accepts digits out of range", () =>
    twin(() => ({ validate: Result.succeed }), "digits out of range are refused"))
  it("one whose size is wrong", () => twin((space) => ({ size: space.size * 100n }), "the size"))
  it("one whose network is another", () =>
    twin(
      (space) => ({
        network: (genotype) => ({ ...space.network(genotype), blocks: space.network(genotype).blocks.slice(0, -1) })
      }),
      "ends in what the task asks for"
    ))
  it("one whose parameters the supernet lacks", () =>
    twin(
      (space) => ({
        network: (genotype) => {
          const network = space.network(genotype)
          return { ...network, blocks: network.blocks.map((named) => ({ ...named, name: `my.${named.name}` })) }
        }
      }),
      "one of the supernet's"
    ))
  it("one whose canonical form moves on", () =>
    twin(
      () => ({ canonical: (genotype) => genotype.map((digit, i) => (i === 0 ? (digit + 1) % 7 : digit)) }),
      "the canonical form is its own"
    ))
})
