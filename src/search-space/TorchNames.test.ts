import * as Result from "effect/Result"
import { describe, expect, it } from "vitest"
import { fill } from "../../property-tests/testing/Filled.ts"
import { sizeOf } from "../engine/Shape.ts"
import * as Block from "./blocks/Block.ts"
import * as FbNet from "./FbNet.ts"
import * as MobileFaceNet from "./MobileFaceNet.ts"
import type { NamedBlock } from "./Network.ts"
import type { NetworkInterface } from "./SearchSpace.ts"
import * as Sgnas from "./Sgnas.ts"
import * as Spos from "./Spos.ts"
import * as TorchNames from "./TorchNames.ts"

const held = (entries: ReadonlyArray<TorchNames.TorchEntry>): Record<string, TorchNames.HostTensor> =>
  Object.fromEntries(
    entries.map(({ ours }) => [ours.name, { shape: ours.shape, data: fill(ours.name, sizeOf(ours.shape)) }])
  )

const roundTrip = (blocks: ReadonlyArray<NamedBlock>, form: TorchNames.TorchForm): ReadonlyArray<string> => {
  const entries = TorchNames.entries(blocks, form)
  const ours = held(entries)
  const theirs = Result.getOrThrow(TorchNames.toTorch(entries, ours))
  const back = Result.getOrThrow(TorchNames.fromTorch(entries, theirs))
  expect(Object.keys(back)).toEqual(Object.keys(ours))
  for (const [name, tensor] of Object.entries(ours)) {
    expect(back[name]?.shape, name).toEqual(tensor.shape)
    expect(
      tensor.data.every((value, i) => back[name]?.data[i] === value),
      name
    ).toBe(true)
  }
  return [...theirs.keys()]
}

const task: NetworkInterface = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 4 } }

describe("names and layouts of PyTorch", () => {
  it("go there and back for every kind of block, alone and in a supernet", () => {
    const spaces = [
      FbNet.makeS({ stemStride: 2, channelShuffle: false }, task),
      Spos.make({ stemStride: 2, variant: "osnas" }, task),
      MobileFaceNet.make({ stemStride: 2 }, task)
    ].map(Result.getOrThrow)
    for (const space of spaces) {
      const digits = space.choices.map((offered, i) => i % offered.length)
      roundTrip(space.network(digits).blocks, "network")
    }
    const sgnas = Result.getOrThrow(Sgnas.make({ stemStride: 2, minimum: 1 }, task))
    const digits = sgnas.choices.map((_, i) => (i % 7) % 4)
    const alone = roundTrip(sgnas.network(digits).blocks.slice(0, 6), "network")
    expect(alone).toContain("stages.0.mixconv.2.weight")
    expect(alone).toContain("stages.0.bn_act.bn.running_var")
    const within = roundTrip(
      sgnas.supernet.blocks.filter((block) => block.name === "search.1"),
      "supernet"
    )
    expect(within).toContain("search_stages.1.unified_block.5.supernet_layer.2.conv.weight")
    expect(within).toContain("search_stages.1.sbn.5.running_mean")
    expect(within.filter((name) => name.endsWith("point_wise.conv.weight"))).toHaveLength(1)
  })

  it("are those of the published networks", () => {
    const blocks: ReadonlyArray<NamedBlock> = [
      { name: "first.0", block: Block.place(Block.conv({ kernel: 3, activation: "prelu" }), 3, 4, 2) },
      {
        name: "search.2.1",
        block: Block.place(Block.mobile({ kernel: 3, expansion: 2, squeezeExcite: true }), 4, 4, 1)
      },
      { name: "search.3.3", block: Block.place(Block.shuffle({ kernel: 3, xception: true }), 4, 8, 2) },
      { name: "search.4.8", block: Block.place(Block.skip, 8, 6, 1) },
      { name: "last.2", block: Block.place(Block.classifier, 6, 2, 1) }
    ]
    const names = TorchNames.entries(blocks, "supernet").map((entry) => entry.theirs)
    for (const expected of [
      "first_stages.0.prelu.weight",
      "search_stages.2.supernet_layer.1.point_wise.conv.weight",
      "search_stages.2.supernet_layer.1.se.squeeze_conv.bias",
      "search_stages.2.supernet_layer.1.point_wise_1.bn.running_mean",
      "search_stages.3.supernet_layer.3.branch_1.1.bn.bias",
      "search_stages.3.supernet_layer.3.branch_2.4.conv.weight",
      "search_stages.4.supernet_layer.8.conv.weight",
      "last_stages.2.bias"
    ]) {
      expect(names).toContain(expected)
    }
    expect(TorchNames.counterNames(TorchNames.entries(blocks.slice(0, 1), "network"))).toEqual([
      "first_stages.0.bn.num_batches_tracked"
    ])
  })

  it("put every weight where it belongs", () => {
    const entries = TorchNames.entries(
      [{ name: "first.0", block: Block.place(Block.conv({ kernel: 2, norm: false }), 2, 3, 1) }],
      "network"
    )
    const weight = { shape: [3, 2, 2, 2], data: Float32Array.from({ length: 24 }, (_, i) => i) }
    const ours = Result.getOrThrow(TorchNames.fromTorch(entries, new Map([["first_stages.0.conv.weight", weight]])))
    // ours[y, x, in, out] = theirs[out, in, y, x] = 8 out + 4 in + 2 y + x
    const data = ours["first.0.conv.weight"]?.data
    expect(Array.from(data ?? []).slice(0, 8)).toEqual([0, 8, 16, 4, 12, 20, 1, 9])
  })

  it("that are missing or misshapen are named", () => {
    const entries = TorchNames.entries(
      [{ name: "first.0", block: Block.place(Block.conv({ kernel: 3, norm: false }), 3, 4, 1) }],
      "network"
    )
    const missing = TorchNames.fromTorch(entries, new Map())
    expect(Result.isFailure(missing) && missing.failure.message).toContain(
      "first_stages.0.conv.weight: the file has none, and first.0.conv.weight needs it"
    )
    const wrong = { shape: [4, 3, 5, 5], data: new Float32Array(300) }
    const misshapen = TorchNames.fromTorch(entries, new Map([["first_stages.0.conv.weight", wrong]]))
    expect(Result.isFailure(misshapen) && misshapen.failure.message).toContain(
      "its shape is [4, 3, 5, 5], and first.0.conv.weight needs [4, 3, 3, 3]"
    )
    const cut = { name: "search.0", block: Block.place(Block.unified({ slots: [3, 3] }), 4, 4, 1) }
    const short = new Map([["stages.0.point_wise.conv.weight", { shape: [6, 4, 1, 1], data: new Float32Array(24) }]])
    const sliced = TorchNames.fromTorch(TorchNames.entries([cut], "network").slice(1, 2), short)
    expect(Result.isFailure(sliced) && sliced.failure.message).toContain("needs entries up to 8")
    const none = TorchNames.toTorch(entries, {})
    expect(Result.isFailure(none) && none.failure.message).toContain("there is no first.0.conv.weight to make it of")
  })
})
