import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { fill } from "../../property-tests/testing/Filled.ts"
import { sizeOf } from "../engine/Shape.ts"
import * as Block from "../search-space/blocks/Block.ts"
import { fixed, fromMacro, layersOf } from "../search-space/MacroSpace.ts"
import type { NetworkInterface } from "../search-space/SearchSpace.ts"
import * as Sgnas from "../search-space/Sgnas.ts"
import * as TorchNames from "../search-space/TorchNames.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as TorchState from "./TorchState.ts"

const task: NetworkInterface = { input: [16, 16, 3], head: { _tag: "Classifier", classes: 3 } }

const space = Result.getOrThrow(
  fromMacro(
    {
      name: "two",
      first: [fixed(Block.conv({ kernel: 3, activation: "prelu" }), 4, 2)],
      search: layersOf([
        [4, 1],
        [6, 2]
      ]),
      choices: [Block.mobile({ kernel: 3, expansion: 2, squeezeExcite: true }), Block.skip],
      last: [fixed(Block.globalAverage), fixed(Block.classifier, "head")]
    },
    task
  )
)

type Tensors = Map<string, Checkpoint.TensorEntry>

/** A state as PyTorch writes it: all tensors, and a counter for every running mean. */
const stateOf = (entries: ReadonlyArray<TorchNames.TorchEntry>): Tensors => {
  const ours = Object.fromEntries(
    entries.map(({ ours: { name, shape } }) => [name, { shape, data: fill(name, sizeOf(shape)) }])
  )
  const out: Tensors = new Map()
  for (const [name, { data, shape }] of Result.getOrThrow(TorchNames.toTorch(entries, ours))) {
    out.set(name, Checkpoint.float32(shape, Float32Array.from(data)))
  }
  for (const [i, name] of TorchNames.counterNames(entries).entries()) {
    out.set(name, { dtype: "I64", shape: [], data: new Uint8Array(BigInt64Array.of(BigInt(i + 7)).buffer) })
  }
  return out
}

const supernet = TorchNames.entries(space.supernet.blocks, "supernet")
const read = (
  state: Tensors,
  form: TorchNames.TorchForm = "supernet",
  entries: ReadonlyArray<TorchNames.TorchEntry> = supernet
) => TorchState.fromTorch("net.safetensors", "the supernet of two", entries, form, state)

const message = (result: Result.Result<unknown, TorchState.TorchStateError>): string =>
  Result.isFailure(result) ? result.failure.message : "no failure"

const bytesOf = (state: ReadonlyMap<string, Checkpoint.TensorEntry>) =>
  Object.fromEntries(
    [...state]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { data, dtype, shape }]) => [name, [dtype, shape, Buffer.from(data).toString("hex")]])
  )

/** Imports and exports. */
const roundTrip = (
  state: Tensors,
  entries: ReadonlyArray<TorchNames.TorchEntry>,
  form: TorchNames.TorchForm
): ReadonlyMap<string, Checkpoint.TensorEntry> => {
  const imported = Result.getOrThrow(read(state, form, entries))
  const checkpoint = TorchState.toCheckpoint(imported, { format: "osnas" })
  return Result.getOrThrow(TorchState.toTorch("ours.safetensors", "the network", entries, checkpoint))
}

describe("a PyTorch state", () => {
  it("is imported and exported bit for bit, counters included", () => {
    const state = stateOf(supernet)
    assert.deepStrictEqual(bytesOf(roundTrip(state, supernet, "supernet")), bytesOf(state))
    const network = TorchNames.entries(space.network([0, 1]).blocks, "network")
    const alone = stateOf(network)
    assert.deepStrictEqual(bytesOf(roundTrip(alone, network, "network")), bytesOf(alone))
  })

  it("keeps tensors that our networks lack: SGNAS's seventh normalisation, parameters of architectures", () => {
    const sgnas = Result.getOrThrow(Sgnas.make({ stemStride: 2, minimum: 1 }, task))
    const blocks = sgnas.supernet.blocks.filter(({ name }) => name === "search.0")
    const entries = TorchNames.entries(blocks, "supernet")
    const state = stateOf(entries)
    for (const leaf of ["weight", "bias", "running_mean", "running_var"]) {
      state.set(`search_stages.0.sbn.6.${leaf}`, Checkpoint.float32([24], Float32Array.from(fill(leaf, 24))))
    }
    state.set("search_stages.0.arch_param", Checkpoint.float32([1, 4], Float32Array.from(fill("alpha", 4))))
    assert.deepStrictEqual(bytesOf(roundTrip(state, entries, "supernet")), bytesOf(state))
    // A supernet trained here gets an initial one, because load_state_dict requires it.
    const { tensors } = Result.getOrThrow(read(state, "supernet", entries))
    const exported = Result.getOrThrow(
      TorchState.toTorch("ours.safetensors", "the supernet", entries, { tensors, metadata: {} })
    )
    assert.deepStrictEqual(
      [...Checkpoint.toFloat32(exported.get("search_stages.0.sbn.6.running_var")!)],
      Array.from({ length: 24 }, () => 1)
    )
    assert.strictEqual(exported.has("search_stages.0.sbn.5.num_batches_tracked"), true)
    assert.strictEqual(exported.has("search_stages.0.arch_param"), false)
  })

  it("is read without the prefix of DataParallel", () => {
    const wrapped: Tensors = new Map([...stateOf(supernet)].map(([name, entry]) => [`module.${name}`, entry]))
    const { prefixed, tensors } = Result.getOrThrow(read(wrapped))
    assert.strictEqual(prefixed, true)
    assert.deepStrictEqual(tensors.get("first.0.conv.weight")?.shape, [3, 3, 3, 4])
    wrapped.set("first_stages.0.conv.weight", wrapped.get("module.first_stages.0.conv.weight")!)
    assert.include(message(read(wrapped)), "first_stages.0.conv.weight (duplicate of first_stages.0.conv.weight)")
  })

  it("is converted from other types of numbers, and refused if it contains NaN or infinity", () => {
    const state = stateOf(supernet)
    const name = "last_stages.1.bias"
    const expectValues = (dtype: string, data: Uint8Array<ArrayBuffer>, values: ReadonlyArray<number>) => {
      const imported = Result.getOrThrow(read(new Map(state).set(name, { dtype, shape: [3], data })))
      assert.deepStrictEqual([...Checkpoint.toFloat32(imported.tensors.get("last.1.linear.bias")!)], values)
      assert.deepStrictEqual(imported.converted, { [dtype]: 1 })
    }
    // One, the smallest subnormal number, and the largest of half precision.
    expectValues("F16", new Uint8Array(Uint16Array.of(0x3c00, 0x0001, 0xfbff).buffer), [1, 2 ** -24, -65504])
    expectValues("BF16", new Uint8Array(Uint16Array.of(0x3f80, 0xc000, 0x4049).buffer), [1, -2, 3.140625])
    expectValues("F64", new Uint8Array(Float64Array.of(0.1, -2, 1e-60).buffer), [Math.fround(0.1), -2, 0])

    const integers = { dtype: "I32", shape: [3], data: new Uint8Array(12) }
    assert.include(
      message(read(new Map(state).set(name, integers))),
      `1 tensor that cannot be weights:\n    ${name} (I32; weights are F32, or F64, F16, BF16, which are converted)`
    )
    const none = Checkpoint.float32([3], Float32Array.of(1, Number.NaN, 2))
    assert.include(message(read(new Map(state).set(name, none))), `${name} (contains NaN or infinity)`)
    const large = { dtype: "F64", shape: [3], data: new Uint8Array(Float64Array.of(1e300, 0, 0).buffer) }
    assert.include(message(read(new Map(state).set(name, large))), "contains NaN or infinity as float32")
  })

  it("is refused with every tensor that is missing, unknown or of a wrong shape", () => {
    const state = stateOf(supernet)
    for (const name of [...state.keys()]) if (name.includes("search_stages.1.")) state.delete(name)
    state.set("last_stages.1.weight", Checkpoint.float32([5, 6], new Float32Array(30)))
    state.set("aux.weight", Checkpoint.float32([1], new Float32Array(1)))
    const lines = message(read(state)).split("\n")
    assert.strictEqual(lines[0], "net.safetensors is not the supernet of two")
    const missing = supernet.filter(({ theirs }) => theirs.includes("search_stages.1.")).length
    assert.strictEqual(lines[1], `  ${missing} tensors missing:`)
    assert.strictEqual(lines[7], `    and ${missing - 5} more`)
    assert.include(lines, "    last_stages.1.weight (the file: [5, 6], here: [3, 6])")
    assert.deepStrictEqual(lines.slice(-2), ["  1 unknown tensor:", "    aux.weight"])
    // A network in place of a supernet, or the reverse: the error says so, with advice.
    const network = stateOf(TorchNames.entries(space.network([0, 0]).blocks, "network"))
    assert.include(message(read(network)), "It has the names of a single network (stages.…): give --arch")
    const alone = TorchNames.entries(space.network([0, 0]).blocks, "network")
    assert.include(message(read(stateOf(supernet), "network", alone)), "give --supernet")
  })

  it("without running statistics gets initial ones, and is exported without", () => {
    const state = stateOf(supernet)
    for (const name of [...state.keys()]) if (/running_|num_batches/.test(name)) state.delete(name)
    const imported = Result.getOrThrow(read(state))
    assert.strictEqual(imported.withoutStatistics, true)
    assert.deepStrictEqual([...Checkpoint.toFloat32(imported.tensors.get("first.0.conv.norm.variance")!)], [1, 1, 1, 1])
    assert.deepStrictEqual(bytesOf(roundTrip(state, supernet, "supernet")), bytesOf(state))
    // A single network is evaluated with its statistics, so it must have them.
    const network = TorchNames.entries(space.network([1, 1]).blocks, "network")
    const alone = stateOf(network)
    alone.delete("first_stages.0.bn.running_mean")
    assert.include(message(read(alone, "network", network)), "first_stages.0.bn.running_mean")
  })

  it("includes the weights of the angular criterion", () => {
    const identities = Checkpoint.float32([3, 9], Float32Array.from(fill("identities", 27)))
    const state = stateOf(supernet).set("criterion.module.identity_weights", identities)
    const imported = Result.getOrThrow(read(state))
    assert.deepStrictEqual(imported.tensors.get("criterion.identities.weight"), identities)
    const back = roundTrip(state, supernet, "supernet")
    assert.deepStrictEqual(back.get("criterion.identity_weights"), identities)
  })

  it("that was trained here is exported, or refused with the names of the tensors", () => {
    const { tensors } = Result.getOrThrow(read(stateOf(supernet)))
    const metadata = { format: "osnas" }
    const write = (changed: ReadonlyMap<string, Checkpoint.TensorEntry>, kept: Readonly<Record<string, string>> = {}) =>
      TorchState.toTorch("x.safetensors", "the supernet of two", supernet, {
        tensors: changed,
        metadata: { ...metadata, ...kept }
      })
    const exported = Result.getOrThrow(
      write(new Map(tensors).set("optimizer.momentum.a", tensors.values().next().value!))
    )
    assert.strictEqual(exported.size, stateOf(supernet).size)
    assert.strictEqual(exported.get("first_stages.0.bn.num_batches_tracked")?.dtype, "I64")
    const less = new Map(tensors)
    less.delete("last.1.linear.weight")
    less.set("last.1.linear.bias", Checkpoint.float32([4], new Float32Array(4)))
    less.set("more", Checkpoint.float32([1], new Float32Array(1)))
    const text = message(write(less))
    for (const part of ["last.1.linear.weight", "last.1.linear.bias (the file: [4], here: [3])", "    more"])
      assert.include(text, part)
    assert.include(message(write(tensors, { "osnas.torch": "{" })), "the metadata osnas.torch")
  })
})

describe("PyTorch's own files", () => {
  it("are recognised by their first bytes or their names", () => {
    const zip = Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0)
    const header = Uint8Array.of(0x50, 0x4b, 0, 0, 0, 0, 0, 0, 0x7b)
    assert.strictEqual(TorchState.isPickle("a.safetensors", zip), true)
    assert.strictEqual(TorchState.isPickle("a.safetensors", Uint8Array.of(0x80, 2)), true)
    assert.strictEqual(TorchState.isPickle("a.pth", Uint8Array.of(1)), true)
    assert.strictEqual(TorchState.isPickle("a.pth", header), false)
    assert.lengthOf(TorchState.howToConvert("runs/a.pth").split("\n"), 3)
    assert.include(TorchState.howToConvert("runs/a.pth"), '"runs/a.safetensors"')
  })
})
