/**
 * Every kind of block, small networks of them and a mixture of all options of a supernet, held against what PyTorch computes in float64
 * (property-tests/pytorch has the numbers and says how they are made), on every engine that needs no other package.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fill } from "../../../property-tests/testing/Filled.ts"
import { hostTensors, measure } from "../../../tools/parity.ts"
import * as Engines from "../../engine/Engines.ts"
import { softmaxCrossEntropy } from "../../engine/LossOps.ts"
import { sizeOf } from "../../engine/Shape.ts"
import { valueAndGradient } from "../../nn/Gradient.ts"
import type * as ParameterTree from "../../nn/ParameterTree.ts"
import * as Checkpoint from "../../run/Checkpoint.ts"
import { fromMacro, MacroSpec } from "../MacroSpace.ts"
import * as Mixture from "../Mixture.ts"
import * as Network from "../Network.ts"
import * as TorchNames from "../TorchNames.ts"
import { BlockSpec, place } from "./Block.ts"

const Placed = { block: BlockSpec, in: Schema.Int, out: Schema.Int, stride: Schema.Int }
const Common = {
  name: Schema.String,
  batch: Schema.Int,
  size: Schema.Tuple([Schema.Int, Schema.Int]),
  /** Before the names that inputs and weights are filled by. */
  salt: Schema.String
}
const BlockCase = Schema.Struct({ ...Common, ...Placed })
const NetworkCase = Schema.Struct({
  ...Common,
  blocks: Schema.Array(Schema.Struct({ name: Schema.String, ...Placed })),
  labels: Schema.Array(Schema.Int),
  steps: Schema.Int
})
const MixtureCase = Schema.Struct({ ...Common, space: MacroSpec, labels: Schema.Array(Schema.Int) })
const Cases = Schema.fromJsonString(Schema.Array(Schema.Union([MixtureCase, NetworkCase, BlockCase])))

const file = join(import.meta.dirname, "../../../property-tests/pytorch/reference.safetensors")
const checkpoint = Effect.runSync(Checkpoint.decode(readFileSync(file), file))
const numbers = hostTensors(checkpoint)
const cases = Schema.decodeUnknownSync(Cases)(checkpoint.metadata["cases"])
const blockCases = cases.flatMap((one) => ("block" in one ? [[one.name, one] as const] : []))
const mixtureCases = cases.flatMap((one) => ("space" in one ? [[one.name, one] as const] : []))
const networkCases = cases.flatMap((one) => ("blocks" in one ? [[one.name, one] as const] : []))

const filled = (name: string, shape: ReadonlyArray<number>, low?: number, high?: number): TorchNames.HostTensor => ({
  shape,
  data: fill(name, sizeOf(shape), low, high)
})

const none: TorchNames.HostTensor = { shape: [0], data: new Float32Array() }
const saved = (one: { readonly name: string }, group: string): TorchNames.HostTensor =>
  numbers.get(`${one.name}/${group}`) ?? none

/** PyTorch's tensors by name and shape, in the order in which the file has them one after another. */
const shapesOf = (entries: ReadonlyArray<TorchNames.TorchEntry>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const parts = new Map<string, Array<TorchNames.TorchEntry>>()
  for (const entry of entries) parts.set(entry.theirs, [...(parts.get(entry.theirs) ?? []), entry])
  return new Map([...parts.keys()].sort().map((name) => [name, TorchNames.theirWholeShape(parts.get(name)!)]))
}

/** Cuts a flat tensor of the file into PyTorch's tensors; nothing may be left. */
const cut = (flat: TorchNames.HostTensor, entries: ReadonlyArray<TorchNames.TorchEntry>, prefix = "") => {
  const out = new Map<string, TorchNames.HostTensor>()
  let at = 0
  for (const [name, shape] of shapesOf(entries)) {
    out.set(prefix + name, { shape, data: flat.data.subarray(at, at + sizeOf(shape)) })
    at += sizeOf(shape)
  }
  expect(at).toBe(flat.data.length)
  return out
}

/** The state that the reference starts from. */
const startOf = (salt: string, entries: ReadonlyArray<TorchNames.TorchEntry>) =>
  new Map(
    [...shapesOf(entries)].map(([name, shape]) => {
      const [low, high] = name.endsWith("running_var")
        ? [0.5, 1.5]
        : name.endsWith("bn.weight")
          ? [0.5, 2.5]
          : [-0.5, 0.5]
      return [name, filled(`${salt}/${name}`, shape, low, high)] as const
    })
  )

const onDevice = ({ data, shape }: TorchNames.HostTensor) => tf.tensor(data, [...shape], "float32")
const channelsLast = (tensor: TorchNames.HostTensor) => tf.transpose(onDevice(tensor) as tf.Tensor4D, [0, 2, 3, 1])

/** Norm-wise over all pairs: |ours - theirs| / |theirs|; where theirs are all zero, |ours|. */
const distance = (pairs: ReadonlyArray<readonly [ArrayLike<number>, ArrayLike<number>]>): number => {
  let [difference, norm] = [0, 0]
  for (const [ours, theirs] of pairs) {
    expect(ours.length).toBe(theirs.length)
    for (let i = 0; i < theirs.length; i++) {
      const value = theirs[i] as number
      difference += ((ours[i] as number) - value) ** 2
      norm += value * value
    }
  }
  return Math.sqrt(norm === 0 ? difference : difference / norm)
}

type Started = Readonly<Record<string, TorchNames.HostTensor>>
const tensorsOf = (start: Started, some: ReadonlyArray<TorchNames.TorchEntry>) =>
  Object.fromEntries(some.map(({ ours }) => [ours.name, onDevice(start[ours.name]!)]))

/** Our gradients against the file's. */
const gradientDistance = (
  one: { readonly name: string },
  trained: ReadonlyArray<TorchNames.TorchEntry>,
  gradients: ParameterTree.ParameterTree
): number => {
  const theirs = Result.getOrThrow(TorchNames.fromTorch(trained, cut(saved(one, "gradient"), trained)))
  return distance(trained.map(({ ours }) => [gradients[ours.name]!.dataSync(), theirs[ours.name]!.data]))
}

/** The change of our running statistics against that of the file's. */
const statisticsDistance = (
  one: { readonly name: string },
  statistics: ReadonlyArray<TorchNames.TorchEntry>,
  start: Started,
  moved: ParameterTree.ParameterTree
): number => {
  const theirs = Result.getOrThrow(TorchNames.fromTorch(statistics, cut(saved(one, "after"), statistics)))
  return distance(
    statistics.map(({ ours: { name } }) => {
      const change = (to: ArrayLike<number>) => Float64Array.from(to, (value, i) => value - start[name]!.data[i]!)
      return [change(moved[name]!.dataSync()), change(theirs[name]!.data)]
    })
  )
}

/** Our errors on a block, by group. */
const blockErrors = (one: typeof BlockCase.Type) => {
  const named = { name: "search.0.0", block: place(one.block, one.in, one.out, one.stride) }
  const [height, width] = one.size
  const network: Network.Network = { input: [height, width, one.in], blocks: [named] }
  const entries = TorchNames.entries([named], "network")
  const theirStart = startOf(one.salt, entries)
  const start = Result.getOrThrow(TorchNames.fromTorch(entries, theirStart))
  const trained = entries.filter(({ ours }) => ours.trainable)
  const statistics = entries.filter(({ ours }) => !ours.trainable)
  return tf.tidy(() => {
    const variables: ParameterTree.Variables = {
      params: tensorsOf(start, trained),
      stats: tensorsOf(start, statistics)
    }
    const images = channelsLast(filled(`${one.salt}/input`, [one.batch, one.in, height, width], -2, 2))
    const [h, w, channels] = Network.outputShape(named.block, network.input)
    const shape = [one.batch, channels, h, w]
    const cotangent = channelsLast(filled(`${one.salt}/cotangent`, shape))
    const outputs = saved(one, "output")
    expect(outputs.shape).toEqual([2, ...shape])
    const half = outputs.data.length / 2
    const expected = (mode: 0 | 1) =>
      channelsLast({ shape, data: outputs.data.subarray(mode * half, (mode + 1) * half) }).dataSync()

    const evaluated = Network.apply(network, variables, images, "eval").output
    const { gradients, rest } = valueAndGradient(
      () => {
        const { output, statistics } = Network.apply(network, variables, images, "train")
        return { loss: tf.sum(tf.mul(output, cotangent)) as tf.Scalar, rest: { output, statistics } }
      },
      { ...variables.params, "#images": images }
    )
    const moved = Network.updateStatistics(variables.stats, rest.statistics, 0.1)
    return {
      eval: distance([[evaluated.dataSync(), expected(0)]]),
      train: distance([[rest.output.dataSync(), expected(1)]]),
      // What the output does not depend on has no gradient here, and a gradient of zeros there.
      input: distance([
        [(gradients["#images"] ?? tf.zerosLike(images)).dataSync(), channelsLast(saved(one, "input")).dataSync()]
      ]),
      gradient: gradientDistance(one, trained, gradients),
      after: statisticsDistance(one, statistics, start, moved)
    } as unknown as tf.TensorContainer
  }) as unknown as Readonly<Record<"eval" | "train" | "input" | "gradient" | "after", number>>
}

/** Our errors on a network, by group, as the parity tool measures them on large ones. */
const networkErrors = (one: typeof NetworkCase.Type) => {
  const blocks = one.blocks.map(({ name, ...at }) => ({ name, block: place(at.block, at.in, at.out, at.stride) }))
  const [height, width] = one.size
  const channels = one.blocks[0]!.in
  const entries = TorchNames.entries(blocks, "network")
  const outputs = saved(one, "output")
  const [, , classes] = outputs.shape as [number, number, number]
  const half = outputs.data.length / 2
  const logits = (mode: 0 | 1) => ({
    shape: [one.batch, classes],
    data: outputs.data.subarray(mode * half, (mode + 1) * half)
  })
  const trained = entries.filter(({ ours }) => ours.trainable)
  const arrays = new Map([
    ["input", filled(`${one.salt}/input`, [one.batch, channels, height, width], -2, 2)],
    ["labels", { shape: [one.batch], data: Float32Array.from(one.labels) }],
    ["logits_eval", logits(0)],
    ["logits_train", logits(1)],
    ["input_gradient", saved(one, "input")],
    ...cut(saved(one, "gradient"), trained, "grad."),
    ...cut(saved(one, "after"), entries, "after.")
  ])
  const path = { input: [height, width, channels], blocks } as const
  const reference = { batch: one.batch, steps: one.steps, supernet: false }
  return measure({ path, held: blocks }, reference, startOf(one.salt, entries), arrays)
}

it("the reference has every kind of block", () => {
  const blocks = cases.flatMap((one) =>
    "blocks" in one ? one.blocks.map(({ block }) => block) : "block" in one ? [one.block] : one.space.choices
  )
  const kinds = new Set(blocks.map((block) => block._tag))
  expect([...kinds].sort()).toEqual(BlockSpec.members.map((member) => member.fields._tag.schema.literal).sort())
})

/** Our errors on a mixture of all options of a supernet, by group. */
const mixtureErrors = (one: typeof MixtureCase.Type, memory: "keep" | "recompute") => {
  const [height, width] = one.size
  const outputs = saved(one, "output")
  const [, , classes] = outputs.shape as [number, number, number]
  const task = { input: [height, width, 3], head: { _tag: "Classifier", classes } } as const
  const space = Result.getOrThrow(fromMacro(one.space, task))
  const entries = TorchNames.entries(space.supernet.blocks, "supernet")
  const start = Result.getOrThrow(TorchNames.fromTorch(entries, startOf(one.salt, entries)))
  const trained = entries.filter(({ ours }) => ours.trainable)
  const statistics = entries.filter(({ ours }) => !ours.trainable)
  return tf.tidy(() => {
    const variables = { params: tensorsOf(start, trained), stats: tensorsOf(start, statistics) }
    const images = channelsLast(filled(`${one.salt}/input`, [one.batch, 3, height, width], -2, 2))
    const labels = tf.tensor1d([...one.labels], "int32")
    const weights = onDevice(filled(`${one.salt}/logits`, [space.layers.length, one.space.choices.length], -1, 1))
    const apply = (mode: Network.Mode) => {
      const rows = tf.unstack(tf.softmax(weights as tf.Tensor2D, 1)) as Array<tf.Tensor1D>
      return Mixture.applyMixture(space, variables, images, rows, mode, { memory })
    }
    const evaluated = apply("eval").output
    const { gradients, rest } = valueAndGradient(
      () => {
        const { output, statistics } = apply("train")
        return { loss: softmaxCrossEntropy(output as tf.Tensor2D, labels), rest: { output, statistics } }
      },
      { ...variables.params, "#images": images, "#weights": weights }
    )
    const moved = Network.updateStatistics(variables.stats, rest.statistics, 0.1)
    const half = outputs.data.length / 2
    return {
      eval: distance([[evaluated.dataSync(), outputs.data.subarray(0, half)]]),
      train: distance([[rest.output.dataSync(), outputs.data.subarray(half)]]),
      input: distance([[gradients["#images"]!.dataSync(), channelsLast(saved(one, "input")).dataSync()]]),
      weights: distance([[gradients["#weights"]!.dataSync(), saved(one, "weights").data]]),
      gradient: gradientDistance(one, trained, gradients),
      after: statisticsDistance(one, statistics, start, moved)
    } as unknown as tf.TensorContainer
  }) as unknown as Readonly<Record<"eval" | "train" | "input" | "weights" | "gradient" | "after", number>>
}

const blockBounds = { eval: 1e-6, train: 1e-6, input: 1e-5, gradient: 1e-5, after: 1e-5 }
const mixtureBounds = { ...blockBounds, weights: 1e-5 }
const networkBounds = { logits_eval: 1e-6, logits_train: 1e-6, input_gradient: 1e-5, gradient: 1e-5, update: 1e-5 }
const within = <Group extends string>(
  errors: Readonly<Record<Group, number>>,
  bounds: Readonly<Record<Group, number>>
): void => {
  for (const group in bounds) expect(errors[group], group).toBeLessThan(bounds[group])
}

describe.each([
  ["simd", "strict"],
  ["simd", "relaxed"],
  ["cpu", "strict"]
] as const)("against PyTorch, engine %s, %s", (name, mode) => {
  const scope = Effect.runSync(Scope.make())
  beforeAll(() => Effect.runPromise(Scope.provide(Engines.acquire(name, { mode, threads: 2 }), scope)))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.each(blockCases)("%s", (_, one) => {
    within(blockErrors(one), blockBounds)
  })

  it.each(networkCases)("%s", (_, one) => {
    within(networkErrors(one), networkBounds)
  })

  it.each(
    mixtureCases.flatMap(([name, one]) =>
      (["keep", "recompute"] as const).map((memory) => [name, memory, one] as const)
    )
  )("%s, %s", (_, memory, one) => {
    within(mixtureErrors(one, memory), mixtureBounds)
  })
})
