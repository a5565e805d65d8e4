import { readFileSync } from "node:fs"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as RealData from "../../tools/RealData.ts"
import * as Block from "./blocks/Block.ts"
import * as FbNet from "./FbNet.ts"
import * as MacroSpace from "./MacroSpace.ts"
import * as MobileFaceNet from "./MobileFaceNet.ts"
import * as NasBenchMacro from "./NasBenchMacro.ts"
import { blockCost, count, outputShape } from "./Network.ts"
import * as Presets from "./Presets.ts"
import * as ProxylessNas from "./ProxylessNas.ts"
import type { NetworkInterface, SearchSpaceShape } from "./SearchSpace.ts"
import * as Sgnas from "./Sgnas.ts"
import * as Spos from "./Spos.ts"
import * as Tiny from "./Tiny.ts"

const cifar: NetworkInterface = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } }

type Maker = (task: NetworkInterface) => ReturnType<MacroSpace.Make<unknown>>

const makers: Readonly<Record<string, Maker>> = {
  tiny: (task) => Tiny.make({ stemStride: 2 }, task),
  proxylessnas: (task) => ProxylessNas.make({ stemStride: 2, widths: null }, task),
  "fbnet-s": (task) => FbNet.makeS({ stemStride: 2, channelShuffle: false }, task),
  "fbnet-l": (task) => FbNet.makeL({ stemStride: 2, channelShuffle: true }, task),
  spos: (task) => Spos.make({ stemStride: 2, variant: "osnas" }, task),
  mobilefacenet: (task) => MobileFaceNet.make({ stemStride: 2 }, task),
  sgnas: (task) => Sgnas.make({ stemStride: 2, minimum: 1 }, task),
  "nas-bench-macro": (task) => NasBenchMacro.make({ widthMultiplier: 1 }, task)
}

const made = (name: string, task: NetworkInterface = cifar): SearchSpaceShape =>
  Result.getOrThrow((makers[name] as Maker)(task))

const reasonOf = <A, E extends Error>(result: Result.Result<A, E>): string =>
  Result.isFailure(result) ? result.failure.message : "no failure"

describe("published figures come out exactly", () => {
  it("ProxylessNAS at 32 pixels, 100 classes", () => {
    const space = made("proxylessnas")
    expect(count(space.network(Array(21).fill(0)))).toEqual({ macs: 19169792, params: 2039028 })
    expect(count(space.network(Array(21).fill(1)))).toEqual({ macs: 36147200, params: 3531876 })
    const full = Result.getOrThrow(ProxylessNas.make({ stemStride: 1, widths: null }, cifar))
    expect(count(full.network(Array(21).fill(0))).macs).toBeGreaterThan(3.5 * 19169792)
  })

  it.each([
    ["mobilenet-v2", { params: 3504872 }],
    ["fbnet-a", { macs: 244452664, params: 4304584 }],
    ["proxylessnas-mobile", { macs: 320427584, params: 4080512 }],
    ["spos-osnas", { macs: 321915200 }],
    ["mobilefacenet-baseline", { macs: 220965376, params: 1003136 }]
  ])("%s", (name, expected) => {
    const preset = Presets.find(name)
    if (preset === undefined) throw new Error(`no preset ${name}`)
    expect(count(Result.getOrThrow(Presets.network(preset)))).toMatchObject(expected)
  })

  it("sizes of the spaces", () => {
    expect(made("proxylessnas").size).toBe(558545864083284007n)
    expect(made("fbnet-s").size).toBe(9n ** 22n)
    expect(made("fbnet-l").size).toBe(9n ** 22n)
    expect(made("spos").size).toBe(4n ** 20n)
    expect(made("mobilefacenet").size).toBe(7n ** 15n)
    expect(made("nas-bench-macro").size).toBe(3n ** 8n)
    expect(made("tiny").size).toBeGreaterThan(10_000n)
    expect(made("sgnas").size).toBe(83n ** 21n)
  })

  const table = RealData.path("nas-tables/nas-bench-macro_cifar10.json")
  it.skipIf(!RealData.has(table, "Spaces.test.ts, the published table"))(
    "all 6,561 networks of NAS-Bench-Macro, and its 3,969 distinct ones",
    () => {
      const rows: Record<string, { readonly params: number; readonly flops: number; readonly test_acc: unknown }> =
        JSON.parse(readFileSync(table, "utf8"))
      const space = made("nas-bench-macro", { ...cifar, head: { _tag: "Classifier", classes: 10 } })
      const accuracy = new Map<string, string>()
      for (const [name, row] of Object.entries(rows)) {
        const genotype = [...name].map(Number)
        expect(count(space.network(genotype)), name).toEqual({ macs: row.flops, params: row.params })
        const representative = space.canonical(genotype).join("")
        const measured = JSON.stringify(row.test_acc)
        expect(accuracy.get(representative) ?? measured, name).toBe(measured)
        accuracy.set(representative, measured)
      }
      expect(Object.keys(rows)).toHaveLength(6561)
      expect(accuracy.size).toBe(3969)
    }
  )
})

describe("every space serves every task", () => {
  it.each(Object.keys(makers))("%s: classifier and embedding, at 28, 32, 112 and 224 pixels", (name) => {
    for (const side of [28, 32, 112, 224]) {
      for (const head of [
        { _tag: "Classifier", classes: 7 },
        { _tag: "Embedding", dimension: 16 }
      ] as const) {
        const space = made(name, { input: [side, side, side === 28 ? 1 : 3], head })
        // every other digit the last one, which most often is the skip, never all of them
        const genotype = space.choices.map((offered, i) => (i % 2 === 0 ? 0 : offered.length - 1))
        const network = space.network(genotype)
        let shape = network.input
        for (const { block } of network.blocks) shape = outputShape(block, shape)
        expect(shape).toEqual([1, 1, head._tag === "Classifier" ? 7 : 16])
      }
    }
  })

  it("halves large images once more", () => {
    for (const name of Object.keys(makers)) {
      const cost = (side: number) => {
        const space = made(name, { ...cifar, input: [side, side, 3] })
        return count(space.network(space.choices.map(() => 0))).macs
      }
      // 16 times the pixels, but a quarter of them after the additional halving
      expect(cost(256) / cost(64), name).toBeLessThan(8)
    }
  })

  it("the cost of a network is a base and one entry per layer", () => {
    for (const name of Object.keys(makers)) {
      const space = made(name)
      const all = space.network(space.choices.map(() => 0))
      let shape = all.input
      let macs = 0
      all.blocks.forEach(({ block }) => {
        macs += blockCost(block, shape).macs
        shape = outputShape(block, shape)
      })
      expect(macs, name).toBe(count(all).macs)
    }
  })
})

describe("what cannot be is refused with a reason", () => {
  it("genotypes of the wrong length, range, text", () => {
    const space = made("proxylessnas")
    expect(reasonOf(space.validate([1, 2]))).toBe(
      "architecture 1,2 is not in search space proxylessnas: it has 2 positions, and the space has 21"
    )
    expect(reasonOf(space.validate([...Array(20).fill(0), 7]))).toContain(
      "position 20 is 7, and its choices are 0 to 6 (k3 e3, k3 e6, k5 e3, k5 e6, k7 e3, k7 e6, skip)"
    )
    expect(reasonOf(space.validate([...Array(20).fill(0), 0.5]))).toContain("position 20 is 0.5")
    expect(reasonOf(space.parse("1,2,x"))).toContain('position 2 is "x"')
    expect(reasonOf(space.parse("1,,2"))).toContain("position 1 is empty")
    expect(reasonOf(space.parse(""))).toContain("position 0 is empty")
    expect(() => space.network([0])).toThrow("it has 1 positions")
  })

  it("text with blanks is read, and written with commas", () => {
    const space = made("nas-bench-macro")
    const read = Result.getOrThrow(space.parse(" 0 1 2 0, 1 2 0 1 "))
    expect(space.format(read)).toBe("0,1,2,0,1,2,0,1")
  })

  it("a layer of SGNAS without convolutions, or with fewer than the minimum", () => {
    const space = made("sgnas")
    const genotype = Array.from({ length: 126 }, (_, i) => (i >= 6 && i < 12 ? 3 : 0))
    expect(reasonOf(space.validate(genotype))).toContain("layer 1 keeps 0 of its sub-blocks, and at least 1 must stay")
    const strict = Result.getOrThrow(Sgnas.make({ stemStride: 2, minimum: 2 }, cifar))
    expect(Result.isFailure(strict.validate(Array.from({ length: 126 }, (_, i) => (i % 6 === 0 ? 0 : 3))))).toBe(true)
    expect(Result.isSuccess(strict.validate(Array.from({ length: 126 }, (_, i) => (i % 6 < 2 ? 2 : 3))))).toBe(true)
    expect(reasonOf(Sgnas.make({ stemStride: 2, minimum: 7 }, cifar))).toContain("minimum is 7")
  })

  it("images that a space cannot take", () => {
    expect(reasonOf(MobileFaceNet.make({ stemStride: 2 }, { ...cifar, input: [112, 92, 3] }))).toBe(
      "search space mobilefacenet: images of 112x92 are not square, as the global depthwise convolution needs them; crop or resize them, say to 112x112"
    )
    expect(reasonOf(made0([0, 32, 3]))).toContain(
      "an input of 0x32x3 is not an image: height, width and channels must be positive integers"
    )
    expect(reasonOf(Tiny.make({ stemStride: 2 }, { ...cifar, head: { _tag: "Classifier", classes: 0 } }))).toContain(
      "the head needs at least 1 output, got 0"
    )
  })

  const made0 = (input: readonly [number, number, number]) => Tiny.make({ stemStride: 2 }, { ...cifar, input })

  const own = (settings: Partial<MacroSpace.MacroSpec>): MacroSpace.MacroSpec => ({
    name: "own",
    first: [MacroSpace.fixed(Block.conv({ kernel: 3 }), 8)],
    search: MacroSpace.layersOf([
      [8, 1],
      [16, 2]
    ]),
    choices: [Block.mobile({ kernel: 3, expansion: 2 }), Block.skip],
    last: [MacroSpace.fixed(Block.globalAverage), MacroSpace.fixed(Block.classifier, "head")],
    ...settings
  })

  it("a description whose choices disagree about the shape, or whose kernel is larger than the image", () => {
    const unequal = own({ choices: [Block.conv({ kernel: 3 }), Block.conv({ kernel: 3, padding: 0 })] })
    expect(reasonOf(MacroSpace.fromMacro(unequal, cifar))).toContain(
      "in layer search.0, option conv k3 makes 32x32x8 into 30x30x8 and the others into 32x32x8"
    )
    const large = own({ first: [MacroSpace.fixed(Block.conv({ kernel: 40, padding: 0 }), 8)] })
    expect(reasonOf(MacroSpace.fromMacro(large, cifar))).toContain("has no output for an input of 32x32x3")
  })

  it("a block that does not fit its place", () => {
    const refused = (settings: Partial<MacroSpace.MacroSpec>) => reasonOf(MacroSpace.fromMacro(own(settings), cifar))
    const choice = (block: Block.BlockSpec) => refused({ choices: [block] })
    const ended = (...last: MacroSpace.MacroSpec["last"]) => refused({ last })
    const { conv, fixed } = { ...Block, ...MacroSpace }
    expect(choice({ _tag: "AveragePool", kernel: 3 })).toBe(
      "search space own: block search.1.0 (average pool k3) of own cannot be: it keeps the width, and 8 channels should become 16"
    )
    expect(choice({ _tag: "MaxPool", kernel: 3 })).toContain("it keeps the width, and 8 channels should become 16")
    expect(choice(conv({ kernel: 3, groups: "depthwise" }))).toContain("it keeps the width")
    expect(choice(conv({ kernel: 3, groups: 3 }))).toContain("3 groups do not divide its 8 channels")
    expect(choice(Block.mobile({ kernel: 3, expansion: 1.5, pointGroups: 8 }))).toContain(
      "8 groups do not divide its 12"
    )
    expect(choice(Block.mobile({ kernel: 3, expansion: 0.1 }))).toContain(
      "it needs 1 hidden channels or more, and its expansion makes 0"
    )
    expect(choice(Block.mixed({ kernels: Array(9).fill(3), expansion: 1 }))).toContain("it needs 9 hidden channels")
    expect(choice(Block.mixed({ kernels: [3, 5], expansion: 1, pointGroups: 5 }))).toContain("5 groups do not divide")
    expect(choice(Block.unified({ slots: [0, 0] }))).toContain("all its sub-blocks are left out")
    expect(choice(Block.classifier)).toContain("takes a vector: put a GlobalAverage before it")
    const odd = MacroSpace.layersOf([[9, 1]])
    expect(refused({ choices: [Block.shuffle({ kernel: 3 })], search: odd })).toContain(
      "its two branches share an even width, and 9 is odd"
    )
    const narrower = MacroSpace.layersOf([[8, 2]])
    expect(refused({ choices: [Block.shuffle({ kernel: 3, widening: "keep" })], search: narrower })).toContain(
      "it keeps the input's 8 channels beside new ones, and gives 8 in all"
    )
    expect(choice(Block.globalAverage)).toContain("in layer search.0, option global average makes the image a vector")
    expect(ended(fixed(Block.globalAverage), fixed(conv({ kernel: 1 }), "head"))).toContain("takes an image")
    expect(ended()).toContain("it ends in an image of 16x16x16, and the task asks for a vector of")
    expect(ended(fixed(Block.globalAverage))).toContain("it ends in a vector of 16, and the task asks for")
    expect(() => Schema.decodeUnknownSync(Block.BlockSpec)({ _tag: "Unified", slots: [4] })).toThrow("odd kernel side")
    const block = Block.place(conv({ kernel: 3 }), 4, 8, 1)
    const layers = [
      { name: "search.0", width: 1, options: [{ selection: [0], label: "k3", block: { name: "b", block } }] }
    ]
    const parts = { name: "own", interface: cifar, first: [], layers, last: [], choices: [["k3"]] }
    expect(reasonOf(MacroSpace.assemble(parts))).toContain("block b (conv k3) of own takes 4 channels, and there are 3")
  })

  it("a space of one's own is data, and reads from a configuration with its defaults", () => {
    const decoded = Schema.decodeUnknownSync(MacroSpace.MacroSpec)({
      name: "own",
      first: [{ block: { _tag: "Conv", kernel: 3 }, width: 8 }],
      search: [{ width: 8 }, { width: 16, stride: 2 }],
      choices: [{ _tag: "Mobile", kernel: 3, expansion: 2 }, { _tag: "Skip" }],
      last: [{ block: { _tag: "GlobalAverage" } }, { block: { _tag: "Classifier" }, width: "head" }]
    })
    expect(decoded).toEqual(own({}))
    const space = Result.getOrThrow(MacroSpace.fromMacro(decoded, cifar))
    expect(space.size).toBe(4n)
    expect(space.choices[0]).toEqual(["k3 e2", "skip"])
    expect(() => Schema.decodeUnknownSync(MacroSpace.MacroSpec)({ ...own({}), search: [] })).toThrow()
  })
})

describe("presets", () => {
  it("are found by name, and are valid in their spaces, also for other images", () => {
    expect(Presets.find("no-such")).toBeUndefined()
    expect(new Set(Presets.presets.map((preset) => preset.name)).size).toBe(Presets.presets.length)
    for (const preset of Presets.presets) {
      const space = Result.getOrThrow(preset.space(cifar))
      expect(Result.isSuccess(space.validate(preset.genotype)), preset.name).toBe(true)
      expect(Result.isSuccess(Presets.network(preset, { input: [32, 32, 3] })), preset.name).toBe(true)
    }
  })

  it("are architectures of their own spaces alone, and named like no space", () => {
    const textOf = (result: Result.Result<ReadonlyArray<number>, Error>): string =>
      Result.isSuccess(result) ? result.success.join(",") : result.failure.message
    for (const { genotype, name, searchSpace, space } of Presets.presets) {
      expect(Object.keys(makers)).not.toContain(name)
      expect(Presets.ofSpace(searchSpace.name).map((preset) => preset.name)).toContain(name)
      expect(textOf(Presets.parse(Result.getOrThrow(space(cifar)), name))).toBe(genotype.join(","))
      expect(textOf(Presets.parse(made("tiny"), name))).toContain(
        `its own is searchSpace: {"name":"${searchSpace.name}"`
      )
    }
    // Same digits, other widths or blocks
    expect(textOf(Presets.parse(made("proxylessnas"), "proxylessnas-gpu"))).toContain("not in search space")
    expect(textOf(Presets.parse(made("fbnet-s"), "fbnet-b"))).toContain("not in search space")
    expect(textOf(Presets.parse(made("tiny"), "0,1"))).toContain("2 positions")
  })

  it("labels of all blocks are distinct words", () => {
    const specs: ReadonlyArray<Block.BlockSpec> = [
      Block.conv({ kernel: 3, groups: "depthwise", activation: "prelu" }),
      Block.conv({ kernel: 3, groups: 2, dilation: 2 }),
      Block.separable({ kernel: 3, dilation: 2 }),
      Block.mobile({ kernel: 3, expansion: 1, pointGroups: 2 }),
      Block.mobile({ kernel: 3, expansion: 1, squeezeExcite: true }),
      Block.mixed({ kernels: [3, 5], expansion: 2, squeezeExcite: true }),
      Block.unified({ slots: [3, 0, 7] }),
      Block.shuffle({ kernel: 5 }),
      Block.shuffle({ kernel: 3, xception: true }),
      Block.aspp({ rates: [2, 4] }),
      { _tag: "AveragePool", kernel: 3 },
      { _tag: "MaxPool", kernel: 3 },
      Block.skip,
      Block.zero,
      Block.globalAverage,
      Block.classifier
    ]
    expect(specs.map(Block.label)).toEqual([
      "conv k3 dw prelu",
      "conv k3 g2 d2",
      "separable k3 d2",
      "k3 e1 g2",
      "k3 e1 se",
      "k3+5 e2 se",
      "k3 - k7",
      "shuffle k5",
      "xception",
      "aspp k3 d2+4",
      "average pool k3",
      "max pool k3",
      "skip",
      "zero",
      "global average",
      "linear"
    ])
  })
})
